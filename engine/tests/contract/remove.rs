//! What a removal promises.
//! It must not leave a test's tree in an order that only one engine gives.

use std::sync::Arc;

use blit_core::ErrorKind;
use blit_core::entry::Kind;
use blit_core::event::Control;
use blit_core::path::Name;
use blit_core::task::{Output, Over, Removal, Remove, Step, Task};

use crate::rig::{Rig, THEN, name_of, way_of};

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

pub(crate) fn aside_keeps_files_and_removes_empty_directories(rig: &Rig) {
    rig.write("dst/file", "kept");
    rig.mkdir("dst/empty");
    rig.mkdir("dst/full/inner");
    rig.symlink(rig.dst(), "link", b"file");
    let aside = Removal::Aside(rig.dir("src", "a/b"));
    let removed = rig.remove(rig.dst(), &["file", "empty", "full", "link", "gone"], aside);
    assert_eq!(removed.dirs, 1);
    assert_eq!(removed.failures.len(), 1, "{removed:?}");
    rig.assert_names("dst", &["full"]);
    rig.assert_names("src/a/b", &["file", "link"]);
    assert_eq!(rig.read("src/a/b/file").as_deref(), Some(&b"kept"[..]));
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
    let placed = rig.place(
        rig.dst(),
        vec![Step::Publish { staged, name: name_of("new"), over: Over::Nothing }],
    );
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

pub(crate) fn unchanged_removes_what_is_as_it_was(rig: &Rig) {
    rig.write_empty("src", &["file", "gone", "other"]);
    rig.write("src/full", "content");
    rig.symlink(rig.src(), "link", b"file");
    let entry = rig.entry("pipe", Kind::Fifo);
    rig.arrange(rig.src(), vec![Step::Node { entry, over: Over::Nothing }]);
    let removal = Removal::Unchanged(rig.page(&rig.src()));
    rig.unlink("src/gone");
    let names = ["file", "full", "gone", "link", "pipe"];
    let removed = rig.remove(rig.src(), &names, removal);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (4, 0, 0), "{removed:?}");
    rig.assert_names("src", &["other"]);
}

pub(crate) fn unchanged_keeps_what_changed_and_says_so(rig: &Rig) {
    rig.write_empty("src", &["dressed", "replaced", "unknown", "unlinked"]);
    rig.write("src/content", "1");
    rig.mkdir("src/dir");
    let page = rig.page(&rig.src());
    let known = page.iter().filter(|entry| entry.name != name_of("unknown")).cloned();
    let removal = Removal::Unchanged(known.collect());
    // Another size and another time, since a clock may stand still for so long.
    rig.write("src/content", "22");
    rig.dress(&rig.src(), "dressed", (0o600, THEN));
    for name in ["replaced", "unlinked"] {
        rig.unlink(&format!("src/{name}"));
    }
    rig.write("src/replaced", "");
    rig.mkdir("src/unlinked");
    let names = ["content", "dir", "dressed", "replaced", "unknown", "unlinked"];
    let removed = rig.remove(rig.src(), &names, removal);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (0, 0, 6), "{removed:?}");
    for (error, name) in removed.failures.iter().zip(names) {
        assert_eq!(error.kind, ErrorKind::Changed, "{error}");
        assert!(error.path.ends_with(name.as_bytes()), "{error}");
        assert!(error.to_string().contains("it stays in the source"), "{error}");
    }
    rig.assert_names("src", &names);
}

pub(crate) fn unchanged_removes_all_names_of_an_inode_one_after_another(rig: &Rig) {
    rig.write("src/one", "content");
    let of = way_of(b"one");
    rig.arrange(rig.src(), vec![Step::Link { name: name_of("two"), of, over: Over::Nothing }]);
    let removal = Removal::Unchanged(rig.page(&rig.src()));
    // The second one has another time of change and another number of names by then.
    let removed = rig.remove(rig.src(), &["one", "two"], removal);
    assert_eq!((removed.files, removed.failures.len()), (2, 0), "{removed:?}");
    rig.assert_names("src", &[]);
}

pub(crate) fn a_removal_cut_short_tells_what_it_removed(rig: &Rig) {
    for removal in [Removal::Single, Removal::Tree] {
        let names: Vec<String> = (0..400).map(|index| format!("{index:03}")).collect();
        for name in &names {
            match removal {
                Removal::Tree => {
                    rig.mkdir(&format!("dst/{name}"));
                    rig.write_empty(&format!("dst/{name}"), &["a", "b"]);
                }
                _ => rig.write(&format!("dst/{name}"), ""),
            }
        }
        let control = Arc::new(Control::default());
        let names_given = names.iter().map(name_of).collect();
        let task = Remove { dir: rig.dst(), names: names_given, removal: removal.clone() };
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while rig.names("dst").len() > 350 {}
                control.cancel();
            });
            rig.run_under(vec![Task::Remove(task)], &control).pop().expect("one result")
        });
        let left = rig.names("dst").len() as u64;
        let Ok(Output::Removed(removed)) = result else { panic!("{result:?}") };
        let is_tree = matches!(removal, Removal::Tree);
        let whole = if is_tree { removed.dirs } else { removed.files };
        assert_eq!(whole + left, 400, "{removed:?}");
        let told: Vec<ErrorKind> = removed.failures.iter().map(|error| error.kind).collect();
        // Who cancels may come too late.
        let wanted: &[ErrorKind] = if left == 0 { &[] } else { &[ErrorKind::Interrupted] };
        assert_eq!(told, wanted);
        let rest = rig.names("dst");
        let rest: Vec<&str> =
            rest.iter().map(|name| std::str::from_utf8(name).expect("text")).collect();
        rig.remove(rig.dst(), &rest, Removal::Tree);
    }
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
