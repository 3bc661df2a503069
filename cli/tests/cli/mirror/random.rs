//! Random trees and random edits: after each mirror the two are equal, for blit, for rsync and for this suite's own eyes,
//! and a dry run has told what would be done.

use proptest::prelude::*;

use crate::support::compare::{assert_same, read};
use crate::support::in_every_way;
use crate::support::random::{Edit, apply, edits, rounds};
use crate::support::sandbox::Sandbox;
use crate::support::tree::dir;

fn check(parent: &Sandbox, rounds: &[Vec<Edit>]) -> Result<(), TestCaseError> {
    let sandbox = parent.another();
    sandbox.make(&[dir("src"), dir("dst")]);
    for edits in rounds {
        apply(&sandbox.path(""), edits);
        let before = read(&sandbox.path("dst"));
        let args = ["mirror", "--allow-empty-source", "src/", "dst"];
        let dry = sandbox.blit(&[&args[..], &["-n"]].concat()).code(0);
        prop_assert_eq!(before, read(&sandbox.path("dst")), "a dry run changed something");
        let real = sandbox.blit(&[&args[..], &["-v", "--yes"]].concat()).code(0);
        prop_assert_eq!(dry.changes(), real.changes());
        sandbox.blit(&["check", "--checksum", "src/", "dst"]).code(0);
        assert_same(&sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        let rest = sandbox.blit(&[&args[..], &["-n"]].concat()).code(0);
        prop_assert!(rest.changes().is_empty(), "{:?}", rest);
    }
    Ok(())
}

in_every_way! {
    fn random_mirrors_are_equal(sandbox) {
        rounds(
            if sandbox.is_slow() { 300 } else { 8 },
            &prop::collection::vec(edits(), 1..4),
            |edits| check(sandbox, &edits),
        );
    }
}
