//! What blit says when it is asked, or not understood.

use std::fs::OpenOptions;

use crate::support::sandbox::{Run, Sandbox};

fn said(args: &[&str]) -> Run {
    Sandbox::new("auto").blit(args)
}

#[test]
fn help_is_as_it_was_reviewed() {
    for (name, args) in [
        ("top", &["--help"][..]),
        ("copy_long", &["copy", "--help"]),
        ("copy_short", &["copy", "-h"]),
        ("mirror_long", &["mirror", "--help"]),
        ("mirror_short", &["mirror", "-h"]),
        ("move_long", &["move", "--help"]),
        ("check_long", &["check", "--help"]),
        ("list", &["list", "--help"]),
        ("find", &["find", "--help"]),
        ("du", &["du", "--help"]),
        ("df", &["df", "--help"]),
        ("rm", &["rm", "--help"]),
        ("completions", &["completions", "--help"]),
        ("man", &["man", "--help"]),
        ("modules", &["modules", "--help"]),
        ("jobs", &["jobs", "--help"]),
        ("key", &["key", "--help"]),
        ("diagnostics", &["diagnostics", "dump", "--help"]),
    ] {
        let run = said(args).code(0);
        assert_eq!(run.stderr, "");
        insta::assert_snapshot!(name, run.stdout);
    }
}

#[test]
fn version_is_one_line() {
    let run = said(&["--version"]).code(0);
    assert_eq!(run.stdout, format!("blit {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_words_help_is_shown_as_an_error() {
    said(&[]).code(2).says("Usage: blit <VERB>");
}

#[test]
fn what_is_not_a_verb_gets_an_answer_that_helps() {
    said(&["photos", "/backup"]).code(2).says("'photos' is not something blit can do");
    said(&["photos", "/backup"]).code(2).says("blit copy photos DST");
    said(&["cpoy", "a", "b"]).code(2).says("did you mean 'copy'?");
    said(&["a\x1b[31m", "b"]).code(2).says("'a\\x1b[31m'");
}

#[test]
fn words_that_make_no_sense_are_a_usage_error() {
    for args in [
        &["copy"][..],
        &["copy", "a"],
        &["copy", "--no-such-option", "a", "b"],
        &["copy", "--engine", "steam", "a", "b"],
        &["copy", "--max-threads", "0", "a", "b"],
        &["copy", "-v", "-q", "a", "b"],
        &["copy", "-v", "--json", "a", "b"],
        &["list", "a", "b"],
        &["rm", "--yes", "--files-from", "list", "a", "b"],
        &["rm", "--yes", "-0", "a"],
        &["jobs", "host", "--watch", "1", "--cancel", "1"],
    ] {
        assert_eq!(said(args).code(2).stdout, "", "{args:?}");
    }
}

#[test]
fn a_source_without_a_destination_gets_an_answer_that_helps() {
    said(&["copy", "photos"]).code(2).says("the destination is missing: blit copy photos DST");
    said(&["move", "photos"]).code(2).says("the destination is missing: blit move photos DST");
    said(&["mirror", "photos"]).code(2).says("<DST>");
}

#[test]
fn help_that_cannot_be_written_is_an_error_without_a_panic() {
    let sandbox = Sandbox::new("auto");
    for args in [&["--help"][..], &["--version"], &["copy", "--help"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let run = Run::of(sandbox.command(args).stdout(full)).code(4);
        assert!(run.stderr.starts_with("error: write standard output: "), "{run:?}");
    }
}

#[test]
fn the_top_help_tells_what_the_verbs_help_tells() {
    assert!(said(&["--help"]).stdout.contains("Copies what is missing or different"));
}

#[test]
fn whoever_reads_help_may_stop_when_it_has_seen_enough() {
    let sandbox = Sandbox::new("auto");
    for words in [&["--help"][..], &["copy", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let run = Run::of(sandbox.command(words).stdout(writer)).code(0);
        assert_eq!(run.stderr, "");
    }
}
