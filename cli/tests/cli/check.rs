//! `blit check`: what is the same, what is not, and what cannot be told.

use crate::support::compare::read;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file, hard, link};
use crate::support::{in_every_way, on_every_engine};

fn make_twins(sandbox: &Sandbox) {
    sandbox.make(&[
        file("a/file", "content").time(1_000_000_000, 1),
        file("a/d/deep", "x"),
        link("a/link", "file"),
        hard("a/hard", "a/file"),
    ]);
    sandbox.blit(&["copy", "a/", "b"]).code(0);
}

in_every_way! {
    fn equal_trees_are_the_same(sandbox) {
        make_twins(sandbox);
        for args in [&["a/", "b"][..], &["a/", "b/"], &["--checksum", "a/", "b"]] {
            let run = sandbox.blit(&[&["check"], args].concat()).code(0);
            run.sums_up("the same: ");
        }
    }

    fn each_difference_is_told_and_nothing_is_changed(sandbox) {
        make_twins(sandbox);
        sandbox.make(&[
            file("a/new", "x"),
            dir("a/new-dir"),
            file("b/extra", "x"),
            file("a/size", "12"),
            file("b/size", "1"),
            file("a/mode", "x").time(5, 5).mode(0o600),
            file("b/mode", "x").time(5, 5).mode(0o640),
            link("a/to", "here"),
            link("b/to", "there"),
        ]);
        let before = (read(&sandbox.path("a")), read(&sandbox.path("b")));
        let run = sandbox.blit(&["check", "a/", "b"]).code(1);
        for line in [
            "only in A       new\n",
            "only in A       new-dir/\n",
            "only in B       extra\n",
            "content         size\n",
            "metadata        mode (mode)\n",
            "type or target  to\n",
        ] {
            assert!(run.stdout.contains(line), "no {line:?} in {run:?}");
        }
        assert!(run.stdout.contains("\ndifferent: "), "{run:?}");
        assert_eq!(before, (read(&sandbox.path("a")), read(&sandbox.path("b"))));
    }

    fn contents_are_only_read_if_asked_for(sandbox) {
        sandbox.make(&[file("a/f", "one").time(5, 5), file("b/f", "two").time(5, 5)]);
        sandbox.blit(&["check", "--no-times", "a/", "b"]).code(0);
        let run = sandbox.blit(&["check", "--no-times", "-c", "a/", "b"]).code(1);
        assert!(run.stdout.contains("content         f\n"), "{run:?}");
    }

    fn empty_files_are_equal_without_being_read(sandbox) {
        sandbox.make(&[
            file("a/both", "").time(5, 5), file("b/both", "").time(6, 6), file("a/one", "").time(5, 5), file("b/one", "x").time(5, 5),
        ]);
        sandbox.blit(&["check", "--no-times", "--exclude", "one", "-c", "a/", "b"]).code(0);
        let run = sandbox.blit(&["check", "-c", "a/", "b"]).code(1);
        assert!(run.stdout.contains("metadata        both (times)\n"), "{run:?}");
        assert!(run.stdout.contains("content         one\n"), "{run:?}");
    }

    fn what_is_left_out_is_not_compared(sandbox) {
        make_twins(sandbox);
        sandbox.make(&[file("a/file", "other").mode(0o600), file("b/x.tmp", "x")]);
        sandbox.blit(&["check", "a/", "b"]).code(1);
        sandbox.blit(&["check", "--data-only", "--exclude", "*.tmp", "--exclude", "file", "--exclude", "hard", "a/", "b"]).code(0);
    }

    fn an_empty_tree_is_compared_too(sandbox) {
        sandbox.make(&[dir("a"), file("b/x", "x"), dir("c")]);
        sandbox.blit(&["check", "--no-times", "a/", "b"]).code(1);
        sandbox.blit(&["check", "--no-times", "b/", "a"]).code(1);
        sandbox.blit(&["check", "--no-times", "a/", "c"]).code(0);
    }

    fn a_program_gets_the_differences_as_rows(sandbox) {
        make_twins(sandbox);
        sandbox.make(&[file("a/new", "x"), file("b/extra", "x")]);
        let value = object(&sandbox.blit(&["check", "--json", "--no-times", "a/", "b"]).code(1));
        assert_eq!(value["status"], "different");
        assert_eq!(rows(&value, "path"), ["new", "extra"]);
        assert_eq!(rows(&value, "action"), ["copied", "removed"]);
        let run = sandbox.blit(&["check", "-q", "a/", "b"]).code(1);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    }

    fn what_is_not_there_is_a_usage_error(sandbox) {
        sandbox.make(&[file("a/f", "x")]);
        for args in [["none/", "a"], ["a/", "none"], ["a/f", "none"], ["a/f", "a/none"], ["a/", "a/none/b"]] {
            let missing = if args[0] == "none/" { args[0] } else { args[1] };
            let missing = missing.trim_end_matches('/').trim_end_matches("/b");
            sandbox.blit(&[&["check"], &args[..]].concat()).code(2).says(missing).says("no such file");
        }
    }
}

// A daemon has rights of its own.
on_every_engine! {
    fn a_tree_is_not_compared_with_itself(sandbox) {
        sandbox.make(&[file("a/f", "x")]);
        sandbox.blit(&["check", "a/", "a"]).code(2);
    }

    fn what_cannot_be_read_leaves_it_open(sandbox) {
        if !sandbox.can(Capability::NobodyElse) || !sandbox.can(Capability::Root) {
            return;
        }
        sandbox.make(&[file("a/d/f", "x"), dir("a/d").mode(0o700)]);
        sandbox.blit(&["copy", "a/", "b"]).code(0);
        let check = || Run::of(&mut sandbox.command_as_nobody(&["check", "--no-owner", "a/", "b"]));
        check().code(4).says("permission denied").sums_up("no difference found: ");
        sandbox.make(&[file("b/extra", "x")]);
        check().code(1);
    }
}
