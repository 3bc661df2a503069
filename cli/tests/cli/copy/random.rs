//! Random trees, changed at random: after each copy the destination is what it should be, and a dry run told it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::compare::{Tree, read};
use crate::support::sandbox::Sandbox;
use crate::support::tree::{Node, dir, fifo, file, link};

/// One entry somewhere below `src`; the few names make entries meet in later edits.
fn node() -> impl Strategy<Value = Node> {
    let name = prop::sample::select(vec!["a", "b", "c", "\u{e4}", "x y"]);
    let path =
        prop::collection::vec(name, 1..4).prop_map(|names| format!("src/{}", names.join("/d/")));
    let mode = prop::sample::select(vec![0o644_u32, 0o600, 0o755, 0o400, 0o4755]);
    let time = (0_i64..2_000_000_000, 0_i64..1_000_000_000);
    (path, 0..5_u8, prop::collection::vec(any::<u8>(), 0..5000), mode, time).prop_map(
        |(path, kind, content, mode, (secs, nanos))| match kind {
            0 | 1 => file(format!("{path}.f"), content).mode(mode).time(secs, nanos),
            2 => dir(format!("{path}.d")).mode(0o700 | mode & 0o777).time(secs, nanos),
            3 => link(format!("{path}.l"), "../some/where").time(secs, nanos),
            _ => fifo(&format!("{path}.p")).mode(mode & 0o777).time(secs, nanos),
        },
    )
}

/// A tree without two entries of one path.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec(node(), 1..25).prop_map(|mut nodes| {
        nodes.sort_by_key(|node| node.path().to_vec());
        nodes.dedup_by_key(|node| node.path().to_vec());
        nodes
    })
}

/// All of `source` is in `destination`.
fn is_contained(source: &Tree, destination: &Tree) -> Result<(), TestCaseError> {
    for (path, wanted) in source {
        prop_assert_eq!(Some(wanted), destination.get(path), "{}", String::from_utf8_lossy(path));
    }
    Ok(())
}

fn check(engine: &'static str, first: &[Node], second: &[Node]) -> Result<(), TestCaseError> {
    let sandbox = Sandbox::new(engine);
    sandbox.make(&[dir("src")]);
    for edit in [first, second] {
        for node in edit {
            let at = sandbox.path(std::str::from_utf8(node.path()).expect("own name"));
            // An edit is a new entry in the place of the old one.
            if at.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
                std::fs::remove_file(&at).expect("own entry");
            }
        }
        sandbox.make(edit);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        is_contained(&read(&sandbox.path("src")), &read(&sandbox.path("dst")))?;
        let rest = sandbox.blit(&["copy", "-n", "src/", "dst"]).code(0);
        prop_assert!(rest.stdout.starts_with("would copy 0 files"), "{:?}", rest);
    }
    Ok(())
}

fn run(engine: &'static str, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config)
        .run(&(nodes(), nodes()), |(first, second)| check(engine, &first, &second));
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn rounds(sandbox: &Sandbox) {
    run(sandbox.engine(), 24);
}

#[test]
fn random_trees_converge_on_threads() {
    Sandbox::with_engine("threads", rounds);
}

#[test]
fn random_trees_converge_on_uring() {
    Sandbox::with_engine("uring", rounds);
}
