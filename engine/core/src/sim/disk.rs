//! The simulated disk as a test sees it: it makes trees, looks at them, and plays the outsider.
//! It must not know tasks or engines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::snapshot::{self, Seen, Snapshot};
use super::volume::{Body, Call, Fs, Ino, ROOT, Volume};
use crate::entry::{Kind, Time, Xattr};
use crate::error::ErrorKind;
use crate::path::Name;

/// An in-memory file system, shared by its clones. Paths are absolute, as bytes.
#[derive(Clone, Debug)]
pub struct Disk {
    volume: Arc<Mutex<Volume>>,
    dropped: Dropped,
}

/// Staged directories that were dropped before they were published, to be removed when the disk is next used: who
/// drops one may be in the middle of a call.
pub(super) type Dropped = Arc<Mutex<Vec<(Ino, Name, Ino)>>>;

/// What a mounted file system can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsOptions {
    /// The step in which modification times are kept, in nanoseconds.
    pub granularity_ns: u64,
    /// Bytes of content in all.
    pub capacity: u64,
    /// Files without a name can be made and linked when complete (`O_TMPFILE`).
    pub anonymous: bool,
    /// Contents can be shared.
    pub reflinks: bool,
    /// Extended attributes can be held.
    pub xattrs: bool,
    /// ACLs can be held.
    pub acls: bool,
    /// Owners and groups can be set.
    pub owners: bool,
    /// Permission bits can be set.
    pub modes: bool,
    /// Nothing can be changed.
    pub read_only: bool,
    /// The longest name.
    pub name_bytes_max: usize,
}

impl Default for FsOptions {
    fn default() -> Self {
        Self {
            granularity_ns: 1,
            capacity: u64::MAX / 2,
            anonymous: true,
            reflinks: false,
            xattrs: true,
            acls: true,
            owners: true,
            modes: true,
            read_only: false,
            name_bytes_max: 255,
        }
    }
}

/// Who the engines on a disk work for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's own number.
    pub uid: u32,
    /// The user's groups; the first is that of new files.
    pub groups: Vec<u32>,
    /// May give files away, make devices and ignore permission bits.
    pub privileged: bool,
}

impl Default for User {
    fn default() -> Self {
        Self { uid: 1000, groups: vec![1000, 100], privileged: false }
    }
}

/// What a test may set of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Modification time.
    pub mtime: Option<Time>,
    /// Extended attributes, all of them.
    pub xattrs: Option<Vec<Xattr>>,
}

/// # Panics
/// What makes or changes a tree panics where the path does not allow it: such a test is wrong.
impl Disk {
    /// An empty disk for engines that work for `user`.
    pub fn new(user: User) -> Self {
        Self { volume: Arc::new(Mutex::new(Volume::new(user))), dropped: Dropped::default() }
    }

    /// Makes the top-level directory `path` a file system of its own.
    pub fn mount(&self, path: impl AsRef<[u8]>, options: FsOptions) {
        let mut volume = self.lock();
        volume.mounts.push(Fs { options, used: 0 });
        let fs = volume.mounts.len() - 1;
        let ino = volume.make(fs, Body::Dir(BTreeMap::new()), 0o755);
        put(&mut volume, path.as_ref(), ino);
    }

    /// Makes `path` a directory on which its own file system is mounted a second time.
    pub fn bind(&self, path: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        dirs(volume, path.as_ref());
        let ino = found(volume, path.as_ref());
        volume.inode_mut(ino).expect("found").mounted = true;
    }

    /// Changes what a mounted file system can hold: fills it, makes it read-only.
    pub fn remount(&self, path: impl AsRef<[u8]>, change: impl FnOnce(&mut FsOptions)) {
        let mut volume = self.lock();
        let ino = found(&volume, path.as_ref());
        let fs = volume.inode(ino).expect("found").fs;
        change(&mut volume.mounts[fs].options);
    }

    /// Makes a directory and those above it.
    pub fn dir(&self, path: impl AsRef<[u8]>) {
        dirs(&mut self.lock(), path.as_ref());
    }

    /// Makes a file, or replaces it by a new one, and the directories above it.
    pub fn file(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        let ino = new_inode(volume, path.as_ref(), Body::File(Vec::new()), 0o644);
        volume.append(ino, content.as_ref()).expect("room for the content");
        take_path(volume, path.as_ref());
        put(volume, path.as_ref(), ino);
    }

    /// Rewrites a file in place: the same inode gets another content.
    pub fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        let ino = found(volume, path.as_ref());
        volume.truncate(ino).expect("found");
        volume.append(ino, content.as_ref()).expect("room for the content");
    }

    /// Makes a symbolic link, also in place of a non-directory.
    pub fn symlink(&self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        let body = Body::Symlink(target.as_ref().into());
        let ino = new_inode(volume, path.as_ref(), body, 0o777);
        take_path(volume, path.as_ref());
        put(volume, path.as_ref(), ino);
    }

    /// Makes a special file.
    pub fn node(&self, path: impl AsRef<[u8]>, kind: Kind, rdev: u64) {
        let volume = &mut *self.lock();
        let ino = new_inode(volume, path.as_ref(), Body::Special(kind), 0o644);
        volume.inode_mut(ino).expect("just made").rdev = rdev;
        put(volume, path.as_ref(), ino);
    }

    /// Makes `path` another name of the file `of`.
    pub fn link(&self, path: impl AsRef<[u8]>, of: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        let ino = found(volume, of.as_ref());
        put(volume, path.as_ref(), ino);
    }

    /// Sets attributes, exactly as given.
    pub fn set(&self, path: impl AsRef<[u8]>, attributes: Attributes) {
        let volume = &mut *self.lock();
        let ino = found(volume, path.as_ref());
        let now = volume.now();
        let inode = volume.inode_mut(ino).expect("found");
        inode.ctime = now;
        inode.mode = attributes.mode.unwrap_or(inode.mode);
        (inode.uid, inode.gid) = attributes.owner.unwrap_or((inode.uid, inode.gid));
        inode.mtime = attributes.mtime.unwrap_or(inode.mtime);
        if let Some(mut xattrs) = attributes.xattrs {
            xattrs.sort();
            inode.xattrs = xattrs;
        }
    }

    /// Gives the directory `from` at the top the name `to`.
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        let volume = &mut *self.lock();
        let ino = found(volume, from.as_ref());
        let (parent, name) = split_last(from.as_ref());
        let parent = found(volume, parent);
        volume.unplace(parent, &name).expect("it is there");
        put(volume, to.as_ref(), ino);
    }

    /// Removes an entry with all that is below it, if it is there.
    pub fn remove(&self, path: impl AsRef<[u8]>) {
        take_path(&mut self.lock(), path.as_ref());
    }

    /// The content of a file, the target of a symbolic link, nothing otherwise.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let volume = self.lock();
        let ino = walk(&volume, path.as_ref()).ok()?;
        match &volume.inode(ino).ok()?.body {
            Body::File(content) => Some(content.clone()),
            Body::Symlink(target) => Some(target.to_vec()),
            Body::Dir(_) | Body::Special(_) => None,
        }
    }

    /// The names in a directory, temporary ones included, sorted.
    pub fn names(&self, path: impl AsRef<[u8]>) -> Vec<Name> {
        let volume = self.lock();
        let entries = walk(&volume, path.as_ref()).and_then(|ino| volume.entries(ino));
        entries.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// Everything at and below `path` but what is temporary, by the way from there; `path` itself is the empty way.
    pub fn snapshot(&self, path: impl AsRef<[u8]>) -> Snapshot {
        snapshot::take(&self.lock(), path.as_ref())
    }

    /// The ways from `path` to all temporary names below it.
    pub fn temporaries(&self, path: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        snapshot::temporaries(&self.lock(), path.as_ref())
    }

    /// Checks that at no final name stands anything but its complete `old` or its complete `new` content, or a
    /// content that an outsider gave meanwhile, and that no file that is to stay is missing.
    ///
    /// # Errors
    /// The first path where this does not hold, in words.
    pub fn check_published(
        &self,
        old: &Snapshot,
        new: &Snapshot,
        now: &Snapshot,
    ) -> Result<(), String> {
        let edits = self.lock().edits.clone();
        snapshot::check_published(&edits, old, new, now)
    }

    /// One entry, as a snapshot would show it.
    pub fn see(&self, path: impl AsRef<[u8]>) -> Option<Seen> {
        self.snapshot(path).remove(&b""[..])
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Volume> {
        let mut volume = self.volume.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        for (parent, name, ino) in dropped.drain(..) {
            if volume.entries(parent).is_ok_and(|entries| entries.get(&name) == Some(&ino)) {
                take(&mut volume, parent, &name);
            }
        }
        drop(dropped);
        volume
    }

    pub(super) fn dropped(&self) -> &Dropped {
        &self.dropped
    }
}

/// The inode at `path`, without following links.
pub(super) fn walk(volume: &Volume, path: &[u8]) -> Call<Ino> {
    let mut ino = ROOT;
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let name = Name::new(part).map_err(|error| error.kind)?;
        ino = volume.entries(ino)?.get(&name).copied().ok_or(ErrorKind::NotFound)?;
    }
    Ok(ino)
}

/// The directory at `path` as a user names it: links in it are followed.
pub(super) fn open_root(volume: &Volume, path: &[u8]) -> Call<Ino> {
    let ino = follow(volume, ROOT, path)?;
    volume.entries(ino).map(|_| ino)
}

/// What `path` leads to from the directory `ino`: links in it are followed.
pub(super) fn follow(volume: &Volume, mut ino: Ino, path: &[u8]) -> Call<Ino> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
    };
    let mut parts = VecDeque::from(split(path));
    let mut links = 0;
    while let Some(part) = parts.pop_front() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                ino = volume.inode(ino)?.parent;
                continue;
            }
            _ => {}
        }
        let next = volume.lookup(ino, &part)?;
        let Body::Symlink(target) = &volume.inode(next)?.body else {
            ino = next;
            continue;
        };
        links += 1;
        if links > LINKS_FOLLOWED_MAX {
            return Err(ErrorKind::Other);
        }
        if target.starts_with(b"/") {
            ino = ROOT;
        }
        for part in split(target).into_iter().rev() {
            parts.push_front(part);
        }
    }
    Ok(ino)
}

fn found(volume: &Volume, path: &[u8]) -> Ino {
    walk(volume, path).expect("the path exists")
}

fn split_last(path: &[u8]) -> (&[u8], Name) {
    let at = path.iter().rposition(|byte| *byte == b'/').expect("the path is absolute");
    (&path[..at], Name::new(&path[at + 1..]).expect("the name is valid"))
}

fn dirs(volume: &mut Volume, path: &[u8]) -> Ino {
    if let Ok(ino) = walk(volume, path) {
        return ino;
    }
    let ino = new_inode(volume, path, Body::Dir(BTreeMap::new()), 0o755);
    put(volume, path, ino);
    ino
}

/// A nameless inode on the file system that `path` is on.
fn new_inode(volume: &mut Volume, path: &[u8], body: Body, mode: u32) -> Ino {
    let parent = dirs(volume, split_last(path).0);
    let fs = volume.inode(parent).expect("just made").fs;
    volume.make(fs, body, mode)
}

fn put(volume: &mut Volume, path: &[u8], ino: Ino) {
    let (parent, name) = split_last(path);
    let parent = dirs(volume, parent);
    volume.place(parent, &name, ino).expect("nothing is there");
}

fn take_path(volume: &mut Volume, path: &[u8]) {
    let (parent, name) = split_last(path);
    if let (Ok(parent), Ok(_)) = (walk(volume, parent), walk(volume, path)) {
        take(volume, parent, &name);
    }
}

/// Takes away an entry that exists, with all that is below it.
fn take(volume: &mut Volume, parent: Ino, name: &Name) {
    let found = volume.entries(parent).ok().and_then(|entries| entries.get(name).copied());
    let ino = found.expect("the caller has found it");
    let below: Vec<Name> =
        volume.entries(ino).map(|entries| entries.keys().cloned().collect()).unwrap_or_default();
    for child in below {
        take(volume, ino, &child);
    }
    volume.unplace(parent, name).expect("found above");
    volume.free_nameless(ino).expect("found above");
}

/// Symbolic links followed in the path of a root.
const LINKS_FOLLOWED_MAX: u32 = 40;
