//! macOS: contents of files, their extents, durability and locks.
//! It must not know which way of copying is tried first.
#![expect(unsafe_code, reason = "flock on a borrowed descriptor has no wrapper")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::{Whence, lseek};

use super::{Object, is_unsupported};

/// The system only shares with a file that it makes itself.
///
/// # Errors
/// `Unsupported`.
pub fn clone_file(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The system copies whole files only.
///
/// # Errors
/// `Unsupported`.
pub fn copy_range(_: &File, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The next range of `file` at or after `offset` that holds data; `None` where only a hole follows. A system that knows
/// no holes calls everything up to `size` data.
///
/// # Errors
/// Those of `lseek(2)`.
pub fn next_extent(file: &File, offset: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    let at = i64::try_from(offset).map_err(|_| io::Error::from(Errno::EOVERFLOW))?;
    let start = match lseek(file, at, Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::EINVAL | Errno::ENOTTY | Errno::ENOTSUP) => {
            return Ok((offset < size).then_some(offset..size));
        }
        Err(error) => return Err(error.into()),
    };
    let end = lseek(file, start, Whence::SeekHole)?;
    Ok(Some(start.cast_unsigned()..end.cast_unsigned()))
}

/// Reads at `offset` without moving the position. 0 at the end.
///
/// # Errors
/// Those of `pread(2)`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Writes all of `bytes` at `offset` without moving the position.
///
/// # Errors
/// Those of `pwrite(2)`.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Whether the content of `file` can be read without waiting for a device: not known here, so it counts as true.
pub fn is_cached(_: &File, _: u64) -> bool {
    true
}

/// Lets the system begin to read a file: not needed where [`is_cached`] is always true.
pub fn will_need(_: &File, _: u64) {}

/// How many files may be held open ahead of their use: none.
pub fn raise_open_files() -> usize {
    0
}

/// Makes the content and metadata of a file or directory durable, through the cache of the drive where it lets us.
///
/// # Errors
/// Those of `F_FULLFSYNC` and `fsync(2)`.
pub fn sync(object: Object<'_>) -> io::Result<()> {
    let fd = object.opened()?;
    match fcntl(fd, FcntlArg::F_FULLFSYNC).map_err(io::Error::from) {
        Ok(_) => Ok(()),
        Err(error) if is_unsupported(&error) => Ok(nix::unistd::fsync(fd)?),
        Err(error) => Err(error),
    }
}

/// Takes the lock that says that a running process uses the object; `false` where another one holds it. The lock ends
/// when the object is closed.
///
/// # Errors
/// Those of `flock(2)` other than that the lock is held.
pub fn try_lock(object: Object<'_>) -> io::Result<bool> {
    let fd = object.opened()?;
    // SAFETY: the descriptor is open for the duration of the call.
    let result = unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
