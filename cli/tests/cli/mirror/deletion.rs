//! What is removed, and what stays.

use crate::support::compare::assert_same;
use crate::support::sandbox::{Capability, Run};
use crate::support::tree::{dir, fifo, file, hard, link};
use crate::support::{in_every_way, on_every_engine};

const NOBODY: u32 = 65534;

in_every_way! {
    fn what_the_source_does_not_have_is_removed(sandbox) {
        sandbox.make(&[
            file("src/a", "x"),
            file("src/d/b", "x"),
            file("dst/a", "old"),
            file("dst/d/extra", "x"),
            file("dst/extra/deep/er/f", "x"),
            link("dst/link", "../outside"),
            fifo("dst/fifo"),
            dir("dst/empty"),
            file("outside/kept", "x"),
        ]);
        let run = sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(0);
        assert!(run.stdout.contains("; 8 removed"), "{run:?}");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        assert!(sandbox.exists("outside/kept"));
    }

    fn only_the_mirrored_directory_loses_anything(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("dst/src/extra", "x"), file("dst/other", "x")]);
        sandbox.blit(&["mirror", "--yes", "src", "dst"]).code(0);
        assert!(sandbox.exists("dst/src/a") && sandbox.exists("dst/other"));
        assert!(!sandbox.exists("dst/src/extra"));
    }

    fn an_empty_source_removes_nothing_unless_it_may(sandbox) {
        sandbox.make(&[dir("src"), file("dst/a", "x"), file("dst/src/b", "x")]);
        for (from, to) in [("src/", "dst"), ("src", "dst")] {
            let run = sandbox.blit(&["mirror", "--yes", from, to]).code(2);
            run.says("the source is empty").says("--allow-empty-source");
            assert!(sandbox.exists("dst/a") && sandbox.exists("dst/src/b"), "{from}");
        }
        sandbox.blit(&["mirror", "--yes", "--allow-empty-source", "src", "dst"]).code(0);
        assert!(sandbox.exists("dst/a") && !sandbox.exists("dst/src/b"));
        sandbox.blit(&["mirror", "--yes", "--allow-empty-source", "src/", "dst"]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
    }

    fn an_empty_source_and_an_empty_destination_are_equal(sandbox) {
        sandbox.make(&[dir("src"), dir("dst")]);
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(0);
        sandbox.blit(&["mirror", "--yes", "src/", "fresh"]).code(0);
    }

    fn a_missing_source_removes_nothing(sandbox) {
        sandbox.make(&[file("dst/a", "x"), file("dst/src/b", "x")]);
        for from in ["src", "src/"] {
            for option in ["--yes", "--allow-empty-source"] {
                let run = sandbox.blit(&["mirror", "--yes", option, from, "dst"]);
                assert_eq!(run.code, 2, "{run:?}");
                assert!(sandbox.exists("dst/a") && sandbox.exists("dst/src/b"), "{run:?}");
            }
        }
    }

    fn what_is_left_out_is_kept_unless_it_is_to_go(sandbox) {
        sandbox.make(&[
            file("src/a", "x"),
            file("src/b.tmp", "x"),
            file("dst/c.tmp", "x"),
            file("dst/gone/c.tmp", "x"),
            file("dst/gone/d", "x"),
            file("dst/extra", "x"),
        ]);
        let args = ["mirror", "--yes", "--exclude", "*.tmp", "src/", "dst"];
        let dry = sandbox.blit(&[&args[..], &["-n"]].concat()).code(0);
        let run = sandbox.blit(&[&args[..], &["-v"]].concat()).code(0);
        assert_eq!(dry.changes(), run.changes());
        assert!(sandbox.exists("dst/c.tmp") && sandbox.exists("dst/gone/c.tmp"), "{run:?}");
        for name in ["dst/b.tmp", "dst/extra", "dst/gone/d"] {
            assert!(!sandbox.exists(name), "{name}: {run:?}");
        }
        let run = sandbox.blit(&[&args[..], &["--delete-excluded"]].concat()).code(0);
        assert!(!sandbox.exists("dst/c.tmp") && !sandbox.exists("dst/gone"), "{run:?}");
    }

    fn types_change_in_both_directions(sandbox) {
        sandbox.make(&[
            file("outside/kept", "x"),
            file("src/was-dir", "x"),
            file("src/was-file/in", "x"),
            file("src/was-link/in", "x"),
            link("src/dir-to-link", "../outside"),
            file("src/link-to-file", "x"),
            fifo("src/dir-to-fifo"),
            dir("src/fifo-to-dir"),
            file("src/one", "x"),
            hard("src/two", "src/one"),
            file("dst/was-dir/a/b", "x"),
            file("dst/was-file", "x"),
            link("dst/was-link", "../outside"),
            file("dst/dir-to-link/a", "x"),
            link("dst/link-to-file", "../outside/kept"),
            file("dst/dir-to-fifo/a", "x"),
            fifo("dst/fifo-to-dir"),
            file("dst/one/a", "x"),
            file("dst/two/a", "x"),
        ]);
        let dry = sandbox.blit(&["mirror", "-n", "src/", "dst"]).code(0);
        let run = sandbox.blit(&["mirror", "--yes", "-v", "src/", "dst"]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        assert_eq!(sandbox.read("outside/kept"), "x", "{run:?}");
        assert_eq!(dry.changes(), run.changes());
    }

    fn a_directory_in_the_way_that_holds_what_is_left_out_stays(sandbox) {
        sandbox.make(&[file("src/d", "x"), file("dst/d/a.tmp", "x"), file("src/e", "x")]);
        let args = ["mirror", "--yes", "--exclude", "*.tmp", "src/", "dst"];
        sandbox.blit(&args).code(1).says("dst/d").says("hint: ");
        assert!(sandbox.exists("dst/d/a.tmp") && sandbox.exists("dst/e"));
    }

    fn a_file_is_mirrored_to_a_file(sandbox) {
        sandbox.make(&[file("a", "new"), file("b", "old"), file("c", "x")]);
        sandbox.blit(&["mirror", "--yes", "a", "b"]).code(0);
        assert_eq!((sandbox.read("b"), sandbox.read("c")), ("new".into(), "x".into()));
    }
}

// Who runs the command has no say in what a daemon may.
on_every_engine! {
    fn an_unreadable_directory_protects_only_its_own(sandbox) {
        if !sandbox.can(Capability::NobodyElse) || !sandbox.can(Capability::Root) {
            return;
        }
        sandbox.make(&[
            file("src/closed/a", "x"),
            dir("src/closed").mode(0o700),
            file("src/open/b", "x"),
            file("dst/closed/deep/kept", "x").owner(NOBODY, NOBODY),
            dir("dst/closed/deep").owner(NOBODY, NOBODY),
            dir("dst/closed").owner(NOBODY, NOBODY),
            file("dst/open/extra", "x").owner(NOBODY, NOBODY),
            dir("dst/open").owner(NOBODY, NOBODY),
            dir("dst").owner(NOBODY, NOBODY),
        ]);
        let mut command = sandbox.command_as_nobody(&["mirror", "--yes", "src/", "dst"]);
        let run = Run::of(&mut command).code(1).says("src/closed: permission denied");
        assert!(sandbox.exists("dst/closed/deep/kept"), "{run:?}");
        assert!(!sandbox.exists("dst/open/extra") && sandbox.exists("dst/open/b"), "{run:?}");
    }

    fn nothing_is_removed_where_an_entry_could_not_be_transferred(sandbox) {
        if !sandbox.can(Capability::NobodyElse) || !sandbox.can(Capability::Root) {
            return;
        }
        sandbox.make(&[
            file("src/secret", "x").mode(0o600),
            file("src/a", "x"),
            file("dst/extra", "x").owner(NOBODY, NOBODY),
            dir("dst").owner(NOBODY, NOBODY),
        ]);
        let mut command = sandbox.command_as_nobody(&["mirror", "--yes", "src/", "dst"]);
        let run = Run::of(&mut command).code(1).says("src/secret: permission denied");
        assert!(sandbox.exists("dst/extra") && sandbox.exists("dst/a"), "{run:?}");
        run.says("1 that the source does not have stay");
    }
}
