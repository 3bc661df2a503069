//! What moving an entry within a file system promises.
//! It must not look at contents where the inode tells.

use blit_core::ErrorKind;
use blit_core::entry::{Kind, Meta};
use blit_core::task::{Dir, Over, Step};

use crate::rig::{Rig, THEN, kinds, name_of, way_of};

pub(crate) fn a_taken_entry_keeps_everything(rig: &Rig) {
    rig.write("src/file", "content");
    rig.dress(&rig.src(), "file", (0o604, THEN));
    rig.symlink(rig.src(), "link", b"some/where");
    rig.mkdir("src/dir/below");
    rig.write("src/dir/below/file", "deep");
    let entry = rig.entry("pipe", Kind::Fifo);
    rig.arrange(rig.src(), vec![Step::Node { entry, over: Over::Nothing }]);
    let names = ["dir", "file", "link", "pipe"];
    let before = names.map(|name| rig.see(&rig.src(), name).expect("there"));
    let steps = names.map(|name| take(rig.src(), name, name, Over::Nothing)).into();
    let placed = rig.place(rig.dst(), steps);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("src", &[]);
    rig.assert_names("dst", &names);
    for (name, before) in names.iter().zip(before) {
        let now = rig.see(&rig.dst(), name).expect("taken");
        let now = Meta { ctime: before.ctime, allocated: before.allocated, ..now };
        let now = if now.kind == Kind::Dir { Meta { mtime: before.mtime, ..now } } else { now };
        assert_eq!(now, before, "{name}");
    }
    assert_eq!(rig.read("dst/dir/below/file").as_deref(), Some(&b"deep"[..]));
}

pub(crate) fn a_taken_entry_gets_another_name(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.mkdir("dst/dir");
    let steps = vec![
        take(rig.dst(), "file", "named", Over::Nothing),
        take(rig.dst(), "named", "again", Over::Entry),
        take(rig.dst(), "dir", "other", Over::Entry),
    ];
    let placed = rig.place(rig.dst(), steps);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["again", "other"]);
}

pub(crate) fn taking_over_nothing_keeps_what_came_meanwhile(rig: &Rig) {
    rig.write("src/a", "new");
    rig.mkdir("src/dir");
    for (name, there) in [("a", "file"), ("a", "dir"), ("dir", "file"), ("dir", "dir")] {
        let there = format!("dst/{there}");
        if there.ends_with("dir") {
            rig.mkdir(&there)
        } else {
            rig.write(&there, "kept")
        }
        let called = there.trim_start_matches("dst/");
        let placed = rig.place(rig.dst(), vec![take(rig.src(), name, called, Over::Nothing)]);
        assert_eq!(kinds(&placed.failures), [(0, ErrorKind::AlreadyExists)], "{name}");
    }
    rig.assert_names("src", &["a", "dir"]);
    rig.assert_names("dst", &["dir", "file"]);
    assert_eq!(rig.read("dst/file").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn taking_over_an_entry_replaces_it(rig: &Rig) {
    rig.write("src/file", "new");
    rig.mkdir("src/dir");
    rig.write("src/dir/below", "new");
    rig.write("dst/target", "kept");
    rig.write("dst/one", "old");
    rig.symlink(rig.dst(), "two", b"target");
    let steps = vec![
        take(rig.src(), "file", "one", Over::Entry),
        take(rig.src(), "dir", "two", Over::Entry),
    ];
    let placed = rig.place(rig.dst(), steps);
    assert!(placed.failures.is_empty() && placed.remains.is_empty(), "{placed:?}");
    rig.assert_names("src", &[]);
    rig.assert_names("dst", &["one", "target", "two"]);
    assert_eq!(rig.read("dst/one").as_deref(), Some(&b"new"[..]));
    assert_eq!(rig.read("dst/two/below").as_deref(), Some(&b"new"[..]));
    assert_eq!(rig.read("dst/target").as_deref(), Some(&b"kept"[..]));
}

pub(crate) fn taking_over_an_entry_never_replaces_a_directory(rig: &Rig) {
    rig.write("src/file", "");
    rig.mkdir("src/dir");
    rig.mkdir("dst/empty");
    rig.mkdir("dst/full");
    rig.write("dst/full/kept", "");
    for name in ["file", "dir"] {
        for there in ["empty", "full"] {
            let placed = rig.place(rig.dst(), vec![take(rig.src(), name, there, Over::Entry)]);
            assert_eq!(kinds(&placed.failures), [(0, ErrorKind::TypeClash)], "{name} {there}");
        }
    }
    rig.assert_names("src", &["dir", "file"]);
    rig.assert_names("dst", &["empty", "full"]);
    rig.assert_names("dst/full", &["kept"]);
}

pub(crate) fn taking_a_name_over_another_of_the_same_file_leaves_one(rig: &Rig) {
    rig.mkdir("dst/from");
    rig.write("dst/from/file", "content");
    let of = way_of(b"from/file");
    rig.arrange(rig.dst(), vec![Step::Link { name: name_of("file"), of, over: Over::Nothing }]);
    let from = || rig.dir("dst", "from");
    let placed = rig.place(rig.dst(), vec![take(from(), "file", "file", Over::Entry)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("dst/from", &[]);
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 1);
}

pub(crate) fn taking_an_entry_over_itself_keeps_it(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.mkdir("dst/dir");
    rig.write("dst/dir/kept", "");
    let names = ["file", "dir"];
    for over in [Over::Nothing, Over::Entry, Over::Tree] {
        let steps = names.map(|name| take(rig.dst(), name, name, over)).into();
        rig.place(rig.dst(), steps);
        rig.assert_names("dst", &["dir", "file"]);
        rig.assert_names("dst/dir", &["kept"]);
        assert_eq!(rig.read("dst/file").as_deref(), Some(&b"content"[..]));
    }
}

pub(crate) fn taking_over_a_tree_replaces_all_of_it(rig: &Rig) {
    rig.write("src/file", "new");
    rig.mkdir("src/dir");
    rig.write_empty("src/dir", &["new"]);
    for there in ["one", "two"] {
        rig.mkdir(&format!("dst/{there}/old/deep"));
        rig.write_empty(&format!("dst/{there}/old/deep"), &["old"]);
    }
    let steps =
        vec![take(rig.src(), "file", "one", Over::Tree), take(rig.src(), "dir", "two", Over::Tree)];
    let placed = rig.place(rig.dst(), steps);
    assert!(placed.failures.is_empty() && placed.remains.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["one", "two"]);
    assert_eq!(rig.read("dst/one").as_deref(), Some(&b"new"[..]));
    rig.assert_names("dst/two", &["new"]);
}

pub(crate) fn privileged_what_is_on_another_file_system_is_not_taken(rig: &Rig) {
    let Some(apart) = rig.apart() else { return };
    rig.write("src/file", "content");
    rig.mkdir("src/dir");
    rig.arrange(apart.dir(), vec![make("taken")]);
    for over in [Over::Nothing, Over::Entry, Over::Tree] {
        for name in ["file", "dir"] {
            let placed = rig.place(apart.dir(), vec![take(rig.src(), name, "new", over)]);
            assert_eq!(kinds(&placed.failures), [(0, ErrorKind::CrossDevice)], "{over:?}");
        }
    }
    let placed = rig.place(apart.dir(), vec![take(rig.src(), "file", "taken", Over::Tree)]);
    assert_eq!(kinds(&placed.failures), [(0, ErrorKind::CrossDevice)]);
    rig.assert_names("src", &["dir", "file"]);
    let names: Vec<_> = rig.page(&apart.dir()).iter().map(|entry| entry.name.clone()).collect();
    assert_eq!(names, [name_of("taken")]);
}

pub(crate) fn what_is_gone_or_behind_a_link_is_not_taken(rig: &Rig) {
    rig.mkdir("src/real");
    rig.write_empty("src/real", &["kept"]);
    rig.symlink(rig.src(), "link", b"real");
    let steps = vec![
        take(rig.src(), "gone", "a", Over::Nothing),
        take(rig.dir("src", "nowhere"), "file", "b", Over::Entry),
        take(rig.dir("src", "link"), "kept", "c", Over::Nothing),
        make("after"),
    ];
    let placed = rig.place(rig.dst(), steps);
    let failed: Vec<usize> = placed.failures.iter().map(|(step, _)| *step).collect();
    assert_eq!(failed, [0, 1, 2], "{placed:?}");
    assert_eq!(placed.failures[0].1.kind, ErrorKind::Vanished);
    rig.assert_names("src/real", &["kept"]);
    rig.assert_names("dst", &["after"]);
}

pub(crate) fn a_directory_is_not_taken_into_itself(rig: &Rig) {
    rig.mkdir("dst/dir/below");
    let below = rig.dir("dst", "dir/below");
    let placed = rig.place(below, vec![take(rig.dst(), "dir", "dir", Over::Nothing)]);
    assert_eq!(placed.failures.len(), 1, "{placed:?}");
    rig.assert_names("dst", &["dir"]);
    rig.assert_names("dst/dir/below", &[]);
}

fn take(from: Dir, source_name: &str, name: &str, over: Over) -> Step {
    Step::Take { from, source_name: name_of(source_name), name: name_of(name), over }
}

fn make(name: &str) -> Step {
    Step::MakeDir { name: name_of(name), plain: true, over: Over::Nothing }
}
