//! `blit-bench remote` and what reads its reports, as a user runs them, on tiny trees; no figure is
//! judged, only their presence.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let bench = Command::new(env!("CARGO_BIN_EXE_blit-bench")).args(arguments).output();
    bench.expect("blit-bench starts")
}

/// Where the harness runs at all.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn script(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}")).expect("a script");
    let mode = Command::new("chmod").arg("+x").arg(path).status();
    assert!(mode.expect("chmod").success());
}

/// A daemon that only announces itself, and a client that copies below what it serves.
fn stand_ins(folder: &Path, client: &str) {
    script(
        &folder.join("blitd"),
        "[ \"$1\" != --version ] || exit 0\n\
         mkdir -p \"$BLIT_CONFIG_DIR\"; printf %s \"$4\" > \"$BLIT_CONFIG_DIR/root\"\n\
         echo 'listening on 127.0.0.1:1'; exec sleep 1000\n",
    );
    let head = "[ \"$1\" = copy ] || exit 0\n\
                [ \"$2\" != --help ] || { echo --plaintext-data; exit 0; }\n\
                root=$(cat \"$BLIT_CONFIG_DIR/root\")\n\
                for word; do from=$to; to=$word; done\n\
                case $from in *://*) from=$root/${from#*://} ;; esac\n\
                case $to in *://*) to=$root/${to#*://} ;; esac\n\
                mkdir -p \"$to\" && cp -a \"$from/.\" \"$to\"\n";
    script(&folder.join("blit"), &format!("{head}{client}"));
}

#[test]
fn blit_pushes_and_pulls_against_its_daemon_and_all_is_written_down() {
    if !has("cp") || !has("sleep") {
        return skip("blit_pushes_and_pulls_against_its_daemon_and_all_is_written_down", "no cp");
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| sandbox.path().join(name).display().to_string();
    stand_ins(sandbox.path(), "");
    let output = bench(&[
        "remote",
        "--trees=small",
        "--files=30",
        "--rounds=2",
        "--arms=blit,blit-clear",
        &format!("--blit={}", path("blit")),
        &format!("--work={}", path("work")),
        &format!("--json={}", path("runs.json")),
        &format!("--html={}", path("runs.html")),
    ]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let report: Value =
        serde_json::from_slice(&fs::read(path("runs.json")).expect("the JSON")).expect("JSON");
    let operations: Vec<&str> = report["trees"]
        .as_array()
        .expect("trees")
        .iter()
        .map(|tree| tree["operation"].as_str().expect("a word"))
        .collect();
    assert_eq!(operations, ["push", "push no-op", "pull", "pull no-op"]);
    for tree in report["trees"].as_array().expect("trees") {
        assert_eq!(tree["rows"].as_array().expect("rows").len(), 2);
        assert_eq!(tree["rows"][1]["encryption"], "none");
        assert_eq!(tree["runs"].as_array().expect("runs").len(), 4);
        for run in tree["runs"].as_array().expect("runs") {
            assert_eq!(run["is_verified"], true);
            // The daemon was asked to end, and what it took is known.
            assert_eq!(run["service"]["end"]["signalled"], 15);
            assert!(run["service"]["peak_bytes"].as_u64().expect("a size") > 0);
        }
    }
    assert_eq!(report["ceilings"]["socket"].as_array().expect("streams").len(), 4);
    let page = fs::read_to_string(path("runs.html")).expect("a page");
    assert!(page.contains("<svg") && page.contains("blit-auto-clear"), "{page}");
    assert!(!page.contains("<script") && !page.contains("src="), "{page}");
    assert_eq!(fs::read_dir(path("work")).expect("the work directory").count(), 0);

    // The same report twice: nothing differs, and two rounds could not show it if it did.
    let output = bench(&["compare", &path("runs.json"), &path("runs.json")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("too few rounds to tell"), "{}", text(&output.stdout));
}

#[test]
fn a_second_run_that_changes_the_copy_fails_the_session() {
    if !has("cp") || !has("sleep") {
        return skip("a_second_run_that_changes_the_copy_fails_the_session", "no cp");
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    stand_ins(sandbox.path(), "f=$root/../again; [ ! -e $f ] || touch \"$to\"; touch $f\n");
    let output = bench(&[
        "remote",
        "--trees=small",
        "--files=5",
        "--rounds=1",
        "--arms=blit",
        "--directions=push",
        "--no-ceilings",
        &format!("--blit={}", sandbox.path().join("blit").display()),
        &format!("--work={}", sandbox.path().join("work").display()),
    ]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}{}", text(&output.stderr));
    assert!(table.contains("changed although nothing was to be done"), "{table}");
}

#[test]
fn a_daemon_that_never_becomes_ready_is_an_error_with_its_last_words() {
    if !has("cp") {
        return skip("a_daemon_that_never_becomes_ready_is_an_error_with_its_last_words", "no cp");
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    stand_ins(sandbox.path(), "");
    script(&sandbox.path().join("blitd"), "echo 'no such luck' >&2; exit 3\n");
    let output = bench(&[
        "remote",
        "--trees=small",
        "--files=5",
        "--arms=blit",
        "--no-ceilings",
        &format!("--blit={}", sandbox.path().join("blit").display()),
        &format!("--work={}", sandbox.path().join("work").display()),
    ]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no such luck"), "{}", text(&output.stderr));
}

#[test]
fn rsync_and_its_daemon_keep_a_mixed_tree() {
    if !has("rsync") {
        return skip("rsync_and_its_daemon_keep_a_mixed_tree", "no rsync");
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let output = bench(&[
        "remote",
        "--trees=mixed",
        "--files=60",
        "--rounds=1",
        "--arms=rsyncd",
        "--no-ceilings",
        &format!("--work={}", sandbox.path().join("work").display()),
    ]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    assert!(table.contains("mixed, pull no-op"), "{table}");
    assert!(table.contains("wire MB") && table.contains("far MiB"), "{table}");
}

#[test]
fn a_kept_command_ends_when_its_leash_is_let_go() {
    if !has("sleep") {
        return skip("a_kept_command_ends_when_its_leash_is_let_go", "no sleep");
    }
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_blit-bench"))
        .args(["keep-one-command", "sleep", "1000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the keeper starts");
    drop(keeper.stdin.take());
    let mut said = String::new();
    keeper.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert!(keeper.wait().expect("an end").success());
    let run: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(run["end"]["signalled"], 15);
}

#[test]
fn ceilings_are_measured_and_printed() {
    if !has("cp") {
        return skip("ceilings_are_measured_and_printed", "not a Unix system");
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let output = bench(&[
        "ceilings",
        "--bytes=1M",
        "--files=20",
        &format!("--work={}", sandbox.path().display()),
        &format!("--json={}", sandbox.path().join("c.json").display()),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("loopback, 4 streams"), "{}", text(&output.stdout));
    let json = fs::read(sandbox.path().join("c.json")).expect("the JSON");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert!(json["ceilings"]["write_bytes_per_second"].as_f64().expect("a pace") > 0.0);
}

#[test]
fn a_report_that_cannot_be_read_is_an_error_and_a_wrong_share_a_usage_error() {
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let broken = sandbox.path().join("broken.json").display().to_string();
    fs::write(&broken, "{").expect("a file");
    let output = bench(&["compare", &broken, &broken]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("broken.json"), "{}", text(&output.stderr));
    let output = bench(&["compare", &broken, &broken, "--alpha=2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
