//! What a copy promises.
//! It must not assume how contents travel.

use std::sync::Arc;

use blit_core::ErrorKind;
use blit_core::entry::{Changes, Entry, Kind, Time, Xattr};
use blit_core::event::Control;
use blit_core::spec::{Preserve, Reflink};
use blit_core::task::{Copy, CopyInto, Manner, Over, Page, Pick, Removal, Step, Task};

use crate::list::odd_names;
use crate::rig::{MANNER, NEW, Rig, THEN, copied, copy_of, kinds, name_of, skip};

pub(crate) fn copy_into_a_new_directory_publishes_once(rig: &Rig) {
    three_files(rig);
    let to = rig.dir("dst", "new");
    let copied = rig.copy(copy_of(rig, to.clone(), NEW, Over::Nothing));
    assert_eq!((copied.files, copied.bytes, copied.failures.len()), (3, 10, 0));
    rig.assert_names("dst", &["new"]);
    rig.assert_names("dst/new", &["a", "b", "empty"]);
    assert_eq!(rig.read("dst/new/b").as_deref(), Some(&b"second"[..]));
    assert_eq!(rig.see_dir(&to).mode, 0o700, "its own metadata are set later");
}

pub(crate) fn copy_into_a_new_directory_leaves_out_what_failed(rig: &Rig) {
    three_files(rig);
    let copy = copy_of(rig, rig.dir("dst", "new"), NEW, Over::Nothing);
    rig.unlink("src/a");
    let copied = rig.copy(copy);
    assert_eq!(copied.files, 2);
    assert_eq!(kinds(&copied.failures), [(0, ErrorKind::Vanished)]);
    rig.assert_names("dst/new", &["b", "empty"]);
    rig.assert_names("dst", &["new"]);
}

pub(crate) fn copy_into_a_new_directory_that_exists_changes_nothing(rig: &Rig) {
    three_files(rig);
    rig.mkdir("dst/new");
    rig.write("dst/file", "kept");
    for name in ["new", "file"] {
        let to = rig.dir("dst", name);
        let error = rig.fails(Task::Copy(copy_of(rig, to, NEW, Over::Nothing)));
        assert_eq!(error.kind, ErrorKind::AlreadyExists, "{error}");
    }
    rig.assert_names("dst", &["file", "new"]);
    rig.assert_names("dst/new", &[]);
    assert_eq!(rig.read("dst/file").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn copy_into_a_new_directory_below_a_missing_one_fails(rig: &Rig) {
    three_files(rig);
    let to = rig.dir("dst", "gone/new");
    let error = rig.fails(Task::Copy(copy_of(rig, to, NEW, Over::Nothing)));
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    rig.assert_names("dst", &[]);
}

pub(crate) fn copy_into_an_existing_directory_adds_to_it(rig: &Rig) {
    three_files(rig);
    rig.write("dst/other", "other");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing));
    assert_eq!((copied.files, copied.bytes, copied.failures.len()), (3, 10, 0));
    rig.assert_names("dst", &["a", "b", "empty", "other"]);
    for name in ["a", "b", "empty"] {
        assert_eq!(rig.read(&format!("dst/{name}")), rig.read(&format!("src/{name}")), "{name}");
    }
}

pub(crate) fn copy_into_a_staged_directory_shows_nothing_before_it_is_published(rig: &Rig) {
    three_files(rig);
    let staged = rig.stage(rig.dst());
    let mut to = rig.dir("dst", "new");
    to.staged = Some(staged.clone());
    let copied = rig.copy(copy_of(rig, to, CopyInto::Staged, Over::Nothing));
    assert_eq!((copied.files, copied.failures.len()), (3, 0));
    assert!(rig.page(&rig.dst()).is_empty());
    rig.place(rig.dst(), vec![Step::Publish { staged, name: name_of("new"), over: Over::Nothing }]);
    rig.assert_names("dst", &["new"]);
    rig.assert_names("dst/new", &["a", "b", "empty"]);
    assert_eq!(rig.read("dst/new/a").as_deref(), Some(&b"1234"[..]));
}

pub(crate) fn copy_over_nothing_keeps_what_came_meanwhile(rig: &Rig) {
    three_files(rig);
    rig.write("dst/a", "came first");
    rig.mkdir("dst/b");
    rig.symlink(rig.dst(), "empty", b"a");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing));
    let exists = ErrorKind::AlreadyExists;
    assert_eq!(kinds(&copied.failures), [(0, exists), (1, exists), (2, exists)]);
    assert_eq!(copied.files, 0);
    rig.assert_names("dst", &["a", "b", "empty"]);
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"came first"[..]));
}

pub(crate) fn copy_over_an_entry_replaces_a_file(rig: &Rig) {
    three_files(rig);
    rig.write("dst/a", "a longer content that was here before");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry));
    assert_eq!((copied.files, copied.failures.len()), (3, 0));
    rig.assert_names("dst", &["a", "b", "empty"]);
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
}

pub(crate) fn copy_over_an_entry_replaces_a_symlink_and_not_its_target(rig: &Rig) {
    three_files(rig);
    rig.write("dst/target", "kept");
    rig.symlink(rig.dst(), "a", b"target");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry));
    assert_eq!((copied.files, copied.failures.len()), (3, 0));
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
    assert_eq!(rig.read("dst/target").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn copy_over_an_entry_keeps_one_name_of_two(rig: &Rig) {
    three_files(rig);
    rig.write("dst/a", "old");
    let of = crate::rig::way_of(b"a");
    rig.arrange(rig.dst(), vec![Step::Link { name: name_of("twin"), of, over: Over::Nothing }]);
    rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry));
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
    assert_eq!(rig.read("dst/twin").as_deref(), Some(&b"old"[..]));
}

pub(crate) fn copy_in_place_keeps_the_inode_unless_it_has_other_names(rig: &Rig) {
    three_files(rig);
    rig.write("dst/a", "old and longer");
    rig.write("dst/b", "old");
    let of = crate::rig::way_of(b"b");
    rig.arrange(rig.dst(), vec![Step::Link { name: name_of("twin"), of, over: Over::Nothing }]);
    let id = |name: &str| rig.see(&rig.dst(), name).map(|meta| meta.id);
    let before = [id("a"), id("b")];
    let mut copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry);
    copy.manner = Manner { in_place: true, ..MANNER };
    let source = rig.page(&rig.src());
    let copied = rig.copy(copy);
    assert_eq!((copied.files, copied.failures.len()), (3, 0), "{copied:?}");
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
    assert_eq!(rig.read("dst/b").as_deref(), Some(&b"second"[..]));
    assert_eq!(rig.read("dst/twin").as_deref(), Some(&b"old"[..]));
    assert_eq!(id("a"), before[0], "the same inode");
    assert_ne!(id("b"), before[1], "its other name keeps what it had");
    let kept = rig.see(&rig.dst(), "a").expect("there");
    assert_eq!((kept.mode, kept.mtime), (source[0].meta.mode, source[0].meta.mtime));
    rig.assert_names("dst", &["a", "b", "empty", "twin"]);
}

pub(crate) fn copy_keeps_what_it_replaces_where_it_is_told_to(rig: &Rig) {
    three_files(rig);
    for round in 0..2 {
        rig.write("dst/a", format!("old {round}"));
        let mut copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry);
        copy.manner = Manner { aside: Some(rig.dir("dst", "kept/below")), ..MANNER };
        assert_eq!(rig.copy(copy).failures.len(), 0);
    }
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
    rig.assert_names("dst/kept/below", &["a", "a~1", "b", "empty"]);
    assert_eq!(rig.read("dst/kept/below/a").as_deref(), Some(&b"old 0"[..]));
    assert_eq!(rig.read("dst/kept/below/a~1").as_deref(), Some(&b"old 1"[..]));
}

pub(crate) fn copy_over_an_entry_never_replaces_a_directory(rig: &Rig) {
    three_files(rig);
    rig.mkdir("dst/a");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry));
    assert_eq!(kinds(&copied.failures), [(0, ErrorKind::TypeClash)]);
    assert_eq!(copied.files, 2);
    assert_eq!(rig.see(&rig.dst(), "a").map(|meta| meta.kind), Some(Kind::Dir));
    rig.assert_names("dst", &["a", "b", "empty"]);
}

pub(crate) fn copy_over_an_empty_directory_replaces_only_an_empty_one(rig: &Rig) {
    three_files(rig);
    rig.mkdir("dst/a");
    rig.mkdir("dst/b");
    rig.write("dst/b/kept", "kept");
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::EmptyDir));
    assert_eq!(kinds(&copied.failures), [(1, ErrorKind::TypeClash)]);
    assert_eq!(copied.files, 2);
    rig.assert_names("dst", &["a", "b", "empty"]);
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"1234"[..]));
    assert_eq!(rig.read("dst/b/kept").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn the_only_pick_can_have_another_name_in_the_source(rig: &Rig) {
    three_files(rig);
    let mut entry = rig.page(&rig.src())[0].clone();
    entry.name = name_of("renamed");
    let page: Page = [entry].into();
    for (over, content) in [(Over::Nothing, "1234"), (Over::Entry, "4321")] {
        rig.write("src/a", content);
        let copy = Copy {
            page: Arc::clone(&page),
            picks: vec![Pick { index: 0, over }],
            source_name: Some(name_of("a")),
            ..copy_of(rig, rig.dst(), CopyInto::Existing, over)
        };
        assert_eq!(rig.copy(copy).files, 1);
        rig.assert_names("dst", &["renamed"]);
        assert_eq!(rig.read("dst/renamed").as_deref(), Some(content.as_bytes()));
    }
}

pub(crate) fn failures_are_told_by_their_place_in_the_page(rig: &Rig) {
    for index in 0..9 {
        rig.write(&format!("src/{index}"), "content");
    }
    let mut copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    copy.picks.retain(|pick| pick.index % 2 == 0);
    copy.picks.reverse();
    rig.unlink("src/2");
    rig.write("dst/6", "in the way");
    let copied = rig.copy(copy);
    let mut failed = kinds(&copied.failures);
    failed.sort_unstable();
    assert_eq!(failed, [(2, ErrorKind::Vanished), (6, ErrorKind::AlreadyExists)]);
    assert_eq!((copied.files, copied.bytes), (3, 21));
    rig.assert_names("dst", &["0", "4", "6", "8"]);
    for (_, error) in copied.failures {
        assert!([&b"2"[..], b"6"].iter().any(|name| error.path.ends_with(name)), "{error}");
    }
}

pub(crate) fn a_file_that_became_something_else_is_not_followed(rig: &Rig) {
    rig.write_empty("src", &["dir", "file", "link", "pipe"]);
    rig.write("dst/secret", "secret");
    let copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    for name in ["dir", "link", "pipe"] {
        rig.unlink(&format!("src/{name}"));
    }
    rig.mkdir("src/dir");
    rig.symlink(rig.src(), "link", b"../dst/secret");
    let entry = rig.entry("pipe", Kind::Fifo);
    rig.arrange(rig.src(), vec![Step::Node { entry, over: Over::Nothing }]);
    let copied = rig.copy(copy);
    assert_eq!(copied.files, 1);
    let mut failed: Vec<usize> = copied.failures.iter().map(|(index, _)| *index).collect();
    failed.sort_unstable();
    assert_eq!(failed, [0, 2, 3], "{:?}", copied.failures);
    rig.assert_names("dst", &["file", "secret"]);
}

pub(crate) fn a_file_that_changed_since_it_was_listed_is_copied_whole(rig: &Rig) {
    rig.write("src/grows", "short");
    rig.write("src/shrinks", vec![b's'; 100_000]);
    let copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    rig.write("src/grows", vec![b'g'; 200_000]);
    rig.write("src/shrinks", "s");
    let copied = rig.copy(copy);
    assert_eq!((copied.files, copied.bytes, copied.failures.len()), (2, 200_001, 0));
    for name in ["grows", "shrinks"] {
        assert!(rig.read(&format!("dst/{name}")) == rig.read(&format!("src/{name}")), "{name}");
        let [source, copy] = [rig.src(), rig.dst()].map(|dir| rig.see(&dir, name).expect("there"));
        assert_eq!(source.mtime, copy.mtime, "the time of the content that was copied");
    }
}

pub(crate) fn copied_metadata_are_exact(rig: &Rig) {
    let early = Time { secs: -1_000_000, nanos: 999_999_999 };
    for (index, (mode, mtime)) in
        [(0o400, THEN), (0o777, early), (0o604, THEN), (0o1666, early)].into_iter().enumerate()
    {
        rig.write(&format!("src/{index}"), "content");
        rig.dress(&rig.src(), &index.to_string(), (mode, mtime));
    }
    rig.mkdir("dst/existing");
    for (way, into) in [("existing", CopyInto::Existing), ("new", NEW)] {
        let to = rig.dir("dst", way);
        assert_eq!(rig.copy(copy_of(rig, to.clone(), into, Over::Nothing)).files, 4);
        assert_same_metadata(&rig.page(&rig.src()), &rig.page(&to));
    }
    let again = copy_of(rig, rig.dir("dst", "existing"), CopyInto::Existing, Over::Entry);
    assert_eq!(rig.copy(again).files, 4);
    assert_same_metadata(&rig.page(&rig.src()), &rig.page(&rig.dir("dst", "existing")));
}

#[track_caller]
fn assert_same_metadata(sources: &[Entry], copies: &[Entry]) {
    assert_eq!(sources.len(), copies.len());
    for (source, copy) in sources.iter().zip(copies) {
        assert_eq!(source.name, copy.name);
        let [source_meta, copy_meta] = [source, copy]
            .map(|entry| (entry.meta.mode, entry.meta.mtime, entry.meta.uid, entry.meta.gid));
        assert_eq!(source_meta, copy_meta, "{}", source.name);
    }
}

pub(crate) fn metadata_that_are_not_preserved_are_not_set(rig: &Rig) {
    rig.write("src/a", "content");
    rig.dress(&rig.src(), "a", (0o7707, THEN));
    let nothing = Preserve { mode: false, owner: false, times: false, ..Preserve::ALL };
    let preserve = Preserve { xattrs: false, acls: false, ..nothing };
    rig.mkdir("dst/existing");
    for (way, into) in [("existing", CopyInto::Existing), ("new", NEW)] {
        let mut copy = copy_of(rig, rig.dir("dst", way), into, Over::Nothing);
        copy.manner = Manner { preserve, ..MANNER };
        assert_eq!(rig.copy(copy).files, 1);
        let meta = rig.see(&rig.dir("dst", way), "a").expect("copied");
        assert_ne!(meta.mtime, THEN, "{way}");
        assert_eq!(meta.mode & 0o7002, 0, "{way}: neither set-id nor open to all");
        assert_eq!(meta.mode & 0o600, 0o600, "{way}: the user's own");
    }
}

pub(crate) fn large_contents_are_equal(rig: &Rig) {
    let sizes = [1, 4095, 4096, 65_537, 1 << 20, (9 << 20) + 1];
    for size in sizes {
        rig.write(&format!("src/{size}"), noise(size));
    }
    for reflink in [Reflink::Auto, Reflink::Never] {
        let to = rig.dir("dst", if reflink == Reflink::Auto { "auto" } else { "never" });
        let mut copy = copy_of(rig, to.clone(), NEW, Over::Nothing);
        copy.manner.reflink = reflink;
        let copied = rig.copy(copy);
        assert_eq!(copied.bytes, sizes.iter().sum::<usize>() as u64);
        assert!(copied.bytes_cloned <= copied.bytes);
        assert!(reflink == Reflink::Auto || copied.bytes_cloned == 0);
        for size in sizes {
            let way = if reflink == Reflink::Auto { "auto" } else { "never" };
            let copy = rig.read(&format!("dst/{way}/{size}"));
            assert!(copy == Some(noise(size)), "{size} bytes differ");
        }
    }
}

pub(crate) fn holes_stay_holes(rig: &Rig) {
    rig.write_hole("src/hole", 8 << 20);
    let source = rig.page(&rig.src())[0].meta.clone();
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing));
    assert_eq!((copied.files, copied.bytes), (1, 8 << 20));
    let copy = rig.see(&rig.dst(), "hole").expect("copied");
    assert_eq!(copy.size, 8 << 20);
    assert!(rig.read("dst/hole") == rig.read("src/hole"));
    if source.may_have_holes() {
        assert!(copy.may_have_holes(), "{} bytes are allocated", copy.allocated);
    }
}

pub(crate) fn a_shared_or_refused_clone_is_told(rig: &Rig) {
    three_files(rig);
    let mut copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    copy.manner.reflink = Reflink::Always;
    copy.picks.retain(|pick| pick.index == 1);
    let copied = rig.copy(copy);
    if copied.failures.is_empty() {
        assert_eq!((copied.files, copied.bytes, copied.bytes_cloned), (1, 6, 6));
        assert_eq!(rig.read("dst/b").as_deref(), Some(&b"second"[..]));
    } else {
        assert_eq!(kinds(&copied.failures), [(1, ErrorKind::Unsupported)]);
        rig.assert_names("dst", &[]);
    }
}

pub(crate) fn names_of_any_bytes_are_copied(rig: &Rig) {
    rig.write("src/plain", "odd");
    let plain = rig.page(&rig.src())[0].clone();
    for name in odd_names() {
        let page: Page = [Entry { name, meta: plain.meta.clone() }].into();
        let copy = Copy {
            page,
            source_name: Some(name_of("plain")),
            picks: vec![Pick { index: 0, over: Over::Nothing }],
            ..copy_of(rig, rig.src(), CopyInto::Existing, Over::Nothing)
        };
        assert_eq!(kinds(&rig.copy(copy).failures), []);
    }
    rig.unlink("src/plain");
    rig.mkdir("dst/existing");
    for (way, into) in [("existing", CopyInto::Existing), ("new", NEW)] {
        let to = rig.dir("dst", way);
        let copied = rig.copy(copy_of(rig, to.clone(), into, Over::Nothing));
        assert_eq!(kinds(&copied.failures), []);
        let names: Vec<_> = rig.page(&to).iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, odd_names());
        assert!(rig.page(&to).iter().all(|entry| entry.meta.size == 3));
    }
    let again = copy_of(rig, rig.dir("dst", "existing"), CopyInto::Existing, Over::Entry);
    assert_eq!(kinds(&rig.copy(again).failures), []);
}

pub(crate) fn a_missing_source_directory_fails_the_task(rig: &Rig) {
    three_files(rig);
    for (way, into) in [("", CopyInto::Existing), ("new", NEW)] {
        let mut copy = copy_of(rig, rig.dir("dst", way), into, Over::Nothing);
        copy.from = rig.dir("src", "gone");
        let error = rig.fails(Task::Copy(copy));
        assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::Vanished), "{error}");
        rig.assert_names("dst", &[]);
    }
}

pub(crate) fn picks_beyond_the_page_are_left_out(rig: &Rig) {
    three_files(rig);
    let mut copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    copy.picks = [7, 1, usize::MAX].map(|index| Pick { index, over: Over::Nothing }).into();
    let copied = rig.copy(copy);
    assert_eq!(copied.files, 1);
    rig.assert_names("dst", &["b"]);
}

pub(crate) fn settled_files_and_bytes_are_counted(rig: &Rig) {
    three_files(rig);
    rig.write("dst/b", "in the way");
    let control = Arc::new(Control::default());
    let copy = copy_of(rig, rig.dst(), CopyInto::Existing, Over::Nothing);
    let result = rig.run_under(vec![Task::Copy(copy)], &control).pop().expect("one result");
    assert_eq!(copied(result).files, 2);
    let progress = control.progress();
    assert_eq!((progress.files, progress.bytes), (3, 10), "a failed file is settled too");
}

pub(crate) fn owners_and_set_id_bits_are_kept_by_who_may(rig: &Rig) {
    if !rig.facts(rig.dst()).may_chown {
        skip("owners: this user may not give files away");
        return;
    }
    rig.write("src/a", "content");
    let mut entry = rig.page(&rig.src())[0].clone();
    (entry.meta.uid, entry.meta.gid, entry.meta.mode) = (54_321, 12_345, 0o6755);
    let changes = Changes { mode: true, owner: true, ..Changes::default() };
    let placed = rig.arrange(rig.src(), vec![Step::Repair { entry, changes }]);
    if !placed.lost.is_empty() {
        skip("owners: this file system holds none, or not these");
        return;
    }
    rig.mkdir("dst/existing");
    for (way, into) in [("existing", CopyInto::Existing), ("new", NEW)] {
        let to = rig.dir("dst", way);
        assert_eq!(rig.copy(copy_of(rig, to.clone(), into, Over::Nothing)).files, 1);
        let meta = rig.see(&to, "a").expect("copied");
        assert_eq!((meta.uid, meta.gid, meta.mode), (54_321, 12_345, 0o6755), "{way}");
    }
}

pub(crate) fn a_durable_copy_is_a_copy(rig: &Rig) {
    three_files(rig);
    rig.mkdir("dst/existing");
    let staged = rig.stage(rig.dst());
    let kinds = [("existing", CopyInto::Existing), ("new", NEW), ("s", CopyInto::Staged)];
    for (way, into) in kinds {
        let mut to = rig.dir("dst", way);
        to.staged = (into == CopyInto::Staged).then(|| staged.clone());
        let mut copy = copy_of(rig, to, into, Over::Nothing);
        copy.manner.fsync = true;
        let copied = rig.copy(copy);
        assert_eq!((copied.files, copied.failures.len()), (3, 0), "{way}");
    }
    rig.place(rig.dst(), vec![Step::Publish { staged, name: name_of("s"), over: Over::Nothing }]);
    for way in ["existing", "new", "s"] {
        assert_eq!(rig.read(&format!("dst/{way}/b")).as_deref(), Some(&b"second"[..]));
    }
    assert_eq!(rig.remove(rig.dst(), &["existing", "new", "s"], Removal::Tree).files, 9);
}

pub(crate) fn attributes_are_copied(rig: &Rig) {
    three_files(rig);
    let mut entry = rig.page(&rig.src())[1].clone();
    let xattrs = [Xattr { name: b"user.note"[..].into(), value: b"\0value\xff"[..].into() }];
    entry.meta.xattrs = Some(Arc::from(xattrs.clone()));
    let changes = Changes { xattrs: true, ..Changes::default() };
    let placed = rig.arrange(rig.src(), vec![Step::Repair { entry, changes }]);
    if !placed.lost.is_empty() {
        skip("extended attributes: this file system has none");
        return;
    }
    let copied = rig.copy(copy_of(rig, rig.dir("dst", "new"), NEW, Over::Nothing));
    assert!(copied.lost.is_empty() && copied.failures.is_empty(), "{copied:?}");
    let copies = rig.page(&rig.dir("dst", "new"));
    assert_eq!(copies[0].meta.xattrs, None);
    assert_eq!(copies[1].meta.xattrs.as_deref(), Some(&xattrs[..]));
}

fn three_files(rig: &Rig) {
    rig.write("src/a", "1234");
    rig.write("src/b", "second");
    rig.write("src/empty", "");
}

/// Bytes without a pattern that a block copy could hide.
fn noise(size: usize) -> Vec<u8> {
    let mut state = size as u64 | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(size).collect()
}
