//! What is left when a run is ended from outside: the old file or the new one, never a part, and nothing that stays.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::compare::{assert_same, read};
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::{file, hard, link};

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    // It may have ended by itself.
    kill(pid, signal).ok();
}

/// Names that blit gives to what is not published.
fn leftovers(root: &Path) -> Vec<String> {
    let names = read(root).into_keys().map(|path| String::from_utf8_lossy(&path).into_owned());
    names
        .filter(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with(".blit-")))
        .collect()
}

/// Runs a copy and sends it `signal` when it has told its first change; the work doubles until it lasts long enough.
fn signalled(sandbox: &Sandbox, signal: Signal) -> Run {
    for attempt in 0..6 {
        let count = 4000 << attempt;
        let from = format!("from{attempt}");
        let nodes: Vec<_> =
            (0..count).map(|n| file(format!("{from}/d{}/f{n}", n % 40), [7; 2000])).collect();
        sandbox.make(&nodes);
        drop(fs::remove_file(sandbox.path("src")));
        std::os::unix::fs::symlink(&from, sandbox.path("src")).expect("own directory");
        drop(fs::remove_dir_all(sandbox.path("dst")));
        let mut child = sandbox.start(&["copy", "-v", "src/", "dst"]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        drop(lines.next());
        send(&child, signal);
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let mut run = Run::from(child.wait_with_output().expect("ends"));
        run.stdout = rest.join("\n");
        if run.code != 0 {
            return run;
        }
    }
    panic!("no run lasted long enough to be interrupted");
}

/// Two versions of a tree: content by name and version, sizes from nothing to several batches.
fn version(name: &str, version: u8, count: usize) -> Vec<crate::support::tree::Node> {
    let size = |n: usize| if n.is_multiple_of(50) { 3 << 20 } else { n * 97 % 9000 };
    (0..count)
        .map(|n| {
            let content = format!("{version}{n:06}").into_bytes();
            let content: Vec<u8> =
                content.into_iter().cycle().take(size(n) + usize::from(version)).collect();
            file(format!("{name}/d{}/f{n}", n % 7), content)
        })
        .collect()
}

fn contents(root: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let files = read(root).into_iter().filter(|(_, facts)| facts.kind == "file");
    files.map(|(path, facts)| (path, facts.content)).collect()
}

/// Copies a new version over an old one, kills the run at a random moment, looks, and lets the next run finish.
fn kill_rounds(sandbox: &Sandbox, rounds: u32) {
    sandbox.make(&version("old", 1, 400));
    sandbox.make(&version("new", 2, 600));
    sandbox.make(&[link("new/link", "target"), hard("new/hard", "new/d1/f1")]);
    let (old, new) = (contents(&sandbox.path("old")), contents(&sandbox.path("new")));
    let started = Instant::now();
    sandbox.blit(&["copy", "new/", "warm"]).code(0);
    let whole = started.elapsed();
    let mut killed = 0;
    for round in 0..rounds {
        drop(fs::remove_dir_all(sandbox.path("dst")));
        sandbox.blit(&["copy", "old/", "dst"]).code(0);
        let child = sandbox.start(&["copy", "new/", "dst"]);
        // Spread over the run without a pattern that could beat with it.
        let part = f64::from(round * 37 % 101) / 100.0;
        std::thread::sleep(
            whole.mul_f64(part) + Duration::from_micros(u64::from(round * 131 % 997)),
        );
        send(&child, Signal::SIGKILL);
        let output = child.wait_with_output().expect("ends");
        killed += u32::from(output.status.signal().is_some());
        for (path, content) in contents(&sandbox.path("dst")) {
            if path
                .rsplit(|byte| *byte == b'/')
                .next()
                .is_some_and(|name| name.starts_with(b".blit-"))
            {
                continue;
            }
            let is_whole = old.get(&path) == Some(&content) || new.get(&path) == Some(&content);
            assert!(is_whole, "round {round}: {} is neither", String::from_utf8_lossy(&path));
        }
        for path in old.keys() {
            assert!(
                contents_has(sandbox, path),
                "round {round}: {} is gone",
                String::from_utf8_lossy(path)
            );
        }
        sandbox.blit(&["copy", "new/", "dst"]).code(0);
        assert_eq!(leftovers(&sandbox.path("dst")), [""; 0], "round {round}");
        let dst = contents(&sandbox.path("dst"));
        assert!(new.iter().all(|(path, content)| dst.get(path) == Some(content)), "round {round}");
    }
    assert!(killed > 0, "every run had ended before it was killed");
}

fn contents_has(sandbox: &Sandbox, path: &[u8]) -> bool {
    sandbox.path("dst").join(std::str::from_utf8(path).expect("own name")).exists()
}

on_every_engine! {
    fn ctrl_c_ends_the_run_in_order_and_the_next_one_completes_it(sandbox) {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let run = signalled(sandbox, signal).code(130);
            let run = run.says("interrupted\n").says("hint: run the same command again");
            assert!(run.stdout.contains("interrupted: copied "), "it says what was done: {}", run.stdout.len());
            assert_eq!(leftovers(&sandbox.path("dst")), [""; 0]);
            sandbox.blit(&["copy", "src/", "dst"]).code(0);
            assert_same(sandbox, &sandbox.path("src/."), &sandbox.path("dst"));
        }
    }

    fn a_killed_run_leaves_whole_files_and_the_next_one_completes_it(sandbox) {
        kill_rounds(sandbox, 5);
    }

    fn privileged_two_hundred_kills_leave_whole_files(sandbox) {
        if sandbox.can(Capability::Patience) {
            kill_rounds(sandbox, 200);
        }
    }

    fn leftovers_are_removed_and_counted(sandbox) {
        let leftover = ".blit-00000000000000070000000a.tmp";
        sandbox.make(&[
            file("src/d/a", "x"),
            file("dst/d/a", "old"),
            file(format!("dst/{leftover}"), "part"),
            file(format!("dst/d/{leftover}/inside"), "part"),
            file("dst/d/.blit-mine", "not a leftover"),
        ]);
        let run = sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_eq!(leftovers(&sandbox.path("dst")), ["d/.blit-mine"], "{run:?}");
        assert!(run.stdout.contains(" of an interrupted run"), "{run:?}");
    }

    fn runs_side_by_side_do_not_take_each_other_for_leftovers(sandbox) {
        sandbox.make(&version("src", 1, 60));
        for round in 0..6 {
            let names: Vec<String> = (0..8).map(|n| format!("dst{round}-{n}")).collect();
            let runs: Vec<Child> =
                names.iter().map(|name| sandbox.start(&["copy", "src/", name])).collect();
            for run in runs {
                let run = Run::from(run.wait_with_output().expect("ends")).code(0);
                assert!(!run.stdout.contains("leftover"), "{run:?}");
            }
            for name in names {
                assert_eq!(contents(&sandbox.path("src")), contents(&sandbox.path(&name)));
            }
        }
    }

    fn leftovers_are_never_copied(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/.blit-00000000000000070000000a.tmp", "part")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_eq!(leftovers(&sandbox.path("dst")), [""; 0]);
    }
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let sandbox = Sandbox::new("auto");
    sandbox.make(&version("src", 1, 600));
    let mut command = sandbox.command(&["copy", "src", "dst"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    for _ in 0..20 {
        send(&child, Signal::SIGTERM);
    }
    let status = child.wait_with_output().expect("ends").status;
    // Before it listens, the first signal kills it as any other program.
    assert!(status.signal().is_some() || matches!(status.code(), Some(130 | 0)), "{status:?}");
    sandbox.blit(&["copy", "src", "dst/"]).code(0);
}
