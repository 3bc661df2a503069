//! Random trees, changed at random: after each copy the destination is what it should be, and a dry run told it.

use proptest::prelude::*;

use crate::support::compare::{Tree, read};
use crate::support::sandbox::Sandbox;
use crate::support::tree::{Node, dir};
use crate::support::{in_every_way, random};

/// All of `source` is in `destination`.
fn is_contained(source: &Tree, destination: &Tree) -> Result<(), TestCaseError> {
    for (path, wanted) in source {
        prop_assert_eq!(Some(wanted), destination.get(path), "{}", String::from_utf8_lossy(path));
    }
    Ok(())
}

fn check(parent: &Sandbox, first: &[Node], second: &[Node]) -> Result<(), TestCaseError> {
    let sandbox = parent.another();
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

in_every_way! {
    fn random_trees_converge(sandbox) {
        random::rounds(24, &(random::nodes(), random::nodes()), |(first, second)| {
            check(sandbox, &first, &second)
        });
    }
}
