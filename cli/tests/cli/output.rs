//! What each verb that changes something tells: itemised lists, events for programs, and the log file.

use std::fs;

use serde_json::Value;

use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file, link};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("src/new", "1"),
        file("src/changed", "new content"),
        file("src/repair", "4").time(5, 5).mode(0o600),
        dir("src/d"),
        link("src/link", "new"),
        file("dst/changed", "old"),
        file("dst/repair", "4").time(5, 5).mode(0o644),
        file("dst/extra", "x"),
    ]);
}

fn events(run: &Run) -> Vec<Value> {
    let lines = run.stderr.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

on_every_engine! {
    fn itemised_changes_have_a_letter(sandbox) {
        make_work(sandbox);
        for args in [&["-n"][..], &["--yes"]] {
            let run = sandbox.blit(&[&["mirror", "-i", "src/", "dst"], args].concat()).code(0);
            let mut lines: Vec<&str> = run.stdout.lines().filter(|line| line.contains("  ")).collect();
            lines.sort_unstable();
            lines.retain(|line| !line.starts_with("M  ."));
            let told = ["C  new", "D  d/", "M  repair (mode)", "N  link", "R  changed", "X  extra"];
            assert_eq!(lines, told, "{run:?}");
        }
    }

    fn itemised_changes_are_rows_for_programs(sandbox) {
        make_work(sandbox);
        let value = object(&sandbox.blit(&["copy", "-i", "--json", "src/", "dst"]).code(0));
        let mut paths = rows(&value, "path");
        paths.retain(|path| !path.is_empty());
        paths.sort();
        assert_eq!(paths, ["changed", "d", "link", "new", "repair"]);
        let value = object(&sandbox.blit(&["copy", "--json", "src/", "dst"]).code(0));
        assert_eq!(rows(&value, "path"), [""; 0]);
    }

    fn events_are_json_lines_with_the_end_last(sandbox) {
        make_work(sandbox);
        let run = sandbox.blit(&["mirror", "--yes", "--progress=json", "-q", "src/", "dst"]).code(0);
        assert_eq!(run.stdout, "");
        let events = events(&run);
        let changes: Vec<&Value> = events.iter().filter(|event| event["event"] == "change").collect();
        assert!(changes.iter().any(|event| event["action"] == "removed" && event["path"] == "extra"), "{run:?}");
        let end = events.last().expect("an end");
        assert_eq!((&end["event"], &end["status"], &end["exit_code"]), (&"end".into(), &"done".into(), &0.into()));
    }

    fn failures_are_events_too(sandbox) {
        sandbox.make(&[file("src/d/a", "x"), file("dst/d", "in the way")]);
        let run = sandbox.blit(&["copy", "--progress=json", "src/", "dst"]).code(1);
        let events = events(&run);
        assert!(events.iter().any(|event| event["event"] == "failure" && event["kind"] == "type_clash"));
        let run = sandbox.blit(&["copy", "--progress=json", "none", "dst"]).code(2);
        let events = self::events(&run);
        assert_eq!((&events[0]["event"], &events[0]["kind"]), (&"error".into(), &"not_found".into()));
        assert_eq!(events[1]["exit_code"], 2);
    }

    fn the_log_file_has_changes_errors_and_the_end(sandbox) {
        make_work(sandbox);
        sandbox.make(&[file("src/e/a", "x"), file("dst/e", "in the way"), file("src/x\ny", "x")]);
        let run = sandbox.blit(&["copy", "-q", "--log-file", "log", "src/", "dst"]).code(1);
        assert_eq!(run.stdout, "", "{run:?}");
        sandbox.blit(&["copy", "-n", "-q", "--log-file", "log", "src/", "dst"]).code(1);
        let log = sandbox.read("log");
        let lines: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        assert_eq!(lines.first(), Some(&"begin blit copy"));
        for line in ["copied new", "replaced changed", "repaired repair", "copied x\\ny", "begin blit copy (dry run)"] {
            assert!(lines.contains(&line), "no {line:?} in {log}");
        }
        assert!(log.contains(" error: make directory dst/e: "), "{log}");
        assert_eq!(lines.last(), Some(&"end incomplete (exit code 1)"));
        assert!(log.lines().all(|line| line.len() > 25 && line.as_bytes()[10] == b'T'), "{log}");
    }

    fn the_log_file_begins_with_what_was_typed(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        sandbox.blit(&["copy", "-q", "--log-file", "log", "src/", "odd name\n"]).code(0);
        let log = sandbox.read("log");
        let second = log.lines().nth(1).expect("two lines at least");
        assert!(second.contains(" typed blit copy -q --log-file log src/ 'odd name\\n' in /"), "{log}");
    }

    fn the_error_that_ends_a_run_is_told_once(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/b", "x")]);
        let mut command = sandbox.command(&["copy", "src/", "/dev/full/x"]);
        let run = Run::of(&mut command);
        let lines: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let mut once = lines.clone();
        once.dedup();
        assert!(!lines.is_empty() && lines == once, "{run:?}");
    }

    fn a_log_that_cannot_be_written_is_an_error(sandbox) {
        make_work(sandbox);
        sandbox.blit(&["copy", "--log-file", "none/log", "src/", "fresh"]).code(2).says("open log file none/log");
        assert!(!sandbox.exists("fresh"), "nothing is done without its log");
        sandbox.blit(&["copy", "--log-file", "/dev/full", "src/", "fresh"]).code(4).says("write log file /dev/full");
        assert!(sandbox.exists("fresh/new"));
        assert!(fs::metadata("/dev/full").is_ok());
    }
}
