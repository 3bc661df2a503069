//! What happens where something of another type is in the way: nothing but what can be undone.

use std::fs;

use crate::support::tree::{dir, fifo, file, link};
use crate::support::{in_every_way, on_every_engine};

in_every_way! {
    fn a_file_in_the_way_of_a_directory_is_a_failure(sandbox) {
        sandbox.make(&[file("src/d/a", "x"), file("src/other", "y"), file("dst/d", "in the way")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(1).says("dst/d").says("hint: copy never deletes");
        assert_eq!(sandbox.read("dst/d"), "in the way");
        assert_eq!(sandbox.read("dst/other"), "y", "all else is copied");
    }

    fn a_special_file_named_as_the_destination_is_refused(sandbox) {
        sandbox.make(&[file("f", "x"), fifo("pipe")]);
        sandbox.blit(&["copy", "f", "pipe"]).code(2).says("pipe").says("named pipe");
        let kind = sandbox.path("pipe").symlink_metadata().expect("there").file_type();
        assert!(!kind.is_file());
    }

    fn a_directory_with_entries_in_the_way_of_a_file_is_a_failure(sandbox) {
        sandbox.make(&[file("src/d", "x"), file("src/other", "y"), file("dst/d/kept", "z")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(1).says("dst/d").says("hint: copy never deletes");
        assert_eq!((sandbox.read("dst/d/kept"), sandbox.read("dst/other")), ("z".into(), "y".into()));
    }

    fn an_empty_directory_in_the_way_is_replaced(sandbox) {
        sandbox.make(&[file("src/d", "x"), link("src/l", "d"), dir("dst/d"), dir("dst/l")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_eq!((sandbox.read("dst/d"), sandbox.path("dst/l").is_symlink()), ("x".into(), true));
    }

    fn other_types_in_the_way_of_each_other_are_replaced(sandbox) {
        sandbox.make(&[
            file("src/was-link", "x"),
            file("src/was-fifo", "x"),
            link("src/was-file", "x"),
            fifo("src/was-file-2"),
            file("outside", "untouched"),
            link("dst/was-link", "../outside"),
            fifo("dst/was-fifo"),
            file("dst/was-file", "y"),
            file("dst/was-file-2", "y"),
        ]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        crate::support::compare::assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(sandbox.read("outside"), "untouched");
    }

    fn a_link_in_the_way_of_a_directory_is_not_followed(sandbox) {
        sandbox.make(&[file("src/d/a", "x"), dir("outside"), link("dst/d", "../outside")]);
        let run = sandbox.blit(&["copy", "src/", "dst"]);
        assert_eq!(fs::read_dir(sandbox.path("outside")).expect("there").count(), 0, "{run:?}");
        assert!(run.code == 0 || run.code == 1, "{run:?}");
    }
}

// The file system that says such sizes is this machine's, outside of what a daemon exports.
on_every_engine! {
    fn a_file_that_is_shorter_than_its_size_is_no_copy(sandbox) {
        let source = "/sys/class/net/lo/mtu";
        if fs::metadata(source).is_ok_and(|meta| meta.len() == 4096) {
            sandbox.blit(&["copy", source, "mtu"]).code(1).says("fewer bytes");
            assert!(!sandbox.path("mtu").exists());
        }
    }
}
