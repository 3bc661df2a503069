//! What is known of one file-system entry, and the one decision whether two of them are the same.
//! It must not know how either was read or will be written.

use std::sync::Arc;

use crate::acl;
use crate::path::Name;
use crate::spec::{Comparison, Equality, Preserve};

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; never followed.
    Symlink,
    /// A named pipe; recreated, never read.
    Fifo,
    /// The node of a Unix socket; recreated, never connected.
    Socket,
    /// A character device; recreated, never read.
    CharDevice,
    /// A block device; recreated, never read.
    BlockDevice,
}

impl Kind {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "directory",
            Self::Symlink => "symbolic link",
            Self::Fifo => "named pipe",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        }
    }

    /// Whether only a privileged user can usually recreate it.
    pub fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// A point in time since 1970-01-01 UTC; `secs` may be negative, `nanos` counts forward from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Whole seconds.
    pub secs: i64,
    /// 0 to 999 999 999 nanoseconds.
    pub nanos: u32,
}

impl Time {
    /// The time as a file system that counts in steps of `granularity_ns` keeps it.
    #[must_use]
    pub fn floor_to(self, granularity_ns: u64) -> Self {
        if granularity_ns <= 1 {
            return self;
        }
        let total = i128::from(self.secs) * NANOS_PER_SEC + i128::from(self.nanos);
        let floored = total - total.rem_euclid(i128::from(granularity_ns));
        let nanos = floored.rem_euclid(NANOS_PER_SEC);
        Self {
            secs: i64::try_from((floored - nanos) / NANOS_PER_SEC).unwrap_or(self.secs),
            nanos: u32::try_from(nanos).unwrap_or(0),
        }
    }
}

/// Which inode an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct FileId {
    /// The device of the file system.
    pub dev: u64,
    /// The inode number there.
    pub ino: u64,
}

/// One extended attribute. POSIX ACLs are those named `system.posix_acl_access` and `..._default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The name with its namespace, without a NUL.
    pub name: Box<[u8]>,
    /// The value.
    pub value: Box<[u8]>,
}

/// Extended attributes sorted by name.
pub type Xattrs = Arc<[Xattr]>;

/// Everything but the name and the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// The type.
    pub kind: Kind,
    /// Bytes of content for a file, of the target for a symbolic link; 0 otherwise.
    pub size: u64,
    /// Bytes allocated on the device; below `size` the file may have holes.
    pub allocated: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode; only ever compared with itself.
    pub ctime: Time,
    /// Permission bits with set-id and sticky bits: 0 to 0o7777.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// How many names the inode has.
    pub nlink: u32,
    /// Which inode it is.
    pub id: FileId,
    /// The device number of a device node, as the system encodes it; 0 otherwise.
    pub rdev: u64,
    /// Extended attributes and ACLs; `None` where there are none or they were not asked for.
    pub xattrs: Option<Xattrs>,
    /// The target of a symbolic link.
    pub target: Option<Box<[u8]>>,
    /// It is where something is mounted, the same file system a second time included; false where that is not known.
    pub mounted: bool,
}

impl Meta {
    /// Whether the two were read from one unchanged inode.
    pub fn is_unchanged_since(&self, earlier: &Self) -> bool {
        self.id == earlier.id
            && self.kind == earlier.kind
            && self.size == earlier.size
            && self.mtime == earlier.mtime
            && self.ctime == earlier.ctime
    }

    /// Whether the two were read from one inode whose content did not change. What the inode's other names suffer
    /// meanwhile does not count.
    pub fn is_content_unchanged_since(&self, earlier: &Self) -> bool {
        if earlier.nlink == 1 {
            return self.is_unchanged_since(earlier);
        }
        let same_inode = self.id == earlier.id && self.kind == earlier.kind;
        same_inode && self.size == earlier.size && self.mtime == earlier.mtime
    }

    /// The bytes of content that the entry counts for in the progress.
    pub fn content_bytes(&self) -> u64 {
        if self.kind == Kind::File { self.size } else { 0 }
    }

    /// Whether so many bytes fewer are allocated than the content would need that looking for holes pays.
    pub fn may_have_holes(&self) -> bool {
        self.size.saturating_sub(self.allocated) >= HOLE_BYTES_MIN
    }
}

/// Bytes missing from a file's allocation from which looking for holes pays: one page.
const HOLE_BYTES_MIN: u64 = 4096;

/// A named entry of one directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: Name,
    /// What it is.
    pub meta: Meta,
}

/// Which metadata differ and are to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Changes {
    /// Permission bits.
    pub mode: bool,
    /// Owner or group.
    pub owner: bool,
    /// Modification time.
    pub times: bool,
    /// Extended attributes or ACLs.
    pub xattrs: bool,
}

impl Changes {
    /// Everything that `preserve` asks for.
    pub fn all(preserve: &Preserve) -> Self {
        Self {
            mode: preserve.mode,
            owner: preserve.owner,
            times: preserve.times,
            xattrs: preserve.xattrs || preserve.acls,
        }
    }

    /// Whether anything is to be set.
    pub fn any(self) -> bool {
        self.mode || self.owner || self.times || self.xattrs
    }
}

/// How a source entry and what stands at its destination relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Content and metadata agree.
    Same,
    /// The content agrees, these metadata do not.
    Metadata(Changes),
    /// The content differs or may differ.
    Content,
    /// Whether the content differs only its digest can tell; otherwise these metadata do not agree.
    Digest(Changes),
    /// The types differ.
    Type,
}

/// Compares `source` with what stands at its `destination`.
pub fn compare(source: &Meta, destination: &Meta, rule: &Comparison) -> Verdict {
    if source.kind != destination.kind {
        return Verdict::Type;
    }
    let content_differs = match source.kind {
        Kind::File => source.size != destination.size || !may_be_equal(source, destination, rule),
        Kind::Symlink => source.target != destination.target,
        Kind::CharDevice | Kind::BlockDevice => source.rdev != destination.rdev,
        Kind::Dir | Kind::Fifo | Kind::Socket => false,
    };
    if content_differs {
        return Verdict::Content;
    }
    let changes = differences(source, destination, rule);
    // Files without content have nothing to digest.
    if source.kind == Kind::File && source.size > 0 && rule.equality == Equality::Checksum {
        return Verdict::Digest(changes);
    }
    if changes.any() { Verdict::Metadata(changes) } else { Verdict::Same }
}

/// Whether files of one size count as equal, as far as their metadata tell.
fn may_be_equal(source: &Meta, destination: &Meta, rule: &Comparison) -> bool {
    match rule.equality {
        Equality::Times => same_time(source.mtime, destination.mtime, rule),
        Equality::Size | Equality::Checksum => true,
        Equality::Never => false,
    }
}

/// Which preserved metadata of two entries of one kind differ.
pub fn differences(source: &Meta, destination: &Meta, rule: &Comparison) -> Changes {
    let preserve = &rule.preserve;
    let symlink = source.kind == Kind::Symlink;
    let owner_differs = (rule.may_chown && source.uid != destination.uid)
        || (rule.may_chgrp(source.gid) && source.gid != destination.gid);
    Changes {
        mode: preserve.mode && !symlink && wanted_mode(source, rule) != destination.mode,
        owner: preserve.owner && owner_differs,
        times: preserve.times && !same_time(source.mtime, destination.mtime, rule),
        xattrs: !same_xattrs(source, destination, rule),
    }
}

/// The permission bits the destination gets. Set-id bits without their owner would give away rights, so they fall where
/// the owner is not kept. Where an ACL is not kept, the group keeps only what the ACL granted to it: the group bits of a
/// mode with an ACL are the ACL's mask.
pub fn wanted_mode(source: &Meta, rule: &Comparison) -> u32 {
    let mut mode = source.mode & MODE_MASK;
    if source.kind != Kind::Dir {
        if !rule.preserve.owner {
            mode &= !(SET_UID | SET_GID);
        } else if !rule.may_chown {
            let has_owner = source.uid == rule.own_uid;
            mode &= if has_owner { MODE_MASK } else { !SET_UID };
            mode &= if rule.may_chgrp(source.gid) { MODE_MASK } else { !SET_GID };
        }
    }
    if rule.preserve.acls && rule.holds_xattrs { mode } else { mode_without_acl(source, mode) }
}

/// `mode` as it grants no more than the access ACL of `meta`, where that has one, once the ACL is gone.
pub fn mode_without_acl(meta: &Meta, mode: u32) -> u32 {
    let access = meta.xattrs.iter().flat_map(|xattrs| xattrs.iter());
    let access = access.filter(|xattr| &*xattr.name == b"system.posix_acl_access");
    let granted = access.filter_map(|xattr| acl::group_rights(&xattr.value)).next();
    granted.map_or(mode, |rights| mode & (!GROUP_BITS | rights << 3))
}

fn same_xattrs(source: &Meta, destination: &Meta, rule: &Comparison) -> bool {
    let kept = |meta: &'_ Meta| {
        let all = meta.xattrs.iter().flat_map(|xattrs| xattrs.iter().cloned());
        all.filter(|xattr| rule.preserve.keeps_xattr(&xattr.name, rule.may_chown))
            .collect::<Vec<_>>()
    };
    match (&source.xattrs, &destination.xattrs) {
        (None, None) => true,
        _ if !rule.holds_xattrs => true,
        _ => kept(source) == kept(destination),
    }
}

fn same_time(source: Time, destination: Time, rule: &Comparison) -> bool {
    source == destination || source.floor_to(rule.granularity_ns) == destination
}

const NANOS_PER_SEC: i128 = 1_000_000_000;
const MODE_MASK: u32 = 0o7777;
const GROUP_BITS: u32 = 0o070;
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_floored_to_the_granularity_before_and_after_1970() {
        let time = Time { secs: 5, nanos: 999_999_999 };
        assert_eq!(time.floor_to(1), time);
        assert_eq!(time.floor_to(1_000_000_000), Time { secs: 5, nanos: 0 });
        assert_eq!(time.floor_to(2_000_000_000), Time { secs: 4, nanos: 0 });
        let early = Time { secs: -1, nanos: 500 };
        assert_eq!(early.floor_to(2_000_000_000), Time { secs: -2, nanos: 0 });
    }
}
