//! Either end is killed at a random moment: no part of a file under its name, and what has arrived is not sent again.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal::SIGKILL;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::support::compare::assert_same;
use crate::support::daemon::Daemon;
use crate::support::device::wait_until;
use crate::support::on_every_engine;
use crate::support::proxy::Proxy;
use crate::support::sandbox::Sandbox;
use crate::support::tree::{Node, file};

/// Many small files, and large ones that go in ranges.
fn tree(megabytes: usize) -> Vec<Node> {
    let content = |n: usize, size: usize| -> Vec<u8> {
        let word = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words =
            (0..size.div_ceil(8) as u64).map(|at| (word ^ at).wrapping_mul(0x2545_f491_4f6c_dd1d));
        words.flat_map(u64::to_le_bytes).take(size).collect()
    };
    let small = (0..1500).map(|n| file(format!("src/d{}/f{n}", n % 11), content(n, n * 97 % 9000)));
    let large = (0..4).map(|n| file(format!("src/large{n}"), content(n, megabytes << 18)));
    small.chain(large).collect()
}

/// Fails unless each file below `copy` that is published is the one of `source`. Who was not killed may still be at work, so
/// names may come and go.
#[track_caller]
fn assert_whole(source: &Path, copy: &Path) {
    for entry in fs::read_dir(copy).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".blit-") {
            continue;
        }
        if path.is_dir() {
            assert_whole(&source.join(name), &path);
        } else if let Ok(content) = fs::read(&path) {
            let whole = fs::read(source.join(&name)).unwrap_or_default();
            assert!(
                content == whole,
                "{} has {} of {} bytes",
                path.display(),
                content.len(),
                whole.len()
            );
        }
    }
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Command,
    Daemon,
}

/// A sandbox whose daemon is reached through a proxy that counts.
struct Stage<'a> {
    sandbox: &'a Sandbox,
    daemon: Option<Daemon>,
    proxy: Proxy,
}

impl<'a> Stage<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let daemon = Daemon::of_root(&sandbox.path(""), sandbox.engine());
        let proxy = Proxy::start(daemon.address);
        sandbox.blit(&["modules", &proxy.address()]).code(0);
        Self { sandbox, daemon: Some(daemon), proxy }
    }

    fn args(&self, push: bool) -> [String; 3] {
        let (from, to) = match push {
            true => ("src/".to_owned(), self.proxy.at("dst")),
            false => (self.proxy.at("src/"), "dst".to_owned()),
        };
        ["copy".to_owned(), from, to]
    }

    /// Runs to the end; how many bytes went over the network.
    #[track_caller]
    fn runs(&self, push: bool) -> u64 {
        let before = self.proxy.passed();
        self.sandbox.blit(&self.args(push)).code(0);
        self.proxy.passed() - before
    }

    /// Runs until `bytes` have passed and kills `end`; how many had passed, and whether it was in time.
    fn is_cut(&mut self, push: bool, end: End, bytes: u64) -> (u64, bool) {
        let before = self.proxy.passed();
        let args = self.args(push);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut run = self.sandbox.start(&args);
        let mut ended = false;
        wait_until("so much has passed", || {
            ended = run.try_wait().expect("own child").is_some();
            ended || self.proxy.passed() >= before + bytes
        });
        if end == End::Command {
            // It may have ended by itself.
            kill(Pid::from_raw(i32::try_from(run.id()).expect("a pid")), SIGKILL).ok();
        } else if let Some(daemon) = self.daemon.take() {
            let root = self.sandbox.path("").display().to_string();
            let args = ["--root", &root, "--listen", "127.0.0.1:0"];
            let daemon = daemon.again(&args, self.sandbox.engine());
            self.proxy.lead(daemon.address);
            self.daemon = Some(daemon);
        }
        let output = run.wait_with_output().expect("ends");
        (self.proxy.passed() - before, !output.status.success())
    }
}

/// Bytes that were sent twice.
#[derive(Debug)]
struct Again {
    sum: u64,
    /// In one run; told where the sum is too much.
    #[expect(dead_code, reason = "is shown where a test fails")]
    max: u64,
    /// Of so many in all runs.
    of: u64,
}

/// Cuts so many runs and completes each.
fn rounds(sandbox: &Sandbox, rounds: u64, megabytes: usize) -> Again {
    sandbox.make(&tree(megabytes));
    let mut stage = Stage::new(sandbox);
    let whole = stage.runs(true);
    let (mut cut, mut again_max, mut again_sum) = (0, 0, 0);
    for round in 0..rounds {
        let push = round % 2 == 0;
        let end = if round / 2 % 2 == 0 { End::Command } else { End::Daemon };
        drop(fs::remove_dir_all(sandbox.path("dst")));
        // Spread over the run without a pattern that could beat with it.
        let (first, was_cut) = stage.is_cut(push, end, whole * (round * 37 % 89 + 5) / 100);
        assert_whole(&sandbox.path("src"), &sandbox.path("dst"));
        let second = stage.runs(push);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        if was_cut {
            cut += 1;
            let again = (first + second).saturating_sub(whole);
            again_sum += again;
            again_max = again_max.max(again);
        }
    }
    assert!(cut * 2 > rounds, "{cut} of {rounds} were cut in time");
    Again { sum: again_sum, max: again_max, of: whole * cut }
}

on_every_engine! {
    fn whichever_end_is_killed_whole_files_stay_and_the_next_run_completes_them(sandbox) {
        let again = rounds(sandbox, 6, 24);
        // What is under way when one end dies is much of so little.
        assert!(again.sum * 10 < again.of * 9, "nothing was kept: {again:?}");
    }
}

#[test]
fn privileged_a_hundred_kills_of_either_end_send_little_again() {
    let sandbox = Sandbox::new("auto");
    if sandbox.is_slow() {
        let again = rounds(&sandbox, 100, 256);
        assert!(again.sum * 20 < again.of, "more than 5 % were sent again: {again:?}");
    }
}
