//! What stands in a tree at one moment, and what may stand there while a transfer runs.
//! It must not change the tree.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::disk::walk;
use super::outsider;
use super::volume::{Ino, Volume};
use crate::entry::{Kind, Time, Xattr};
use crate::path::{Escaped, Name};

/// All entries of a tree by the way from its top; the top itself has the empty way.
pub type Snapshot = BTreeMap<Vec<u8>, Seen>;

/// One entry of a tree. Two are equal if a faithful copy could not tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The type.
    pub kind: Kind,
    /// Of a file.
    pub content: Option<Arc<[u8]>>,
    /// Of a symbolic link.
    pub target: Option<Box<[u8]>>,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Modification time.
    pub mtime: Time,
    /// Device number.
    pub rdev: u64,
    /// Extended attributes, sorted.
    pub xattrs: Vec<Xattr>,
    /// All ways of the tree to this inode, where there are several; not of directories.
    pub links: Vec<Vec<u8>>,
}

/// What differs between two trees, a line for each entry.
pub fn differences(left: &Snapshot, right: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, seen) in left {
        match right.get(path) {
            None => lines.push(format!("only left: {}", shown(path))),
            Some(other) if other != seen => {
                lines.push(format!("{}:\n  {seen:?}\n  {other:?}", shown(path)));
            }
            Some(_) => {}
        }
    }
    let only_right = right.keys().filter(|path| !left.contains_key(*path));
    lines.extend(only_right.map(|path| format!("only right: {}", shown(path))));
    lines
}

pub(super) fn take(volume: &Volume, top: &[u8]) -> Snapshot {
    let mut found = Vec::new();
    if let Ok(ino) = walk(volume, top) {
        collect(volume, ino, b"", &mut found);
    }
    let mut groups: BTreeMap<Ino, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, ino) in &found {
        groups.entry(*ino).or_default().push(path.clone());
    }
    let seen = |ino: Ino| {
        let meta = volume.meta(ino, true).ok()?;
        let group = groups.get(&ino).filter(|group| group.len() > 1);
        Some(Seen {
            kind: meta.kind,
            content: volume.content(ino).ok().map(Arc::from),
            target: meta.target,
            mode: meta.mode,
            owner: (meta.uid, meta.gid),
            mtime: meta.mtime,
            rdev: meta.rdev,
            xattrs: meta.xattrs.map(|xattrs| xattrs.to_vec()).unwrap_or_default(),
            links: group.cloned().unwrap_or_default(),
        })
    };
    found.iter().filter_map(|(path, ino)| Some((path.clone(), seen(*ino)?))).collect()
}

pub(super) fn temporaries(volume: &Volume, top: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut stack: Vec<(Vec<u8>, Ino)> =
        walk(volume, top).map(|ino| (Vec::new(), ino)).into_iter().collect();
    while let Some((path, ino)) = stack.pop() {
        for (name, child) in volume.entries(ino).into_iter().flatten() {
            let below = way(&path, name);
            if name.is_temporary() {
                found.push(below.clone());
            }
            stack.push((below, *child));
        }
    }
    found.sort();
    found
}

pub(super) fn check_published(
    edits: &[(Vec<u8>, Vec<u8>)],
    old: &Snapshot,
    new: &Snapshot,
    now: &Snapshot,
) -> Result<(), String> {
    for (path, seen) in now {
        let Some(content) = &seen.content else { continue };
        let wanted = [old.get(path), new.get(path)].into_iter().flatten();
        let is_whole = wanted
            .filter_map(|seen| seen.content.as_ref())
            .any(|whole| whole == content)
            || edits.iter().any(|(edited, whole)| {
                whole[..] == content[..]
                    && (is_of(path, edited) || seen.links.iter().any(|link| is_of(link, edited)))
            })
            || outsider::is_own(content);
        if !is_whole {
            return Err(third_content(path, content, old.get(path), new.get(path)));
        }
    }
    for (path, seen) in old {
        let is_to_stay = new.get(path).is_none_or(|seen| seen.kind != Kind::Dir);
        let parent_stays =
            ancestors(path).all(|above| new.get(above).is_none_or(|seen| seen.kind == Kind::Dir));
        if seen.kind == Kind::File && is_to_stay && parent_stays && !now.contains_key(path) {
            return Err(format!("{} is missing", shown(path)));
        }
    }
    Ok(())
}

fn third_content(path: &[u8], content: &[u8], old: Option<&Seen>, new: Option<&Seen>) -> String {
    let mut text =
        format!("{} is neither old nor new: {:?}", shown(path), Escaped(content).to_string());
    for (which, seen) in [("old", old), ("new", new)] {
        let whole = seen.and_then(|seen| seen.content.as_ref());
        let whole = whole.map(|whole| Escaped(whole).to_string());
        write!(text, "; {which}: {whole:?}").expect("a string takes all");
    }
    text
}

/// Whether the ways mean one entry of the source and the destination, which may be snapshots of different tops.
fn is_of(path: &[u8], edited: &[u8]) -> bool {
    path.ends_with(edited) || edited.ends_with(path)
}

fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

fn collect(volume: &Volume, ino: Ino, path: &[u8], found: &mut Vec<(Vec<u8>, Ino)>) {
    found.push((path.to_vec(), ino));
    for (name, child) in volume.entries(ino).into_iter().flatten() {
        if !name.is_temporary() {
            let below = way(path, name);
            collect(volume, *child, &below, found);
        }
    }
}

pub(super) fn way(path: &[u8], name: &Name) -> Vec<u8> {
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    [path, slash, name.as_bytes()].concat()
}

fn shown(path: &[u8]) -> String {
    format!("/{}", Escaped(path))
}
