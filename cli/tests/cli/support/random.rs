//! Random trees and random edits of them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::tree::{self, Node, dir, fifo, file, link};

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
pub(crate) fn nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec(node(), 1..25).prop_map(|mut nodes| {
        nodes.sort_by_key(|node| node.path().to_vec());
        nodes.dedup_by_key(|node| node.path().to_vec());
        nodes
    })
}

/// Entries of all types that meet under few names: each may come to stand where another one was, of any type.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 1..25)
}

/// One change of a tree.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Something new, in the place of whatever stood there or in its way.
    Put(Node),
    /// Whatever stands there goes.
    Drop(String),
    /// A file gets another name.
    Link(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = prop::sample::select(vec!["a", "b", "c", "\u{e4}"]);
    let path =
        prop::collection::vec(name, 1..4).prop_map(|names| format!("src/{}", names.join("/")));
    let mode = prop::sample::select(vec![0o644_u32, 0o600, 0o755, 0o400, 0o4755]);
    let time = (0_i64..2_000_000_000, 0_i64..1_000_000_000);
    let target = prop::sample::select(vec!["a", "..", "../some/where", "b/c"]);
    (path, 0..10_u8, prop::collection::vec(any::<u8>(), 0..5000), mode, time, target).prop_map(
        |(path, kind, content, mode, (secs, nanos), target)| match kind {
            0..=3 => Edit::Put(file(path, content).mode(mode).time(secs, nanos)),
            4 => Edit::Put(dir(path).mode(0o700 | mode & 0o777).time(secs, nanos)),
            5 => Edit::Put(link(path, target).time(secs, nanos)),
            6 => Edit::Put(fifo(&path).mode(mode & 0o777).time(secs, nanos)),
            7 => Edit::Link(path),
            _ => Edit::Drop(path),
        },
    )
}

/// Makes `edits` below `root`.
pub(crate) fn apply(root: &Path, edits: &[Edit]) {
    for edit in edits {
        match edit {
            Edit::Drop(path) => drop_all(&root.join(path)),
            Edit::Put(node) => {
                let path = std::str::from_utf8(node.path()).expect("own name");
                clear_way(root, path);
                if !node.is_dir() || !root.join(path).is_dir() {
                    drop_all(&root.join(path));
                }
                tree::make(root, std::slice::from_ref(node));
            }
            Edit::Link(path) => {
                let target = root.join(format!("{path}-linked"));
                let is_file = root.join(path).symlink_metadata().is_ok_and(|meta| meta.is_file());
                if is_file && target.symlink_metadata().is_err() {
                    fs::hard_link(root.join(path), target).expect("own entry");
                }
            }
        }
    }
}

/// Removes what is not a directory above `path`.
fn clear_way(root: &Path, path: &str) {
    let above = path.match_indices('/').map(|(at, _)| root.join(&path[..at]));
    for path in above.collect::<Vec<_>>() {
        if path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            drop_all(&path);
        }
    }
}

fn drop_all(path: &Path) {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).expect("own entry"),
        Ok(_) => fs::remove_file(path).expect("own entry"),
        Err(_) => {}
    }
}

/// Tries `check` on `cases` random values.
pub(crate) fn rounds<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(strategy, check) {
        panic!("{error}");
    }
}
