//! `blit list`: what is in a directory.

use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file, link};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("d/b", "12345").mode(0o640),
        dir("d/a").mode(0o1777),
        link("d/c", "b"),
        file("d/.hidden", "x"),
        file("d/x\ny\x1b", "x"),
        file("d/a/deep", "x"),
    ]);
}

on_every_engine! {
    fn a_directory_is_listed_by_name(sandbox) {
        make_work(sandbox);
        for verb in ["list", "ls"] {
            let mut command = sandbox.command(&[verb, "d"]);
            let run = Run::of(command.env("TZ", "UTC")).code(0);
            let names: Vec<&str> =
                run.stdout.lines().filter_map(|line| line.rsplit_once(':')?.1.get(4..)).collect();
            assert_eq!(names, [".hidden", "a/", "b", "c -> b", "x\\ny\\x1b"], "{run:?}");
            assert!(run.stdout.contains("drwxrwxrwt  "), "{run:?}");
            assert!(run.stdout.contains("5 B  2001-09-09 01:46:40  b\n"), "{run:?}");
        }
    }

    fn a_single_entry_and_an_empty_directory_are_listed(sandbox) {
        make_work(sandbox);
        sandbox.make(&[dir("empty")]);
        assert_eq!(sandbox.blit(&["list", "empty"]).code(0).stdout, "");
        let run = sandbox.blit(&["list", "d/b"]).code(0);
        assert!(run.stdout.starts_with("-rw-r-----") && run.stdout.ends_with("  b\n"), "{run:?}");
        let run = sandbox.blit(&["list", "d/c"]).code(0);
        assert!(run.stdout.ends_with("c -> b\n"), "{run:?}");
        sandbox.blit(&["list", "none"]).code(2).says("none: no such file");
    }

    fn with_d_the_named_entries_are_listed_here_and_at_a_daemon(sandbox) {
        make_work(sandbox);
        for named in [["d/a", "d/b", "d/c"].map(str::to_owned), ["d/a", "d/b", "d/c"].map(|name| sandbox.daemon().at(name))] {
            let value = object(&sandbox.blit(&[&["list".to_owned(), "-d".to_owned(), "--json".to_owned()][..], &named[..]].concat()).code(0));
            assert_eq!(rows(&value, "path"), named);
            assert_eq!(rows(&value, "kind"), ["dir", "file", "symlink"]);
            let some = sandbox.blit(&["list", "-d", &named[0], &format!("{}x", named[1])]).code(1);
            assert!(some.stdout.ends_with(&format!("  {}/\n", named[0])), "{some:?}");
            assert!(some.stderr.contains("bx: no such file"), "{some:?}");
        }
        sandbox.blit(&["list", "-d", "d/a", &sandbox.daemon().at("d/a")]).code(2).says("runs of their own");
    }

    fn programs_get_rows(sandbox) {
        make_work(sandbox);
        let value = object(&sandbox.blit(&["list", "--json", "d"]).code(0));
        assert_eq!(rows(&value, "path"), [".hidden", "a", "b", "c", "x\ny\x1b"]);
        assert_eq!(rows(&value, "kind"), ["file", "dir", "file", "symlink", "file"]);
        let row = &value["rows"][2];
        assert_eq!((&row["bytes"], &row["mode"]), (&5.into(), &"0640".into()));
        assert!(row["modified"].as_str().is_some_and(|text| text.ends_with('Z')), "{row}");
        assert_eq!(value["rows"][3]["target"], "b");
    }

    fn a_reader_that_has_seen_enough_is_no_error(sandbox) {
        make_work(sandbox);
        for args in [&["list", "d"][..], &["list", "--json", "d"], &["find", "d"], &["du", "d"], &["df", "d"]] {
            let (reader, writer) = std::io::pipe().expect("pipes are there");
            drop(reader);
            let run = Run::of(sandbox.command(args).stdout(writer)).code(0);
            assert_eq!(run.stderr, "", "{args:?}");
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
            let run = Run::of(sandbox.command(args).stdout(full.expect("every Linux has it")));
            run.code(4).says("error: write standard output: ");
        }
    }
}
