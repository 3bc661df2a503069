//! What replacing promises where a directory is involved.
//! It must not assume how two entries change places.

use blit_core::ErrorKind;
use blit_core::entry::{Changes, Kind};
use blit_core::task::{CopyInto, Over, Removal, Step, Task};

use crate::rig::{Rig, copy_of, kinds, name_of, skip, way_of};

pub(crate) fn copies_replace_trees(rig: &Rig) {
    rig.write_empty("src", &["dir", "empty", "link", "new"]);
    rig.write("src/file", "content");
    obstacles(rig);
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Tree));
    assert_eq!((copied.files, copied.failures.len(), copied.remains.len()), (5, 0, 0));
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link", "new"]);
    for name in ["dir", "empty", "file", "link", "new"] {
        let made = rig.see(&rig.dst(), name).expect("copied");
        assert_eq!(made.kind, Kind::File, "{name}");
    }
    assert_eq!(rig.read("dst/file").as_deref(), Some(&b"content"[..]));
    rig.assert_names("dst/kept", &["kept"]);
}

pub(crate) fn nodes_and_links_replace_trees(rig: &Rig) {
    obstacles(rig);
    let node = |name: &str, kind| {
        let mut entry = rig.entry(name, kind);
        entry.meta.target = (kind == Kind::Symlink).then(|| b"target"[..].into());
        Step::Node { entry, over: Over::Tree }
    };
    let of = way_of(b"kept/kept");
    let link = |name| Step::Link { name: name_of(name), of: of.clone(), over: Over::Tree };
    let steps = vec![
        node("dir", Kind::Symlink),
        node("empty", Kind::Fifo),
        node("file", Kind::Symlink),
        link("link"),
        link("new"),
        link("new"),
    ];
    let placed = rig.place(rig.dst(), steps);
    assert!(placed.failures.is_empty() && placed.remains.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link", "new"]);
    let kind = |name| rig.see(&rig.dst(), name).expect("placed").kind;
    let found = ["dir", "empty", "file", "link", "new"].map(kind);
    assert_eq!(found, [Kind::Symlink, Kind::Fifo, Kind::Symlink, Kind::File, Kind::File]);
    assert_eq!(rig.see(&rig.dir("dst", "kept"), "kept").expect("there").nlink, 3);
    rig.arrange(rig.dst(), vec![make("again", Over::Nothing)]);
    rig.write("dst/again/old", "");
    assert!(rig.place(rig.dst(), vec![link("again")]).failures.is_empty());
    assert_eq!(rig.see(&rig.dst(), "again").expect("linked").nlink, 4);
}

pub(crate) fn made_directories_replace_what_they_may(rig: &Rig) {
    obstacles(rig);
    let names = ["dir", "empty", "file", "link", "new"];
    let refused = |over: Over, kind: ErrorKind, which: &[usize]| {
        let placed = rig.place(rig.dst(), names.map(|name| make(name, over)).into());
        let wanted: Vec<_> = which.iter().map(|index| (*index, kind)).collect();
        assert_eq!(kinds(&placed.failures), wanted, "{over:?}");
        if placed.failures.len() < 5 {
            rig.remove(rig.dst(), &["new"], Removal::Single);
        }
    };
    refused(Over::Nothing, ErrorKind::AlreadyExists, &[0, 1, 2, 3]);
    refused(Over::EmptyDir, ErrorKind::AlreadyExists, &[0, 1, 2, 3]);
    refused(Over::Entry, ErrorKind::TypeClash, &[0, 1]);
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link"]);
    rig.assert_names("dst/dir", &["deep", "old"]);
    rig.assert_names("dst/file", &[]);
    rig.assert_names("dst/link", &[]);
    rig.assert_names("dst/kept", &["kept"]);
    let placed = rig.place(rig.dst(), names.map(|name| make(name, Over::Tree)).into());
    assert!(placed.failures.is_empty() && placed.remains.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link", "new"]);
    for name in names {
        let made = rig.see(&rig.dst(), name).expect("made");
        assert_eq!((made.kind, made.mode), (Kind::Dir, 0o700), "{name}");
        rig.assert_names(&format!("dst/{name}"), &[]);
    }
}

pub(crate) fn a_plain_directory_that_replaces_is_plain(rig: &Rig) {
    rig.mkdir("dst/usual");
    rig.write_empty("dst", &["one"]);
    rig.mkdir("dst/two/old");
    let plain = |name, over| Step::MakeDir { name: name_of(name), plain: true, over };
    let steps = vec![
        plain("usual", Over::Tree),
        plain("one", Over::Entry),
        plain("two", Over::Tree),
        plain("three", Over::Nothing),
    ];
    assert!(rig.place(rig.dst(), steps).failures.is_empty());
    let modes = ["usual", "one", "two", "three"];
    let modes = modes.map(|name| rig.see(&rig.dst(), name).expect("made").mode);
    assert_eq!(modes, [modes[3]; 4]);
}

pub(crate) fn staged_directories_replace_what_they_may(rig: &Rig) {
    rig.write_empty("src", &["new"]);
    obstacles(rig);
    let publish = |name: &str, over| {
        let staged = rig.stage(rig.dst());
        let mut to = rig.dir("dst", name);
        to.staged = Some(staged.clone());
        assert_eq!(rig.copy(copy_of(rig, to, CopyInto::Staged, Over::Nothing)).files, 1);
        let step = Step::Publish { staged, name: name_of(name), over };
        let placed = rig.place(rig.dst(), vec![step]);
        assert!(placed.remains.is_empty(), "{placed:?}");
        placed.failures.first().map(|(_, error)| error.kind)
    };
    for name in ["dir", "empty", "file", "link"] {
        for over in [Over::Nothing, Over::EmptyDir] {
            assert_eq!(publish(name, over), Some(ErrorKind::AlreadyExists), "{name}");
        }
    }
    for name in ["dir", "empty"] {
        assert_eq!(publish(name, Over::Entry), Some(ErrorKind::TypeClash), "{name}");
    }
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link"]);
    for name in ["file", "link"] {
        assert_eq!(publish(name, Over::Entry), None, "{name}");
    }
    for name in ["dir", "empty", "file", "new"] {
        assert_eq!(publish(name, Over::Tree), None, "{name}");
    }
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link", "new"]);
    for name in ["dir", "empty", "file", "link", "new"] {
        rig.assert_names(&format!("dst/{name}"), &["new"]);
    }
    rig.assert_names("dst/kept", &["kept"]);
}

pub(crate) fn new_directories_replace_what_they_may(rig: &Rig) {
    rig.write("src/new", "content");
    obstacles(rig);
    let copy = |name: &str, over| {
        let to = rig.dir("dst", name);
        let task = copy_of(rig, to, CopyInto::New(over), Over::Nothing);
        rig.run_one(Task::Copy(task)).map(|_| ()).map_err(|error| error.kind)
    };
    assert_eq!(copy("file", Over::EmptyDir), Err(ErrorKind::AlreadyExists));
    assert_eq!(copy("dir", Over::Entry), Err(ErrorKind::TypeClash));
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link"]);
    rig.assert_names("dst/dir", &["deep", "old"]);
    assert_eq!(copy("file", Over::Entry), Ok(()));
    assert_eq!(copy("link", Over::Entry), Ok(()));
    for name in ["dir", "empty", "file", "new"] {
        assert_eq!(copy(name, Over::Tree), Ok(()));
    }
    rig.assert_names("dst", &["dir", "empty", "file", "kept", "link", "new"]);
    for name in ["dir", "empty", "file", "link", "new"] {
        rig.assert_names(&format!("dst/{name}"), &["new"]);
    }
    rig.assert_names("dst/kept", &["kept"]);
}

pub(crate) fn what_stays_of_a_replaced_tree_is_told(rig: &Rig) {
    rig.write("src/a", "new");
    rig.mkdir("dst/a/locked");
    rig.write("dst/a/locked/file", "old");
    let mut meta = rig.see_dir(&rig.dir("dst", "a/locked"));
    meta.mode = 0o555;
    let changes = Changes { mode: true, ..Changes::default() };
    let lock = Step::Finish { meta: Box::new(meta), changes };
    rig.arrange(rig.dir("dst", "a/locked"), vec![lock]);
    let copied = rig.copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Tree));
    assert_eq!((copied.files, copied.failures.len()), (1, 0), "{copied:?}");
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"new"[..]));
    if copied.remains.is_empty() {
        rig.assert_names("dst", &["a"]);
        skip("a tree that cannot be removed: nothing stops this user");
        return;
    }
    let error = &copied.remains[0];
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
    assert!(error.path.starts_with(&rig.dst().shown(Some(&name_of("a")))), "{error}");
    let left = rig.names("dst").into_iter().find(|name| name != b"a").expect("it is there");
    assert!(name_of(&left).is_temporary());
    let left = String::from_utf8(left).expect("a temporary name is text");
    rig.arrange(rig.dir("dst", &format!("{left}/locked")), vec![Step::Widen]);
    rig.remove(rig.dst(), &[&left], Removal::Leftover);
    rig.assert_names("dst", &["a"]);
}

/// A full and an empty directory, a file and a link to a directory, and that directory.
fn obstacles(rig: &Rig) {
    rig.mkdir("dst/dir/deep/er");
    rig.write_empty("dst/dir/deep/er", &["old"]);
    rig.write_empty("dst/dir", &["old"]);
    rig.symlink(rig.dir("dst", "dir/deep"), "out", b"../../kept");
    rig.mkdir("dst/empty");
    rig.write("dst/file", "old");
    rig.mkdir("dst/kept");
    rig.write("dst/kept/kept", "kept");
    rig.symlink(rig.dst(), "link", b"kept");
}

fn make(name: &str, over: Over) -> Step {
    Step::MakeDir { name: name_of(name), plain: false, over }
}
