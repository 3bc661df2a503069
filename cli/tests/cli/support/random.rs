//! Random trees and random edits of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
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
    /// Only the permissions change.
    Allow(String, u32),
    /// Only the attributes change.
    Tag(String, u8),
    /// It goes elsewhere with all that is in it.
    Move(String, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = prop::sample::select(vec!["a", "b", "c", "\u{e4}"]);
    // Somebody also changes what a mirror has made.
    let side = prop::sample::select(vec!["src", "src", "src", "dst"]);
    let names = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let path = (side, names.clone(), names)
        .prop_map(|(side, one, other)| (format!("{side}/{one}"), format!("{side}/{other}")));
    let mode = prop::sample::select(vec![0o644_u32, 0o600, 0o755, 0o400, 0o4755]);
    let time = (0_i64..2_000_000_000, 0_i64..1_000_000_000);
    let target = prop::sample::select(vec!["a", "..", "../some/where", "b/c"]);
    (path, 0..13_u8, prop::collection::vec(any::<u8>(), 0..5000), mode, time, target).prop_map(
        |((path, other), kind, content, mode, (secs, nanos), target)| match kind {
            10 => Edit::Allow(path, mode | 0o100),
            11 => Edit::Tag(path, content.first().copied().unwrap_or(0)),
            12 => Edit::Move(path, other),
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
            Edit::Allow(path, mode) => {
                let path = root.join(path);
                if path.symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) {
                    let bits = fs::Permissions::from_mode(*mode);
                    fs::set_permissions(path, bits).expect("own entry");
                }
            }
            Edit::Tag(path, value) => {
                // Not every file system and not every entry takes one, nor do pipes.
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::lsetxattr(root.join(path), "user.tag", &[*value], flags).ok();
            }
            Edit::Move(from, to) => {
                let is_inside = to.starts_with(&format!("{from}/")) || from == to;
                if !is_inside && root.join(from).symlink_metadata().is_ok() {
                    // What is in its way may be above it, and would go with it.
                    let aside = root.join("aside");
                    fs::rename(root.join(from), &aside).expect("own entry");
                    clear_way(root, to);
                    drop_all(&root.join(to));
                    fs::create_dir_all(root.join(to).parent().expect("below")).expect("own entry");
                    fs::rename(aside, root.join(to)).expect("own entry");
                }
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
