//! Windows: names in a directory: reading, making, renaming and removing them.
//! It must not know which names are temporary or what may be replaced.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, OwnedHandle};

use blit_core::entry::Kind;
use blit_core::path::Name;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Foundation as codes;
use windows_sys::Win32::Storage::FileSystem as win;

use super::nt::{self, Naming, Request, is_code};
use super::{Access, OpenDir, is_unsupported, meta, name, open_child, stat_at};

/// The names of a directory, read in large pieces; it can be put aside and gone on with.
#[derive(Debug)]
pub struct Names {
    dir: OpenDir,
    records: nt::Records,
    /// Where the next record is; `None` when the next ones are to be read.
    at: Option<usize>,
    started: bool,
    name: Vec<u8>,
}

impl Names {
    /// Starts reading `dir`, which must have been opened to be read and by nobody else.
    pub fn new(dir: OpenDir) -> Self {
        Self { dir, records: Vec::new(), at: None, started: false, name: Vec::new() }
    }

    /// Starts reading `dir` through a handle of its own.
    ///
    /// # Errors
    /// Those of `NtCreateFile`.
    pub fn of(dir: &OpenDir) -> io::Result<Self> {
        Ok(Self::new(dir.again(Access::Read)?))
    }

    /// The directory that is read.
    pub fn dir(&self) -> &OpenDir {
        &self.dir
    }

    /// The directory again, read or not.
    pub fn into_dir(self) -> OpenDir {
        self.dir
    }

    /// The next name, without `.` and `..`, and whether it surely is a directory's.
    ///
    /// # Errors
    /// Those of `GetFileInformationByHandleEx`.
    pub fn next_name(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        loop {
            let at = match self.at {
                Some(at) => at,
                None => match self.read()? {
                    true => 0,
                    false => return Ok(None),
                },
            };
            let record = nt::bytes_of(&self.records).get(at..);
            let Some(record) = record.and_then(Record::new) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.name.clear();
            name::push_bytes(record.units(), &mut self.name);
            self.at = record.next.map(|next| at + next);
            let is_dir = record.is_dir;
            if !matches!(self.name.as_slice(), b"." | b"..") {
                return Ok(Some((&self.name, is_dir)));
            }
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        self.records.resize(BUFFER_BYTES / size_of::<u64>(), 0);
        let more = nt::read_dir(self.dir.handle(), !self.started, &mut self.records)?;
        self.started = true;
        Ok(more)
    }
}

/// One entry as the system tells it.
struct Record<'a> {
    name: &'a [u8],
    is_dir: bool,
    /// How far the next one is, if there is one.
    next: Option<usize>,
}

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let number = |at: usize| -> Option<u32> {
            Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
        };
        let size = |at: usize| number(at).and_then(|number| usize::try_from(number).ok());
        let attributes = number(std::mem::offset_of!(win::FILE_FULL_DIR_INFO, FileAttributes))?;
        let len = size(std::mem::offset_of!(win::FILE_FULL_DIR_INFO, FileNameLength))?;
        let name = bytes.get(std::mem::offset_of!(win::FILE_FULL_DIR_INFO, FileName)..)?;
        // What stands for something else may be a link.
        let kind = win::FILE_ATTRIBUTE_DIRECTORY | win::FILE_ATTRIBUTE_REPARSE_POINT;
        Some(Self {
            name: name.get(..len)?,
            is_dir: attributes & kind == win::FILE_ATTRIBUTE_DIRECTORY,
            next: Some(size(0)?).filter(|next| *next != 0),
        })
    }

    fn units(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.name.chunks_exact(2).map(|unit| u16::from_ne_bytes([unit[0], unit[1]]))
    }
}

/// Creates the file `name`, which must not exist, for writing.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn create_new(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<File> {
    let request = Request {
        create: true,
        options: wdk::FILE_NON_DIRECTORY_FILE,
        attributes: meta::attributes_of(mode),
        ..Request::existing(win::FILE_GENERIC_WRITE | win::FILE_READ_ATTRIBUTES)
    };
    Ok(File::from(nt::open(Some(dir.handle()), &name::new(name.as_bytes())?, request)?))
}

/// Opens the regular file `name` for reading and writing.
///
/// # Errors
/// Those of opening it; it is no file then.
pub fn open_to_update(dir: &OpenDir, name: &Name) -> io::Result<File> {
    let request = Request {
        options: wdk::FILE_NON_DIRECTORY_FILE,
        ..Request::existing(win::FILE_GENERIC_READ | win::FILE_GENERIC_WRITE)
    };
    Ok(File::from(nt::open(Some(dir.handle()), &name::new(name.as_bytes())?, request)?))
}

/// Every file has a name here.
///
/// # Errors
/// `Unsupported`.
pub fn create_unnamed(_: &OpenDir, _: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Every file has a name here.
///
/// # Errors
/// `Unsupported`.
pub fn link_unnamed(_: &File, _: &OpenDir, _: &Name) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes `to` another name of the entry `from`; a link is not followed.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileLinkInformation`.
pub fn link(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    let entry = open_for(from_dir, from, win::FILE_WRITE_ATTRIBUTES)?;
    nt::name(entry.as_handle(), Naming::Link, to_dir.handle(), &name::new(to.as_bytes())?)
}

/// Renames within one directory to a name that must not exist.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileRenameInformation`.
pub fn rename_new(dir: &OpenDir, from: &Name, to: &Name) -> io::Result<()> {
    move_new(dir, from, dir, to)
}

/// Moves an entry of any type from one directory to a name in another that must not exist.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileRenameInformation`; see `is_cross_device`.
pub fn move_new(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    let entry = open_for(from_dir, from, win::DELETE)?;
    let to = name::new(to.as_bytes())?;
    nt::name(entry.as_handle(), Naming::OldRename(false), to_dir.handle(), &to)
}

/// Lets two entries change their names in one step: the system has no such call.
///
/// # Errors
/// Always `Unsupported`.
pub fn exchange(_: &OpenDir, _: &Name, _: &Name) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Renames within one directory over a non-directory, whoever has it open and whether or not it is read-only.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileRenameInformationEx`; `IsADirectory` over a directory.
pub fn rename_over(dir: &OpenDir, from: &Name, to: &Name) -> io::Result<()> {
    move_over(dir, from, dir, to)
}

/// Moves an entry from one directory to a name in another, over a non-directory, as [`rename_over`] does.
///
/// # Errors
/// Those of [`rename_over`]; see `is_cross_device`.
pub fn move_over(from_dir: &OpenDir, from: &Name, dir: &OpenDir, to: &Name) -> io::Result<()> {
    let entry = open_for(from_dir, from, win::DELETE)?;
    let units = name::new(to.as_bytes())?;
    let flags = wdk::FILE_RENAME_REPLACE_IF_EXISTS
        | wdk::FILE_RENAME_POSIX_SEMANTICS
        | wdk::FILE_RENAME_IGNORE_READONLY_ATTRIBUTE;
    let rename = |naming| nt::name(entry.as_handle(), naming, dir.handle(), &units);
    let mut renamed = rename(Naming::Rename(flags));
    if renamed.as_ref().is_err_and(is_unsupported) {
        renamed = rename(Naming::OldRename(true));
    }
    let Err(error) = renamed else { return Ok(()) };
    if !is_code(&error, codes::ERROR_ACCESS_DENIED) {
        return Err(error);
    }
    // The system says no more than that to a directory in the way, and the older call also to a read-only file.
    match stat_at(dir, to) {
        Ok(meta) if meta.kind == Kind::Dir => Err(io::ErrorKind::IsADirectory.into()),
        // A link to a directory counts as one, so there is no replacing it in one step.
        Ok(meta) if meta.kind == Kind::Symlink => {
            remove_file(dir, to)?;
            rename(Naming::OldRename(false))
        }
        Ok(_) => {
            let present = open_for(dir, to, win::FILE_READ_ATTRIBUTES)?;
            if !meta::make_writable(present.as_handle())? {
                return Err(error);
            }
            rename(Naming::OldRename(true))
        }
        Err(_) => Err(error),
    }
}

/// Makes the directory `name`. Who may do what in it is inherited.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn make_dir(dir: &OpenDir, name: &Name, _: u32) -> io::Result<()> {
    let request = Request { create: true, ..Request::dir(win::FILE_READ_ATTRIBUTES) };
    nt::open(Some(dir.handle()), &name::new(name.as_bytes())?, request).map(drop)
}

/// Makes the directory `name` and opens it to be read. It is as open to others as the one it is in.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn make_private_dir(dir: &OpenDir, name: &Name) -> io::Result<OpenDir> {
    make_dir(dir, name, 0)?;
    open_child(dir, name, Access::Read)
}

/// There are no named pipes in file systems.
///
/// # Errors
/// `Unsupported`.
pub fn make_fifo(_: &OpenDir, _: &Name, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A socket's node is only made by a process that listens on it.
///
/// # Errors
/// `Unsupported`.
pub fn make_socket(_: &OpenDir, _: &Name, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There are no device nodes in file systems.
///
/// # Errors
/// `Unsupported`.
pub fn make_device(_: &OpenDir, _: &Name, _: (bool, u32), _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a name that is not a directory's.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileDispositionInformationEx`; `IsADirectory` for a directory.
pub fn remove_file(dir: &OpenDir, name: &Name) -> io::Result<()> {
    let entry = open_for(dir, name, win::DELETE | win::FILE_READ_ATTRIBUTES)?;
    if meta::is_dir(entry.as_handle())? {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    delete(&entry)
}

/// Removes an empty directory.
///
/// # Errors
/// Those of `NtCreateFile` and of setting `FileDispositionInformationEx`; `NotADirectory` for anything else.
pub fn remove_dir(dir: &OpenDir, name: &Name) -> io::Result<()> {
    let entry = open_for(dir, name, win::DELETE | win::FILE_READ_ATTRIBUTES)?;
    if !meta::is_dir(entry.as_handle())? {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    delete(&entry)
}

fn delete(entry: &OwnedHandle) -> io::Result<()> {
    match nt::delete_at_once(entry.as_handle()) {
        Err(error) if is_unsupported(&error) => {
            meta::make_writable(entry.as_handle())?;
            nt::delete_on_close(entry.as_handle())
        }
        other => other,
    }
}

fn open_for(dir: &OpenDir, name: &Name, access: u32) -> io::Result<OwnedHandle> {
    let name = name::existing(name.as_bytes())?;
    nt::open(Some(dir.handle()), &name, Request::existing(access))
}

/// Some hundred names a call; more than 64 KiB is not given over networks.
const BUFFER_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(next: u32, attributes: u32, name: &str) -> Vec<u8> {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_ne_bytes).collect();
        let mut bytes = vec![0; std::mem::offset_of!(win::FILE_FULL_DIR_INFO, FileName)];
        bytes[..4].copy_from_slice(&next.to_ne_bytes());
        bytes[56..60].copy_from_slice(&attributes.to_ne_bytes());
        let len = u32::try_from(units.len()).expect("short");
        bytes[60..64].copy_from_slice(&len.to_ne_bytes());
        bytes.extend(units);
        bytes
    }

    #[test]
    fn records_that_lie_about_lengths_are_refused() {
        let good = record(0, win::FILE_ATTRIBUTE_DIRECTORY, "name");
        let read = Record::new(&good).expect("good");
        assert!(read.is_dir && read.next.is_none());
        assert_eq!(String::from_utf16_lossy(&read.units().collect::<Vec<u16>>()), "name");
        for cut in 0..good.len() {
            assert!(Record::new(&good[..cut]).is_none(), "{cut}");
        }
        let link = win::FILE_ATTRIBUTE_DIRECTORY | win::FILE_ATTRIBUTE_REPARSE_POINT;
        assert!(!Record::new(&record(0, link, "link")).expect("good").is_dir);
    }
}
