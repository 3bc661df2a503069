//! Windows: contents of files, their extents, durability and locks.
//! It must not know which way of copying is tried first.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::windows::fs::FileExt;
use std::os::windows::io::AsHandle;

use windows_sys::Win32::Storage::FileSystem as win;

use super::{Object, is_unsupported, meta, nt};

/// Sharing is not done here yet: it works on ReFS alone, cluster by cluster.
///
/// # Errors
/// `Unsupported`.
pub fn clone_file(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The system copies whole files by path only.
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
/// Those of `FSCTL_QUERY_ALLOCATED_RANGES`.
pub fn next_extent(file: &File, offset: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    if offset >= size {
        return Ok(None);
    }
    let (Ok(at), Ok(len)) = (i64::try_from(offset), i64::try_from(size - offset)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match nt::first_extent(file.as_handle(), (at, len)) {
        Ok(Some((start, len))) => {
            let start = start.max(at);
            let end = start.saturating_add(len.max(0));
            Ok(Some(start.cast_unsigned()..end.cast_unsigned()))
        }
        Ok(None) => Ok(None),
        Err(error) if is_unsupported(&error) => Ok(Some(offset..size)),
        Err(error) => Err(error),
    }
}

/// Reads at `offset`. 0 at the end.
///
/// # Errors
/// Those of `ReadFile`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
/// Those of `WriteFile`.
pub fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the content and metadata of a file or directory durable.
///
/// # Errors
/// Those of `FlushFileBuffers`.
pub fn sync(object: Object<'_>) -> io::Result<()> {
    // In a directory these are the rights to make files and directories.
    let access = win::FILE_WRITE_DATA | win::FILE_APPEND_DATA;
    object.with_right(access, nt::flush)
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

/// Takes the lock that says that a running process uses the object; `false` where another one holds it. The lock ends
/// when the object is closed.
///
/// # Errors
/// Those of `LockFileEx` and `CreateMutexW` other than that the lock is held.
pub fn try_lock(object: Object<'_>) -> io::Result<bool> {
    let Some(place) = object.mark else { return nt::lock(object.handle) };
    if place.get().is_some() {
        return Ok(true);
    }
    // Only files can be locked, so a directory is marked by its number.
    let id = meta::id_of(object.handle)?;
    match nt::mark(&format!("Global\\blit-{:016x}-{:016x}", id.dev, id.ino))? {
        Some(mark) => Ok(place.set(mark).is_ok()),
        None => Ok(false),
    }
}
