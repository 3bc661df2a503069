//! `blit-bench local` as a user runs it, on a tiny tree; no figure is judged, only their presence.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let bench = Command::new(env!("CARGO_BIN_EXE_blit-bench")).args(arguments).output();
    bench.expect("blit-bench starts")
}

/// Where the harness runs at all.
fn has_cp() -> bool {
    Path::new("/bin/cp").exists()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_tiny_tree_is_copied_verified_and_reported() {
    if !has_cp() {
        return;
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let work = sandbox.path().join("work");
    let json = sandbox.path().join("runs.json");
    let output = bench(&[
        "local",
        "--trees=small,mixed",
        "--files=50",
        "--rounds=1",
        "--arms=blit,cp",
        "--blit=/nowhere/blit",
        &format!("--work={}", work.display()),
        &format!("--json={}", json.display()),
    ]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("MISSING"), "{}", text(&output.stdout));

    let report: Value = serde_json::from_slice(&fs::read(&json).expect("the JSON")).expect("JSON");
    assert_eq!(report["missing"][0]["name"], "blit-auto");
    assert_eq!(report["trees"][0]["census"]["files"], 50);
    assert_eq!(report["trees"][0]["census"]["bytes"], 50 * 4096);
    for tree in report["trees"].as_array().expect("trees") {
        assert_eq!(tree["rows"][0]["arm"], "cp");
        assert_eq!(tree["rows"][0]["is_verified"], true);
        let run = &tree["runs"][0];
        assert_eq!(run["end"]["exited"], 0);
        assert!(run["wall_seconds"].as_f64().expect("a time") > 0.0);
        assert!(run["peak_bytes"].as_u64().expect("a size") > 0);
    }
    let left = fs::read_dir(&work).expect("the work directory").count();
    assert_eq!(left, 0, "the session cleans up");
}

#[test]
fn a_copier_that_loses_something_fails_the_session() {
    if !has_cp() {
        return;
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let copier = sandbox.path().join("cpz");
    // Copies everything, then loses the last byte of one file.
    let script = "#!/bin/sh\ncp -a \"$1\" \"$2\" && printf x > \"$2/d003/f0000003\"\n";
    fs::write(&copier, script).expect("a script");
    let mode = Command::new("chmod").arg("+x").arg(&copier).status();
    assert!(mode.expect("chmod").success());
    let output = bench(&[
        "local",
        "--trees=small",
        "--files=50",
        "--rounds=2",
        "--arms=cp,cpz",
        &format!("--peer-path={}", sandbox.path().display()),
        &format!("--work={}", sandbox.path().join("work").display()),
    ]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("FAILED: cpz in round 2: 2 differences"), "{table}");
    assert!(table.contains("size 1 instead of 4096"), "{table}");
}

/// Copies or removes, and tells how far it is when it is asked.
const STAND_IN: &str = "#!/bin/sh
[ \"$1\" != --version ] || exit 0
verb=$1
for word; do case $word in
--progress=json) echo '{\"event\":\"progress\",\"seconds\":0.5,\"entries\":3,\"bytes\":7}' >&2
  echo '{\"event\":\"end\",\"seconds\":1.5}' >&2 ;;
*) from=$to; to=$word ;;
esac; done
[ $verb = copy ] || exec rm -r \"$to\"
cp -a \"$from.\" \"$to\"
";

#[test]
fn trees_are_copied_deleted_drawn_and_reported() {
    if !has_cp() {
        return;
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| sandbox.path().join(name).display().to_string();
    fs::write(path("blit"), STAND_IN).expect("a script");
    let mode = Command::new("chmod").arg("+x").arg(path("blit")).status();
    assert!(mode.expect("chmod").success());
    let output = bench(&[
        "local",
        "--trees=linked",
        "--files=12",
        "--scale=10,20",
        "--rounds=1",
        "--arms=blit,cp,rm",
        "--operations=copy,delete",
        "--no-noop",
        "--no-ceilings",
        "--timeline",
        &format!("--blit={}", path("blit")),
        &format!("--work={}", path("work")),
        &format!("--json={}", path("runs.json")),
        &format!("--html={}", path("runs.html")),
    ]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    assert!(table.contains("linked, delete") && table.contains("scale-20, copy"), "{table}");
    let report: Value =
        serde_json::from_slice(&fs::read(path("runs.json")).expect("the JSON")).expect("JSON");
    for tree in report["trees"].as_array().expect("trees") {
        let arms: Vec<&str> = tree["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["arm"].as_str().expect("a word"))
            .collect();
        let other = if tree["operation"] == "copy" { "cp" } else { "rm" };
        assert_eq!(arms, ["blit-auto", other], "{}", tree["name"]);
        let moments = tree["timelines"][0]["moments"].as_array().expect("moments");
        assert_eq!(moments.len(), 3);
    }
    let page = fs::read_to_string(path("runs.html")).expect("a page");
    assert!(page.contains("copy: seconds against number of files"), "{page}");
    assert!(page.contains("MB done and known against seconds"), "{page}");
    let output = bench(&["report", "--markdown", &path("runs.json")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("| linked, copy: 12 files, 1 MiB | "), "{table}");
}

#[test]
fn a_copier_that_hangs_is_killed_and_reported() {
    if !has_cp() {
        return;
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let copier = sandbox.path().join("cpz");
    // Its child holds on too: the whole group has to go.
    let script = "#!/bin/sh\n[ \"$1\" = --version ] || { sleep 1000 & wait; }\n";
    fs::write(&copier, script).expect("a script");
    let mode = Command::new("chmod").arg("+x").arg(&copier).status();
    assert!(mode.expect("chmod").success());
    let output = bench(&[
        "local",
        "--trees=big",
        "--big-size=1K",
        "--rounds=1",
        "--arms=cpz",
        "--timeout=1",
        &format!("--peer-path={}", sandbox.path().display()),
        &format!("--work={}", sandbox.path().join("work").display()),
    ]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("killed after the time limit"), "{table}");
}

#[test]
fn what_cannot_be_done_is_a_usage_error() {
    for arguments in [
        &["local", "--big-size=4X"][..],
        &["local", "--arms=blit", "--blit=/nowhere/blit"],
        &["local", "--tree=/bin/cp", "--arms=cp"],
        &["local", "--rounds=0"],
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}
