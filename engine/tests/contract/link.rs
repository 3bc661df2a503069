//! What hard links promise.
//! It must not look at contents where the inode tells.

use blit_core::ErrorKind;
use blit_core::entry::Kind;
use blit_core::task::{Over, Step};

use crate::rig::{Rig, kinds, name_of, way_of};

pub(crate) fn a_link_is_another_name_of_the_file(rig: &Rig) {
    rig.mkdir("dst/deep/er");
    rig.write("dst/deep/er/file", "content");
    let placed = rig.place(rig.dst(), vec![link("name", "deep/er/file", Over::Nothing)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    let made = rig.see(&rig.dst(), "name").expect("linked");
    assert_eq!(made.nlink, 2);
    assert_eq!(Some(made.id), rig.see(&rig.dir("dst", "deep/er"), "file").map(|meta| meta.id));
}

pub(crate) fn a_link_over_nothing_keeps_what_came_meanwhile(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.write("dst/name", "came first");
    let placed = rig.place(rig.dst(), vec![link("name", "file", Over::Nothing)]);
    assert_eq!(kinds(&placed.failures), [(0, ErrorKind::AlreadyExists)]);
    assert_eq!(rig.read("dst/name").as_deref(), Some(&b"came first"[..]));
}

pub(crate) fn a_shared_file_has_a_name_in_both_directories(rig: &Rig) {
    rig.write_empty("src", &["new", "over", "last"]);
    rig.write("dst/over", "old");
    let share = |name: &str, over| Step::Share { from: rig.src(), name: name_of(name), over };
    let steps = vec![
        share("new", Over::Nothing),
        share("over", Over::Entry),
        share("gone", Over::Nothing),
        share("last", Over::Nothing),
    ];
    let placed = rig.place(rig.dst(), steps);
    assert_eq!(placed.failures.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2]);
    for name in ["new", "over", "last"] {
        let [here, there] = [rig.dst(), rig.src()].map(|dir| rig.see(&dir, name));
        assert_eq!(here.map(|meta| meta.id), there.map(|meta| meta.id), "{name}");
    }
    rig.assert_names("dst", &["last", "new", "over"]);
}

pub(crate) fn a_link_replaces_a_file(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.write("dst/name", "old");
    let placed = rig.place(rig.dst(), vec![link("name", "file", Over::Entry)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["file", "name"]);
    assert_eq!(rig.read("dst/name").as_deref(), Some(&b"content"[..]));
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 2);
}

pub(crate) fn a_link_replaces_an_empty_directory(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.mkdir("dst/empty");
    rig.mkdir("dst/full/dir");
    let steps = vec![link("empty", "file", Over::EmptyDir), link("full", "file", Over::EmptyDir)];
    let placed = rig.place(rig.dst(), steps);
    assert_eq!(kinds(&placed.failures), [(1, ErrorKind::TypeClash)]);
    rig.assert_names("dst", &["empty", "file", "full"]);
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 2);
}

pub(crate) fn a_link_over_the_same_file_leaves_no_trace(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.arrange(rig.dst(), vec![link("name", "file", Over::Nothing)]);
    let placed = rig.place(rig.dst(), vec![link("name", "file", Over::Entry)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.assert_names("dst", &["file", "name"]);
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 2);
}

pub(crate) fn a_link_to_what_is_missing_fails(rig: &Rig) {
    rig.mkdir("dst/dir");
    let steps = vec![
        link("a", "gone", Over::Nothing),
        link("b", "gone/file", Over::Nothing),
        link("c", "dir", Over::Nothing),
    ];
    let placed = rig.place(rig.dst(), steps);
    assert_eq!(placed.failures.len(), 3, "{placed:?}");
    assert_eq!(placed.failures[0].1.kind, ErrorKind::NotFound);
    rig.assert_names("dst", &["dir"]);
}

pub(crate) fn a_link_to_a_symlink_does_not_follow_it(rig: &Rig) {
    rig.write("dst/file", "content");
    rig.mkdir("dst/dir");
    rig.write("dst/dir/file", "content");
    rig.symlink(rig.dst(), "link", b"file");
    rig.symlink(rig.dst(), "way", b"dir");
    let steps = vec![link("name", "link", Over::Nothing), link("other", "way/file", Over::Nothing)];
    let placed = rig.place(rig.dst(), steps);
    let failed: Vec<usize> = placed.failures.iter().map(|(step, _)| *step).collect();
    assert_eq!(failed, [1], "a link on the way is not followed: {placed:?}");
    let made = rig.see(&rig.dst(), "name").expect("linked");
    assert_eq!((made.kind, made.nlink), (Kind::Symlink, 2));
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 1);
}

pub(crate) fn a_link_into_a_staged_directory_is_published_with_it(rig: &Rig) {
    rig.write("dst/file", "content");
    let staged = rig.stage(rig.dst());
    let mut to = rig.dir("dst", "new");
    to.staged = Some(staged.clone());
    let placed = rig.place(to, vec![link("name", "file", Over::Nothing)]);
    assert!(placed.failures.is_empty(), "{placed:?}");
    rig.place(rig.dst(), vec![Step::Publish { staged, name: name_of("new"), over: Over::Nothing }]);
    assert_eq!(rig.read("dst/new/name").as_deref(), Some(&b"content"[..]));
    assert_eq!(rig.see(&rig.dst(), "file").expect("there").nlink, 2);
}

fn link(name: &str, of: &str, over: Over) -> Step {
    Step::Link { name: name_of(name), of: way_of(of.as_bytes()), over }
}
