//! Linux: what is known of an inode and how it is set.
//! It must not know what a transfer keeps.
#![expect(unsafe_code, reason = "statx and fchmodat2 have no wrapper")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use blit_core::entry::{FileId, Kind, Meta, Time};
use blit_core::path::Name;
use nix::errno::Errno;
use nix::sys::stat::Mode;

use super::{Object, OpenDir, checked, proc_path, with_name};
use crate::sys::Capacity;

/// What the entry `name` is, a link itself, without its attributes and its target.
///
/// # Errors
/// Those of `statx(2)`.
pub fn stat_at(dir: &OpenDir, name: &Name) -> io::Result<Meta> {
    with_name(name.as_bytes(), |name| statx(dir.as_fd(), name, 0))
}

/// What an open object is, without its attributes.
///
/// # Errors
/// Those of `statx(2)`.
pub fn stat(object: Object<'_>) -> io::Result<Meta> {
    statx(object.0, c"", libc::AT_EMPTY_PATH)
}

/// Gives the object to `uid` and `gid`, where given.
///
/// # Errors
/// Those of `fchownat(2)`.
pub fn set_owner(object: Object<'_>, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let uid = uid.map(nix::unistd::Uid::from_raw);
    let gid = gid.map(nix::unistd::Gid::from_raw);
    Ok(nix::unistd::fchownat(object.0, c"", uid, gid, nix::fcntl::AtFlags::AT_EMPTY_PATH)?)
}

/// Sets the permission bits, set-id and sticky bits included.
///
/// # Errors
/// Those of `fchmod(2)`.
pub fn set_mode(object: Object<'_>, mode: u32) -> io::Result<()> {
    match nix::sys::stat::fchmod(object.0, Mode::from_bits_truncate(mode)) {
        Err(Errno::EBADF) => set_mode_unopened(object.0, mode),
        other => Ok(other?),
    }
}

/// Sets the modification time and leaves the access time.
///
/// # Errors
/// Those of `utimensat(2)`.
pub fn set_times(object: Object<'_>, mtime: Time) -> io::Result<()> {
    let times = [
        libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
        libc::timespec { tv_sec: mtime.secs, tv_nsec: libc::c_long::from(mtime.nanos) },
    ];
    let fd = object.0.as_raw_fd();
    // SAFETY: `times` is the array of two that the call reads, and a null path means the descriptor itself.
    let result = unsafe { libc::futimens(fd, times.as_ptr()) };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        // Descriptors that only name an object have this form alone.
        Err(Errno::EBADF) => {
            // SAFETY: as above; the path is empty and ends with NUL.
            let result =
                unsafe { libc::utimensat(fd, c"".as_ptr(), times.as_ptr(), libc::AT_EMPTY_PATH) };
            Ok(Errno::result(result).map(drop)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// What the file system of `dir` holds.
///
/// # Errors
/// Those of `fstatvfs(3)`.
pub fn file_system(dir: &OpenDir) -> io::Result<Capacity> {
    let facts = nix::sys::statvfs::fstatvfs(dir)?;
    let unit = facts.fragment_size();
    Ok(Capacity {
        available: facts.blocks_available().saturating_mul(unit),
        total: facts.blocks().saturating_mul(unit),
    })
}

/// The step in which file systems of this type keep times; 1 where it is not known to be larger.
pub fn time_step_ns(dir: &OpenDir) -> u64 {
    let kind = nix::sys::statfs::fstatfs(dir).map(|facts| facts.filesystem_type().0);
    match kind.map(|kind| u32::try_from(kind).unwrap_or(0)) {
        Ok(MSDOS) => 2_000_000_000,
        Ok(HFS_PLUS) => 1_000_000_000,
        Ok(EXFAT) => 10_000_000,
        Ok(NTFS | NTFS3) => 100,
        _ => 1,
    }
}

/// Whether `file` is on a file system that may make contents up, and does not know how long they are before they are read.
pub fn makes_contents_up(file: &File) -> bool {
    let kind = nix::sys::statfs::fstatfs(file).map(|facts| facts.filesystem_type().0);
    let kind = kind.map(|kind| u32::try_from(kind & 0xffff_ffff).unwrap_or(0));
    matches!(kind, Ok(PROC | SYS | CGROUP | CGROUP2 | DEBUG | TRACE | CONFIG | SECURITY | FUSE))
}

fn set_mode_unopened(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    if !FCHMODAT2_IS_MISSING.load(Ordering::Relaxed) {
        // SAFETY: the empty path ends with NUL and outlives the call.
        let result = unsafe {
            libc::syscall(FCHMODAT2, fd.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH)
        };
        match checked(result) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                FCHMODAT2_IS_MISSING.store(true, Ordering::Relaxed);
            }
            other => return other.map(drop),
        }
    }
    let path = proc_path(fd);
    // SAFETY: the path ends with NUL and outlives the call.
    let result = unsafe { libc::chmod(path.as_ptr().cast(), mode) };
    Ok(Errno::result(result).map(drop)?)
}

fn statx(dir: BorrowedFd<'_>, path: &CStr, flags: i32) -> io::Result<Meta> {
    let mut facts = MaybeUninit::<libc::statx>::uninit();
    let flags = flags | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    // SAFETY: the path ends with NUL, and `facts` has the size and layout that the call writes.
    let result = unsafe {
        libc::statx(dir.as_raw_fd(), path.as_ptr(), flags, STATX_WANTED, facts.as_mut_ptr())
    };
    Errno::result(result)?;
    // SAFETY: the call succeeded and has filled the structure.
    let facts = unsafe { facts.assume_init() };
    Ok(meta_of(&facts))
}

/// The metadata in what `statx(2)` told; also for those who call it through a ring, with [`STATX_WANTED`].
pub fn meta_of(facts: &libc::statx) -> Meta {
    let mode = u32::from(facts.stx_mode);
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Dir,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => Kind::File,
    };
    let has_size = matches!(kind, Kind::File | Kind::Symlink);
    let rdev = libc::makedev(facts.stx_rdev_major, facts.stx_rdev_minor);
    Meta {
        kind,
        size: if has_size { facts.stx_size } else { 0 },
        allocated: facts.stx_blocks.saturating_mul(512),
        mtime: time_of(&facts.stx_mtime),
        ctime: time_of(&facts.stx_ctime),
        mode: mode & 0o7777,
        uid: facts.stx_uid,
        gid: facts.stx_gid,
        nlink: facts.stx_nlink,
        id: FileId {
            dev: libc::makedev(facts.stx_dev_major, facts.stx_dev_minor),
            ino: facts.stx_ino,
        },
        rdev: if kind.is_device() { rdev } else { 0 },
        xattrs: None,
        target: None,
        mounted: facts.stx_attributes & MOUNT_ROOT != 0,
    }
}

fn time_of(stamp: &libc::statx_timestamp) -> Time {
    Time { secs: stamp.tv_sec, nanos: stamp.tv_nsec }
}

/// Set of what is the root of a mount (Linux 5.8).
const MOUNT_ROOT: u64 = libc::STATX_ATTR_MOUNT_ROOT.cast_unsigned() as u64;

/// What [`meta_of`] needs.
pub const STATX_WANTED: u32 = libc::STATX_TYPE
    | libc::STATX_MODE
    | libc::STATX_NLINK
    | libc::STATX_UID
    | libc::STATX_GID
    | libc::STATX_MTIME
    | libc::STATX_CTIME
    | libc::STATX_INO
    | libc::STATX_SIZE
    | libc::STATX_BLOCKS;

/// What `statfs(2)` calls file systems that keep times in larger steps.
const MSDOS: u32 = 0x4d44;
const HFS_PLUS: u32 = 0x482b;
const EXFAT: u32 = 0x2011_bab0;
const NTFS: u32 = 0x5346_544e;
const NTFS3: u32 = 0x7366_746e;

/// What it calls those that make contents up.
const PROC: u32 = 0x9fa0;
const SYS: u32 = 0x6265_6572;
const CGROUP: u32 = 0x0027_e0eb;
const CGROUP2: u32 = 0x6367_7270;
const DEBUG: u32 = 0x6462_6720;
const TRACE: u32 = 0x7472_6163;
const CONFIG: u32 = 0x6265_6570;
const SECURITY: u32 = 0x7363_6673;
/// And those that a program makes, where each may do as it likes.
const FUSE: u32 = 0x6573_5546;

/// The number of `fchmodat2(2)` (Linux 6.6), the same on every architecture that Rust has.
const FCHMODAT2: libc::c_long = 452;
static FCHMODAT2_IS_MISSING: AtomicBool = AtomicBool::new(false);
