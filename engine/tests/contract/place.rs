//! What a placing promises.
//! It must not assume how entries are replaced.

use std::sync::Arc;

use blit_core::ErrorKind;
use blit_core::entry::{Changes, Kind, Time, Xattr};
use blit_core::spec::Preserve;
use blit_core::task::{Copy, CopyInto, Over, Place, Step, Task};

use crate::rig::{MANNER, Rig, THEN, copy_of, kinds, name_of, skip};

pub(crate) fn steps_run_in_order_and_a_failed_one_stops_no_other(rig: &Rig) {
    rig.write("dst/taken", "");
    let mut inner = rig.entry("pipe", Kind::Fifo);
    inner.meta.mode = 0o600;
    let placed = rig.place(
        rig.dst(),
        vec![
            make("a"),
            make("taken"),
            make("a"),
            Step::Node { entry: inner.clone(), over: Over::Nothing },
            Step::Node { entry: inner, over: Over::Nothing },
            make("z"),
        ],
    );
    let exists = ErrorKind::AlreadyExists;
    assert_eq!(kinds(&placed.failures), [(1, exists), (2, exists), (4, exists)]);
    rig.assert_names("dst", &["a", "pipe", "taken", "z"]);
}

pub(crate) fn a_made_directory_is_private_unless_plain(rig: &Rig) {
    let plain = Step::MakeDir { name: name_of("plain"), plain: true, over: Over::Nothing };
    rig.place(rig.dst(), vec![make("private"), plain]);
    assert_eq!(rig.see(&rig.dst(), "private").expect("made").mode, 0o700);
    let plain = rig.see(&rig.dst(), "plain").expect("made");
    assert_eq!(plain.mode & 0o700, 0o700);
    assert_eq!(plain.kind, Kind::Dir);
}

pub(crate) fn an_existing_name_is_no_directory_to_make(rig: &Rig) {
    rig.write("dst/file", "kept");
    rig.mkdir("dst/dir");
    rig.symlink(rig.dst(), "link", b"dir");
    let placed = rig.place(rig.dst(), vec![make("file"), make("dir"), make("link")]);
    let exists = ErrorKind::AlreadyExists;
    assert_eq!(kinds(&placed.failures), [(0, exists), (1, exists), (2, exists)]);
    for (_, error) in &placed.failures {
        assert!(error.path.starts_with(&rig.dst().shown(None)), "{error}");
    }
}

pub(crate) fn a_staged_directory_is_published_under_its_name(rig: &Rig) {
    let staged = rig.stage(rig.dst());
    assert!(rig.page(&rig.dst()).is_empty(), "it is not to be seen");
    assert_eq!(rig.names("dst").len(), 1);
    let placed = rig.place(
        rig.dst(),
        vec![Step::Publish { staged, name: name_of("new"), over: Over::Nothing }],
    );
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["new"]);
    assert_eq!(rig.see(&rig.dst(), "new").expect("published").mode, 0o700);
}

pub(crate) fn a_staged_directory_is_never_published_over_anything(rig: &Rig) {
    rig.mkdir("dst/empty");
    rig.write("dst/file", "kept");
    rig.symlink(rig.dst(), "link", b"empty");
    for name in ["empty", "file", "link"] {
        let staged = rig.stage(rig.dst());
        let placed = rig.place(
            rig.dst(),
            vec![Step::Publish { staged, name: name_of(name), over: Over::Nothing }],
        );
        assert_eq!(kinds(&placed.failures), [(0, ErrorKind::AlreadyExists)], "{name}");
    }
    assert_eq!(rig.see(&rig.dst(), "link").map(|meta| meta.kind), Some(Kind::Symlink));
    assert_eq!(rig.read("dst/file").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn a_staged_directory_that_is_given_up_leaves_no_trace(rig: &Rig) {
    let staged = rig.stage(rig.dst());
    assert_eq!(rig.names("dst").len(), 1);
    drop(staged);
    rig.assert_names("dst", &[]);
}

pub(crate) fn a_staged_directory_can_be_filled_after_it_is_published(rig: &Rig) {
    rig.write("src/late", "late");
    let staged = rig.stage(rig.dst());
    let mut to = rig.dir("dst", "new");
    to.staged = Some(staged.clone());
    let placed = rig.place(to.clone(), vec![make("before")]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.place(rig.dst(), vec![Step::Publish { staged, name: name_of("new"), over: Over::Nothing }]);
    let placed = rig.place(to.clone(), vec![make("after")]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let late: Copy = copy_of(rig, to, CopyInto::Existing, Over::Nothing);
    assert_eq!(rig.copy(late).files, 1);
    rig.assert_names("dst/new", &["after", "before", "late"]);
    rig.assert_names("dst", &["new"]);
}

pub(crate) fn a_symlink_is_made_with_its_metadata(rig: &Rig) {
    let mut entry = rig.entry("link", Kind::Symlink);
    entry.meta.target = Some(b"../no\xff\n/where"[..].into());
    let placed =
        rig.place(rig.dst(), vec![Step::Node { entry: entry.clone(), over: Over::Nothing }]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let made = rig.see(&rig.dst(), "link").expect("made");
    assert_eq!((made.kind, made.mtime), (Kind::Symlink, THEN));
    assert_eq!(made.target, entry.meta.target);
}

pub(crate) fn a_pipe_is_made_with_its_metadata(rig: &Rig) {
    let entry = rig.entry("pipe", Kind::Fifo);
    let placed = rig.place(rig.dst(), vec![Step::Node { entry, over: Over::Nothing }]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let made = rig.see(&rig.dst(), "pipe").expect("made");
    assert_eq!((made.kind, made.mtime, made.mode), (Kind::Fifo, THEN, 0o640));
}

pub(crate) fn a_device_and_a_socket_are_made_by_who_may(rig: &Rig) {
    for kind in [Kind::CharDevice, Kind::BlockDevice, Kind::Socket] {
        let mut entry = rig.entry("node", kind);
        entry.meta.rdev = if kind.is_device() { 0x103 } else { 0 };
        let rdev = entry.meta.rdev;
        let placed = rig.place(rig.dst(), vec![Step::Node { entry, over: Over::Nothing }]);
        if let Some((_, error)) = placed.failures.first() {
            let refused = [ErrorKind::PermissionDenied, ErrorKind::Unsupported];
            assert!(refused.contains(&error.kind), "{error}");
            rig.assert_names("dst", &[]);
            continue;
        }
        let made = rig.see(&rig.dst(), "node").expect("made");
        assert_eq!((made.kind, made.rdev, made.mode, made.mtime), (kind, rdev, 0o640, THEN));
        rig.unlink("dst/node");
    }
}

pub(crate) fn a_node_over_nothing_keeps_what_came_meanwhile(rig: &Rig) {
    rig.write("dst/node", "came first");
    for entry in nodes(rig) {
        let placed = rig.place(rig.dst(), vec![Step::Node { entry, over: Over::Nothing }]);
        assert_eq!(kinds(&placed.failures), [(0, ErrorKind::AlreadyExists)]);
    }
    rig.assert_names("dst", &["node"]);
    assert_eq!(rig.read("dst/node").as_deref(), Some(&b"came first"[..]));
}

pub(crate) fn a_node_replaces_what_it_may(rig: &Rig) {
    for entry in nodes(rig) {
        for over in [Over::Entry, Over::EmptyDir] {
            match over {
                Over::EmptyDir => rig.mkdir("dst/node"),
                _ => rig.write("dst/node", "old"),
            }
            let placed = rig.place(rig.dst(), vec![Step::Node { entry: entry.clone(), over }]);
            assert!(placed.failures.is_empty(), "{placed:?}");
            rig.assert_names("dst", &["node"]);
            let made = rig.see(&rig.dst(), "node").expect("made");
            assert_eq!((made.kind, made.mtime), (entry.meta.kind, THEN));
            rig.unlink("dst/node");
        }
    }
}

pub(crate) fn a_node_never_replaces_a_full_directory(rig: &Rig) {
    rig.mkdir("dst/node");
    rig.write("dst/node/kept", "kept");
    for entry in nodes(rig) {
        for over in [Over::Entry, Over::EmptyDir] {
            let placed = rig.place(rig.dst(), vec![Step::Node { entry: entry.clone(), over }]);
            assert_eq!(kinds(&placed.failures), [(0, ErrorKind::TypeClash)], "{over:?}");
        }
    }
    rig.assert_names("dst", &["node"]);
    rig.assert_names("dst/node", &["kept"]);
}

pub(crate) fn repair_sets_only_what_is_asked(rig: &Rig) {
    rig.write("dst/file", "content");
    let dst = rig.dst();
    let early = Time { secs: 1000, nanos: 1 };
    rig.dress(&dst, "file", (0o600, early));
    let mut entry = rig.page(&dst)[0].clone();
    (entry.meta.mode, entry.meta.mtime) = (0o444, THEN);
    let repair = |changes| vec![Step::Repair { entry: entry.clone(), changes }];
    rig.place(dst.clone(), repair(Changes { mode: true, ..Changes::default() }));
    let seen = rig.see(&dst, "file").expect("there");
    assert_eq!((seen.mode, seen.mtime), (0o444, early));
    rig.dress(&dst, "file", (0o600, early));
    rig.place(dst.clone(), repair(Changes { times: true, ..Changes::default() }));
    let seen = rig.see(&dst, "file").expect("there");
    assert_eq!((seen.mode, seen.mtime), (0o600, THEN));
    assert_eq!(rig.read("dst/file").as_deref(), Some(&b"content"[..]));
}

pub(crate) fn repair_of_a_symlink_does_not_follow_it(rig: &Rig) {
    rig.write("dst/target", "");
    let dst = rig.dst();
    let early = Time { secs: 1000, nanos: 1 };
    rig.dress(&dst, "target", (0o600, early));
    rig.symlink(dst.clone(), "link", b"target");
    let mut entry = rig.page(&dst)[0].clone();
    assert_eq!(entry.meta.kind, Kind::Symlink);
    entry.meta.mtime = Time { secs: 2000, nanos: 2 };
    let changes = Changes { xattrs: false, ..Changes::all(&Preserve::ALL) };
    let placed = rig.place(dst.clone(), vec![Step::Repair { entry, changes }]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    assert_eq!(rig.see(&dst, "link").expect("there").mtime, Time { secs: 2000, nanos: 2 });
    let target = rig.see(&dst, "target").expect("there");
    assert_eq!((target.mode, target.mtime), (0o600, early));
}

pub(crate) fn repair_of_what_is_missing_fails(rig: &Rig) {
    let entry = rig.entry("gone", Kind::File);
    let changes = Changes { times: true, ..Changes::default() };
    let steps = vec![Step::Repair { entry, changes }, make("after")];
    let placed = rig.place(rig.dst(), steps);
    assert_eq!(kinds(&placed.failures), [(0, ErrorKind::NotFound)]);
    rig.assert_names("dst", &["after"]);
}

pub(crate) fn repair_sets_and_removes_attributes(rig: &Rig) {
    rig.write("dst/file", "");
    let mut entry = rig.page(&rig.dst())[0].clone();
    let changes = Changes { xattrs: true, ..Changes::default() };
    let mut set = |names: &[&str]| {
        let xattrs: Vec<Xattr> = names
            .iter()
            .map(|name| Xattr { name: name.as_bytes().into(), value: name.as_bytes().into() })
            .collect();
        entry.meta.xattrs = (!xattrs.is_empty()).then(|| Arc::from(xattrs));
        let wanted = entry.meta.xattrs.clone();
        let placed = rig.place(rig.dst(), vec![Step::Repair { entry: entry.clone(), changes }]);
        assert!(placed.failures.is_empty(), "{placed:?}");
        (wanted, placed.lost.is_empty())
    };
    for names in [&["user.a", "user.b"][..], &["user.b", "user.c"], &[]] {
        let (wanted, held) = set(names);
        if !held {
            skip("extended attributes: this file system has none");
            return;
        }
        assert_eq!(rig.see(&rig.dst(), "file").expect("there").xattrs, wanted);
    }
}

pub(crate) fn a_directory_is_widened_and_finished(rig: &Rig) {
    rig.mkdir("dst/dir");
    let dir = rig.dir("dst", "dir");
    let mut meta = rig.see_dir(&dir);
    let finish = |mode, mtime: Time| {
        (meta.mode, meta.mtime) = (mode, mtime);
        let changes = Changes::all(&Preserve::ALL);
        Step::Finish { meta: Box::new(meta.clone()), changes }
    };
    let mut finish = finish;
    let placed = rig.place(dir.clone(), vec![make("a"), finish(0o555, THEN)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let seen = rig.see_dir(&dir);
    assert_eq!((seen.mode, seen.mtime), (0o555, THEN));
    let placed = rig.place(dir.clone(), vec![Step::Widen, make("b")]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    assert_eq!(rig.see_dir(&dir).mode & 0o700, 0o700);
    rig.place(dir.clone(), vec![finish(0o1750, THEN)]);
    let seen = rig.see_dir(&dir);
    assert_eq!((seen.mode, seen.mtime), (0o1750, THEN));
    rig.assert_names("dst/dir", &["a", "b"]);
}

pub(crate) fn placing_in_a_missing_directory_fails(rig: &Rig) {
    let steps = vec![make("a")];
    let task = Place { to: rig.dir("dst", "gone"), steps, manner: MANNER };
    let error = rig.fails(Task::Place(task));
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    rig.assert_names("dst", &[]);
}

/// A symbolic link and a pipe of the same name.
fn nodes(rig: &Rig) -> [blit_core::entry::Entry; 2] {
    let mut link = rig.entry("node", Kind::Symlink);
    link.meta.target = Some(b"target"[..].into());
    [link, rig.entry("node", Kind::Fifo)]
}

fn make(name: &str) -> Step {
    Step::MakeDir { name: name_of(name), plain: false, over: Over::Nothing }
}
