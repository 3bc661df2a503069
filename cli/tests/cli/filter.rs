//! The filters, as every verb that has them reads them. What a rule matches is tested where rules are made.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::compare::read;
use crate::support::in_every_way;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::schema::object;
use crate::support::tree::file;

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("src/a.o", "12"),
        file("src/b.c", "1234").time(1_700_000_000, 0),
        file("src/keep.o", "x"),
        file("src/d/a.o", "x"),
        file("src/d/c.c", "x"),
        file("src/.git/x", "x"),
    ]);
}

/// The files that a copy with `args` makes.
#[track_caller]
fn copied(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    drop(fs::remove_dir_all(sandbox.path("dst")));
    sandbox.blit(&[&["copy", "src/", "dst"], args].concat()).code(0);
    files(sandbox)
}

fn files(sandbox: &Sandbox) -> Vec<String> {
    let tree = read(&sandbox.path("dst")).into_iter().filter(|(_, facts)| facts.kind == "file");
    tree.map(|(path, _)| String::from_utf8(path).expect("own names")).collect()
}

in_every_way! {
    fn the_order_between_all_kinds_of_rules_counts(sandbox) {
        make_work(sandbox);
        sandbox.make(&[file("rules", "# objects\n*.o\n")]);
        for (args, names) in [
            (&["--exclude", "*.o", "--include", "keep.o"][..], &[".git/x", "b.c", "d/c.c", "keep.o"][..]),
            (&["--include", "keep.o", "--exclude", "*.o"], &[".git/x", "b.c", "d/c.c"]),
            (&["--filter-file", "rules", "--include", "keep.o"], &[".git/x", "b.c", "d/c.c", "keep.o"]),
            (&["--include", "keep.o", "--filter-file", "rules"], &[".git/x", "b.c", "d/c.c"]),
            (&["--exclude", ".git", "--exclude", "/a.o"], &["b.c", "d/a.o", "d/c.c", "keep.o"]),
            (&["--exclude", "d/", "--exclude=.git"], &["a.o", "b.c", "keep.o"]),
        ] {
            assert_eq!(copied(sandbox, args), names, "{args:?}");
        }
    }

    fn limits_of_size_and_age_are_kept(sandbox) {
        make_work(sandbox);
        for (args, names) in [
            (&["--min-size", "2"][..], &["a.o", "b.c"][..]),
            (&["--max-size", "0.001K"], &[".git/x", "d/a.o", "d/c.c", "keep.o"]),
            (&["--newer-than", "2020-01-01"], &["b.c"]),
            (&["--older-than", "2020-01-01T00:00:00Z", "--min-size=2"], &["a.o"]),
            (&["--newer-than", "1h"], &[]),
        ] {
            assert_eq!(copied(sandbox, args), names, "{args:?}");
        }
    }

    fn only_listed_paths_are_copied(sandbox) {
        make_work(sandbox);
        sandbox.make(&[file("list", "a.o\nd/c.c\n"), file("list0", "a.o\0d/c.c\0")]);
        assert_eq!(copied(sandbox, &["--files-from", "list"]), ["a.o", "d/c.c"]);
        assert_eq!(copied(sandbox, &["--files-from", "list0", "-0"]), ["a.o", "d/c.c"]);
        for (args, input) in [(&["--files-from", "-"][..], "b.c\n"), (&["--files-from=-", "--from0"], "b.c\0")] {
            drop(fs::remove_dir_all(sandbox.path("dst")));
            sandbox.blit_reads(&[&["copy", "src/", "dst"], args].concat(), input.as_bytes()).code(0);
            assert_eq!(files(sandbox), ["b.c"]);
        }
        sandbox.blit(&["copy", "src/", "dst", "--files-from", "none"]).code(2).says("none");
    }

    fn what_matched_nothing_is_told(sandbox) {
        make_work(sandbox);
        let args = ["copy", "-n", "src/", "dst", "--exclude", "*.o", "--exclude", "*.none"];
        let run = sandbox.blit(&args).code(0).says("note: nothing matched ").says("*.none");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        let value = object(&sandbox.blit(&[&args[..], &["--json"]].concat()).code(0));
        assert_eq!(value["unmatched"].as_array().map(Vec::len), Some(1), "{value}");
        sandbox.make(&[file("list", "a.o\nabsent\n")]);
        sandbox.blit(&["copy", "src/", "dst", "--files-from", "list"]).code(0).says("absent");
    }

    fn rules_of_others_are_not_obeyed(sandbox) {
        make_work(sandbox);
        sandbox.make(&[file("rules", "*.o\n")]);
        symlink("rules", sandbox.path("alias")).expect("own directory");
        let with = |name: &str| sandbox.blit(&["copy", "src/", "dst", "--filter-file", name]);
        with("alias").code(2).says("not a regular file");
        with("src").code(2).says("not a regular file");
        with("none").code(2).says("none");
        fs::write(sandbox.path("bytes"), b"\xff\n").expect("own directory");
        with("bytes").code(2).says("not UTF-8");
        if sandbox.can(Capability::Root) && sandbox.can(Capability::NobodyElse) {
            sandbox.make(&[file("theirs", "*.o\n").owner(65534, 65534).mode(0o644)]);
            with("theirs").code(2).says("belongs to another user");
            let mut command = sandbox.command_as_nobody(&["copy", "-n", "src/", "dst", "--filter-file", "theirs"]);
            Run::of(&mut command).code(0);
            let mut command = sandbox.command_as_nobody(&["copy", "-n", "src/", "dst", "--filter-file", "rules"]);
            Run::of(&mut command).code(0);
        }
        assert!(!sandbox.exists("dst"));
    }

    fn rules_that_make_no_sense_are_a_usage_error(sandbox) {
        make_work(sandbox);
        for args in [
            &["--exclude", "a["][..],
            &["--min-size", "x"],
            &["--max-size", "-1"],
            &["--newer-than", "yesterday"],
            &["--min-size", "2", "--max-size", "1"],
            &["--newer-than", "1d", "--older-than", "2d"],
            &["--from0"],
        ] {
            let run = sandbox.blit(&[&["copy", "src/", "dst"], args].concat());
            assert_eq!(run.code, 2, "{args:?}: {run:?}");
            assert!(!sandbox.exists("dst"), "{args:?}");
        }
    }
}
