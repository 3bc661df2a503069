//! The simulated kernel: inodes, directories and the calls that change them, each of them atomic.
//! It must not know tasks; what a call is refused for it says as an `ErrorKind`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::disk::{FsOptions, User};
use crate::entry::{FileId, Kind, Meta, Time, Xattr};
use crate::error::ErrorKind;
use crate::path::Name;

/// The number of an inode.
pub(super) type Ino = u64;

/// What a call gives.
pub(super) type Call<T> = Result<T, ErrorKind>;

/// Held by whoever fills a temporary name. Counts while it lives and its engine runs.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) running: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) enum Body {
    File(Vec<u8>),
    Dir(BTreeMap<Name, Ino>),
    Symlink(Box<[u8]>),
    Special(Kind),
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) body: Body,
    pub(super) fs: usize,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) ctime: Time,
    /// Names of it; 0 for the root and for what is anonymous.
    pub(super) names: u32,
    pub(super) rdev: u64,
    /// Sorted by name.
    pub(super) xattrs: Vec<Xattr>,
    /// The directory above, for directories.
    pub(super) parent: Ino,
    pub(super) lock: Weak<Lock>,
    /// Something is mounted on it, so that it cannot be removed.
    pub(super) mounted: bool,
}

impl Inode {
    pub(super) fn kind(&self) -> Kind {
        match &self.body {
            Body::File(_) => Kind::File,
            Body::Dir(_) => Kind::Dir,
            Body::Symlink(_) => Kind::Symlink,
            Body::Special(kind) => *kind,
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.lock.upgrade().is_some_and(|lock| lock.running.load(Ordering::Relaxed))
    }
}

/// One mounted file system.
#[derive(Debug)]
pub(super) struct Fs {
    pub(super) options: FsOptions,
    pub(super) used: u64,
}

/// All inodes of a disk.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) inodes: BTreeMap<Ino, Inode>,
    pub(super) mounts: Vec<Fs>,
    pub(super) user: User,
    /// Complete contents that outsiders gave to files below the directory they edit.
    pub(super) edits: Vec<(Vec<u8>, Vec<u8>)>,
    next: Ino,
    tick: u32,
}

impl Volume {
    pub(super) fn new(user: User) -> Self {
        let root_fs = Fs { options: FsOptions::default(), used: 0 };
        let mut volume = Self {
            inodes: BTreeMap::new(),
            mounts: vec![root_fs],
            user,
            edits: Vec::new(),
            next: ROOT,
            tick: 0,
        };
        volume.make(0, Body::Dir(BTreeMap::new()), 0o755);
        volume
    }

    /// The moment after the last one.
    pub(super) fn now(&mut self) -> Time {
        self.tick += 1;
        let nanos = u64::from(self.tick) * TICK_NS;
        Time {
            secs: EPOCH_SECS + i64::try_from(nanos / 1_000_000_000).unwrap_or(0),
            nanos: u32::try_from(nanos % 1_000_000_000).unwrap_or(0),
        }
    }

    pub(super) fn inode(&self, ino: Ino) -> Call<&Inode> {
        self.inodes.get(&ino).ok_or(ErrorKind::NotFound)
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> Call<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(ErrorKind::NotFound)
    }

    pub(super) fn fs_of(&self, ino: Ino) -> Call<&FsOptions> {
        Ok(&self.mounts[self.inode(ino)?.fs].options)
    }

    pub(super) fn entries(&self, dir: Ino) -> Call<&BTreeMap<Name, Ino>> {
        match &self.inode(dir)?.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(ErrorKind::NotADirectory),
        }
    }

    /// Whether the user has `right` (4 read, 2 write, 1 search) on an inode.
    pub(super) fn allow(&self, ino: Ino, right: u32) -> Call<()> {
        let inode = self.inode(ino)?;
        let shift = if inode.uid == self.user.uid {
            6
        } else if self.user.groups.contains(&inode.gid) {
            3
        } else {
            0
        };
        let granted = self.user.privileged || (inode.mode >> shift) & right == right;
        if granted { Ok(()) } else { Err(ErrorKind::PermissionDenied) }
    }

    pub(super) fn lookup(&self, dir: Ino, name: &[u8]) -> Call<Ino> {
        let entries = self.entries(dir)?;
        self.allow(dir, SEARCH)?;
        let name = Name::new(name).map_err(|error| error.kind)?;
        entries.get(&name).copied().ok_or(ErrorKind::NotFound)
    }

    /// A new inode without a name.
    pub(super) fn make(&mut self, fs: usize, body: Body, mode: u32) -> Ino {
        let ino = self.next;
        self.next += 1;
        let now = self.now();
        let gid = self.user.groups.first().copied().unwrap_or(0);
        let mtime = now.floor_to(self.mounts[fs].options.granularity_ns);
        let inode = Inode {
            body,
            fs,
            mode,
            uid: self.user.uid,
            gid,
            mtime,
            ctime: now,
            names: 0,
            rdev: 0,
            xattrs: Vec::new(),
            parent: ROOT,
            lock: Weak::new(),
            mounted: false,
        };
        self.inodes.insert(ino, inode);
        ino
    }

    /// A new inode that can be attached in `dir`, refused as `dir` would refuse it.
    pub(super) fn create(&mut self, dir: Ino, body: Body, mode: u32) -> Call<Ino> {
        self.allow_change(dir)?;
        let fs = self.inode(dir)?.fs;
        Ok(self.make(fs, body, mode))
    }

    /// Gives an inode the name `name` in `dir`, where nothing may be.
    pub(super) fn attach(&mut self, dir: Ino, name: &Name, ino: Ino) -> Call<()> {
        self.allow_change(dir)?;
        if name.as_bytes().len() > self.fs_of(dir)?.name_bytes_max {
            return Err(ErrorKind::InvalidName);
        }
        if self.inode(dir)?.fs != self.inode(ino)?.fs {
            return Err(ErrorKind::CrossDevice);
        }
        self.place(dir, name, ino)
    }

    /// Attaches without asking for rights; the way of mounts and of builders.
    pub(super) fn place(&mut self, dir: Ino, name: &Name, ino: Ino) -> Call<()> {
        if self.entries(dir)?.contains_key(name) {
            return Err(ErrorKind::AlreadyExists);
        }
        if let Body::Dir(entries) = &mut self.inode_mut(dir)?.body {
            entries.insert(name.clone(), ino);
        }
        let now = self.now();
        let inode = self.inode_mut(ino)?;
        inode.names += 1;
        inode.ctime = now;
        if inode.kind() == Kind::Dir {
            inode.parent = dir;
        }
        self.touch(dir)
    }

    /// Takes a name away; a directory must be empty. Without names the inode is gone.
    pub(super) fn detach(&mut self, dir: Ino, name: &Name) -> Call<()> {
        self.allow_change(dir)?;
        let ino = self.lookup(dir, name.as_bytes())?;
        if self.entries(ino).is_ok_and(|entries| !entries.is_empty()) {
            return Err(ErrorKind::NotEmpty);
        }
        if self.inode(ino)?.mounted {
            return Err(ErrorKind::Other);
        }
        self.unplace(dir, name)?;
        self.free_nameless(ino)
    }

    /// rename(2). Without `replace` the new name must not exist; a directory is never replaced, and a second name of
    /// one file goes away at last, unlike in POSIX, where engines must care for it.
    pub(super) fn rename(
        &mut self,
        from: (Ino, &Name),
        to: (Ino, &Name),
        replace: bool,
    ) -> Call<()> {
        self.allow_change(from.0)?;
        self.allow_change(to.0)?;
        let ino = self.lookup(from.0, from.1.as_bytes())?;
        if self.inode(ino)?.fs != self.inode(to.0)?.fs {
            return Err(ErrorKind::CrossDevice);
        }
        if self.is_at_or_below(to.0, ino)? {
            return Err(ErrorKind::Other);
        }
        if let Ok(old) = self.lookup(to.0, to.1.as_bytes()) {
            match (replace, self.inode(old)?.kind(), self.inode(ino)?.kind()) {
                (false, _, _) => return Err(ErrorKind::AlreadyExists),
                (true, Kind::Dir, _) => return Err(ErrorKind::IsADirectory),
                (true, _, Kind::Dir) => return Err(ErrorKind::NotADirectory),
                (true, _, _) => {}
            }
            self.unplace(to.0, to.1)?;
            self.free_nameless(old)?;
        }
        self.attach(to.0, to.1, ino)?;
        self.unplace(from.0, from.1)
    }

    /// renameat2(RENAME_EXCHANGE) in one directory: the two entries change their names.
    pub(super) fn exchange(&mut self, dir: Ino, one: &Name, other: &Name) -> Call<()> {
        self.allow_change(dir)?;
        let inos = [one, other].map(|name| self.lookup(dir, name.as_bytes()));
        let [first, second] = inos;
        let (first, second) = (first?, second?);
        if let Body::Dir(entries) = &mut self.inode_mut(dir)?.body {
            entries.insert(one.clone(), second);
            entries.insert(other.clone(), first);
        }
        let now = self.now();
        for ino in [first, second] {
            self.inode_mut(ino)?.ctime = now;
        }
        self.touch(dir)
    }

    /// Whether `ino` is `top` or a directory below it.
    fn is_at_or_below(&self, mut ino: Ino, top: Ino) -> Call<bool> {
        while ino != top && ino != ROOT {
            ino = self.inode(ino)?.parent;
        }
        Ok(ino == top)
    }

    /// Frees an inode that has no name; its content's space comes back.
    pub(super) fn free_nameless(&mut self, ino: Ino) -> Call<()> {
        let inode = self.inode(ino)?;
        if inode.names > 0 {
            return Ok(());
        }
        let (fs, bytes) = match &inode.body {
            Body::File(content) => (inode.fs, content.len() as u64),
            _ => (inode.fs, 0),
        };
        self.mounts[fs].used -= bytes;
        self.inodes.remove(&ino);
        Ok(())
    }

    /// Frees anonymous inodes of engines that no longer run.
    pub(super) fn sweep(&mut self) {
        let gone: Vec<Ino> = self
            .inodes
            .iter()
            .filter(|(ino, inode)| **ino != ROOT && inode.names == 0 && !inode.is_locked())
            .map(|(ino, _)| *ino)
            .collect();
        for ino in gone {
            self.free_nameless(ino).expect("it was found a moment ago");
        }
    }

    /// Appends to a file.
    pub(super) fn append(&mut self, ino: Ino, bytes: &[u8]) -> Call<()> {
        let fs = self.inode(ino)?.fs;
        let mount = &mut self.mounts[fs];
        if !bytes.is_empty() && mount.used + bytes.len() as u64 > mount.options.capacity {
            return Err(ErrorKind::NoSpace);
        }
        mount.used += bytes.len() as u64;
        if let Body::File(content) = &mut self.inode_mut(ino)?.body {
            content.extend_from_slice(bytes);
        }
        self.touch(ino)
    }

    /// Makes a file empty.
    pub(super) fn truncate(&mut self, ino: Ino) -> Call<()> {
        let inode = self.inode_mut(ino)?;
        let fs = inode.fs;
        if let Body::File(content) = &mut inode.body {
            let bytes = std::mem::take(content).len() as u64;
            self.mounts[fs].used -= bytes;
        }
        self.touch(ino)
    }

    /// Gives `ino` the content and the metadata of the nameless or temporary file `of`.
    pub(super) fn overwrite(&mut self, ino: Ino, of: Ino) -> Call<()> {
        self.allow(ino, WRITE)?;
        self.truncate(ino)?;
        let content = self.content(of)?.to_vec();
        self.append(ino, &content)?;
        let given = self.inode(of)?;
        let (mode, uid, gid) = (given.mode, given.uid, given.gid);
        let (mtime, xattrs) = (given.mtime, given.xattrs.clone());
        let inode = self.inode_mut(ino)?;
        (inode.mode, inode.uid, inode.gid) = (mode, uid, gid);
        (inode.mtime, inode.xattrs) = (mtime, xattrs);
        Ok(())
    }

    pub(super) fn content(&self, ino: Ino) -> Call<&[u8]> {
        match &self.inode(ino)?.body {
            Body::File(content) => Ok(content),
            Body::Dir(_) => Err(ErrorKind::IsADirectory),
            _ => Err(ErrorKind::Unsupported),
        }
    }

    /// stat(2), with extended attributes if asked for.
    pub(super) fn meta(&self, ino: Ino, xattrs: bool) -> Call<Meta> {
        let inode = self.inode(ino)?;
        let (size, target) = match &inode.body {
            Body::File(content) => (content.len(), None),
            Body::Symlink(target) => (target.len(), Some(target.clone())),
            Body::Dir(_) | Body::Special(_) => (0, None),
        };
        Ok(Meta {
            kind: inode.kind(),
            size: size as u64,
            allocated: (size as u64).next_multiple_of(BLOCK_BYTES),
            mtime: inode.mtime,
            ctime: inode.ctime,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            nlink: if inode.kind() == Kind::Dir { 2 } else { inode.names },
            id: FileId { dev: inode.fs as u64 + 1, ino },
            rdev: inode.rdev,
            xattrs: (xattrs && !inode.xattrs.is_empty()).then(|| inode.xattrs.clone().into()),
            target,
            mounted: inode.mounted,
        })
    }

    /// Changes an inode as only its owner may.
    pub(super) fn change(&mut self, ino: Ino, change: impl FnOnce(&mut Inode)) -> Call<()> {
        if self.fs_of(ino)?.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        let owner = self.inode(ino)?.uid;
        if !self.user.privileged && owner != self.user.uid {
            return Err(ErrorKind::PermissionDenied);
        }
        let now = self.now();
        let inode = self.inode_mut(ino)?;
        change(inode);
        inode.ctime = now;
        Ok(())
    }

    /// Whether entries of `dir` may come and go.
    fn allow_change(&self, dir: Ino) -> Call<()> {
        self.entries(dir)?;
        if self.fs_of(dir)?.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        self.allow(dir, WRITE | SEARCH)
    }

    /// Detaches without asking for rights and without freeing.
    pub(super) fn unplace(&mut self, dir: Ino, name: &Name) -> Call<()> {
        let mut taken = None;
        if let Body::Dir(entries) = &mut self.inode_mut(dir)?.body {
            taken = entries.remove(name);
        }
        let now = self.now();
        let inode = self.inode_mut(taken.ok_or(ErrorKind::NotFound)?)?;
        inode.names -= 1;
        inode.ctime = now;
        self.touch(dir)
    }

    /// The content of an inode changed now.
    fn touch(&mut self, ino: Ino) -> Call<()> {
        let now = self.now();
        let granularity_ns = self.fs_of(ino)?.granularity_ns;
        let inode = self.inode_mut(ino)?;
        inode.mtime = now.floor_to(granularity_ns);
        inode.ctime = now;
        Ok(())
    }
}

/// The top of the disk.
pub(super) const ROOT: Ino = 1;
/// Rights on an inode.
pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const SEARCH: u32 = 1;

/// When simulated time begins, in seconds.
const EPOCH_SECS: i64 = 1_700_000_000;
/// Nanoseconds between two events.
const TICK_NS: u64 = 1_234_567;
/// Bytes of an allocation unit.
const BLOCK_BYTES: u64 = 512;
