//! Windows: handles, and the one way a path below a root is opened.
//! It must not know tasks or policy.
//!
//! Everything below a root is opened by the handle of a directory and one name (`NtCreateFile` with a root directory and
//! `FILE_OPEN_REPARSE_POINT`), so nothing that is renamed or replaced by a link meanwhile leads out of it. Names that
//! the system would take for more than one name are refused, see `name`.
//!
//! What the system lacks, or what remains:
//! - Modes: a file has the mode 0644 or, with the read-only attribute, 0444; a directory 0755 and nothing that could be
//!   set. Owners are 0 and cannot be set. Who may do what is inherited from the directory that an entry is made in, so a
//!   directory that is not yet published is as open as the one it is in, and set-id bits are lost.
//! - Attributes: extended attributes, alternate streams, security descriptors and the attributes hidden and system are
//!   neither read nor set.
//! - Named pipes, sockets and device nodes are not made; those that Linux programs left are told as what they are.
//! - Content is not shared and not copied inside the system; holes are skipped when reading and become zeros.
//! - Symbolic links need a privilege or developer mode. Without the privilege the system only makes them by a whole path,
//!   so that one call can be led elsewhere by whoever may rename the directories above; what it made is looked at
//!   afterwards. Whether a link is one to a directory is fixed when it is made: what its target is then decides.
//! - A link to a directory is replaced in two steps, and cannot itself replace a file.
//! - The directory above one is found by its whole path, and only believed when the one below is found in it again.
//! - Short names (`PROGRA~1`) and other cases of letters name the same entry, always within the same directory.
//! - Directories in use are told by an object of the system's with their number: another machine does not see it.
//! - Reading and writing move the position of a file, which nothing here relies on.

mod data;
pub(super) mod host;
mod link;
mod meta;
mod name;
mod names;
mod nt;
mod xattr;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::path::Path;
use std::sync::OnceLock;

use blit_core::entry::{FileId, Kind};
use blit_core::path::Name;
use windows_sys::Win32::Foundation as codes;
use windows_sys::Win32::Storage::FileSystem as win;

use super::{Access, Enforced, Identity, Owner, Reach};
use nt::{Request, is_code};

pub use data::{
    clone_file, copy_range, is_cached, next_extent, raise_open_files, read_at, sync, try_lock,
    will_need, write_at,
};
pub use link::{make_symlink, read_link};
pub use meta::{
    file_system, makes_contents_up, set_mode, set_owner, set_times, stat, stat_at, time_step_ns,
};
pub use names::{
    Names, create_new, create_unnamed, exchange, link, link_unnamed, make_device, make_dir,
    make_fifo, make_private_dir, make_socket, move_new, move_over, open_to_update, remove_dir,
    remove_file, rename_new, rename_over,
};
pub use xattr::{acl_is_inherited, remove_xattr, set_xattr, xattrs_at, xattrs_of};

/// An open directory, below which names are reached.
#[derive(Debug)]
pub struct OpenDir {
    handle: OwnedHandle,
    /// What tells other processes that the directory is in use.
    mark: OnceLock<OwnedHandle>,
}

impl From<OwnedHandle> for OpenDir {
    fn from(handle: OwnedHandle) -> Self {
        Self { handle, mark: OnceLock::new() }
    }
}

impl OpenDir {
    fn handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }

    /// The directory once more, opened by itself.
    fn again(&self, access: Access) -> io::Result<Self> {
        Ok(nt::open(Some(self.handle()), &[], Request::dir(rights_of(access)))?.into())
    }
}

/// An entry of any type, opened without reading it and without following it.
#[derive(Debug)]
pub struct OpenEntry(OwnedHandle);

/// Anything open whose metadata can be read and set.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    handle: BorrowedHandle<'a>,
    /// Where the mark of a directory goes.
    mark: Option<&'a OnceLock<OwnedHandle>>,
}

impl<'a> From<&'a File> for Object<'a> {
    fn from(file: &'a File) -> Self {
        Self { handle: file.as_handle(), mark: None }
    }
}

impl<'a> From<&'a OpenDir> for Object<'a> {
    fn from(dir: &'a OpenDir) -> Self {
        Self { handle: dir.handle(), mark: Some(&dir.mark) }
    }
}

impl<'a> From<&'a OpenEntry> for Object<'a> {
    fn from(entry: &'a OpenEntry) -> Self {
        Self { handle: entry.0.as_handle(), mark: None }
    }
}

impl Object<'_> {
    /// Does `call`, with a handle that has the right to if this one has not.
    fn with_right<T>(
        self,
        access: u32,
        call: impl Fn(BorrowedHandle<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match call(self.handle) {
            Err(error) if is_code(&error, codes::ERROR_ACCESS_DENIED) => {
                call(nt::open(Some(self.handle), &[], Request::existing(access))?.as_handle())
            }
            other => other,
        }
    }
}

/// Opens the directory at `path` as the user gave it, following links.
///
/// # Errors
/// Those of `CreateFileW`; `NotADirectory`.
pub fn open_root(path: &Path) -> io::Result<OpenDir> {
    let open = |access| {
        let mut options = OpenOptions::new();
        options.access_mode(rights_of(access) | win::SYNCHRONIZE);
        options.custom_flags(win::FILE_FLAG_BACKUP_SEMANTICS).open(path)
    };
    let file = match open(Access::Read) {
        Err(error) if is_code(&error, codes::ERROR_ACCESS_DENIED) => open(Access::Search)?,
        other => other?,
    };
    if !file.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(OwnedHandle::from(file).into())
}

/// Opens the directory `path` below `base`. Nothing in `path` is followed and nothing can lead out of `base`, whatever
/// is renamed meanwhile.
///
/// # Errors
/// `NotADirectory` where a link stands in the way; otherwise those of `NtCreateFile`.
pub fn open_dir(base: &OpenDir, path: &[u8], access: Access) -> io::Result<OpenDir> {
    if path.is_empty() {
        return base.again(access);
    }
    let mut at: Option<OpenDir> = None;
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let access = if parts.peek().is_some() { Access::Search } else { access };
        at = Some(open_part(at.as_ref().unwrap_or(base), part, access)?);
    }
    at.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Opens the directory `name` in `dir`; a link there is refused.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn open_child(dir: &OpenDir, name: &Name, access: Access) -> io::Result<OpenDir> {
    open_part(dir, name.as_bytes(), access)
}

/// Opens the directory above `dir`, wherever that is now; at the top of the system that is `dir` itself.
///
/// # Errors
/// Those of `NtCreateFile`; `NotFound` where the directory does not stay in one place, or is mounted there.
pub fn open_parent(dir: &OpenDir, access: Access) -> io::Result<OpenDir> {
    let id = meta::id_of(dir.handle())?;
    for _ in 0..PARENT_ATTEMPTS_MAX {
        let path = nt::path_of(dir.handle())?;
        let Some((above, last)) = split_path(&path) else { return dir.again(access) };
        let through = Request { through: true, ..Request::dir(rights_of(access)) };
        let parent = nt::open(None, &above, through)?;
        let rights = Request::dir(win::FILE_READ_ATTRIBUTES);
        if let Ok(child) = nt::open(Some(parent.as_handle()), last, rights)
            && meta::id_of(child.as_handle())? == id
        {
            return Ok(parent.into());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Opens the regular file `name` for reading. What else may have taken its place is opened without waiting and must be
/// examined before it is read. The access time is left to the system.
///
/// # Errors
/// Those of `NtCreateFile`; see `is_loop`.
pub fn open_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    // The system has no right of owners to read without a trace.
    let _ = quiet;
    let request = Request::existing(win::FILE_READ_DATA | win::FILE_READ_ATTRIBUTES);
    match open_plain(dir.handle(), &name::existing(name.as_bytes())?, request)? {
        Plain::Opened(handle) => Ok(File::from(handle)),
        Plain::Link => Err(nt::error_of(codes::ERROR_CANT_RESOLVE_FILENAME)),
    }
}

/// Opens the regular file `name` for writing, as it is.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn open_to_write(dir: &OpenDir, name: &Name) -> io::Result<File> {
    let rights = win::FILE_WRITE_DATA | win::FILE_WRITE_ATTRIBUTES | win::FILE_READ_ATTRIBUTES;
    let request = Request::existing(rights);
    match open_plain(dir.handle(), &name::existing(name.as_bytes())?, request)? {
        Plain::Opened(handle) => Ok(File::from(handle)),
        Plain::Link => Err(nt::error_of(codes::ERROR_CANT_RESOLVE_FILENAME)),
    }
}

/// Links are not followed on this system.
///
/// # Errors
/// `Unsupported`.
pub fn follow_dir(base: &OpenDir, path: &[u8], access: Access) -> io::Result<OpenDir> {
    if path.is_empty() {
        return base.again(access);
    }
    open_dir(base, path, access)
}

/// Links are not followed on this system.
///
/// # Errors
/// `Unsupported`.
pub fn follow_entry(_dir: &OpenDir, _name: &Name) -> io::Result<OpenEntry> {
    Err(io::ErrorKind::Unsupported.into())
}

/// As [`open_file`]: links are not followed on this system.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn follow_file(dir: &OpenDir, name: &Name, quiet: bool) -> io::Result<File> {
    open_file(dir, name, quiet)
}

/// Opens the entry `name` of any type, a link itself, for its metadata.
///
/// # Errors
/// Those of `NtCreateFile`.
pub fn open_entry(dir: &OpenDir, name: &Name) -> io::Result<OpenEntry> {
    let name = name::existing(name.as_bytes())?;
    let request = Request::existing(win::FILE_READ_ATTRIBUTES);
    Ok(OpenEntry(nt::open(Some(dir.handle()), &name, request)?))
}

/// Confines the calling thread; there is no such thing here.
///
/// # Errors
/// Always.
pub fn confine(_root: &OpenDir, _reach: Reach, _owner: Option<Owner>) -> io::Result<Enforced> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux confines a thread"))
}

/// Who the process is: on this system nobody with a number, so files have the number that means the user's own where a
/// privileged one receives them, and are never given away.
pub fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity { uid: OWNER, may_chown: false, groups: [].into() })
}

/// The permission bits that the process never gives to new entries: there is no such thing here.
pub fn umask() -> u32 {
    0
}

/// Whether the file system cannot do what was asked.
pub fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || UNSUPPORTED.iter().any(|code| is_code(error, *code))
}

/// Whether the two places are on different file systems.
pub fn is_cross_device(error: &io::Error) -> bool {
    is_code(error, codes::ERROR_NOT_SAME_DEVICE)
}

/// Which place of its file system a directory is: not told here.
pub fn canonical_place(_: &OpenDir) -> Option<(u64, Vec<u8>)> {
    None
}

/// Whether the process or the system has no handle left.
pub fn is_out_of_files(error: &io::Error) -> bool {
    is_code(error, codes::ERROR_TOO_MANY_OPEN_FILES)
}

/// Whether the user may not do what was asked, whatever the mode bits say.
pub fn is_not_permitted(error: &io::Error) -> bool {
    is_code(error, codes::ERROR_PRIVILEGE_NOT_HELD)
}

/// Whether the handle was opened without the right to do what was asked. Here the calls see to that themselves.
pub fn is_bad_handle(error: &io::Error) -> bool {
    is_code(error, codes::ERROR_INVALID_HANDLE)
}

/// Whether a value is larger than the system takes: it takes none.
pub fn is_out_of_range(_: &io::Error) -> bool {
    false
}

/// Whether a link stood where none is followed.
pub fn is_loop(error: &io::Error) -> bool {
    is_code(error, codes::ERROR_CANT_RESOLVE_FILENAME)
}

/// What was opened under a name.
enum Plain {
    Opened(OwnedHandle),
    Link,
}

/// Opens what is no link. What only the system puts in place of something, such as a file that is in the cloud, is
/// passed through, and only believed when it is what was looked at.
fn open_plain(dir: BorrowedHandle<'_>, name: &[u16], request: Request) -> io::Result<Plain> {
    let handle = nt::open(Some(dir), name, request)?;
    match meta::reparse_of(handle.as_handle())? {
        meta::Reparse::Not => Ok(Plain::Opened(handle)),
        meta::Reparse::As(Kind::Symlink) => Ok(Plain::Link),
        meta::Reparse::As(_) => Ok(Plain::Opened(handle)),
        meta::Reparse::Behind => {
            let behind = nt::open(Some(dir), name, Request { through: true, ..request })?;
            let id =
                |handle: &OwnedHandle| -> io::Result<FileId> { meta::id_of(handle.as_handle()) };
            if id(&behind)? == id(&handle)? { Ok(Plain::Opened(behind)) } else { Ok(Plain::Link) }
        }
    }
}

fn open_part(dir: &OpenDir, name: &[u8], access: Access) -> io::Result<OpenDir> {
    let request = Request::dir(rights_of(access));
    match open_plain(dir.handle(), &name::existing(name)?, request)? {
        Plain::Opened(handle) => Ok(handle.into()),
        Plain::Link => Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "a symbolic link stands where a directory is needed",
        )),
    }
}

fn rights_of(access: Access) -> u32 {
    let search = win::FILE_TRAVERSE | win::FILE_READ_ATTRIBUTES;
    match access {
        Access::Search => search,
        Access::Read => search | win::FILE_LIST_DIRECTORY,
    }
}

/// The path above in the form that `NtCreateFile` takes, and the last name; `None` at the top of a volume or share.
fn split_path(path: &[u16]) -> Option<(Vec<u16>, &[u16])> {
    let is_separator = |unit: &u16| *unit == SEPARATOR;
    let rest = path.get(PREFIX.len()..)?;
    let rest = rest.strip_suffix(&[SEPARATOR]).unwrap_or(rest);
    let unc: Vec<u16> = r"UNC\".encode_utf16().collect();
    // A drive or volume; or `UNC`, a server and a share.
    let fixed = if rest.starts_with(&unc) { 3 } else { 1 };
    if rest.iter().filter(|unit| is_separator(unit)).count() < fixed {
        return None;
    }
    let cut = rest.iter().rposition(is_separator)?;
    let prefix = PREFIX.encode_utf16().map(|unit| if unit == QUESTION { unit } else { SEPARATOR });
    let mut above: Vec<u16> = prefix.collect();
    // `\\?\` is `\??\` to the system itself.
    above[1] = QUESTION;
    above.extend_from_slice(&rest[..=cut]);
    Some((above, &rest[cut + 1..]))
}

/// The number that every file's owner has.
const OWNER: u32 = 0;
/// Each attempt fails only if the directory is moved in the moment between asking for its path and opening it.
const PARENT_ATTEMPTS_MAX: u32 = 4;
/// How the path of an open object begins.
const PREFIX: &str = r"\\?\";
const SEPARATOR: u16 = b'\\' as u16;
const QUESTION: u16 = b'?' as u16;
/// What file systems say to calls they do not know.
const UNSUPPORTED: [u32; 4] = [
    codes::ERROR_NOT_SUPPORTED,
    codes::ERROR_INVALID_FUNCTION,
    codes::ERROR_CALL_NOT_IMPLEMENTED,
    codes::ERROR_INVALID_PARAMETER,
];

/// Whether a directory can be renamed while it, or one below it, is open.
pub const OPEN_DIRS_CAN_MOVE: bool = false;

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> Option<(String, String)> {
        let units: Vec<u16> = path.encode_utf16().collect();
        let (above, last) = split_path(&units)?;
        Some((String::from_utf16_lossy(&above), String::from_utf16_lossy(last)))
    }

    #[test]
    fn the_path_above_ends_at_the_volume_or_share() {
        let of = |above: &str, last: &str| Some((above.to_owned(), last.to_owned()));
        assert_eq!(split(r"\\?\C:\a\b"), of(r"\??\C:\a\", "b"));
        assert_eq!(split(r"\\?\C:\a"), of(r"\??\C:\", "a"));
        assert_eq!(split(r"\\?\UNC\s\t\a"), of(r"\??\UNC\s\t\", "a"));
        for top in [r"\\?\C:\", r"\\?\C:", r"\\?\UNC\s\t", r"\\?\UNC\s\t\", ""] {
            assert_eq!(split(top), None, "{top}");
        }
    }
}
