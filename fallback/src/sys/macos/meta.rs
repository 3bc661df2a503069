//! macOS: what is known of an inode and how it is set.
//! It must not know what a transfer keeps.
#![expect(unsafe_code, reason = "getgroups has no wrapper on this system")]

use std::fs::File;
use std::io;

use blit_core::entry::{FileId, Kind, Meta, Time};
use blit_core::path::Name;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, fstat, fstatat, futimens,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::{Named, Object, OpenDir, Target};
use crate::sys::Capacity;

/// What the entry `name` is, a link itself, without its attributes and its target.
///
/// # Errors
/// Those of `fstatat(2)`.
pub fn stat_at(dir: &OpenDir, name: &Name) -> io::Result<Meta> {
    Ok(meta_of(&fstatat(dir, name.as_bytes(), AtFlags::AT_SYMLINK_NOFOLLOW)?))
}

/// What an open object is, without its attributes.
///
/// # Errors
/// Those of `fstat(2)`.
pub fn stat(object: Object<'_>) -> io::Result<Meta> {
    match object.0 {
        Target::Open(fd) => Ok(meta_of(&fstat(fd)?)),
        Target::Named(named) => named.stat(),
    }
}

/// Gives the object to `uid` and `gid`, where given.
///
/// # Errors
/// Those of `fchownat(2)`.
pub fn set_owner(object: Object<'_>, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    match object.0 {
        Target::Open(fd) => Ok(fchown(fd, uid, gid)?),
        Target::Named(named) => {
            named.stat()?;
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            Ok(fchownat(&named.dir, named.name.as_c_str(), uid, gid, flags)?)
        }
    }
}

/// Sets the permission bits, set-id and sticky bits included.
///
/// # Errors
/// Those of `fchmodat(2)`.
pub fn set_mode(object: Object<'_>, mode: u32) -> io::Result<()> {
    let mode = mode_of(mode);
    match object.0 {
        Target::Open(fd) => Ok(fchmod(fd, mode)?),
        Target::Named(named) => {
            named.stat()?;
            let flags = FchmodatFlags::NoFollowSymlink;
            Ok(fchmodat(&named.dir, named.name.as_c_str(), mode, flags)?)
        }
    }
}

/// Sets the modification time and leaves the access time.
///
/// # Errors
/// Those of `utimensat(2)`.
pub fn set_times(object: Object<'_>, mtime: Time) -> io::Result<()> {
    let mtime = TimeSpec::new(mtime.secs, i64::from(mtime.nanos));
    let atime = TimeSpec::UTIME_OMIT;
    match object.0 {
        Target::Open(fd) => Ok(futimens(fd, &atime, &mtime)?),
        Target::Named(named) => {
            named.stat()?;
            let flags = UtimensatFlags::NoFollowSymlink;
            Ok(utimensat(&named.dir, named.name.as_c_str(), &atime, &mtime, flags)?)
        }
    }
}

/// Whether `file` is on a file system that makes contents up: none here is known to.
pub fn makes_contents_up(_file: &File) -> bool {
    false
}

/// What the file system of `dir` holds.
///
/// # Errors
/// Those of `fstatfs(2)`.
pub fn file_system(dir: &OpenDir) -> io::Result<Capacity> {
    // The portable form counts blocks in 32 bits here.
    let facts = nix::sys::statfs::fstatfs(dir)?;
    let unit = u64::from(facts.block_size());
    Ok(Capacity {
        available: facts.blocks_available().saturating_mul(unit),
        total: facts.blocks().saturating_mul(unit),
    })
}

/// The step in which file systems of this type keep times; 1 where it is not known to be larger.
pub fn time_step_ns(dir: &OpenDir) -> u64 {
    let facts = nix::sys::statfs::fstatfs(dir);
    match facts.as_ref().map(nix::sys::statfs::Statfs::filesystem_type_name) {
        Ok("msdos") => 2_000_000_000,
        Ok("hfs") => 1_000_000_000,
        Ok("exfat") => 10_000_000,
        Ok("ntfs" | "smbfs") => 100,
        _ => 1,
    }
}

impl Named {
    /// What the entry is.
    ///
    /// # Errors
    /// `NotFound` where another one has taken its name.
    fn stat(&self) -> io::Result<Meta> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let meta = meta_of(&fstatat(&self.dir, self.name.as_c_str(), flags)?);
        if meta.id == self.id { Ok(meta) } else { Err(Errno::ENOENT.into()) }
    }
}

/// The groups of the process, as far as the system tells them.
pub(super) fn groups() -> io::Result<Vec<u32>> {
    // SAFETY: a count of 0 only asks how many there are.
    let count = Errno::result(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for `count` groups.
    let count = Errno::result(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(groups)
}

/// Permission bits as the system takes them.
pub(super) fn mode_of(mode: u32) -> Mode {
    Mode::from_bits_truncate(libc::mode_t::try_from(mode & 0o7777).unwrap_or(0))
}

fn meta_of(facts: &FileStat) -> Meta {
    let kind = match facts.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Dir,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => Kind::File,
    };
    let has_size = matches!(kind, Kind::File | Kind::Symlink);
    let rdev = u64::from(facts.st_rdev.cast_unsigned());
    Meta {
        kind,
        size: if has_size { facts.st_size.max(0).cast_unsigned() } else { 0 },
        allocated: facts.st_blocks.max(0).cast_unsigned().saturating_mul(512),
        mtime: time_of(facts.st_mtime, facts.st_mtime_nsec),
        ctime: time_of(facts.st_ctime, facts.st_ctime_nsec),
        mode: u32::from(facts.st_mode) & 0o7777,
        uid: facts.st_uid,
        gid: facts.st_gid,
        nlink: u32::from(facts.st_nlink),
        id: FileId { dev: u64::from(facts.st_dev.cast_unsigned()), ino: facts.st_ino },
        rdev: if kind.is_device() { rdev } else { 0 },
        xattrs: None,
        target: None,
        mounted: false,
    }
}

fn time_of(secs: i64, nanos: i64) -> Time {
    Time { secs, nanos: u32::try_from(nanos).unwrap_or(0) }
}
