//! What a tree looks like: every entry below a root with its metadata; it reads no content.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{OnPath, Result};
use crate::system;

/// What lstat tells of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// As the kernel has them, in one number.
    pub(crate) type_and_mode: u32,
    /// Which device a device node stands for.
    pub(crate) special: u64,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
    pub(crate) mtime: Mtime,
    /// Bytes on the disk, which for a sparse file are fewer than its size.
    pub(crate) allocated: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) links: u64,
}

impl Stat {
    pub(crate) fn kind(&self) -> Kind {
        match self.type_and_mode & TYPE_BITS {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Dir,
            0o120_000 => Kind::Symlink,
            bits => Kind::Special { bits, device: self.special },
        }
    }

    pub(crate) fn mode(&self) -> u32 {
        self.type_and_mode & !TYPE_BITS
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    /// A FIFO, a socket or a device: its type bits, and the device's number.
    Special {
        bits: u32,
        device: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mtime {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

/// All entries below a root by relative path, the root itself as the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) entries: BTreeMap<PathBuf, Stat>,
}

/// How much there is to copy. A group of hard links counts once in `bytes`, holes count in full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Census {
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) symlinks: u64,
    pub(crate) others: u64,
    pub(crate) bytes: u64,
    pub(crate) allocated_bytes: u64,
}

impl Snapshot {
    pub(crate) fn take(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let stat = system::stat(root).on("stat", root)?;
        let mut open = Vec::new();
        if stat.kind() == Kind::Dir {
            open.push(PathBuf::new());
        }
        entries.insert(PathBuf::new(), stat);
        while let Some(dir) = open.pop() {
            let path = root.join(&dir);
            for item in fs::read_dir(&path).on("list", &path)? {
                let name = item.on("list", &path)?.file_name();
                let path = path.join(&name);
                let stat = system::stat(&path).on("stat", &path)?;
                let relative = dir.join(&name);
                if stat.kind() == Kind::Dir {
                    open.push(relative.clone());
                }
                entries.insert(relative, stat);
            }
        }
        Ok(Self { entries })
    }

    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        let mut linked = std::collections::HashSet::new();
        for stat in self.entries.values() {
            match stat.kind() {
                Kind::File => census.files += 1,
                Kind::Dir => census.directories += 1,
                Kind::Symlink => census.symlinks += 1,
                _ => census.others += 1,
            }
            if stat.kind() == Kind::File
                && (stat.links == 1 || linked.insert((stat.device, stat.inode)))
            {
                census.bytes += stat.size;
                census.allocated_bytes += stat.allocated;
            }
        }
        census
    }

    /// For each file with more than one name in this tree: its path, and the group's first path.
    pub(crate) fn link_groups(&self) -> BTreeMap<&Path, &Path> {
        let mut firsts = std::collections::HashMap::new();
        let mut sizes = std::collections::HashMap::<&Path, usize>::new();
        let mut groups = BTreeMap::new();
        for (path, stat) in &self.entries {
            if stat.kind() == Kind::Dir || stat.links < 2 {
                continue;
            }
            let first = *firsts.entry((stat.device, stat.inode)).or_insert(path.as_path());
            *sizes.entry(first).or_default() += 1;
            groups.insert(path.as_path(), first);
        }
        // A file whose other names are outside of the tree has no partner that a copy could keep.
        groups.retain(|_, first| sizes[*first] > 1);
        groups
    }
}

/// The same on every Unix.
const TYPE_BITS: u32 = 0o170_000;
