//! Several runs into one destination at once.

use std::fs;
use std::process::Stdio;

use crate::support::compare::{assert_same_facts, read};
use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::tree::{Node, file, hard, link};

fn tree(round: u32) -> Vec<Node> {
    let mut nodes = Vec::new();
    for dir in 0..4 {
        // Enough of them that one directory is staged and filled by several tasks.
        for number in 0..if dir == 0 { 300 } else { 8 } {
            let content = format!("{round} {dir} {number}").repeat(20);
            nodes.push(file(format!("src/d{dir}/sub/f{number}"), content));
        }
        nodes.push(link(format!("src/d{dir}/link"), format!("to {round}")));
        nodes.push(file(format!("src/d{dir}/large"), vec![7; 1_100_000]));
    }
    nodes.push(hard("src/d0/twin", "src/d1/sub/f0"));
    nodes
}

fn run_two(sandbox: &Sandbox, args: &[&str]) -> [Run; 2] {
    let start = || {
        let mut command = sandbox.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("started")
    };
    [start(), start()].map(|child| Run::from(child.wait_with_output().expect("it ends")))
}

on_every_engine! {
    fn two_runs_at_once_both_succeed_and_leave_one_whole_copy(sandbox) {
        for round in 0..20 {
            if round % 4 == 0 {
                drop(fs::remove_dir_all(sandbox.path("dst")));
            }
            drop(fs::remove_dir_all(sandbox.path("src")));
            sandbox.make(&tree(round));
            let args: &[&str] = match round % 4 {
                3 => &["mirror", "--yes", "-I", "src", "dst"],
                _ => &["copy", "-I", "src", "dst"],
            };
            for run in run_two(sandbox, args) {
                run.code(0);
            }
            // Which of the two made which link depends on the order, so the next run may link anew.
            sandbox.blit(&["copy", "src", "dst"]).code(0);
            assert_same_facts(&read(&sandbox.path("src")), &read(&sandbox.path("dst/src")));
        }
    }
}
