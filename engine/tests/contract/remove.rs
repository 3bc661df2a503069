//! What a removal promises.
//! It must not leave a test's tree in an order that only one engine gives.

use blit_core::ErrorKind;
use blit_core::entry::Kind;
use blit_core::path::Name;
use blit_core::task::{Over, Removal, Remove, Step, Task};

use crate::rig::{Rig, name_of};

pub(crate) fn single_removes_files_and_empty_directories(rig: &Rig) {
    rig.write("dst/file", "");
    rig.mkdir("dst/empty");
    rig.write("dst/other", "");
    rig.symlink(rig.dst(), "link", b"other");
    let entry = rig.entry("pipe", Kind::Fifo);
    rig.arrange(rig.dst(), vec![Step::Node { entry, over: Over::Nothing }]);
    let removed = rig.remove(rig.dst(), &["file", "empty", "link", "pipe"], Removal::Single);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (3, 1, 0), "{removed:?}");
    rig.assert_names("dst", &["other"]);
}

pub(crate) fn single_keeps_full_directories(rig: &Rig) {
    rig.mkdir("dst/full/inner");
    rig.write("dst/file", "");
    let removed = rig.remove(rig.dst(), &["full", "file"], Removal::Single);
    assert_eq!((removed.files, removed.dirs), (1, 0));
    assert_eq!(removed.failures.len(), 1);
    let error = &removed.failures[0];
    assert_eq!(error.kind, ErrorKind::NotEmpty, "{error}");
    assert!(error.path.ends_with(b"dst/full"), "{error}");
    rig.assert_names("dst/full", &["inner"]);
}

pub(crate) fn tree_removes_all_and_follows_nothing(rig: &Rig) {
    rig.write("src/kept", "kept");
    for deep in ["dst/tree/a/b/c", "dst/tree/d"] {
        rig.mkdir(deep);
        rig.write(&format!("{deep}/file"), "");
    }
    rig.symlink(rig.dir("dst", "tree/a"), "out", b"../../../src");
    rig.symlink(rig.dst(), "top", b"../src");
    let removed = rig.remove(rig.dst(), &["tree", "top"], Removal::Tree);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (4, 5, 0), "{removed:?}");
    rig.assert_names("dst", &[]);
    rig.assert_names("src", &["kept"]);
}

pub(crate) fn what_is_missing_is_not_counted(rig: &Rig) {
    for removal in [Removal::Single, Removal::Tree] {
        rig.write("dst/file", "");
        let removed = rig.remove(rig.dst(), &["gone", "file"], removal);
        assert_eq!((removed.files, removed.dirs, removed.failures.len()), (1, 0, 0));
    }
    let names = vec![name_of("file")];
    let task = Remove { dir: rig.dir("dst", "gone"), names, removal: Removal::Single };
    assert_eq!(rig.fails(Task::Remove(task)).kind, ErrorKind::NotFound);
}

pub(crate) fn a_leftover_is_kept_while_its_lock_is_held(rig: &Rig) {
    let staged = rig.stage(rig.dst());
    let leftover = leftover(rig);
    let removed = rig.remove(rig.dst(), &[&leftover], Removal::Leftover);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (0, 0, 0), "{removed:?}");
    let placed = rig.place(rig.dst(), vec![Step::Publish { staged, name: name_of("new") }]);
    assert!(placed.failures.is_empty(), "{placed:?}");
}

pub(crate) fn a_leftover_is_removed_when_its_lock_is_free(rig: &Rig) {
    let [dir, file] = [1, 2].map(|sequence| Name::temporary(0, sequence).to_string());
    rig.mkdir(&format!("dst/{dir}/dir"));
    rig.write(&format!("dst/{dir}/dir/file"), "");
    rig.write(&format!("dst/{file}"), "");
    let removed = rig.remove(rig.dst(), &[&dir, &file], Removal::Leftover);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (2, 2, 0), "{removed:?}");
    rig.assert_names("dst", &[]);
}

pub(crate) fn a_leftover_without_a_temporary_name_is_data_and_stays(rig: &Rig) {
    rig.write("dst/data", "data");
    let removed = rig.remove(rig.dst(), &["data"], Removal::Leftover);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (0, 0, 1), "{removed:?}");
    assert_eq!(rig.read("dst/data").as_deref(), Some(&b"data"[..]));
}

pub(crate) fn a_link_on_the_way_is_not_followed(rig: &Rig) {
    rig.write("src/kept", "kept");
    rig.symlink(rig.dst(), "out", b"../src");
    let names = vec![name_of("kept")];
    let task = Remove { dir: rig.dir("dst", "out"), names, removal: Removal::Tree };
    rig.fails(Task::Remove(task));
    rig.assert_names("src", &["kept"]);
}

/// The only temporary name in `dst`.
fn leftover(rig: &Rig) -> String {
    let names = rig.names("dst");
    assert_eq!(names.len(), 1);
    String::from_utf8(names[0].clone()).expect("a temporary name is text")
}
