//! macOS: handles, and the one way a path below a root is opened.
//! It must not know tasks or policy.
//!
//! Everything below a root is opened name by name with `O_NOFOLLOW`, so no link leads out of it. What the system lacks,
//! or what remains:
//! - There is no `RESOLVE_BENEATH`: a directory that is moved out of the root while it is walked through is followed to
//!   where it went.
//! - Entries that cannot be opened without doing something to them (pipes, sockets, devices, files that their owner may
//!   not read) are held as a directory and a name. They are examined again before each change, but may be replaced
//!   between the two calls; a link in their place is still not followed.
//! - Extended attributes of such entries are neither read nor set. Those of others have the prefix `user.` outside of
//!   this system and lose it here, so that they are kept on both sides; other namespaces cannot be set.
//! - ACLs of this system are neither read nor set, nor is what entries inherit of them removed: where a directory
//!   bequeaths rights, copies in it have them. File flags (`uchg`, `hidden`) and times of birth are not kept.
//! - Clones are made under a new name only (`fclonefileat`), so nothing is shared with a file that is open already, and
//!   there is no copying of ranges inside the system.
//! - Files without a name and reading without a new access time do not exist. Sockets are not made; pipes and devices
//!   are from macOS 13 on.
//! - The system tells at most 16 groups of a process.

mod data;
mod meta;
mod names;
mod xattr;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use blit_core::entry::{FileId, Kind};
use blit_core::path::Name;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::{Access, Enforced, Identity, Owner, Reach};

pub use data::{
    clone_file, copy_range, is_cached, next_extent, raise_open_files, read_at, sync, try_lock,
    will_need, write_at,
};
pub use meta::{
    file_system, makes_contents_up, set_mode, set_owner, set_times, stat, stat_at, time_step_ns,
};
pub use names::{
    Names, create_new, create_unnamed, exchange, link, link_unnamed, make_device, make_dir,
    make_fifo, make_private_dir, make_socket, make_symlink, move_new, move_over, open_to_update,
    read_link, remove_dir, remove_file, rename_new, rename_over,
};
pub use xattr::{acl_is_inherited, remove_xattr, set_xattr, xattrs_at, xattrs_of};

/// An open directory, below which names are reached.
#[derive(Debug)]
pub struct OpenDir(OwnedFd);

impl AsFd for OpenDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An entry of any type, opened without reading it and without following it.
#[derive(Debug)]
pub struct OpenEntry(Held);

/// How an entry is held.
#[derive(Debug)]
enum Held {
    Open(OwnedFd),
    Named(Named),
}

/// An entry that is not opened.
#[derive(Debug)]
struct Named {
    dir: OwnedFd,
    name: CString,
    id: FileId,
}

/// Anything open whose metadata can be read and set.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(Target<'a>);

/// How an object is reached.
#[derive(Clone, Copy, Debug)]
enum Target<'a> {
    Open(BorrowedFd<'a>),
    Named(&'a Named),
}

impl<'a> From<&'a File> for Object<'a> {
    fn from(file: &'a File) -> Self {
        Self(Target::Open(file.as_fd()))
    }
}

impl<'a> From<&'a OpenDir> for Object<'a> {
    fn from(dir: &'a OpenDir) -> Self {
        Self(Target::Open(dir.0.as_fd()))
    }
}

impl<'a> From<&'a OpenEntry> for Object<'a> {
    fn from(entry: &'a OpenEntry) -> Self {
        match &entry.0 {
            Held::Open(fd) => Self(Target::Open(fd.as_fd())),
            Held::Named(named) => Self(Target::Named(named)),
        }
    }
}

impl Object<'_> {
    /// The descriptor of what is open.
    fn opened(&self) -> io::Result<BorrowedFd<'_>> {
        match self.0 {
            Target::Open(fd) => Ok(fd),
            Target::Named(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Opens the directory at `path` as the user gave it, following links.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_root(path: &Path) -> io::Result<OpenDir> {
    let open = |flags| nix::fcntl::open(path, flags, Mode::empty());
    match open(READ) {
        Err(Errno::EACCES) => Ok(OpenDir(open(SEARCH)?)),
        other => Ok(OpenDir(other?)),
    }
}

/// Opens the directory `path` below `base`. Nothing in `path` is followed.
///
/// # Errors
/// `NotADirectory` where a link stands in the way; otherwise those of `openat(2)`.
pub fn open_dir(base: &OpenDir, path: &[u8], access: Access) -> io::Result<OpenDir> {
    if path.is_empty() {
        return open_part(base.as_fd(), b".", access);
    }
    let mut at: Option<OpenDir> = None;
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let access = if parts.peek().is_some() { Access::Search } else { access };
        at = Some(open_part(at.as_ref().unwrap_or(base).as_fd(), part, access)?);
    }
    at.ok_or_else(|| Errno::ENOENT.into())
}

/// Opens the directory `name` in `dir`; a link there is refused.
///
/// # Errors
/// `NotADirectory` for a link; otherwise those of `openat(2)`.
pub fn open_child(dir: &OpenDir, name: &Name, access: Access) -> io::Result<OpenDir> {
    open_part(dir.as_fd(), name.as_bytes(), access)
}

/// Opens the directory above `dir`, wherever that is now; at the top of the system that is `dir` itself.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_parent(dir: &OpenDir, access: Access) -> io::Result<OpenDir> {
    open_part(dir.as_fd(), b"..", access)
}

/// Opens the regular file `name` for reading. What else may have taken its place is opened without waiting and must be
/// examined before it is read. The access time is left to the system.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    // There is no way to read without a new access time.
    let _ = quiet;
    Ok(File::from(openat(dir, name.as_bytes(), CONTENT.union(OFlag::O_NOFOLLOW), Mode::empty())?))
}

/// Opens the regular file `name` for writing, as it is. What else may have taken its place is opened without waiting and
/// must be examined before it is written.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_to_write(dir: &OpenDir, name: &Name) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name.as_bytes(), flags, Mode::empty())?))
}

/// Opens the directory `path` below `base`, wherever links in it lead.
///
/// # Errors
/// Those of `openat(2)`.
pub fn follow_dir(base: &OpenDir, path: &[u8], access: Access) -> io::Result<OpenDir> {
    // There is no way to open a directory only to reach names in it.
    let _ = access;
    let path = if path.is_empty() { b"." } else { path };
    let flags = CONTENT.union(OFlag::O_DIRECTORY);
    Ok(OpenDir(openat(base, path, flags, Mode::empty())?))
}

/// Opens what the entry `name` leads to, for its metadata.
///
/// # Errors
/// Those of `openat(2)`; `Unsupported` of what would do something when it is opened.
pub fn follow_entry(dir: &OpenDir, name: &Name) -> io::Result<OpenEntry> {
    let facts = nix::sys::stat::fstatat(dir, name.as_bytes(), nix::fcntl::AtFlags::empty())?;
    match facts.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR => {
            Ok(OpenEntry(Held::Open(openat(dir, name.as_bytes(), CONTENT, Mode::empty())?)))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// As [`open_file`], of what the entry `name` leads to.
///
/// # Errors
/// Those of `openat(2)`.
pub fn follow_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    let _ = quiet;
    Ok(File::from(openat(dir, name.as_bytes(), CONTENT, Mode::empty())?))
}

/// Opens the entry `name` of any type, a link itself, for its metadata.
///
/// # Errors
/// Those of `openat(2)` and `fstatat(2)`.
pub fn open_entry(dir: &OpenDir, name: &Name) -> io::Result<OpenEntry> {
    let meta = stat_at(dir, name)?;
    let flags = match meta.kind {
        Kind::File | Kind::Dir => CONTENT.union(OFlag::O_NOFOLLOW),
        Kind::Symlink => CONTENT.union(LINK_ITSELF),
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
            return Ok(OpenEntry(Held::Named(Named::new(dir, name, meta.id)?)));
        }
    };
    match openat(dir, name.as_bytes(), flags, Mode::empty()) {
        Err(Errno::EACCES) => Ok(OpenEntry(Held::Named(Named::new(dir, name, meta.id)?))),
        other => Ok(OpenEntry(Held::Open(other?))),
    }
}

impl Named {
    fn new(dir: &OpenDir, name: &Name, id: FileId) -> io::Result<Self> {
        Ok(Self { dir: dir.0.try_clone()?, name: CString::new(name.as_bytes())?, id })
    }
}

/// Sends `text` to the socket at `place`.
///
/// # Errors
/// Those of `sendto(2)`.
pub(super) fn send_datagram(
    socket: &std::os::unix::net::UnixDatagram,
    place: &std::ffi::OsStr,
    text: &[u8],
) -> io::Result<()> {
    socket.send_to(text, place).map(drop)
}

/// Confines the calling thread; there is no such thing here.
///
/// # Errors
/// Always.
pub fn confine(_root: &OpenDir, _reach: Reach, _owner: Option<Owner>) -> io::Result<Enforced> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux confines a thread"))
}

/// Who the process is; asked once.
pub fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let mut groups = meta::groups().unwrap_or_default();
        let own = nix::unistd::getegid().as_raw();
        if !groups.contains(&own) {
            groups.push(own);
        }
        let uid = nix::unistd::geteuid();
        Identity { uid: uid.as_raw(), may_chown: uid.is_root(), groups: groups.into() }
    })
}

/// The permission bits that the process never gives to new entries; asked once, so it must not change later.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        // The only way to read it is to set it.
        let mask = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
        nix::sys::stat::umask(mask);
        u32::from(mask.bits())
    })
}

/// Whether the file system cannot do what was asked.
pub fn is_unsupported(error: &io::Error) -> bool {
    let is_told = matches!(
        error.raw_os_error(),
        Some(libc::ENOTSUP | libc::EOPNOTSUPP | libc::ENOSYS | libc::ENOTTY | libc::EINVAL)
    );
    is_told || error.kind() == io::ErrorKind::Unsupported
}

/// Whether the two places are on different file systems.
pub fn is_cross_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EXDEV)
}

/// Which place of its file system a directory is: not told here.
pub fn canonical_place(_: &OpenDir) -> Option<(u64, Vec<u8>)> {
    None
}

/// Whether the process or the system has no descriptor left.
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether the user may not do what was asked, whatever the mode bits say.
pub fn is_not_permitted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// Whether the descriptor was opened without the right to do what was asked.
pub fn is_bad_handle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Whether a value is larger than the system takes.
pub fn is_out_of_range(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ERANGE | libc::E2BIG))
}

/// Whether a link stood where none is followed.
pub fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

fn open_part(from: BorrowedFd<'_>, name: &[u8], access: Access) -> io::Result<OpenDir> {
    let open = |flags: OFlag| openat(from, name, flags | OFlag::O_NOFOLLOW, Mode::empty());
    let opened = match open(READ) {
        // Searching needs less, but not every system and file system knows it.
        Err(Errno::EACCES) if access == Access::Search => open(SEARCH),
        other => other,
    };
    opened.map(OpenDir).map_err(refused_link)
}

fn refused_link(error: Errno) -> io::Error {
    match error {
        Errno::ELOOP => io::Error::new(
            io::ErrorKind::NotADirectory,
            "a symbolic link stands where a directory is needed",
        ),
        other => other.into(),
    }
}

/// Calls `call` with the name and a NUL behind it.
fn with_name<T>(name: &Name, call: impl FnOnce(&CStr) -> io::Result<T>) -> io::Result<T> {
    call(&CString::new(name.as_bytes())?)
}

const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
const SEARCH: OFlag = OFlag::from_bits_retain(libc::O_SEARCH).union(OFlag::O_CLOEXEC);
/// Neither waits for a pipe nor takes a terminal.
const CONTENT: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);
const LINK_ITSELF: OFlag = OFlag::from_bits_retain(libc::O_SYMLINK);

/// Whether a directory can be renamed while it, or one below it, is open.
pub const OPEN_DIRS_CAN_MOVE: bool = true;
