//! What a peer may send is read or refused, whatever it is; what this program sends arrives as it was.

use std::sync::Arc;

use blit_core::entry::{Changes, Entry, FileId, Kind, Meta, Time, Xattr};
use blit_core::filter::{Filter, Separator};
use blit_core::frame::{DirId, Frame, Listing, Need, PageNumber, Settled, Want};
use blit_core::path::Name;
use blit_core::spec::{Deletion, TransferSpec, Verb};
use blit_core::stream::{Part, Range, Slot, Ticket};
use blit_core::summary::{Action, Change, Summary};
use blit_core::task::Lost;
use blit_core::{Error, ErrorKind};
use blit_schema::session_capnp as schema;
use capnp::message::{Builder, ReaderOptions};
use capnp::serialize;
use proptest::prelude::*;

use super::{frame, spec, summary};
use crate::owners::{Mapped, Names, Told};

fn options() -> ReaderOptions {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(1 << 20)).nesting_limit(16);
    options
}

fn encode(frame: &Frame) -> Vec<u8> {
    let mut message = Builder::new_default();
    frame::write(frame, &mut Told::new(Names::NUMERIC), message.init_root());
    serialize::write_message_to_words(&message)
}

fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    let message = serialize::read_message(bytes, options()).map_err(super::unreadable)?;
    let root = message.get_root::<schema::frame::Reader<'_>>().map_err(super::unreadable)?;
    frame::read(root, &mut Mapped::new(Names::NUMERIC))
}

fn meta(size: u64, uid: u32) -> Meta {
    Meta {
        kind: Kind::File,
        size,
        allocated: size,
        mtime: Time { secs: 1_700_000_000, nanos: 5 },
        ctime: Time::default(),
        mode: 0o640,
        uid,
        gid: 7,
        nlink: 1,
        id: FileId::default(),
        mounted: false,
        rdev: 0,
        xattrs: None,
        target: None,
    }
}

fn listing() -> Listing {
    let name = |text: &str| Name::new(text.as_bytes()).expect("a name");
    let entry = |text: &str, size| Entry { name: name(text), meta: meta(size, 1000) };
    Listing {
        dir: DirId(3),
        number: PageNumber(9),
        meta: Some(Box::new(meta(0, 2))),
        page: vec![entry("a", 1), entry("b", 1 << 40)].into(),
        first_child: DirId(4),
        from: None,
        source_name: Some(name("c")),
        last: true,
        named: false,
        complete: true,
    }
}

fn frames() -> Vec<Frame> {
    let error = || Error::because(ErrorKind::NoSpace, "write", b"a/b", "no room");
    let want = || Want { ticket: Ticket(5), number: PageNumber(6), picks: vec![0, 3, 1023] };
    let known: Arc<[u128]> = [1, u128::MAX].into();
    let range = Range { offset: 1 << 33, len: 1 << 25, known: Some(known) };
    let mut done = Summary { files: 3, failed: 1, failures: vec![error()], ..Summary::default() };
    done.lose(&[(Lost::Acls, 4)]);
    vec![
        Frame::Listing(listing()),
        Frame::Unreadable(error()),
        Frame::Scanned,
        Frame::Settled(Settled { number: PageNumber(1), entries: 3, kept: vec![2] }),
        Frame::Closed(DirId(8), true),
        Frame::Need(Need { want: want(), part: Part::Whole }),
        Frame::Need(Need { want: want(), part: Part::Range(range) }),
        Frame::Sent(Ticket(4), Some(Slot(2))),
        Frame::Sent(Ticket(4), None),
        Frame::Digest(want()),
        Frame::Digests(Ticket(1), vec![Ok(7), Err(error()), Ok(u128::MAX)]),
        Frame::Finished(Box::new(done)),
        Frame::Failed(error()),
    ]
}

#[test]
fn frames_arrive_as_they_were() {
    for frame in frames() {
        let arrived = decode(&encode(&frame)).expect("what was written");
        // Errors have causes of different types with the same words; everything else is equal to the letter.
        let words = |frame: &Frame| {
            let text = format!("{frame:?}");
            text.replace("Why(", "").replace(')', "")
        };
        assert_eq!(words(&arrived), words(&frame));
    }
}

#[test]
fn more_than_a_page_holds_is_refused() {
    let want = Want { ticket: Ticket(1), number: PageNumber(1), picks: vec![0; 1025] };
    let error = decode(&encode(&Frame::Digest(want.clone()))).expect_err("too many");
    assert_eq!(error.kind, ErrorKind::Protocol);
    let range = Range { offset: u64::MAX, len: 1, known: None };
    let need = Need { want: Want { picks: vec![0], ..want.clone() }, part: Part::Range(range) };
    assert!(decode(&encode(&Frame::Need(need))).is_err());
    let range = Range { offset: 0, len: 1, known: Some(vec![0; 257].into()) };
    let need = Need { want: Want { picks: vec![0], ..want }, part: Part::Range(range) };
    assert!(decode(&encode(&Frame::Need(need))).is_err());
}

#[test]
fn owners_have_the_number_that_their_name_has_here() {
    let there = Names {
        user: |uid| (uid == 1000).then(|| "anna".to_owned()),
        group: |gid| (gid == 7).then(|| "staff".to_owned()),
        ..Names::NUMERIC
    };
    let here =
        Names { uid: |name| (name == "anna").then_some(501), gid: |_| None, ..Names::NUMERIC };
    let mut message = Builder::new_default();
    frame::write(&Frame::Listing(listing()), &mut Told::new(there), message.init_root());
    let root = message.get_root_as_reader::<schema::frame::Reader<'_>>().expect("a frame");
    let Ok(Frame::Listing(arrived)) = frame::read(root, &mut Mapped::new(here)) else {
        panic!("a listing");
    };
    assert_eq!((arrived.page[0].meta.uid, arrived.page[0].meta.gid), (501, 7));
    assert_eq!(arrived.meta.expect("told").uid, 2);
}

#[test]
fn whom_an_acl_names_has_the_number_that_the_name_has_here() {
    let there = Names { user: |uid| (uid == 1001).then(|| "berta".to_owned()), ..Names::NUMERIC };
    let here = Names { uid: |name| (name == "berta").then_some(502), ..Names::NUMERIC };
    // One entry: a user, who may read and write.
    let acl = |id: u32| [&[2, 0, 0, 0, 2, 0, 6, 0][..], &id.to_le_bytes()].concat();
    let attributes = |id| -> Arc<[Xattr]> {
        let pairs = [(&b"system.posix_acl_access"[..], acl(id)), (b"user.tag", acl(1001))];
        pairs.map(|(name, value)| Xattr { name: name.into(), value: value.into() }).into()
    };
    let mut sent = listing();
    let mut entry = sent.page[0].clone();
    entry.meta.xattrs = Some(attributes(1001));
    sent.page = [entry].into();
    for (here, id) in [(here, 502), (Names::NUMERIC, 1001)] {
        let mut message = Builder::new_default();
        frame::write(&Frame::Listing(sent.clone()), &mut Told::new(there), message.init_root());
        let root = message.get_root_as_reader::<schema::frame::Reader<'_>>().expect("a frame");
        let mut mapped = Mapped::new(here);
        let Ok(Frame::Listing(arrived)) = frame::read(root, &mut mapped) else {
            panic!("a listing");
        };
        assert_eq!(arrived.page[0].meta.xattrs, Some(attributes(id)));
        // What comes on a data stream later is told by the same names.
        let mut renewed = meta(7, 1001);
        mapped.translation()(&mut renewed);
        assert_eq!(renewed.uid, id);
    }
}

#[test]
fn a_spec_arrives_as_it_was() {
    let mut sent = TransferSpec::new(Verb::Mirror);
    sent.deletion = Deletion { excluded: true, from_empty_source: false, entries_max: Some(9) };
    sent.dry_run = true;
    sent.in_place = true;
    sent.preserve.acls = false;
    let filter = Filter::builder()
        .exclude("*.o")
        .file_lines("rules", "a\n!b\n")
        .files_from(b"x\0y", Separator::Nul)
        .max_size(7)
        .newer_than(Time { secs: -1, nanos: 2 });
    sent.filter = Some(Arc::new(filter.build().expect("valid")));
    let mut message = Builder::new_default();
    spec::write(&sent, message.init_root());
    let root = message.get_root_as_reader::<schema::spec::Reader<'_>>().expect("a spec");
    let arrived = spec::read(root).expect("what was written");
    let parts = |spec: &TransferSpec| spec.filter.as_ref().expect("it has one").parts().to_vec();
    assert_eq!(parts(&arrived), parts(&sent));
    let without =
        |spec: &TransferSpec| format!("{:?}", TransferSpec { filter: None, ..spec.clone() });
    assert_eq!(without(&arrived), without(&sent));
}

#[test]
fn changes_arrive_as_they_were() {
    let metadata = Changes { mode: true, owner: false, times: true, xattrs: false };
    let change = Change { action: Action::Repaired, path: b"a/\xff".to_vec(), metadata };
    let mut message = Builder::new_default();
    summary::write_change(&change, message.init_root());
    let root = message.get_root_as_reader::<schema::change::Reader<'_>>().expect("a change");
    let arrived = summary::read_change(root).expect("what was written");
    assert_eq!(format!("{arrived:?}"), format!("{change:?}"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(decode(&bytes));
    }

    #[test]
    fn a_frame_that_was_changed_is_read_or_refused(
        which in 0..13_usize,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&frames()[which]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        drop(decode(&bytes));
    }
}
