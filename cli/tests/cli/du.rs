//! `blit du`: sums that agree with those of `du`.

use std::process::Command;

use crate::support::on_every_engine;
use crate::support::sandbox::Sandbox;
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file, hard, link, sparse};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("d/a", vec![1; 100_000]),
        file("d/e/b", vec![1; 5000]),
        file("d/e/f/g/c", vec![1; 7]),
        hard("d/e/hard", "d/a"),
        sparse("d/holes", 64 << 20, &[(0, "x")]),
        link("d/link", "a"),
        dir("d/empty"),
    ]);
}

/// What the system's own `du` says that is allocated, by path.
fn allocated(sandbox: &Sandbox, args: &[&str]) -> Vec<(String, u64)> {
    let mut command = Command::new("du");
    let output = command.arg("-B1").args(args).current_dir(sandbox.path("")).output();
    let text = String::from_utf8(output.expect("every system has du").stdout).expect("text");
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let mut sums: Vec<(String, u64)> =
        lines.map(|(sum, path)| (path.to_owned(), sum.parse().expect("a number"))).collect();
    sums.sort();
    sums
}

on_every_engine! {
    fn sums_are_those_of_du(sandbox) {
        make_work(sandbox);
        for depth in ["0", "1", "2", "9"] {
            let value = object(&sandbox.blit(&["du", "--json", "--depth", depth, "d"]).code(0));
            let sums = value["rows"].as_array().expect("always there").iter();
            let mut sums: Vec<(String, u64)> = sums
                .map(|row| (row["path"].as_str().expect("text").to_owned(), row["allocated"].as_u64().expect("a number")))
                .collect();
            sums.sort();
            // Which directory a file with several names counts for depends on the order of listing.
            let theirs = allocated(sandbox, &["-d", depth, "d"]);
            let (our_paths, their_paths): (Vec<_>, Vec<_>) =
                (sums.iter().map(|sum| &sum.0).collect(), theirs.iter().map(|sum| &sum.0).collect());
            assert_eq!(our_paths, their_paths);
            assert_eq!(sums[0], theirs[0], "the whole at depth {depth}");
        }
        let value = object(&sandbox.blit(&["du", "--json", "d"]).code(0));
        assert_eq!(value["rows"][0]["bytes"], 100_000 + 5000 + 7 + (64 << 20));
        assert_eq!(value["rows"][0]["entries"], 11);
    }

    fn several_paths_are_summed_up(sandbox) {
        make_work(sandbox);
        let run = sandbox.blit(&["du", "d/e", "d/empty", "d/a"]).code(0);
        let paths: Vec<&str> =
            run.stdout.lines().skip(1).filter_map(|line| Some(line.rsplit_once("  ")?.1)).collect();
        assert_eq!(paths, ["d/e", "d/empty", "d/a"], "{run:?}");
        assert!(run.stdout.starts_with("    SIZE") || run.stdout.contains("SIZE  "), "{run:?}");
        let value = object(&sandbox.blit(&["du", "--json", "none", "d"]).code(1));
        assert_eq!(rows(&value, "path"), ["d"; 1]);
    }

    fn a_missing_path_fails_alone(sandbox) {
        make_work(sandbox);
        let run = sandbox.blit(&["du", "none", "d"]).code(1).says("error: open none: no such file");
        assert!(run.stdout.contains(" d"), "{run:?}");
        sandbox.blit(&["du", "none"]).code(1);
    }
}
