//! Trees as literals: what is there, with every kind of metadata. Every entry gets a time of its own, so that a time that
//! is not kept is seen.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid};
use rustix::fs::XattrFlags;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    path: Vec<u8>,
    what: What,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    time: Option<(i64, i64)>,
    xattrs: Vec<(&'static str, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum What {
    File(Vec<u8>),
    Sparse(u64, Vec<(u64, &'static str)>),
    Dir,
    Symlink(Vec<u8>),
    HardLink(&'static str),
    Special(SFlag, u64),
}

pub(crate) fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Node {
    Node::new(path, What::File(content.as_ref().to_vec()))
}

/// A file of `size` bytes with only the `parts` written.
pub(crate) fn sparse(path: &str, size: u64, parts: &[(u64, &'static str)]) -> Node {
    Node::new(path, What::Sparse(size, parts.to_vec()))
}

pub(crate) fn dir(path: impl AsRef<[u8]>) -> Node {
    Node::new(path, What::Dir)
}

pub(crate) fn link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Node {
    Node::new(path, What::Symlink(target.as_ref().to_vec()))
}

/// Another name of the file at `of`, a path like all others of the tree.
pub(crate) fn hard(path: &str, of: &'static str) -> Node {
    Node::new(path, What::HardLink(of))
}

pub(crate) fn fifo(path: &str) -> Node {
    Node::new(path, What::Special(SFlag::S_IFIFO, 0))
}

pub(crate) fn socket(path: &str) -> Node {
    Node::new(path, What::Special(SFlag::S_IFSOCK, 0))
}

pub(crate) fn char_device(path: &str, major: u64, minor: u64) -> Node {
    Node::new(path, What::Special(SFlag::S_IFCHR, nix::sys::stat::makedev(major, minor)))
}

impl Node {
    fn new(path: impl AsRef<[u8]>, what: What) -> Self {
        let path = path.as_ref().to_vec();
        Self { path, what, mode: None, owner: None, time: None, xattrs: Vec::new() }
    }

    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    pub(crate) fn time(mut self, secs: i64, nanos: i64) -> Self {
        self.time = Some((secs, nanos));
        self
    }

    pub(crate) fn xattr(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.xattrs.push((name, value.as_ref().to_vec()));
        self
    }

    /// An access list that gives user `uid` the rights `bits`.
    pub(crate) fn acl(self, uid: u32, bits: u16) -> Self {
        self.xattr(ACCESS_ACL, acl(uid, bits))
    }

    /// The same as what new entries below a directory get.
    pub(crate) fn default_acl(self, uid: u32, bits: u16) -> Self {
        self.xattr("system.posix_acl_default", acl(uid, bits))
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.what, What::Dir)
    }

    fn below(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.path))
    }

    fn create(&self, root: &Path) -> std::io::Result<()> {
        let path = self.below(root);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match &self.what {
            What::File(content) => fs::write(path, content),
            What::Sparse(size, parts) => {
                let mut file = fs::File::create(path)?;
                file.set_len(*size)?;
                for (offset, part) in parts {
                    file.seek(SeekFrom::Start(*offset))?;
                    file.write_all(part.as_bytes())?;
                }
                Ok(())
            }
            What::Dir => fs::create_dir_all(path),
            What::Symlink(target) => symlink(OsStr::from_bytes(target), path),
            What::HardLink(of) => fs::hard_link(root.join(of), path),
            What::Special(kind, device) => {
                Ok(mknod(&path, *kind, Mode::from_bits_truncate(0o600), *device)?)
            }
        }
    }

    fn dress(&self, root: &Path, index: usize) -> std::io::Result<()> {
        if matches!(self.what, What::HardLink(_)) {
            return Ok(());
        }
        let path = self.below(root);
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            nix::unistd::fchownat(
                AT_FDCWD,
                &path,
                uid,
                gid,
                nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
            )?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        for (name, value) in &self.xattrs {
            rustix::fs::lsetxattr(&path, *name, value, XattrFlags::empty())?;
        }
        let index = i64::try_from(index).expect("a literal is short");
        let (secs, nanos) = self.time.unwrap_or((1_000_000_000 + index, 123_456_789 - index));
        let time = TimeSpec::new(secs, nanos);
        Ok(utimensat(AT_FDCWD, &path, &time, &time, UtimensatFlags::NoFollowSymlink)?)
    }
}

/// Makes all `nodes` below `root`; directories that only hold others are made as needed.
pub(crate) fn make(root: &Path, nodes: &[Node]) {
    for node in nodes {
        node.create(root).unwrap_or_else(|error| panic!("make {node:?}: {error}"));
    }
    // Upwards, since an entry that is made changes the time of what holds it.
    for (index, node) in nodes.iter().enumerate().rev() {
        node.dress(root, index).unwrap_or_else(|error| panic!("dress {node:?}: {error}"));
    }
}

/// A POSIX access list as Linux keeps it: owner rw, user `uid` `bits`, group r, mask rwx, others none.
pub(crate) fn acl(uid: u32, bits: u16) -> Vec<u8> {
    const UNDEFINED: u32 = u32::MAX;
    let entries = [
        (0x01_u16, 6_u16, UNDEFINED),
        (0x02, bits, uid),
        (0x04, 4, UNDEFINED),
        (0x10, 7, UNDEFINED),
        (0x20, 0, UNDEFINED),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

pub(crate) const ACCESS_ACL: &str = "system.posix_acl_access";
