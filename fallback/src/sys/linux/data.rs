//! Linux: contents of files, their extents, durability and locks.
//! It must not know which way of copying is tried first.
#![expect(
    unsafe_code,
    reason = "FICLONE, flock on a borrowed descriptor, preadv2 and fadvise have no wrapper"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Whence, lseek64};

use super::Object;

/// Makes `target` share the whole content of `source`.
///
/// # Errors
/// Those of `FICLONE`; see `is_unsupported` and `is_cross_device`.
pub fn clone_file(source: &File, target: &File) -> io::Result<()> {
    // SAFETY: both descriptors are open for the duration of the call, and FICLONE takes the source as an integer.
    let result = unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Copies up to `len` bytes at `offset` to the same offset of `target`, inside the system. 0 at the end.
///
/// # Errors
/// Those of `copy_file_range(2)`; see `is_unsupported` and `is_cross_device`.
pub fn copy_range(source: &File, target: &File, offset: u64, len: usize) -> io::Result<usize> {
    let mut from = i64::try_from(offset).map_err(|_| io::Error::from(Errno::EOVERFLOW))?;
    let mut to = from;
    Ok(nix::fcntl::copy_file_range(source, Some(&mut from), target, Some(&mut to), len)?)
}

/// The next range of `file` at or after `offset` that holds data; `None` where only a hole follows. A system that knows
/// no holes calls everything up to `size` data.
///
/// # Errors
/// Those of `lseek(2)`.
pub fn next_extent(file: &File, offset: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    let at = i64::try_from(offset).map_err(|_| io::Error::from(Errno::EOVERFLOW))?;
    let start = match lseek64(file, at, Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::EINVAL) => return Ok((offset < size).then_some(offset..size)),
        Err(error) => return Err(error.into()),
    };
    let end = lseek64(file, start, Whence::SeekHole)?;
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

/// Whether the content of `file` at `offset` can be read without waiting for a device; true where that is not known.
pub fn is_cached(file: &File, offset: u64) -> bool {
    let mut byte = 0_u8;
    let space = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    let Ok(offset) = i64::try_from(offset) else { return true };
    // SAFETY: `space` describes one byte, and both outlive the call.
    let result =
        unsafe { libc::preadv2(file.as_raw_fd(), &raw const space, 1, offset, libc::RWF_NOWAIT) };
    !matches!(Errno::result(result), Err(Errno::EAGAIN))
}

/// Lets the system begin to read the first `len` bytes of `file`. That it does not is no error.
pub fn will_need(file: &File, len: u64) {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    // SAFETY: the descriptor is open for the duration of the call, which touches no memory.
    let _advised =
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, len, libc::POSIX_FADV_WILLNEED) };
}

/// Raises the number of files the process may have open as far as it may itself, and says how many that are.
pub fn raise_open_files() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Makes the content and metadata of a file or directory durable.
///
/// # Errors
/// Those of `fsync(2)`.
pub fn sync(object: Object<'_>) -> io::Result<()> {
    Ok(nix::unistd::fsync(object.0)?)
}

/// Takes the lock that says that a running process uses the object; `false` where another one holds it. The lock ends
/// when the object is closed.
///
/// # Errors
/// Those of `flock(2)` other than that the lock is held.
pub fn try_lock(object: Object<'_>) -> io::Result<bool> {
    // SAFETY: the descriptor is open for the duration of the call.
    let result = unsafe { libc::flock(object.0.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
