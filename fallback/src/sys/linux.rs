//! Linux: handles, and the one way a path below a root is opened.
//! It must not know tasks or policy.

mod confine;
mod data;
mod datagram;
mod meta;
mod mount;
mod names;
mod xattr;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use blit_core::path::Name;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

use super::{Access, Identity};

pub use confine::confine;
pub use data::{
    clone_file, copy_range, is_cached, next_extent, raise_open_files, read_at, sync, try_lock,
    will_need, write_at,
};
pub(super) use datagram::send_datagram;
pub use meta::{
    STATX_WANTED, file_system, makes_contents_up, meta_of, set_mode, set_owner, set_times, stat,
    stat_at, time_step_ns,
};
pub use mount::canonical_place;
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
pub struct OpenEntry(OwnedFd);

/// Anything open whose metadata can be read and set.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(BorrowedFd<'a>);

impl<'a> From<&'a File> for Object<'a> {
    fn from(file: &'a File) -> Self {
        Self(file.as_fd())
    }
}

impl<'a> From<&'a OpenDir> for Object<'a> {
    fn from(dir: &'a OpenDir) -> Self {
        Self(dir.0.as_fd())
    }
}

impl<'a> From<&'a OpenEntry> for Object<'a> {
    fn from(entry: &'a OpenEntry) -> Self {
        Self(entry.0.as_fd())
    }
}

/// Opens the directory at `path` as the user gave it, following links.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_root(path: &Path) -> io::Result<OpenDir> {
    Ok(OpenDir(nix::fcntl::open(path, SEARCH, Mode::empty())?))
}

/// Opens the directory `path` below `base`. Nothing in `path` is followed and nothing can lead out of `base`, whatever
/// is renamed meanwhile. A path longer than the system takes is walked in pieces.
///
/// # Errors
/// `NotADirectory` where a link stands in the way; otherwise those of `openat2(2)`.
pub fn open_dir(base: &OpenDir, path: &[u8], access: Access) -> io::Result<OpenDir> {
    let flags = flags_of(access);
    let mut rest = path;
    let mut at: Option<OwnedFd> = None;
    while rest.len() > PIECE_BYTES_MAX {
        let cut = rest[..PIECE_BYTES_MAX].iter().rposition(|byte| *byte == b'/');
        let Some(cut) = cut else { return Err(Errno::ENAMETOOLONG.into()) };
        let from = at.as_ref().map_or(base.as_fd(), AsFd::as_fd);
        at = Some(open_beneath(from, &rest[..cut], SEARCH)?);
        rest = &rest[cut + 1..];
    }
    let from = at.as_ref().map_or(base.as_fd(), AsFd::as_fd);
    Ok(OpenDir(open_beneath(from, rest, flags)?))
}

/// Opens the directory `name` in `dir`. A link there is refused, and so is what is mounted there, with `EXDEV`.
///
/// # Errors
/// Those of `openat2(2)`.
pub fn open_child(dir: &OpenDir, name: &Name, access: Access) -> io::Result<OpenDir> {
    let flags = flags_of(access) | OFlag::O_NOFOLLOW;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    match openat2(dir, name.as_bytes(), OpenHow::new().flags(flags).resolve(resolve)) {
        Ok(child) => Ok(OpenDir(child)),
        Err(Errno::ELOOP) => Err(Errno::ENOTDIR.into()),
        Err(Errno::ENOSYS) => {
            let child = OpenDir(openat(dir, name.as_bytes(), flags, Mode::empty())?);
            let dev = |dir: &OpenDir| Ok::<u64, io::Error>(stat(dir.into())?.id.dev);
            if dev(&child)? == dev(dir)? { Ok(child) } else { Err(Errno::EXDEV.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the directory above `dir`, wherever that is now; at the top of the system that is `dir` itself.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_parent(dir: &OpenDir, access: Access) -> io::Result<OpenDir> {
    Ok(OpenDir(openat(dir, c"..", flags_of(access), Mode::empty())?))
}

/// Opens the regular file `name` for reading. What else may have taken its place is opened without waiting and must be
/// examined before it is read. `quiet` leaves the access time alone where the system lets us.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open_content(dir, name, flags, quiet)
}

/// Opens the entry `name` of any type, a link itself, for its metadata.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_entry(dir: &OpenDir, name: &Name) -> io::Result<OpenEntry> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(OpenEntry(openat(dir, name.as_bytes(), flags, Mode::empty())?))
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
    let path = if path.is_empty() { b"." } else { path };
    Ok(OpenDir(openat(base, path, flags_of(access), Mode::empty())?))
}

/// Opens what the entry `name` leads to, for its metadata.
///
/// # Errors
/// Those of `openat(2)`.
pub fn follow_entry(dir: &OpenDir, name: &Name) -> io::Result<OpenEntry> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    Ok(OpenEntry(openat(dir, name.as_bytes(), flags, Mode::empty())?))
}

/// As [`open_file`], of what the entry `name` leads to.
///
/// # Errors
/// Those of `openat(2)`.
pub fn follow_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    open_content(dir, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, quiet)
}

fn open_content(dir: &OpenDir, name: &Name, flags: OFlag, quiet: bool) -> io::Result<File> {
    if quiet {
        match openat(dir, name.as_bytes(), flags | OFlag::O_NOATIME, Mode::empty()) {
            Err(Errno::EPERM) => {}
            other => return Ok(File::from(other?)),
        }
    }
    Ok(File::from(openat(dir, name.as_bytes(), flags, Mode::empty())?))
}

/// Who the process is; asked once.
/// Who the calling thread is, as far as ownership goes: the process, which is asked once, unless it was confined.
pub fn identity() -> &'static Identity {
    if let Some(own) = confine::own_identity() {
        return own;
    }
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let mut groups: Vec<u32> = nix::unistd::getgroups()
            .map(|groups| groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
            .unwrap_or_default();
        let own = nix::unistd::getegid().as_raw();
        if !groups.contains(&own) {
            groups.push(own);
        }
        let capabilities = status_field("CapEff:", 16).unwrap_or(0);
        let uid = nix::unistd::geteuid();
        Identity {
            uid: uid.as_raw(),
            may_chown: uid.is_root() || capabilities & CAP_CHOWN_BIT != 0,
            groups: groups.into(),
        }
    })
}

/// The permission bits that the process never gives to new entries; asked once, so it must not change later.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let told = status_field("Umask:", 8).and_then(|mask| u32::try_from(mask).ok());
        told.unwrap_or_else(|| {
            // Without /proc the only way to read it is to set it.
            let mask = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
            nix::sys::stat::umask(mask);
            mask.bits()
        })
    })
}

/// Whether the file system cannot do what was asked.
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENOTTY | libc::EINVAL)
    )
}

/// Whether the two places are on different file systems.
pub fn is_cross_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EXDEV)
}

/// Whether the user may not do what was asked, whatever the mode bits say.
pub fn is_not_permitted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// Whether the descriptor was opened without the right to do what was asked.
pub fn is_bad_handle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Whether the process or the system has no descriptor left.
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether a value is larger than the system takes.
pub fn is_out_of_range(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ERANGE)
}

/// Whether a link stood where none is followed.
pub fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

fn flags_of(access: Access) -> OFlag {
    match access {
        Access::Search => SEARCH,
        Access::Read => OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC),
    }
}

fn open_beneath(from: BorrowedFd<'_>, path: &[u8], flags: OFlag) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return Ok(openat(from, c".", flags, Mode::empty())?);
    }
    if OPENAT2_IS_MISSING.load(Ordering::Relaxed) {
        return open_by_components(from, path, flags);
    }
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let mut attempts = 0;
    loop {
        match openat2(from, path, how) {
            Ok(fd) => return Ok(fd),
            Err(Errno::EAGAIN) if attempts < RESOLVE_ATTEMPTS_MAX => attempts += 1,
            Err(Errno::ENOSYS) => {
                OPENAT2_IS_MISSING.store(true, Ordering::Relaxed);
                return open_by_components(from, path, flags);
            }
            // Some containers refuse calls they do not know with EPERM; walking finds out what is true.
            Err(Errno::EPERM) => return open_by_components(from, path, flags),
            Err(error) => return Err(refused_link(error)),
        }
    }
}

fn open_by_components(from: BorrowedFd<'_>, path: &[u8], flags: OFlag) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { SEARCH } else { flags };
        let parent = at.as_ref().map_or(from, AsFd::as_fd);
        let opened = openat(parent, part, flags | OFlag::O_NOFOLLOW, Mode::empty());
        at = Some(opened.map_err(refused_link)?);
    }
    at.ok_or_else(|| Errno::ENOENT.into())
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

/// Calls `call` with the name and a NUL behind it, on the stack.
fn with_name<T>(name: &[u8], call: impl FnOnce(&CStr) -> io::Result<T>) -> io::Result<T> {
    let mut buffer = [0_u8; NAME_BYTES_MAX + 1];
    let Some(space) = buffer.get_mut(..name.len()).filter(|_| name.len() <= NAME_BYTES_MAX) else {
        return Err(Errno::ENAMETOOLONG.into());
    };
    space.copy_from_slice(name);
    let text = CStr::from_bytes_with_nul(&buffer[..=name.len()]);
    call(text.map_err(|_| io::Error::from(Errno::EINVAL))?)
}

/// The path under which the system calls that have no descriptor form find an open object. It names the thread, since
/// a thread may have a descriptor table of its own.
fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/thread-self/fd/{}\0", fd.as_raw_fd())
}

fn status_field(field: &str, radix: u32) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(line.trim(), radix).ok()
}

/// Whether a directory can be renamed while it, or one below it, is open.
pub const OPEN_DIRS_CAN_MOVE: bool = true;

static OPENAT2_IS_MISSING: AtomicBool = AtomicBool::new(false);

const SEARCH: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// Bytes of one name; file systems in user space take up to 1024.
const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a path given to one call, below PATH_MAX of 4096 with its NUL.
const PIECE_BYTES_MAX: usize = 4000;
/// Renames elsewhere on the system can make a confined look-up ask for another try, again and again.
const RESOLVE_ATTEMPTS_MAX: u32 = 64;
/// CAP_CHOWN is capability 0.
const CAP_CHOWN_BIT: u64 = 1;

/// Turns the result of a raw call into an error or a count.
fn checked(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use blit_core::entry::Kind;

    use super::*;
    use crate::sandbox::{Sandbox, name};

    #[test]
    fn walking_by_components_confines_like_the_kernel_does() {
        let sandbox = Sandbox::new();
        sandbox.file("a/b/f", b"");
        std::os::unix::fs::symlink("a", sandbox.path("link")).expect("symlink");
        let root = open_root(&sandbox.path("")).expect("open");
        let walked = OpenDir(
            open_by_components(root.as_fd(), b"a/b", flags_of(Access::Read)).expect("open"),
        );
        let direct = open_dir(&root, b"a/b", Access::Search).expect("open");
        let id = |dir: &OpenDir| stat(dir.into()).expect("stat").id;
        assert_eq!(id(&walked), id(&direct));
        for path in [&b"link"[..], b"link/b", b"a/b/f"] {
            for access in [Access::Read, Access::Search] {
                let walked = open_by_components(root.as_fd(), path, flags_of(access));
                assert_eq!(walked.expect_err("refused").kind(), io::ErrorKind::NotADirectory);
                let direct = open_dir(&root, path, access);
                assert_eq!(direct.expect_err("refused").kind(), io::ErrorKind::NotADirectory);
            }
        }
    }

    #[test]
    fn attributes_read_the_same_with_every_call_the_system_may_have() {
        let sandbox = Sandbox::new();
        sandbox.file("f", b"");
        let root = open_root(&sandbox.path("")).expect("open");
        let entry = open_entry(&root, &name("f")).expect("open");
        if let Err(error) = set_xattr((&entry).into(), b"user.a", b"value") {
            println!("SKIPPED, no attributes here: {error}");
            return;
        }
        let at = xattrs_at(&root, &name("f"), Kind::File).expect("read");
        let by_path = xattrs_of((&entry).into()).expect("read");
        let file = open_file(&root, &name("f"), false).expect("open");
        assert!(at.is_some());
        assert_eq!(at, by_path);
        assert_eq!(at, xattrs_of((&file).into()).expect("read"));
        remove_xattr((&entry).into(), b"user.a").expect("remove");
        remove_xattr((&entry).into(), b"user.a").expect("it is no error that it is gone");
        assert_eq!(xattrs_at(&root, &name("f"), Kind::File).expect("read"), None);
    }
}
