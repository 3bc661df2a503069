//! `blit-bench engines` and `session`, which measure within the process, on tiny trees; no figure
//! is judged, only their presence.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let bench = Command::new(env!("CARGO_BIN_EXE_blit-bench")).args(arguments).output();
    bench.expect("blit-bench starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the JSON")).expect("JSON")
}

#[test]
fn each_engine_does_each_task_and_its_copies_are_right() {
    if !Path::new("/bin/cp").exists() {
        return;
    }
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let (work, json) = (sandbox.path().join("work"), sandbox.path().join("engines.json"));
    let output = bench(&[
        "engines",
        "--engines=threads,auto",
        "--files=300",
        "--rounds=1",
        &format!("--work={}", work.display()),
        &format!("--json={}", json.display()),
    ]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let findings = read(&json);
    let lines = findings["lines"].as_array().expect("lines");
    let seen: Vec<(&str, &str, u64)> = lines
        .iter()
        .map(|line| {
            let entries = line["runs"][0]["entries"].as_u64().expect("a number");
            let word = |key: &str| line[key].as_str().expect("a word");
            (word("exercise"), word("engine"), entries)
        })
        .collect();
    // Every third file has a second name or a directory beside it while things are placed.
    let mut wanted = Vec::new();
    for (exercise, entries) in
        [("list", 300), ("copy", 300), ("place", 100), ("hash", 300), ("remove", 400)]
    {
        wanted.extend(["threads", "auto"].map(|engine| (exercise, engine, entries)));
    }
    assert_eq!(seen, wanted);
}

#[test]
fn every_work_of_the_sessions_has_a_cost() {
    let sandbox = tempfile::tempdir().expect("a temporary directory");
    let json = sandbox.path().join("costs.json");
    let json_option = format!("--json={}", json.display());
    let output = bench(&["session", "--files=2000", "--per-directory=7", &json_option]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let costs = read(&json);
    let costs = costs.as_array().expect("costs");
    assert_eq!(costs.len(), 5);
    for cost in costs {
        assert!(cost["nanoseconds_per_file"].as_f64().expect("a time") > 0.0, "{cost}");
    }
}
