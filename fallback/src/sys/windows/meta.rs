//! Windows: what is known of a file and how it is set.
//! It must not know what a transfer keeps.

use std::fs::File;
use std::io;
use std::os::windows::io::BorrowedHandle;

use blit_core::entry::{FileId, Kind, Meta, Time};
use blit_core::path::Name;
use windows_sys::Win32::Storage::FileSystem as win;

use super::{OWNER, Object, OpenDir, link, nt, open_entry};
use crate::sys::Capacity;

/// What the entry `name` is, a link itself, without its attributes and its target.
///
/// # Errors
/// Those of opening it and of `GetFileInformationByHandleEx`.
pub fn stat_at(dir: &OpenDir, name: &Name) -> io::Result<Meta> {
    stat((&open_entry(dir, name)?).into())
}

/// What an open object is, without its attributes.
///
/// # Errors
/// Those of `GetFileInformationByHandleEx`.
pub fn stat(object: Object<'_>) -> io::Result<Meta> {
    let handle = object.handle;
    let basic: win::FILE_BASIC_INFO = nt::facts(handle)?;
    let standard: win::FILE_STANDARD_INFO = nt::facts(handle)?;
    let kind = match reparse_of_attributes(basic.FileAttributes, handle)? {
        Reparse::As(kind) => kind,
        Reparse::Not | Reparse::Behind if has(basic.FileAttributes, DIRECTORY) => Kind::Dir,
        Reparse::Not | Reparse::Behind => Kind::File,
    };
    let size = match kind {
        Kind::File => standard.EndOfFile.max(0).cast_unsigned(),
        Kind::Symlink => link::target_of(handle).map_or(0, |target| target.len() as u64),
        _ => 0,
    };
    Ok(Meta {
        kind,
        size,
        allocated: standard.AllocationSize.max(0).cast_unsigned(),
        mtime: time_of(basic.LastWriteTime),
        ctime: time_of(basic.ChangeTime),
        mode: mode_of(kind, basic.FileAttributes),
        uid: OWNER,
        gid: OWNER,
        nlink: if standard.DeletePending { 0 } else { standard.NumberOfLinks },
        id: id_of(handle)?,
        rdev: 0,
        xattrs: None,
        target: None,
        mounted: false,
    })
}

/// Owners have no numbers here.
///
/// # Errors
/// `Unsupported`.
pub fn set_owner(_: Object<'_>, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a file read-only if its owner may not write it. Directories have nothing of that kind.
///
/// # Errors
/// Those of `SetFileInformationByHandle`.
pub fn set_mode(object: Object<'_>, mode: u32) -> io::Result<()> {
    let basic: win::FILE_BASIC_INFO = nt::facts(object.handle)?;
    let present = basic.FileAttributes;
    if has(present, DIRECTORY) || has(present, win::FILE_ATTRIBUTE_REPARSE_POINT) {
        return Ok(());
    }
    set_attributes(object, (present & !win::FILE_ATTRIBUTE_READONLY) | attributes_of(mode), present)
}

/// Sets the modification time and leaves the access time.
///
/// # Errors
/// Those of `SetFileInformationByHandle`; `InvalidInput` for a time that the system cannot express.
pub fn set_times(object: Object<'_>, mtime: Time) -> io::Result<()> {
    let Some(time) = ticks_of(mtime) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a time before 1601 or too late"));
    };
    let basic = win::FILE_BASIC_INFO { LastWriteTime: time, ..win::FILE_BASIC_INFO::default() };
    object.with_right(win::FILE_WRITE_ATTRIBUTES, |handle| nt::set_basic(handle, &basic))
}

/// Whether `file` is on a file system that makes contents up: none here is known to.
pub fn makes_contents_up(_file: &File) -> bool {
    false
}

/// What the file system of `dir` holds.
///
/// # Errors
/// Those of `NtQueryVolumeInformationFile`.
pub fn file_system(dir: &OpenDir) -> io::Result<Capacity> {
    let facts = nt::volume(dir.handle())?;
    let unit = u64::from(facts.sectors_per_unit) * u64::from(facts.bytes_per_sector);
    let bytes = |units: i64| units.max(0).cast_unsigned().saturating_mul(unit);
    Ok(Capacity { available: bytes(facts.available_units), total: bytes(facts.total_units) })
}

/// The step in which file systems of this type keep times; that of the system itself where it is not known to be larger.
pub fn time_step_ns(dir: &OpenDir) -> u64 {
    match nt::volume_type(dir.handle()).as_deref() {
        Ok("FAT" | "FAT12" | "FAT16" | "FAT32") => 2_000_000_000,
        Ok("exFAT") => 10_000_000,
        _ => 100,
    }
}

/// The attribute that a new file with `mode` gets.
pub(super) fn attributes_of(mode: u32) -> u32 {
    if mode & OWNER_WRITES == 0 { win::FILE_ATTRIBUTE_READONLY } else { 0 }
}

/// Lets a read-only file be removed or replaced; whether it was one.
pub(super) fn make_writable(handle: BorrowedHandle<'_>) -> io::Result<bool> {
    let present = nt::facts::<win::FILE_BASIC_INFO>(handle)?.FileAttributes;
    if !has(present, win::FILE_ATTRIBUTE_READONLY) {
        return Ok(false);
    }
    let object = Object { handle, mark: None };
    set_attributes(object, present & !win::FILE_ATTRIBUTE_READONLY, present)?;
    Ok(true)
}

/// Which file it is.
pub(super) fn id_of(handle: BorrowedHandle<'_>) -> io::Result<FileId> {
    if let Ok(facts) = nt::facts::<win::FILE_ID_INFO>(handle) {
        let id = u128::from_le_bytes(facts.FileId.Identifier);
        // NTFS leaves the upper half empty.
        let ino = low_half(id) ^ low_half(id >> 64).rotate_left(32);
        return Ok(FileId { dev: facts.VolumeSerialNumber, ino });
    }
    let facts = nt::old_facts(handle)?;
    let ino = u64::from(facts.nFileIndexHigh) << 32 | u64::from(facts.nFileIndexLow);
    Ok(FileId { dev: u64::from(facts.dwVolumeSerialNumber), ino })
}

/// What an object is in place of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reparse {
    /// It is itself.
    Not,
    /// An entry of this type.
    As(Kind),
    /// A file or directory whose content the system gets from elsewhere.
    Behind,
}

/// What an object is in place of something else.
pub(super) fn reparse_of(handle: BorrowedHandle<'_>) -> io::Result<Reparse> {
    let basic: win::FILE_BASIC_INFO = nt::facts(handle)?;
    reparse_of_attributes(basic.FileAttributes, handle)
}

/// Whether it is a directory, and no link to one.
pub(super) fn is_dir(handle: BorrowedHandle<'_>) -> io::Result<bool> {
    let attributes = nt::facts::<win::FILE_BASIC_INFO>(handle)?.FileAttributes;
    let reparse = reparse_of_attributes(attributes, handle)?;
    Ok(has(attributes, DIRECTORY) && !matches!(reparse, Reparse::As(_)))
}

fn reparse_of_attributes(attributes: u32, handle: BorrowedHandle<'_>) -> io::Result<Reparse> {
    if !has(attributes, win::FILE_ATTRIBUTE_REPARSE_POINT) {
        return Ok(Reparse::Not);
    }
    let tag = nt::facts::<win::FILE_ATTRIBUTE_TAG_INFO>(handle)?.ReparseTag;
    Ok(match tag {
        TAG_AF_UNIX => Reparse::As(Kind::Socket),
        TAG_LX_FIFO => Reparse::As(Kind::Fifo),
        TAG_LX_CHR => Reparse::As(Kind::CharDevice),
        TAG_LX_BLK => Reparse::As(Kind::BlockDevice),
        _ if has(tag, TAG_IS_ANOTHER_NAME) => Reparse::As(Kind::Symlink),
        _ => Reparse::Behind,
    })
}

fn set_attributes(object: Object<'_>, wanted: u32, present: u32) -> io::Result<()> {
    if wanted == present {
        return Ok(());
    }
    // None at all is told by one that says so, since 0 leaves them.
    let wanted = if wanted == 0 { win::FILE_ATTRIBUTE_NORMAL } else { wanted };
    let basic = win::FILE_BASIC_INFO { FileAttributes: wanted, ..win::FILE_BASIC_INFO::default() };
    object.with_right(win::FILE_WRITE_ATTRIBUTES, |handle| nt::set_basic(handle, &basic))
}

fn mode_of(kind: Kind, attributes: u32) -> u32 {
    match kind {
        Kind::Dir => 0o755,
        Kind::Symlink => 0o777,
        _ if has(attributes, win::FILE_ATTRIBUTE_READONLY) => 0o444,
        _ => 0o644,
    }
}

fn has(flags: u32, flag: u32) -> bool {
    flags & flag != 0
}

#[expect(clippy::cast_possible_truncation, reason = "the other half is taken by itself")]
fn low_half(id: u128) -> u64 {
    id as u64
}

fn time_of(ticks: i64) -> Time {
    let secs = ticks.div_euclid(TICKS_PER_SEC) - SECS_BEFORE_1970;
    let nanos = ticks.rem_euclid(TICKS_PER_SEC) * NANOS_PER_TICK;
    Time { secs, nanos: u32::try_from(nanos).unwrap_or(0) }
}

/// `None` where it cannot be expressed, or would mean that the time is to stay.
fn ticks_of(time: Time) -> Option<i64> {
    let secs = time.secs.checked_add(SECS_BEFORE_1970)?;
    let ticks = secs.checked_mul(TICKS_PER_SEC)?;
    let ticks = ticks.checked_add(i64::from(time.nanos) / NANOS_PER_TICK)?;
    (ticks > 0).then_some(ticks)
}

const DIRECTORY: u32 = win::FILE_ATTRIBUTE_DIRECTORY;
const OWNER_WRITES: u32 = 0o200;
/// IO_REPARSE_TAG_AF_UNIX and those of the Linux subsystem.
const TAG_AF_UNIX: u32 = 0x8000_0023;
const TAG_LX_FIFO: u32 = 0x8000_0024;
const TAG_LX_CHR: u32 = 0x8000_0025;
const TAG_LX_BLK: u32 = 0x8000_0026;
/// The bit of tags whose object is another name of something: links and mount points.
const TAG_IS_ANOTHER_NAME: u32 = 0x2000_0000;
/// Times are counted in steps of 100 ns from 1601.
const TICKS_PER_SEC: i64 = 10_000_000;
const NANOS_PER_TICK: i64 = 100;
const SECS_BEFORE_1970: i64 = 11_644_473_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_same_there_and_back() {
        for time in [
            Time { secs: 0, nanos: 0 },
            Time { secs: 1_234_567_890, nanos: 123_456_700 },
            Time { secs: -1, nanos: 999_999_900 },
            Time { secs: -SECS_BEFORE_1970, nanos: 100 },
        ] {
            assert_eq!(ticks_of(time).map(time_of), Some(time));
        }
        for bad in [Time { secs: -SECS_BEFORE_1970, nanos: 0 }, Time { secs: i64::MAX, nanos: 0 }] {
            assert_eq!(ticks_of(bad), None);
        }
    }
}
