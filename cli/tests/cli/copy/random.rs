//! Random trees, changed at random: after each copy the destination is what it should be, and a dry run told it.

use proptest::prelude::*;

use crate::support::compare::{Tree, read};
use crate::support::random;
use crate::support::sandbox::Sandbox;
use crate::support::tree::{Node, dir};

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

fn rounds(sandbox: &Sandbox) {
    let engine = sandbox.engine();
    random::rounds(24, &(random::nodes(), random::nodes()), |(first, second)| {
        check(engine, &first, &second)
    });
}

#[test]
fn random_trees_converge_on_threads() {
    Sandbox::with_engine("threads", rounds);
}

#[test]
fn random_trees_converge_on_uring() {
    Sandbox::with_engine("uring", rounds);
}
