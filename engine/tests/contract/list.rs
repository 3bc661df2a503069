//! What a listing promises.
//! It must not assume an order of directories.

use std::collections::BTreeSet;
use std::sync::Arc;

use blit_core::ErrorKind;
use blit_core::entry::{Changes, Entry, Kind, Xattr};
use blit_core::path::Name;
use blit_core::spec::Preserve;
use blit_core::task::{
    Copy, CopyInto, Dir, Hash, Held, List, Manner, Over, Page, Place, Removal, Remove, Space, Step,
    Survey, Task, What,
};

use crate::rig::{MANNER, NEW, Rig, THEN, name_of, skip};

pub(crate) fn pages_are_complete_and_without_duplicates(rig: &Rig) {
    rig.write("src/0000", "");
    for index in 1..ENTRIES {
        rig.write(&format!("src/{index:04}"), "");
    }
    let mut seen = BTreeSet::new();
    let mut after: Option<Held> = None;
    for _ in 0..=ENTRIES {
        let listed = rig.list(rig.src(), What::Next { after, entries_max: PAGE });
        assert!(listed.failures.is_empty(), "{:?}", listed.failures);
        assert!(listed.entries.len() <= PAGE);
        for entry in listed.entries {
            assert_eq!(entry.meta.kind, Kind::File);
            assert!(seen.insert(entry.name.clone()), "{} came twice", entry.name);
        }
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    assert!(after.is_none(), "the pages have no end");
    assert_eq!(seen.len(), ENTRIES);
}

pub(crate) fn an_empty_directory_is_one_empty_page(rig: &Rig) {
    let listed = rig.list(rig.src(), all());
    assert!(listed.entries.is_empty() && listed.leftovers.is_empty());
    assert!(listed.next.is_none());
    assert_eq!(listed.dir.expect("the first page tells it").kind, Kind::Dir);
}

pub(crate) fn only_the_first_page_tells_the_directory(rig: &Rig) {
    rig.write_empty("src", &["a", "b", "c"]);
    rig.stage(rig.src());
    let first = rig.list(rig.src(), What::Next { after: None, entries_max: 1 });
    assert!(first.dir.is_some());
    let after = first.next;
    assert!(after.is_some(), "two more follow");
    let second = rig.list(rig.src(), What::Next { after, entries_max: 1 });
    assert!(second.dir.is_none());
    assert!(second.leftovers.is_empty());
}

pub(crate) fn named_entries_come_in_the_order_asked_for_and_missing_ones_are_left_out(rig: &Rig) {
    rig.write_empty("src", &["a", "b", "c"]);
    rig.write("src/d", "d");
    let page: Page = ["d", "gone", "a", "c"].map(|name| rig.entry(name, Kind::File)).into();
    let listed = rig.list(rig.src(), What::Named(page));
    assert_eq!(names(&listed.entries), ["d", "a", "c"].map(name_of));
    assert!(listed.failures.is_empty());
    assert!(listed.next.is_none());
    assert_eq!(listed.entries[0].meta.size, 1);
}

pub(crate) fn one_entry_or_none_is_read(rig: &Rig) {
    rig.write("src/a", "abc");
    let listed = rig.list(rig.src(), What::Names([name_of("a")].into()));
    assert_eq!(names(&listed.entries), [name_of("a")]);
    assert_eq!(listed.entries[0].meta.size, 3);
    let listed = rig.list(rig.src(), What::Names([name_of("b")].into()));
    assert!(listed.entries.is_empty() && listed.failures.is_empty());
}

pub(crate) fn itself_reads_no_entries(rig: &Rig) {
    rig.write("src/a", "");
    let listed = rig.list(rig.src(), What::Itself);
    assert!(listed.entries.is_empty() && listed.next.is_none());
    let meta = listed.dir.expect("it is asked for");
    assert_eq!(meta.id, rig.facts(rig.src()).dir.id);
}

pub(crate) fn temporaries_are_never_entries_and_are_leftovers_on_request(rig: &Rig) {
    rig.write("src/a", "");
    rig.write("src/.blit-not.tmp", "");
    let leftover = Name::temporary(1, 1);
    rig.write(&format!("src/{leftover}"), "");
    // What the engine itself stages is in use.
    let _held = rig.stage(rig.src());
    let listed = rig.list(rig.src(), all());
    let found: BTreeSet<Name> = names(&listed.entries).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["a", ".blit-not.tmp"].map(name_of)));
    assert_eq!(listed.leftovers, [leftover]);
    let quiet = List { dir: rig.src(), what: all(), xattrs: false, survey: Survey::Nothing };
    match rig.run_one(Task::List(quiet)) {
        Ok(blit_core::task::Output::Listed(listed)) => assert!(listed.leftovers.is_empty()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn all_names_are_told_on_request_without_examining_them(rig: &Rig) {
    rig.write_empty("src", &["a", "b", "c"]);
    rig.mkdir("src/dir");
    rig.symlink(rig.src(), "link", b"nowhere");
    let leftover = Name::temporary(1, 1);
    rig.write(&format!("src/{leftover}"), "");
    let _held = rig.stage(rig.src());
    let wanted = ["a", "b", "c", "dir", "link"].map(name_of);
    let page: Page = [rig.entry("b", Kind::File)].into();
    let whats = [
        (What::Itself, 0),
        (What::Named(page), 1),
        (What::Names(["c", "gone", "a"].map(name_of).into()), 2),
        (What::Next { after: None, entries_max: 1 }, 1),
        (all(), 5),
    ];
    for (what, entries) in whats {
        for survey in [Survey::Nothing, Survey::Leftovers, Survey::Names] {
            let mut listed = rig.survey(rig.src(), what.clone(), survey);
            listed.names.sort();
            let all: &[Name] = if survey == Survey::Names { &wanted } else { &[] };
            assert_eq!(listed.names, all, "{what:?}");
            let left = survey != Survey::Nothing;
            assert_eq!(listed.leftovers.contains(&leftover), left, "{what:?}");
            assert_eq!(listed.entries.len(), entries, "{what:?}");
        }
    }
}

pub(crate) fn later_pages_tell_no_names(rig: &Rig) {
    rig.write_empty("src", &["a", "b", "c"]);
    let what = |after| What::Next { after, entries_max: 1 };
    let first = rig.survey(rig.src(), what(None), Survey::Names);
    assert_eq!(first.names.len(), 3);
    assert!(first.next.is_some());
    let second = rig.survey(rig.src(), what(first.next), Survey::Names);
    assert_eq!((second.names.len(), second.entries.len()), (0, 1));
}

pub(crate) fn several_names_come_in_the_order_asked_for(rig: &Rig) {
    rig.write_empty("src", &["a", "b", "c"]);
    let asked = ["c", "gone", "a"].map(name_of);
    let listed = rig.list(rig.src(), What::Names(asked.into()));
    assert_eq!(names(&listed.entries), ["c", "a"].map(name_of));
    assert!(listed.failures.is_empty() && listed.next.is_none() && listed.dir.is_some());
}

pub(crate) fn a_missing_root_is_not_found(rig: &Rig) {
    let error = rig.fails(list(rig.dir("gone", "")));
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.path.ends_with(b"gone"), "{error}");
}

pub(crate) fn a_missing_directory_is_not_found(rig: &Rig) {
    let error = rig.fails(list(rig.dir("src", "a/b")));
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.path.ends_with(b"src/a/b"), "{error}");
}

pub(crate) fn a_file_is_no_directory(rig: &Rig) {
    rig.write("src/file", "");
    let error = rig.fails(list(rig.dir("src", "file")));
    assert_eq!(error.kind, ErrorKind::NotADirectory, "{error}");
    rig.fails(list(rig.dir("src", "file/below")));
}

pub(crate) fn a_path_through_a_symlink_is_refused(rig: &Rig) {
    rig.mkdir("dst/real/below");
    rig.write("dst/real/below/kept", "kept");
    rig.write("src/new", "new");
    rig.symlink(rig.dst(), "link", b"real");
    rig.symlink(rig.src(), "up", b"../dst/real");
    for way in ["link", "link/below"] {
        for task in tasks_in(rig, &rig.dir("dst", way)) {
            let shown = format!("{task:?}");
            let result = rig.run_one(task);
            assert!(result.is_err(), "{shown} gave {result:?}");
        }
    }
    assert!(rig.run_one(list(rig.dir("src", "up/below"))).is_err());
    rig.assert_names("dst/real", &["below"]);
    rig.assert_names("dst/real/below", &["kept"]);
}

/// A task of each verb that works in `dir` and would leave a trace.
fn tasks_in(rig: &Rig, dir: &Dir) -> Vec<Task> {
    let manner: Manner = MANNER;
    let copy = crate::rig::copy_of(rig, dir.clone(), CopyInto::Existing, Over::Nothing);
    let new = Copy { to: dir.child(&name_of("d")), into: NEW, ..copy.clone() };
    let steps = vec![Step::MakeDir { name: name_of("made"), plain: true, over: Over::Nothing }];
    let names = vec![name_of("kept")];
    vec![
        list(dir.clone()),
        Task::Copy(copy),
        Task::Copy(new),
        Task::Place(Place { to: dir.clone(), steps, manner }),
        Task::Remove(Remove { dir: dir.clone(), names: names.clone(), removal: Removal::Single }),
        Task::Hash(Hash { dir: dir.clone(), names }),
        Task::Space(Space { dir: dir.clone(), probe_times: true }),
    ]
}

pub(crate) fn what_is_listed_is_exact(rig: &Rig) {
    rig.write("src/file", "12345");
    rig.mkdir("src/dir");
    rig.symlink(rig.src(), "link", b"some/where");
    let of = crate::rig::way_of(b"file");
    let link = Step::Link { name: name_of("other"), of, over: Over::Nothing };
    let pipe = Step::Node { entry: rig.entry("pipe", Kind::Fifo), over: Over::Nothing };
    rig.arrange(rig.src(), vec![link, pipe]);
    rig.dress(&rig.src(), "file", (0o604, THEN));
    let listed = rig.list(rig.src(), all());
    let meta = |name: &str| {
        let found = listed.entries.iter().find(|entry| entry.name == name_of(name));
        &found.expect("it is listed").meta
    };
    let file = meta("file");
    assert_eq!((file.kind, file.size, file.nlink), (Kind::File, 5, 2));
    assert_eq!((file.mode, file.mtime, &file.target), (0o604, THEN, &None));
    assert_eq!(file.id, meta("other").id);
    assert_eq!((meta("dir").kind, &meta("dir").target), (Kind::Dir, &None));
    let link = meta("link");
    assert_eq!((link.kind, link.size), (Kind::Symlink, 10));
    assert_eq!(link.target.as_deref(), Some(&b"some/where"[..]));
    assert_eq!(link.mtime, THEN);
    assert_eq!((meta("pipe").kind, meta("pipe").mode), (Kind::Fifo, 0o640));
    assert_eq!(meta("pipe").rdev, 0);
}

pub(crate) fn names_of_any_bytes_are_listed(rig: &Rig) {
    let odd: Vec<Name> = odd_names();
    let steps = odd
        .iter()
        .map(|name| Step::MakeDir { name: name.clone(), plain: true, over: Over::Nothing })
        .collect();
    let placed = rig.place(rig.src(), steps);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let mut listed = names(&rig.list(rig.src(), all()).entries);
    listed.sort();
    assert_eq!(listed, odd);
    for name in odd {
        let listed = rig.list(rig.src().child(&name), all());
        assert!(listed.dir.is_some());
    }
}

pub(crate) fn attributes_are_read_only_when_asked_for(rig: &Rig) {
    rig.write("src/a", "");
    let mut entry = rig.page(&rig.src())[0].clone();
    let xattrs: [Xattr; 2] = ["user.one", "user.two"]
        .map(|name| Xattr { name: name.as_bytes().into(), value: name.as_bytes().into() });
    entry.meta.xattrs = Some(Arc::from(xattrs.clone()));
    let changes = Changes { xattrs: true, ..Changes::all(&Preserve::ALL) };
    let placed = rig.arrange(rig.src(), vec![Step::Repair { entry, changes }]);
    if !placed.lost.is_empty() {
        skip("extended attributes: this file system has none");
        return;
    }
    let listed = rig.list(rig.src(), all());
    assert_eq!(listed.entries[0].meta.xattrs.as_deref(), Some(&xattrs[..]));
    let quiet = List { dir: rig.src(), what: all(), xattrs: false, survey: Survey::Nothing };
    match rig.run_one(Task::List(quiet)) {
        Ok(blit_core::task::Output::Listed(listed)) => {
            assert_eq!(listed.entries[0].meta.xattrs, None);
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn links_are_listed_and_copied_as_what_they_lead_to_where_they_are_followed(rig: &Rig) {
    rig.mkdir("dst/kept");
    rig.write("dst/kept/file", "far");
    rig.mkdir("src/in");
    rig.symlink(rig.dir("src", "in"), "dir", b"../../dst/kept");
    rig.symlink(rig.dir("src", "in"), "file", b"dir/file");
    rig.symlink(rig.dir("src", "in"), "none", b"nowhere");
    let listed = rig.list(rig.following("src", "in"), all());
    let mut kinds: Vec<(Name, Kind)> =
        listed.entries.into_iter().map(|entry| (entry.name, entry.meta.kind)).collect();
    kinds.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(kinds, [(name_of("dir"), Kind::Dir), (name_of("file"), Kind::File)]);
    assert_eq!(listed.failures.len(), 1);
    assert!(listed.failures[0].path.ends_with(b"in/none"), "{:?}", listed.failures);
    let from = rig.following("src", "in/dir");
    let page = rig.page(&from);
    let hash = Task::Hash(Hash { dir: from.clone(), names: vec![name_of("file")] });
    assert!(matches!(rig.run_one(hash), Ok(blit_core::task::Output::Hashed(_))));
    let picks = vec![blit_core::task::Pick { index: 0, over: Over::Nothing }];
    let to = rig.dir("dst", "new");
    let copy = Copy { from, to, into: NEW, page, picks, source_name: None, manner: MANNER };
    assert_eq!(rig.copy(copy).files, 1);
    assert_eq!(rig.read("dst/new/file").as_deref(), Some(&b"far"[..]));
}

/// Names that only a careless engine cannot hold, sorted.
pub(crate) fn odd_names() -> Vec<Name> {
    let long = [b'n'; 255];
    let mut names: Vec<Name> =
        [&b"a\nb"[..], b"\xff\xfe\x80", b" ", b"-rf", b"a\\b", b"*", &long, "ü\u{301}".as_bytes()]
            .map(name_of)
            .into();
    names.sort();
    names
}

fn list(dir: Dir) -> Task {
    Task::List(List { dir, what: all(), xattrs: true, survey: Survey::Leftovers })
}

fn all() -> What {
    What::Next { after: None, entries_max: 10_000 }
}

fn names(entries: &[Entry]) -> Vec<Name> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

const ENTRIES: usize = 3000;
const PAGE: usize = 100;
