//! One session alone, fed by hand with what an honest peer never says: each time it ends with an error of the protocol, and
//! takes no more memory than it would for an honest one.

use std::sync::Arc;

use blit_core::engine::Limits;
use blit_core::entry::{Entry, FileId, Kind, Meta, Time};
use blit_core::event::Event;
use blit_core::frame::{DirId, Frame, Listing, Need, PageNumber, Settled, Want};
use blit_core::header::BLOCK_BYTES;
use blit_core::path::{Name, RelPath};
use blit_core::session::schedule::{
    PAGE_ENTRIES_MAX, RANGE_BYTES, RANGES_MAX, WANTED_ENTRIES_MAX, WINDOW_ENTRIES_MAX,
};
use blit_core::session::{Actions, Session};
use blit_core::spec::{SourceItem, Target, TransferSpec, Verb};
use blit_core::stream::{Part, Plane, Range, Slot, Ticket};
use blit_core::summary::Summary;
use blit_core::task::{
    Copied, Dir, Held, Listed, Output, Placed, Root, SpaceFacts, Step, Task, TaskId,
};
use blit_core::{Error, ErrorKind};

/// Bytes of a file: one block is the most that there can be of it.
const SIZE: u64 = 1000;
const _: () = assert!(SIZE < BLOCK_BYTES);

fn meta(kind: Kind, size: u64) -> Meta {
    Meta {
        kind,
        size,
        allocated: size,
        mtime: Time { secs: 1, nanos: 0 },
        ctime: Time::default(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        nlink: 1,
        id: FileId::default(),
        mounted: false,
        rdev: 0,
        xattrs: None,
        target: None,
    }
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a valid name")
}

fn entry(text: &str, kind: Kind, size: u64) -> Entry {
    Entry { name: name(text), meta: meta(kind, size) }
}

fn file(text: &str) -> Entry {
    entry(text, Kind::File, SIZE)
}

fn dir(text: &str) -> Entry {
    entry(text, Kind::Dir, 0)
}

fn top() -> Dir {
    Dir::new(&Root::new("/top"), RelPath::root())
}

/// The session at one end, and what it has done so far.
struct End {
    session: Session,
    out: Actions,
}

impl End {
    fn destination(spec: TransferSpec) -> Self {
        let facts = SpaceFacts {
            dir: meta(Kind::Dir, 0),
            ancestors: Vec::new(),
            available: 1 << 40,
            total: 1 << 40,
            granularity_ns: 1,
            holds_xattrs: true,
            canonical: None,
            may_chown: true,
            own_uid: 0,
            groups: vec![0],
        };
        let target = Target { root: Root::new("/top"), path: RelPath::root(), absent: false };
        let session = Session::destination(target, &facts, spec, Limits { workers: 2 });
        Self::new(session.over(&Plane::new()))
    }

    /// A source that has listed one page: the files `a` and `b`, and the directory `d`.
    fn source(verb: Verb) -> Self {
        let items = vec![SourceItem::Contents(top())];
        let session = Session::source(items, TransferSpec::new(verb), Limits { workers: 2 });
        let mut end = Self::new(session.over(&Plane::new()));
        end.session.start(&mut end.out);
        let entries = vec![file("a"), file("b"), dir("d")];
        let listed = Listed { dir: Some(meta(Kind::Dir, 0)), entries, ..Listed::default() };
        end.answer(Output::Listed(listed));
        assert!(end.out.frames.iter().any(|frame| matches!(frame, Frame::Listing(_))));
        end
    }

    fn new(session: Session) -> Self {
        Self { session, out: Actions::default() }
    }

    fn hear(&mut self, frame: Frame) {
        self.session.handle(Event::Frame(frame), &mut self.out);
    }

    /// Takes the first task that waits.
    fn task(&mut self) -> (TaskId, Task) {
        assert!(!self.out.tasks.is_empty(), "there is nothing to do");
        self.out.tasks.remove(0)
    }

    /// Ends the first task that waits.
    fn answer(&mut self, output: Output) {
        let (id, _) = self.task();
        self.session.handle(Event::Done(id, Ok(output)), &mut self.out);
    }

    #[track_caller]
    fn assert_content(&self) {
        assert!(self.session.error().is_none(), "{:?}", self.session.error());
    }

    #[track_caller]
    fn assert_refuses(&self, what: &str) {
        let kind = self.session.error().map(|error| error.kind);
        assert_eq!(kind, Some(ErrorKind::Protocol), "{what}: {:?}", self.session.error());
        let is_told = |frame: &Frame| matches!(frame, Frame::Failed(_));
        assert!(self.out.frames.iter().any(is_told), "{what}: the peer is told");
    }
}

/// An honest page of the destination directory, the first of all.
fn page(entries: Vec<Entry>) -> Listing {
    Listing {
        dir: DirId::BASE,
        number: PageNumber(0),
        meta: None,
        page: entries.into(),
        first_child: DirId(1),
        from: None,
        source_name: None,
        last: false,
        named: false,
        complete: true,
    }
}

/// An honest page that follows `page` of a file and a directory.
fn second(entries: Vec<Entry>) -> Listing {
    Listing { number: PageNumber(1), first_child: DirId(2), ..page(entries) }
}

#[test]
fn a_page_that_no_honest_source_sends_is_refused() {
    let below = |listing| Listing { dir: DirId(1), ..listing };
    let pages = [
        ("a page left out", Listing { number: PageNumber(2), ..second(vec![]) }),
        ("a page again", Listing { number: PageNumber(0), ..second(vec![]) }),
        ("a number that is used", Listing { first_child: DirId(1), ..second(vec![dir("x")]) }),
        ("a number left out", Listing { first_child: DirId(3), ..second(vec![dir("x")]) }),
        ("the largest number", Listing { first_child: DirId(u64::MAX), ..second(vec![dir("x")]) }),
        ("an unannounced directory", Listing { dir: DirId(9), ..second(vec![]) }),
        ("a temporary name", second(vec![file(&format!(".blit-{}.tmp", "0".repeat(24)))])),
        ("a file for a directory", {
            Listing { meta: Some(Box::new(meta(Kind::File, 1))), ..second(vec![]) }
        }),
        ("two sources in a page", Listing { named: true, ..second(vec![file("x"), file("y")]) }),
        ("a source below another", below(Listing { named: true, ..second(vec![dir("x")]) })),
        ("another directory's own", {
            below(Listing { meta: Some(Box::new(meta(Kind::Dir, 0))), ..second(vec![]) })
        }),
        ("another name below", below(Listing { source_name: Some(name("z")), ..second(vec![]) })),
        ("where it can be read", Listing { from: Some(top()), ..second(vec![]) }),
    ];
    for (what, bad) in pages {
        let mut end = End::destination(TransferSpec::new(Verb::Mirror));
        end.hear(Frame::Listing(page(vec![file("a"), dir("d")])));
        end.assert_content();
        end.hear(Frame::Listing(bad));
        end.assert_refuses(what);
    }
}

#[test]
fn a_directory_that_was_listed_to_its_end_has_no_further_page() {
    let mut end = End::destination(TransferSpec::new(Verb::Copy));
    end.hear(Frame::Listing(Listing { last: true, ..page(vec![file("a"), dir("d")]) }));
    end.assert_content();
    end.hear(Frame::Listing(second(vec![file("b")])));
    end.assert_refuses("a page after the last");
}

#[test]
fn a_source_says_nothing_that_only_a_destination_says_or_that_nobody_asked_for() {
    let want = || Want { ticket: Ticket(1), number: PageNumber(0), picks: vec![0] };
    let settled = Settled { number: PageNumber(0), entries: 2, kept: vec![] };
    let frames = [
        Frame::Settled(settled),
        Frame::Closed(DirId(1), true),
        Frame::Need(Need { want: want(), part: Part::Whole }),
        Frame::Digest(want()),
        Frame::Finished(Box::<Summary>::default()),
        Frame::Digests(Ticket(0), vec![Ok(1)]),
        Frame::Digests(Ticket(1), vec![Ok(1)]),
        Frame::Sent(Ticket(0), None),
        Frame::Sent(Ticket(1), Some(Slot(0))),
        Frame::Sent(Ticket(u64::MAX), None),
    ];
    for frame in frames {
        let mut end = End::destination(TransferSpec::new(Verb::Copy));
        end.hear(Frame::Listing(page(vec![file("a"), dir("d")])));
        let what = format!("{frame:?}");
        end.hear(frame);
        end.assert_refuses(&what);
    }
}

#[test]
fn what_was_sent_may_be_told_after_it_has_arrived() {
    let mut end = End::destination(TransferSpec::new(Verb::Copy));
    end.hear(Frame::Listing(page(vec![file("a")])));
    end.answer(Output::Listed(Listed { dir: Some(meta(Kind::Dir, 0)), ..Listed::default() }));
    let asked = end.out.frames.iter().find_map(|frame| match frame {
        Frame::Need(need) => Some(need.want.ticket),
        _ => None,
    });
    let ticket = asked.expect("the file is wanted");
    end.answer(Output::Received(Copied { files: 1, bytes: SIZE, ..Copied::default() }));
    end.hear(Frame::Sent(ticket, Some(Slot(0))));
    end.assert_content();
}

#[test]
fn a_source_that_does_not_keep_to_the_window_is_refused() {
    for entries in [0, PAGE_ENTRIES_MAX] {
        let mut end = End::destination(TransferSpec::new(Verb::Copy));
        let most = 2 * WINDOW_ENTRIES_MAX / entries.max(1);
        for number in 0.. {
            assert!(number <= most, "{number} pages of {entries} entries were taken");
            let entries = (0..entries).map(|at| file(&format!("{number}-{at}"))).collect();
            let number = PageNumber(number as u64);
            end.hear(Frame::Listing(Listing { number, ..page(entries) }));
            if end.session.error().is_some() {
                break;
            }
        }
        end.assert_refuses("a flood");
    }
}

#[test]
fn sizes_whose_sum_no_number_holds_are_borne() {
    for dry_run in [true, false] {
        let spec = TransferSpec { dry_run, ..TransferSpec::new(Verb::Copy) };
        let mut end = End::destination(spec);
        let largest = i64::MAX.cast_unsigned();
        let entries = (0..5).map(|at| entry(&format!("{at}"), Kind::File, largest)).collect();
        end.hear(Frame::Listing(page(entries)));
        end.answer(Output::Listed(Listed { dir: Some(meta(Kind::Dir, 0)), ..Listed::default() }));
        end.assert_content();
        let failed = Error::new(ErrorKind::PermissionDenied, "create", b"");
        while !end.out.tasks.is_empty() {
            let (id, _) = end.task();
            end.session.handle(Event::Done(id, Err(failed.clone())), &mut end.out);
        }
        end.assert_content();
    }
}

/// A destination that has made the draft of the only file.
fn drafted(size: u64) -> End {
    let mut end = End::destination(TransferSpec::new(Verb::Copy));
    end.hear(Frame::Listing(page(vec![entry("large", Kind::File, size)])));
    end.answer(Output::Listed(Listed { dir: Some(meta(Kind::Dir, 0)), ..Listed::default() }));
    let staged = Some(Held(Arc::new(())));
    end.answer(Output::Placed(Placed { staged, ..Placed::default() }));
    end
}

#[test]
fn a_file_of_any_size_is_asked_for_in_few_ranges_at_a_time() {
    let end = drafted(i64::MAX.cast_unsigned());
    assert_eq!(end.out.tasks.len(), RANGES_MAX);
    let needs = end.out.frames.iter().filter(|frame| matches!(frame, Frame::Need(_)));
    assert_eq!(needs.count(), RANGES_MAX);
}

#[test]
fn the_ranges_of_a_large_file_are_all_of_it_and_none_twice() {
    let size = 3 * RANGES_MAX as u64 * RANGE_BYTES + 7;
    let mut end = drafted(size);
    let mut offsets = 0;
    while let Some(place) = end.out.frames.iter().position(|f| matches!(f, Frame::Need(_))) {
        let Frame::Need(need) = end.out.frames.remove(place) else { unreachable!() };
        let Part::Range(range) = need.part else { unreachable!("a large file comes in ranges") };
        assert_eq!(range.offset, offsets);
        offsets += range.len;
        end.answer(Output::Received(Copied { bytes: range.len, ..Copied::default() }));
    }
    assert_eq!(offsets, size);
    let (_, task) = end.task();
    let Task::Place(place) = task else { unreachable!("{task:?}") };
    assert!(matches!(place.steps[..], [Step::Seal { .. }]), "{place:?}");
    assert!(end.out.tasks.is_empty());
}

#[test]
fn after_a_range_that_failed_no_further_one_is_asked_for() {
    let mut end = drafted(u64::MAX >> 1);
    let error = Error::new(ErrorKind::Io, "read", b"large");
    end.answer(Output::Received(Copied { failures: vec![(0, error)], ..Copied::default() }));
    for _ in 1..RANGES_MAX {
        end.answer(Output::Received(Copied::default()));
    }
    let (_, task) = end.task();
    let Task::Place(place) = task else { unreachable!("{task:?}") };
    assert!(matches!(place.steps[..], [Step::Discard { .. }]), "{place:?}");
}

fn want(number: u64, picks: Vec<usize>) -> Want {
    Want { ticket: Ticket(1), number: PageNumber(number), picks }
}

fn range(offset: u64, len: u64, blocks: Option<usize>) -> Part {
    Part::Range(Range { offset, len, known: blocks.map(|count| vec![0; count].into()) })
}

#[test]
fn a_destination_asks_for_nothing_but_files_of_pages_that_are_not_settled() {
    let need = |number, picks, part| Frame::Need(Need { want: want(number, picks), part });
    let settled =
        |number, kept| Frame::Settled(Settled { number: PageNumber(number), entries: 3, kept });
    let frames = [
        need(1, vec![0], Part::Whole),
        need(u64::MAX, vec![0], Part::Whole),
        need(0, vec![3], Part::Whole),
        need(0, vec![usize::MAX], Part::Whole),
        need(0, vec![2], Part::Whole),
        need(0, vec![0, 0, 0, 0], Part::Whole),
        need(0, vec![], range(0, 1, None)),
        need(0, vec![0, 1], range(0, 1, None)),
        need(0, vec![0], range(0, SIZE + 1, None)),
        need(0, vec![0], range(SIZE, 1, None)),
        need(0, vec![0], range(u64::MAX, 2, None)),
        need(0, vec![0], range(u64::MAX - 1, 1, Some(1))),
        need(0, vec![0], range(0, SIZE, Some(2))),
        need(0, vec![0], range(1, SIZE - 1, Some(1))),
        Frame::Digest(want(1, vec![0])),
        Frame::Digest(want(0, vec![3])),
        Frame::Digest(want(0, vec![2])),
        Frame::Digest(want(0, vec![0, 1, 0, 1])),
        settled(1, vec![]),
        settled(0, vec![3]),
        settled(0, vec![0, 0, 0, 0]),
    ];
    for frame in frames {
        let mut end = End::source(Verb::Copy);
        let what = format!("{frame:?}");
        end.hear(frame);
        end.assert_refuses(&what);
        assert!(!end.out.tasks.iter().any(|(_, task)| matches!(task, Task::Send(_))), "{what}");
    }
}

#[test]
fn what_is_settled_is_settled_once_and_cannot_be_asked_for() {
    let settled = || Settled { number: PageNumber(0), entries: 3, kept: vec![0] };
    let afterwards = [
        Frame::Settled(settled()),
        Frame::Need(Need { want: want(0, vec![0]), part: Part::Whole }),
        Frame::Digest(want(0, vec![0])),
    ];
    for frame in afterwards {
        let mut end = End::source(Verb::Move);
        end.hear(Frame::Settled(settled()));
        end.assert_content();
        let what = format!("{frame:?}");
        end.hear(frame);
        end.assert_refuses(&what);
    }
}

#[test]
fn a_directory_that_is_finished_twice_is_refused() {
    for stands in [true, false] {
        let mut end = End::source(Verb::Move);
        // Its only page is listed, so that it waits for what is in it.
        let listed = Listed { dir: Some(meta(Kind::Dir, 0)), ..Listed::default() };
        end.answer(Output::Listed(listed));
        end.hear(Frame::Closed(DirId(1), true));
        end.assert_content();
        end.hear(Frame::Closed(DirId(1), stands));
        end.assert_refuses("finished twice");
    }
}

#[test]
fn a_destination_says_nothing_that_only_a_source_says() {
    let frames = [
        Frame::Listing(page(vec![])),
        Frame::Unreadable(Error::new(ErrorKind::Io, "read", b"")),
        Frame::Scanned,
        Frame::Sent(Ticket(1), None),
        Frame::Digests(Ticket(1), vec![]),
    ];
    for frame in frames {
        let mut end = End::source(Verb::Copy);
        let what = format!("{frame:?}");
        end.hear(frame);
        end.assert_refuses(&what);
    }
}

#[test]
fn a_destination_that_asks_for_too_much_at_once_is_refused() {
    let mut end = End::source(Verb::Copy);
    let mut asked = 0;
    while end.session.error().is_none() {
        assert!(asked <= WANTED_ENTRIES_MAX, "{asked} requests were taken");
        asked += 1;
        match asked % 2 {
            0 => end.hear(Frame::Digest(want(0, vec![]))),
            _ => end.hear(Frame::Need(Need { want: want(0, vec![0]), part: Part::Whole })),
        }
    }
    end.assert_refuses("a flood");
    assert_eq!(asked, WANTED_ENTRIES_MAX + 1);
}

#[test]
fn what_was_answered_makes_room_for_the_next_request() {
    let mut end = End::source(Verb::Copy);
    let listing = end.out.tasks.len();
    for _ in 0..WANTED_ENTRIES_MAX + 1 {
        end.hear(Frame::Digest(want(0, vec![0, 1])));
        end.assert_content();
        let (id, _) = end.out.tasks.remove(listing);
        let failed = Error::new(ErrorKind::Io, "read", b"");
        end.session.handle(Event::Done(id, Err(failed)), &mut end.out);
        end.out.frames.clear();
    }
}
