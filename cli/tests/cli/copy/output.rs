//! What is told: to people, to programs, and to nobody because standard output is gone.

use std::fs::{self, OpenOptions};

use serde_json::Value;

use crate::support::compare::read;
use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::schema::{object, schema};
use crate::support::tree::{dir, file, hard, link};

/// A tree that is partly copied already.
fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("src/new", "1"),
        file("src/changed", "new content"),
        file("src/same", "3").time(1_000_000_000, 3),
        file("src/repair", "4").time(1_000_000_000, 4).mode(0o600),
        file("src/d/e/new", "5"),
        link("src/link", "same"),
        hard("src/hard", "src/new"),
        dir("src/empty"),
        file("dst/changed", "old"),
        file("dst/same", "3").time(1_000_000_000, 3),
        file("dst/repair", "4").time(1_000_000_000, 4).mode(0o644),
    ]);
}

on_every_engine! {
    fn a_dry_run_changes_nothing_and_tells_what_the_run_does(sandbox) {
        make_work(sandbox);
        let before = read(&sandbox.path("dst"));
        let dry = sandbox.blit(&["copy", "-n", "src/", "dst"]).code(0);
        assert!(dry.stdout.contains("would copy "), "{dry:?}");
        assert_eq!(read(&sandbox.path("dst")), before, "a dry run changed something");
        let real = sandbox.blit(&["copy", "-v", "src/", "dst"]).code(0);
        assert_eq!(dry.changes(), real.changes());
        assert!(dry.changes().len() >= 8, "{dry:?}");
        let rest = sandbox.blit(&["copy", "-n", "src/", "dst"]).code(0);
        assert_eq!(rest.changes(), [""; 0], "a run leaves nothing to do");
    }

    fn a_dry_run_into_nothing_makes_nothing(sandbox) {
        make_work(sandbox);
        let dry = sandbox.blit(&["copy", "-n", "src", "fresh"]).code(0);
        assert!(!sandbox.exists("fresh"), "{dry:?}");
        let real = sandbox.blit(&["copy", "-v", "src", "fresh"]).code(0);
        assert_eq!(dry.changes(), real.changes());
    }

    fn each_change_is_told_with_its_name_escaped(sandbox) {
        sandbox.make(&[file("src/a\n\x1b[31m", "x"), dir("dst")]);
        let run = sandbox.blit(&["copy", "-v", "src/", "dst"]).code(0);
        assert!(run.stdout.starts_with("copied    a\\n\\x1b[31m\n"), "{run:?}");
    }

    fn quiet_says_nothing_but_errors(sandbox) {
        sandbox.make(&[file("a", "x"), dir("dst")]);
        let run = sandbox.blit(&["copy", "-q", "a", "dst"]).code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        let run = sandbox.blit(&["copy", "-q", "none", "dst"]).code(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
    }

    fn json_is_one_object_that_follows_the_schema(sandbox) {
        make_work(sandbox);
        let dry = object(&sandbox.blit(&["copy", "-n", "--json", "src/", "dst"]).code(0));
        let value = object(&sandbox.blit(&["copy", "--json", "src/", "dst"]).code(0));
        for (key, number) in [
            ("files", 3), ("bytes", 13), ("dirs", 3), ("nodes", 1), ("links", 1),
            ("same", 1), ("failed", 0), ("vanished", 0), ("leftovers", 0),
        ] {
            assert_eq!(value[key], number, "{key} of {value}");
            assert_eq!(dry[key], number, "{key} of the dry {dry}");
        }
        assert_eq!((&value["status"], &value["error"]), (&"done".into(), &Value::Null));
        assert!(value["engine"].as_str().is_some_and(|text| !text.is_empty()));
    }

    fn json_tells_failures_and_errors_too(sandbox) {
        sandbox.make(&[file("src/d/a", "x"), file("src/e", "y"), file("dst/d", "in the way")]);
        let value = object(&sandbox.blit(&["copy", "--json", "src/", "dst"]).code(1));
        assert_eq!((&value["status"], &value["failed"]), (&"incomplete".into(), &1.into()));
        assert_eq!(value["failures"][0]["kind"], "type_clash");
        let value = object(&sandbox.blit(&["copy", "--json", "none", "dst"]).code(2));
        assert_eq!((&value["status"], &value["error"]["kind"]), (&"usage".into(), &"not_found".into()));
        let value = object(&sandbox.blit(&["copy", "--json", "src", "src/d"]).code(2));
        assert_eq!(value["error"]["kind"], "overlap");
        let value = object(&sandbox.blit(&["copy", "--json", "src", "host:x"]).code(2));
        assert_eq!(value["error"]["kind"], "usage");
    }

    fn only_the_first_failures_are_listed(sandbox) {
        let clashes: Vec<_> = (0..30)
            .flat_map(|n| [file(format!("src/{n}/a"), "x"), file(format!("dst/{n}"), "in the way")])
            .collect();
        sandbox.make(&clashes);
        let run = sandbox.blit(&["copy", "src/", "dst"]).code(1);
        assert_eq!(run.stderr.matches("error: ").count(), 21, "{run:?}");
        let run = run.says("and 10 more; all are in --json\n");
        assert!(run.stdout.contains("30 failed"), "{run:?}");
        let value = object(&sandbox.blit(&["copy", "--json", "src/", "dst"]).code(1));
        assert_eq!(value["failures"].as_array().map(Vec::len), Some(30));
    }

    fn standard_output_that_is_full_is_an_error_and_the_copy_is_made(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        for (index, option) in ["-v", "--json", "--progress=always"].into_iter().enumerate() {
            let full = OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
            let to = format!("dst{index}");
            let mut command = sandbox.command(&["copy", option, "src", &to]);
            let run = Run::of(command.stdout(full)).code(4);
            let run = run.says("error: write standard output: ");
            assert!(!run.stderr.contains("panicked"), "{run:?}");
            assert_eq!(sandbox.read(&format!("{to}/src/a")), "x");
        }
    }

    fn a_closed_pipe_is_an_error_without_a_panic_and_the_copy_is_made(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        for option in ["-v", "--json"] {
            let (reader, writer) = std::io::pipe().expect("pipes are there");
            drop(reader);
            let mut command = sandbox.command(&["copy", option, "src", "dst"]);
            let run = Run::of(command.stdout(writer)).code(4);
            let run = run.says("error: write standard output: ");
            assert!(!run.stderr.contains("panicked"), "{run:?}");
            assert_eq!(sandbox.read("dst/src/a"), "x");
        }
    }

    fn a_dry_run_that_cannot_tell_ends(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        let (reader, writer) = std::io::pipe().expect("pipes are there");
        drop(reader);
        let mut command = sandbox.command(&["copy", "-n", "src", "dst"]);
        let run = Run::of(command.stdout(writer)).code(4);
        assert!(run.stderr.starts_with("error: write standard output: "), "{run:?}");
    }

    fn progress_can_be_written_to_a_log(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        let run = sandbox.blit(&["copy", "--progress=always", "src", "dst"]).code(0);
        assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{run:?}");
        let run = sandbox.blit(&["copy", "src", "dst2"]).code(0);
        assert_eq!(run.stderr, "", "no progress where nobody looks");
    }
}

#[test]
fn the_engine_of_the_command_line_wins_over_that_of_the_environment() {
    let sandbox = Sandbox::new("steam");
    sandbox.make(&[file("a", "x")]);
    sandbox.blit(&["copy", "a", "b"]).code(2).says("steam");
    let run = sandbox.blit(&["copy", "--engine", "threads", "--json", "a", "b"]).code(0);
    let value = object(&run);
    assert!(value["engine"].as_str().is_some_and(|text| text.starts_with("threads")), "{value}");
}

#[test]
fn every_key_of_the_schema_is_explained() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md"));
    let page = page.expect("the page is there");
    let schema = schema();
    let keys = schema["properties"].as_object().expect("an object").keys();
    let of_faults = schema["$defs"]["fault"]["properties"].as_object().expect("an object").keys();
    let of_rows = schema["$defs"]["row"]["properties"].as_object().expect("an object").keys();
    for key in keys.clone().chain(of_faults).chain(of_rows) {
        assert!(page.contains(&format!("`{key}`")), "docs/json.md does not explain {key}");
    }
    let required = schema["required"].as_array().expect("a list").iter().filter_map(Value::as_str);
    assert!(keys.map(String::as_str).all(|key| required.clone().any(|other| other == key)));
}
