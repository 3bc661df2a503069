//! Linux: names in a directory: reading, making, renaming and removing them.
//! It must not know which names are temporary or what may be replaced.
#![expect(unsafe_code, reason = "getdents64 has no wrapper")]

use std::cell::Cell;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use blit_core::path::Name;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::{
    Access, OpenDir, checked, open_child, open_entry, proc_path, set_mode, stat_at, umask,
};

/// The names of a directory, read in large pieces; it can be put aside and gone on with.
#[derive(Debug)]
pub struct Names {
    dir: OpenDir,
    buffer: Buffer,
    at: usize,
    len: usize,
}

/// Room for names; goes back to the thread when it is no longer needed.
#[derive(Debug)]
struct Buffer(Vec<u8>);

impl Drop for Buffer {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}

impl Names {
    /// Starts reading `dir`, which must have been opened to be read and by nobody else.
    pub fn new(dir: OpenDir) -> Self {
        let mut buffer = SPARE.take();
        buffer.resize(BUFFER_BYTES, 0);
        Self { dir, buffer: Buffer(buffer), at: 0, len: 0 }
    }

    /// Starts reading `dir` through a descriptor of its own.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn of(dir: &OpenDir) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self::new(OpenDir(openat(dir, c".", flags, Mode::empty())?)))
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
    /// Those of `getdents64(2)`.
    pub fn next_name(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        loop {
            if self.at >= self.len {
                let (fd, data) = (self.dir.0.as_raw_fd(), self.buffer.0.as_mut_ptr());
                // SAFETY: `data` and the length describe `buffer`, which outlives the call.
                let result =
                    unsafe { libc::syscall(libc::SYS_getdents64, fd, data, self.buffer.0.len()) };
                self.len = checked(result)?;
                self.at = 0;
                if self.len == 0 {
                    return Ok(None);
                }
            }
            let record = &self.buffer.0[self.at..self.len];
            let Some((size, is_dir, end)) = record_of(record) else {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            };
            let start = self.at;
            self.at += size;
            if !matches!(&self.buffer.0[start + NAME_OFFSET..start + end], b"." | b"..") {
                return Ok(Some((&self.buffer.0[start + NAME_OFFSET..start + end], is_dir)));
            }
        }
    }
}

/// Length of the record, whether it is a directory's, and where its name ends.
fn record_of(record: &[u8]) -> Option<(usize, bool, usize)> {
    let size = usize::from(u16::from_ne_bytes([*record.get(16)?, *record.get(17)?]));
    let name = record.get(NAME_OFFSET..size)?;
    let len = CStr::from_bytes_until_nul(name).ok()?.count_bytes();
    Some((size, record[18] == libc::DT_DIR, NAME_OFFSET + len))
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
    Ok(File::from(openat(dir, name.as_bytes(), flags, Mode::from_bits_truncate(mode))?))
}

/// Opens the regular file `name` for reading and writing. What else may have taken its place is opened without waiting and
/// must be examined before it is used.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_to_update(dir: &OpenDir, name: &Name) -> io::Result<File> {
    let flags =
        OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name.as_bytes(), flags, Mode::empty())?))
}

/// Creates a file without a name in `dir` for writing; it is gone when closed unless [`link_unnamed`] names it.
///
/// # Errors
/// Those of `openat(2)`; `Unsupported` where the file system has no such files.
pub fn create_unnamed(dir: &OpenDir, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_TMPFILE | OFlag::O_CLOEXEC;
    match openat(dir, c".", flags, Mode::from_bits_truncate(mode)) {
        Ok(fd) => Ok(File::from(fd)),
        // Kernels and file systems that do not know the flag see an attempt to write to a directory.
        Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives the unnamed `file` the name `name`, which must not exist.
///
/// # Errors
/// Those of `linkat(2)`.
pub fn link_unnamed(file: &File, dir: &OpenDir, name: &Name) -> io::Result<()> {
    if !EMPTY_LINK_IS_REFUSED.load(Ordering::Relaxed) {
        match linkat(file, c"", dir, name.as_bytes(), AtFlags::AT_EMPTY_PATH) {
            // Older kernels want a capability for this form and say ENOENT without it.
            Err(Errno::ENOENT) => EMPTY_LINK_IS_REFUSED.store(true, Ordering::Relaxed),
            other => return Ok(other?),
        }
    }
    let path = proc_path(file.as_fd());
    let path = path.trim_end_matches('\0');
    Ok(linkat(nix::fcntl::AT_FDCWD, path, dir, name.as_bytes(), AtFlags::AT_SYMLINK_FOLLOW)?)
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
/// Those of `renameat2(2)`.
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
/// Those of `renameat2(2)`; see `is_cross_device`.
pub fn move_new(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    match renameat2(from_dir, from.as_bytes(), to_dir, to.as_bytes(), flags) {
        // Some file systems cannot rename without replacing. Linking cannot replace either.
        Err(Errno::EINVAL | Errno::ENOSYS) => move_by_link(from_dir, from, to_dir, to),
        other => Ok(other?),
    }
}

/// Moves an entry from one directory to a name in another, over a non-directory.
///
/// # Errors
/// Those of `renameat(2)`; see `is_cross_device`.
pub fn move_over(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    Ok(renameat(from_dir, from.as_bytes(), to_dir, to.as_bytes())?)
}

/// Lets two entries of one directory, of any type, change their names in one step.
///
/// # Errors
/// Those of `renameat2(2)`; see `is_unsupported`.
pub fn exchange(dir: &OpenDir, one: &Name, other: &Name) -> io::Result<()> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    Ok(renameat2(dir, one.as_bytes(), dir, other.as_bytes(), flags)?)
}

/// Makes the directory `name`.
///
/// # Errors
/// Those of `mkdirat(2)`.
pub fn make_dir(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<()> {
    Ok(mkdirat(dir, name.as_bytes(), Mode::from_bits_truncate(mode))?)
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
/// Those of `mknodat(2)`.
pub fn make_fifo(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<()> {
    make_node(dir, name, SFlag::S_IFIFO, (mode, 0))
}

/// Makes the node of a Unix socket.
///
/// # Errors
/// Those of `mknodat(2)`.
pub fn make_socket(dir: &OpenDir, name: &Name, mode: u32) -> io::Result<()> {
    make_node(dir, name, SFlag::S_IFSOCK, (mode, 0))
}

/// Makes a device node, of a block device or not, with the number `rdev`.
///
/// # Errors
/// Those of `mknodat(2)`.
pub fn make_device(
    dir: &OpenDir,
    name: &Name,
    (is_block, mode): (bool, u32),
    rdev: u64,
) -> io::Result<()> {
    let kind = if is_block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    make_node(dir, name, kind, (mode, rdev))
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
    Ok(unlinkat(dir, name.as_bytes(), UnlinkatFlags::NoRemoveDir)?)
}

/// Removes an empty directory.
///
/// # Errors
/// Those of `unlinkat(2)`.
pub fn remove_dir(dir: &OpenDir, name: &Name) -> io::Result<()> {
    Ok(unlinkat(dir, name.as_bytes(), UnlinkatFlags::RemoveDir)?)
}

fn make_node(dir: &OpenDir, name: &Name, kind: SFlag, mode_rdev: (u32, u64)) -> io::Result<()> {
    let (mode, rdev) = mode_rdev;
    Ok(mknodat(dir, name.as_bytes(), kind, Mode::from_bits_truncate(mode), rdev)?)
}

fn move_by_link(from_dir: &OpenDir, from: &Name, to_dir: &OpenDir, to: &Name) -> io::Result<()> {
    match link(from_dir, from, to_dir, to) {
        Ok(()) => remove_file(from_dir, from),
        // Directories cannot be linked, on some file systems nothing can. There is no way to do that in one step.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => match stat_at(to_dir, to) {
            Ok(_) => Err(Errno::EEXIST.into()),
            Err(_) => move_over(from_dir, from, to_dir, to),
        },
        Err(error) => Err(error),
    }
}

thread_local! {
    /// One buffer that this thread does not use at the moment.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

static EMPTY_LINK_IS_REFUSED: AtomicBool = AtomicBool::new(false);
/// About a thousand names a call.
const BUFFER_BYTES: usize = 32 * 1024;
/// Where the name begins in `struct linux_dirent64`.
const NAME_OFFSET: usize = 19;
const PRIVATE_DIR: u32 = 0o700;
