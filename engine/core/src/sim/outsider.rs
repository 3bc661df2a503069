//! Whoever else works on the simulated disk while a transfer runs.
//! It must not know what the transfer does; all it does it does in whole, complete contents.

use std::collections::BTreeMap;

use super::disk::walk;
use super::rng::Rng;
use super::snapshot::way;
use super::volume::{Body, Call, Ino, Volume};
use crate::entry::Kind;
use crate::path::Name;
use crate::task::{Copy, Pick};

/// Edits below one directory, between pieces of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutate {
    /// The directory, usually the source.
    pub below: Vec<u8>,
    /// Before how many in a thousand pieces an edit happens.
    pub per_mille: u32,
    /// Edits in all, so that the source comes to rest.
    pub edits_max: u32,
}

/// Whether a content is one that an outsider made where nothing was.
pub(super) fn is_own(content: &[u8]) -> bool {
    content.starts_with(OWN_CONTENT)
}

/// An outsider comes first: makes the file `name`.
pub(super) fn create(volume: &mut Volume, dir: Ino, name: &Name) -> Call<()> {
    let fs = volume.inode(dir)?.fs;
    let ino = volume.make(fs, Body::File(Vec::new()), 0o644);
    volume.append(ino, OWN_CONTENT)?;
    volume.place(dir, name, ino)
}

/// Rewrites a file in place, with another content of the same length or one byte more.
pub(super) fn rewrite(volume: &mut Volume, rng: &mut Rng, ino: Ino) -> Call<Vec<u8>> {
    let mut content = fresh_content(volume, rng, ino)?;
    if rng.chance(500) {
        content.push(b'+');
    }
    volume.truncate(ino)?;
    volume.append(ino, &content)?;
    Ok(content)
}

/// One edit of a random entry. An empty tree stays as it is.
pub(super) fn edit(volume: &mut Volume, rng: &mut Rng, below: &[u8]) -> Call<()> {
    let Some((path, dir, name)) = pick(volume, rng, below)? else { return Ok(()) };
    let ino = volume.lookup(dir, name.as_bytes())?;
    let is_file = volume.inode(ino)?.kind() == Kind::File;
    match rng.below(6) {
        0 | 1 if is_file => {
            let content = rewrite(volume, rng, ino)?;
            record_names(volume, below, ino, &content);
        }
        2 if is_file => {
            let content = fresh_content(volume, rng, ino)?;
            replace(volume, dir, &name, Body::File(Vec::new()))?;
            let ino = volume.lookup(dir, name.as_bytes())?;
            volume.append(ino, &content)?;
            volume.edits.push((path, content));
        }
        3 if is_file => replace(volume, dir, &name, Body::Symlink(below.into()))?,
        4 => volume.change(ino, |inode| inode.mode ^= 0o050)?,
        _ => remove(volume, dir, &name)?,
    }
    Ok(())
}

/// Takes an entry away, if it is not a directory with entries.
pub(super) fn remove(volume: &mut Volume, dir: Ino, name: &Name) -> Call<()> {
    let ino = volume.lookup(dir, name.as_bytes())?;
    if volume.entries(ino).is_ok_and(|entries| !entries.is_empty()) {
        return Ok(());
    }
    volume.unplace(dir, name)?;
    volume.free_nameless(ino)
}

/// Notes the content that the source of a copy was given, under each name that its copies could get.
pub(super) fn record_source(volume: &mut Volume, copy: &Copy, content: &[u8], pick: Pick) {
    let Some(entry) = copy.page.get(pick.index) else { return };
    let path = copy.to.path.join(&entry.name);
    volume.edits.push((path.to_bytes(), content.to_vec()));
}

/// Notes that all names of `ino` below `below` have had `content`.
fn record_names(volume: &mut Volume, below: &[u8], ino: Ino, content: &[u8]) {
    let all = all(volume, below).unwrap_or_default();
    for (path, dir, name) in all {
        if volume.lookup(dir, name.as_bytes()) == Ok(ino) {
            volume.edits.push((path, content.to_vec()));
        }
    }
}

fn replace(volume: &mut Volume, dir: Ino, name: &Name, body: Body) -> Call<()> {
    remove(volume, dir, name)?;
    let fs = volume.inode(dir)?.fs;
    let ino = volume.make(fs, body, 0o644);
    volume.place(dir, name, ino)
}

fn fresh_content(volume: &Volume, rng: &mut Rng, ino: Ino) -> Call<Vec<u8>> {
    let mut content = volume.content(ino)?.to_vec();
    for byte in &mut content {
        *byte = b'a' + u8::try_from(rng.below(26)).unwrap_or(0);
    }
    Ok(content)
}

fn pick(volume: &Volume, rng: &mut Rng, below: &[u8]) -> Call<Option<Place>> {
    let mut all = all(volume, below)?;
    Ok(if all.is_empty() { None } else { Some(all.swap_remove(rng.below(all.len()))) })
}

/// The way to an entry, its directory and its name.
type Place = (Vec<u8>, Ino, Name);

fn all(volume: &Volume, below: &[u8]) -> Call<Vec<Place>> {
    let mut all = Vec::new();
    let mut stack = BTreeMap::from([(Vec::new(), walk(volume, below)?)]);
    while let Some((path, dir)) = stack.pop_first() {
        for (name, ino) in volume.entries(dir)? {
            let path = way(&path, name);
            if volume.inode(*ino)?.kind() == Kind::Dir {
                stack.insert(path.clone(), *ino);
            }
            all.push((path, dir, name.clone()));
        }
    }
    Ok(all)
}

const OWN_CONTENT: &[u8] = b"an outsider was here";
