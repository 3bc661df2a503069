//! What the user asked for: the verb, what is preserved, and where things are.
//! It must not know how a transfer is run, nor tune anything.

use std::sync::Arc;

use crate::acl;
use crate::entry::FileId;
use crate::filter::Filter;
use crate::path::{Name, RelPath};
use crate::task::{Dir, Root};

/// Which kinds of metadata the destination keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preserve {
    /// Permission bits.
    pub mode: bool,
    /// Owner and group, as far as the user may set them.
    pub owner: bool,
    /// Modification times.
    pub times: bool,
    /// Extended attributes, ACLs excepted.
    pub xattrs: bool,
    /// POSIX ACLs.
    pub acls: bool,
    /// That two names are one inode.
    pub hard_links: bool,
    /// FIFOs, sockets and devices.
    pub specials: bool,
}

impl Preserve {
    /// Everything: the default.
    pub const ALL: Self = Self {
        mode: true,
        owner: true,
        times: true,
        xattrs: true,
        acls: true,
        hard_links: true,
        specials: true,
    };

    /// Whether the extended attribute `name` is kept. Without privileges only the user's own namespace and ACLs can be
    /// set; the others are neither compared nor set then.
    pub fn keeps_xattr(&self, name: &[u8], privileged: bool) -> bool {
        if acl::is_acl(name) {
            self.acls
        } else {
            self.xattrs && (privileged || name.starts_with(USER_PREFIX))
        }
    }

    /// Whether listings must read extended attributes.
    pub fn reads_xattrs(&self) -> bool {
        self.xattrs || self.acls
    }
}

/// Whether file contents may be shared with the source (`FICLONE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reflink {
    /// Where the file system can, otherwise copy.
    #[default]
    Auto,
    /// Share or fail.
    Always,
    /// Always copy the bytes.
    Never,
}

/// What decides whether a destination entry is equal to its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is preserved is compared.
    pub preserve: Preserve,
    /// What makes contents equal.
    pub equality: Equality,
    /// The step in which the destination keeps times, in nanoseconds; 1 where it keeps them exactly.
    pub granularity_ns: u64,
    /// The user may give files away.
    pub may_chown: bool,
    /// The user's own number, which new files get.
    pub own_uid: u32,
    /// The groups the user may give files to.
    pub groups: Arc<[u32]>,
    /// The destination can hold extended attributes; where it cannot they are not compared.
    pub holds_xattrs: bool,
}

impl Comparison {
    /// Whether files can be given to group `gid`.
    pub fn may_chgrp(&self, gid: u32) -> bool {
        self.may_chown || self.groups.contains(&gid)
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Transfer what is missing or different; never delete.
    Copy,
    /// Make the destination equal to the source; what the source does not have is removed.
    Mirror,
    /// Transfer, make durable, then remove from the source what has arrived.
    Move,
}

/// What makes the contents of two files of one size equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Equality {
    /// That their modification times are equal.
    #[default]
    Times,
    /// Nothing more.
    Size,
    /// That their digests are equal.
    Checksum,
    /// Nothing: every file is transferred.
    Never,
}

/// Which entries are transferred, by what stands at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// Files that are newer at the destination stay as they are.
    pub update: bool,
    /// Nothing new is made.
    pub existing: bool,
    /// What is there stays as it is.
    pub ignore_existing: bool,
}

/// What a mirror removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Deletion {
    /// Also what the filter excludes.
    pub excluded: bool,
    /// Also everything, when the source is empty.
    pub from_empty_source: bool,
    /// Never more than so many entries: where there are more, none is removed and the run fails.
    pub entries_max: Option<u64>,
}

/// A directory that is laid out as the destination is, on the same file system.
#[derive(Clone, Debug)]
pub struct Counterpart {
    /// The directory.
    pub dir: Dir,
    /// Which one it is: a backup directory is never removed itself.
    pub id: FileId,
    /// The way of the destination directory, which stands for this one.
    pub base: RelPath,
}

impl Counterpart {
    /// What stands in it for the directory `dir` of the destination.
    pub fn place_of(&self, dir: &Dir) -> Dir {
        if self.base.is_root() && self.dir.path.is_root() {
            return Dir::new(&self.dir.root, dir.path.clone());
        }
        let below = RelPath::new(dir.path.to_bytes_below(self.base.depth()));
        let below = below.expect("names of a path are names of a path");
        Dir::new(&self.dir.root, self.dir.path.descend(&below))
    }
}

/// Where links that are followed must not lead: into the destination, which would be copied into itself without end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// A directory that exists.
    pub dir: FileId,
    /// What in it is meant; the directory itself where there is none.
    pub name: Option<Name>,
}

/// A transfer as both roles see it.
#[derive(Clone, Debug)]
pub struct TransferSpec {
    /// What is done.
    pub verb: Verb,
    /// What the destination keeps.
    pub preserve: Preserve,
    /// Whether contents may be shared.
    pub reflink: Reflink,
    /// Whether each file is made durable before it counts.
    pub fsync: bool,
    /// Whether files are overwritten where they stand instead of replaced.
    pub in_place: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Report each change, not only counts.
    pub itemise: bool,
    /// What makes contents equal.
    pub equality: Equality,
    /// What is transferred at all.
    pub selection: Selection,
    /// What a mirror removes.
    pub deletion: Deletion,
    /// Whether what stands at the destination of a large file, or was left by an earlier run, is compared block by block when
    /// the source is on another machine.
    pub delta: bool,
    /// What is below the directories of the source belongs to it too.
    pub recursive: bool,
    /// Directories on another file system than their source are left empty.
    pub one_file_system: bool,
    /// Where what is replaced or removed is kept.
    pub backup: Option<Counterpart>,
    /// Files that are as they are there become further names of those.
    pub reference: Option<Counterpart>,
    /// Links in the source are followed, which its roots must be made for. Only for sources that this process reads.
    pub follow: Option<Follow>,
    /// Which entries exist for this transfer; all where there is none.
    pub filter: Option<Arc<Filter>>,
}

impl TransferSpec {
    /// A transfer with everything else as it is without options.
    pub fn new(verb: Verb) -> Self {
        Self {
            verb,
            preserve: Preserve::ALL,
            reflink: Reflink::Auto,
            fsync: false,
            in_place: false,
            dry_run: false,
            itemise: false,
            equality: Equality::default(),
            selection: Selection::default(),
            deletion: Deletion::default(),
            delta: true,
            recursive: true,
            one_file_system: false,
            backup: None,
            reference: None,
            follow: None,
            filter: None,
        }
    }
}

/// One thing to be copied.
#[derive(Clone, Debug)]
pub enum SourceItem {
    /// The contents of a directory go into the destination directory, which takes over its metadata.
    Contents(Dir),
    /// The entry `name` of `parent` goes into the destination directory as `target_name`.
    Entry {
        /// The directory that holds it.
        parent: Dir,
        /// Its name there.
        name: Name,
        /// The name it gets.
        target_name: Name,
    },
}

/// Where things go: the directory `path` below `root`.
#[derive(Clone, Debug)]
pub struct Target {
    /// A directory that exists.
    pub root: Arc<Root>,
    /// The destination directory below it; the root itself when empty.
    pub path: RelPath,
    /// Whether that directory is still to be made; then it is one name long.
    pub absent: bool,
}

/// The namespace that a file's owner may write.
const USER_PREFIX: &[u8] = b"user.";
