//! `blit find`: paths that the filters admit.

use std::io::{BufRead, BufReader};

use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file, link};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("d/a.raw", "12345"),
        file("d/b.txt", "1"),
        file("d/e/c.raw", "1").time(4_000_000_000, 0),
        link("d/l", "e"),
        dir("d/empty"),
        file("d/cache/x", "x"),
    ]);
}

fn found(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let run = sandbox.blit(&[&["find"], args].concat()).code(0);
    let mut lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

on_every_engine! {
    fn paths_are_found_by_rules_types_and_limits(sandbox) {
        make_work(sandbox);
        for (args, paths) in [
            (&["d", "--exclude", "cache/"][..], &["d/a.raw", "d/b.txt", "d/e", "d/e/c.raw", "d/empty", "d/l"][..]),
            (&["d", "--type", "l"], &["d/l"]),
            (&["d", "--type", "d"], &["d/cache", "d/e", "d/empty"]),
            (&["d/", "--type", "f", "--exclude", "*", "--include", "*/", "--include", "*.raw"], &["d/a.raw", "d/e/c.raw"]),
            (&["d", "--min-size", "2"], &["d/a.raw"]),
            (&["d", "--type", "f", "--newer-than", "2030-01-01"], &["d/e/c.raw"]),
            (&["d/e"], &["d/e/c.raw"]),
            (&["d/b.txt"], &["d/b.txt"]),
        ] {
            assert_eq!(found(sandbox, args), paths, "{args:?}");
        }
    }

    fn without_a_path_it_looks_here(sandbox) {
        make_work(sandbox);
        assert_eq!(found(sandbox, &["--type", "l"]), ["d/l"]);
    }

    fn off_a_terminal_names_are_printed_as_they_are(sandbox) {
        sandbox.make(&[file("d/x\ny", "x"), file("d/\x1b", "x")]);
        let run = sandbox.blit(&["find", "d", "--print0"]).code(0);
        let mut paths: Vec<&str> = run.stdout.split_terminator('\0').collect();
        paths.sort_unstable();
        assert_eq!(paths, ["d/\x1b", "d/x\ny"]);
        assert!(sandbox.blit(&["find", "d"]).code(0).stdout.contains("d/\x1b\n"));
        let value = object(&sandbox.blit(&["find", "d", "--json"]).code(0));
        assert!(rows(&value, "path").contains(&"d/x\ny".to_owned()), "{value}");
    }

    fn a_rule_that_matched_nothing_is_told(sandbox) {
        make_work(sandbox);
        let run = sandbox.blit(&["find", "d", "--exclude", "*.none"]).code(0);
        run.says("note: nothing matched ").says("*.none");
    }

    fn a_reader_that_has_seen_enough_ends_it(sandbox) {
        let nodes: Vec<_> = (0..20_000).map(|n| file(format!("d/{}/{n}", n % 50), "")).collect();
        sandbox.make(&nodes);
        let mut child = sandbox.start(&["find", "d"]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.next().is_some());
        drop(lines);
        let run = Run::from(child.wait_with_output().expect("ends")).code(0);
        assert_eq!(run.stderr, "");
    }
}
