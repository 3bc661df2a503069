//! Several runs into one destination at once.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::compare::{assert_same_facts, read};
use crate::support::on_every_engine;
use crate::support::sandbox::Run;
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

fn run_both(commands: [Command; 2]) -> [Run; 2] {
    let started = commands.map(|mut command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("started")
    });
    started.map(|child| Run::from(child.wait_with_output().expect("it ends")))
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
            for run in run_both([sandbox.command(args), sandbox.command(args)]) {
                run.code(0);
            }
            // Which of the two made which link depends on the order, so the next run may link anew.
            sandbox.blit(&["copy", "src", "dst"]).code(0);
            assert_same_facts(&read(&sandbox.path("src")), &read(&sandbox.path("dst/src")));
        }
    }

    fn two_clients_that_push_the_same_paths_both_succeed_and_the_last_of_each_stays_whole(sandbox) {
        let tree = |top: &'static str, size: usize| (0..60).map(move |n| {
            file(format!("{top}/d{}/f{n}", n % 3), vec![b'a' + top.as_bytes()[0]; size + n])
        });
        let large = |top: &str, byte: u8| file(format!("{top}/large"), vec![byte; 9 << 20]);
        sandbox.make(&tree("one", 100).chain(tree("two", 5000)).collect::<Vec<_>>());
        sandbox.make(&[large("one", 1), large("two", 2)]);
        let to = sandbox.daemon().at("dst");
        for run in run_both([sandbox.command(&["copy", "one/", &to]), sandbox.command(&["copy", "two/", &to])]) {
            run.code(0);
        }
        let [one, two, both] = ["one", "two", "dst"].map(|name| read(&sandbox.path(name)));
        assert_eq!(both.keys().collect::<Vec<_>>(), one.keys().collect::<Vec<_>>());
        for (path, facts) in both.iter().filter(|(_, facts)| facts.kind == "file") {
            let is_whole = [&one, &two].iter().any(|tree| tree[path].content == facts.content);
            assert!(is_whole, "{}", String::from_utf8_lossy(path));
        }
    }
}
