//! macOS: names in a directory: reading, making, renaming and removing them.
//! It must not know which names are temporary or what may be replaced.
#![expect(unsafe_code, reason = "renameatx_np, mkfifoat and mknodat have no wrapper")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use blit_core::path::Name;
use nix::dir::{Dir, OwningIter, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::meta::mode_of;
use super::{Access, OpenDir, READ, open_child, open_entry, set_mode, umask, with_name};

/// The names of a directory, read in large pieces; it can be put aside and gone on with.
#[derive(Debug)]
pub struct Names {
    dir: OpenDir,
    /// Has a descriptor of its own; begun with the first name.
    entries: Option<OwningIter>,
    name: Vec<u8>,
}

impl Names {
    /// Starts reading `dir`, which must have been opened to be read.
    pub fn new(dir: OpenDir) -> Self {
        Self { dir, entries: None, name: Vec::new() }
    }

    /// Starts reading `dir` through a descriptor of its own.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn of(dir: &OpenDir) -> io::Result<Self> {
        Ok(Self::new(OpenDir(openat(dir, c".", READ, Mode::empty())?)))
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
    /// Those of `readdir(3)`.
    pub fn next_name(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            none => {
                let fd = openat(&self.dir, c".", READ, Mode::empty())?;
                none.insert(Dir::from_fd(fd)?.into_iter())
            }
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                self.name.clear();
                self.name.extend_from_slice(name);
                return Ok(Some((&self.name, entry.file_type() == Some(Type::Directory))));
            }
        }
        Ok(None)
    }
}

/// Creates the file `name`, which must not exist, for writing.
///
/// # Errors
/// Those of `openat(2)`.
pub fn create_new(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name.as_bytes(), flags, mode_of(mode))?))
}

/// Opens the regular file `name` for reading and writing. What else may have taken its place is opened without waiting and
/// must be examined before it is used.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_to_update(dir: &OpenDir, name: &Name) -> io::Result<File> {
    let flags =
        OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name.as_bytes(), flags, mode_of(0))?))
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
/// Those of `linkat(2)`.
pub fn link(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    Ok(linkat(from_dir, from.as_bytes(), to_dir, to.as_bytes(), AtFlags::empty())?)
}

/// Renames within one directory to a name that must not exist.
///
/// # Errors
/// Those of `renameatx_np(2)`.
pub fn rename_new(dir: &OpenDir, from: &Name, to: &Name) -> io::Result<()> {
    move_new(dir, from, dir, to)
}

/// Renames within one directory over a non-directory.
///
/// # Errors
/// Those of `renameat(2)`.
pub fn rename_over(dir: &OpenDir, from: &Name, to: &Name) -> io::Result<()> {
    move_over(dir, from, dir, to)
}

/// Moves an entry of any type from one directory to a name in another that must not exist.
///
/// # Errors
/// Those of `renameatx_np(2)`; see `is_cross_device`.
pub fn move_new(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    match rename_with((from_dir, from), (to_dir, to), libc::RENAME_EXCL)? {
        // Some file systems cannot rename without replacing. Linking cannot replace either.
        Err(Errno::ENOTSUP | Errno::EINVAL | Errno::ENOSYS) => {
            move_by_link(from_dir, from, to_dir, to)
        }
        other => Ok(other?),
    }
}

/// Moves an entry from one directory to a name in another, over a non-directory.
///
/// # Errors
/// Those of `renameat(2)`.
pub fn move_over(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    Ok(renameat(from_dir, from.as_bytes(), to_dir, to.as_bytes())?)
}

/// Lets two entries of one directory, of any type, change their names in one step.
///
/// # Errors
/// Those of `renameatx_np(2)`; see `is_unsupported`.
pub fn exchange(dir: &OpenDir, one: &Name, other: &Name) -> io::Result<()> {
    Ok(rename_with((dir, one), (dir, other), libc::RENAME_SWAP)??)
}

fn rename_with(
    (from_dir, from): (&OpenDir, &Name),
    (to_dir, to): (&OpenDir, &Name),
    flags: libc::c_uint,
) -> io::Result<Result<(), Errno>> {
    let (from_fd, to_fd) = (from_dir.0.as_raw_fd(), to_dir.0.as_raw_fd());
    with_name(from, |from| {
        with_name(to, |to| {
            let (from, to) = (from.as_ptr(), to.as_ptr());
            // SAFETY: both names end with NUL and outlive the call.
            let result = unsafe { libc::renameatx_np(from_fd, from, to_fd, to, flags) };
            Ok(Errno::result(result).map(drop))
        })
    })
}

/// Makes the directory `name`.
///
/// # Errors
/// Those of `mkdirat(2)`.
pub fn make_dir(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<()> {
    Ok(mkdirat(dir, name.as_bytes(), mode_of(mode))?)
}

/// Makes the directory `name` with all rights for its owner and none for others, and opens it to be read.
///
/// # Errors
/// Those of `mkdirat(2)` and `openat(2)`.
pub fn make_private_dir(dir: &OpenDir, name: &Name) -> io::Result<OpenDir> {
    make_dir(dir, name, PRIVATE_DIR)?;
    if umask() & PRIVATE_DIR != 0 {
        set_mode((&open_entry(dir, name)?).into(), PRIVATE_DIR)?;
    }
    open_child(dir, name, Access::Read)
}

/// Makes a symbolic link.
///
/// # Errors
/// Those of `symlinkat(2)`.
pub fn make_symlink(dir: &OpenDir, name: &Name, target: &[u8]) -> io::Result<()> {
    Ok(nix::unistd::symlinkat(target, dir, name.as_bytes())?)
}

/// Makes a named pipe.
///
/// # Errors
/// Those of `mkfifoat(2)`; `Unsupported` before macOS 13.
pub fn make_fifo(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<()> {
    type MkfifoAt =
        unsafe extern "C" fn(libc::c_int, *const libc::c_char, libc::mode_t) -> libc::c_int;
    let Some(address) = newer_call(c"mkfifoat") else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    // SAFETY: this is the type that the system documents for the call.
    let call = unsafe { std::mem::transmute::<*mut libc::c_void, MkfifoAt>(address) };
    with_name(name, |name| {
        // SAFETY: the name ends with NUL and outlives the call.
        let result = unsafe { call(dir.0.as_raw_fd(), name.as_ptr(), mode_of(mode).bits()) };
        Ok(Errno::result(result).map(drop)?)
    })
}

/// A socket's node is only made by a process that listens on it.
///
/// # Errors
/// `Unsupported`.
pub fn make_socket(_: &OpenDir, _: &Name, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a device node, of a block device or not, with the number `rdev`.
///
/// # Errors
/// Those of `mknodat(2)`; `Unsupported` before macOS 13.
pub fn make_device(
    dir: &OpenDir,
    name: &Name,
    (is_block, mode): (bool, u32),
    rdev: u64,
) -> io::Result<()> {
    type MknodAt = unsafe extern "C" fn(
        libc::c_int,
        *const libc::c_char,
        libc::mode_t,
        libc::dev_t,
    ) -> libc::c_int;
    let Some(address) = newer_call(c"mknodat") else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let kind = if is_block { libc::S_IFBLK } else { libc::S_IFCHR };
    let rdev = u32::try_from(rdev).map_err(|_| io::Error::from(Errno::EINVAL))?.cast_signed();
    // SAFETY: this is the type that the system documents for the call.
    let call = unsafe { std::mem::transmute::<*mut libc::c_void, MknodAt>(address) };
    with_name(name, |name| {
        let mode = kind | mode_of(mode).bits();
        // SAFETY: the name ends with NUL and outlives the call.
        let result = unsafe { call(dir.0.as_raw_fd(), name.as_ptr(), mode, rdev) };
        Ok(Errno::result(result).map(drop)?)
    })
}

/// The target of the symbolic link `name`, however long.
///
/// # Errors
/// Those of `readlinkat(2)`.
pub fn read_link(dir: &OpenDir, name: &Name) -> io::Result<Box<[u8]>> {
    let target = nix::fcntl::readlinkat(dir, name.as_bytes())?;
    Ok(std::os::unix::ffi::OsStringExt::into_vec(target).into_boxed_slice())
}

/// Removes a name that is not a directory's.
///
/// # Errors
/// Those of `unlinkat(2)`; `IsADirectory` for a directory.
pub fn remove_file(dir: &OpenDir, name: &Name) -> io::Result<()> {
    match unlinkat(dir, name.as_bytes(), UnlinkatFlags::NoRemoveDir) {
        // This system says the same to what must not be removed and to a directory.
        Err(Errno::EPERM) if is_dir(dir, name) => Err(io::ErrorKind::IsADirectory.into()),
        other => Ok(other?),
    }
}

/// Removes an empty directory.
///
/// # Errors
/// Those of `unlinkat(2)`.
pub fn remove_dir(dir: &OpenDir, name: &Name) -> io::Result<()> {
    Ok(unlinkat(dir, name.as_bytes(), UnlinkatFlags::RemoveDir)?)
}

fn is_dir(dir: &OpenDir, name: &Name) -> bool {
    super::stat_at(dir, name).is_ok_and(|meta| meta.kind == blit_core::entry::Kind::Dir)
}

fn move_by_link(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    match linkat(from_dir, from.as_bytes(), to_dir, to.as_bytes(), AtFlags::empty()) {
        Ok(()) => remove_file(from_dir, from),
        // A directory cannot be linked, but renaming it never replaces anything but an empty directory.
        Err(Errno::EPERM | Errno::EISDIR) if is_dir(from_dir, from) => {
            move_over(from_dir, from, to_dir, to)
        }
        Err(error) => Err(error.into()),
    }
}

/// The address of a call that older systems lack.
fn newer_call(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: the name ends with NUL and outlives the call.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

const PRIVATE_DIR: u32 = 0o700;
