//! macOS: extended attributes.
//! It must not know which of them a transfer keeps.
//!
//! The system has one namespace. Outside of it names begin with `user.`, as those do elsewhere that a file's owner sets.
#![expect(unsafe_code, reason = "the attribute calls have no wrapper")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use blit_core::entry::{Kind, Xattr, Xattrs};
use blit_core::path::Name;
use nix::errno::Errno;

use super::{Object, OpenDir, Target, open_entry};

/// The attributes of the entry `name`, a link itself, sorted by name; `None` where there are none.
///
/// # Errors
/// Those of `flistxattr(2)` and `fgetxattr(2)`, except that the file system has no attributes; `InvalidData` for one that
/// is too large to be carried.
pub fn xattrs_at(dir: &OpenDir, name: &Name, kind: Kind) -> io::Result<Option<Xattrs>> {
    match kind {
        Kind::File | Kind::Dir | Kind::Symlink => xattrs_of((&open_entry(dir, name)?).into()),
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => Ok(None),
    }
}

/// The attributes of an open object, sorted by name; `None` where there are none.
///
/// # Errors
/// As [`xattrs_at`].
pub fn xattrs_of(object: Object<'_>) -> io::Result<Option<Xattrs>> {
    // What may not be read has none that could be.
    let Target::Open(fd) = object.0 else { return Ok(None) };
    let list = match read_whole(|data, len| list(fd, data, len)) {
        Ok(list) => list,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in list.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if name.to_bytes().starts_with(OF_SYSTEM) {
            continue;
        }
        match read_whole(|data, len| read(fd, name, data, len)) {
            Ok(value) => {
                let name = [NAMESPACE, name.to_bytes()].concat().into();
                found.push(Xattr { name, value: value.into() });
            }
            // It went between the two calls.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok((!found.is_empty()).then(|| found.into()))
}

/// Sets one attribute.
///
/// # Errors
/// Those of `fsetxattr(2)`; `Unsupported` outside of the namespace `user.`.
pub fn set_xattr(object: Object<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let fd = object.opened()?;
    let Some(name) = name.strip_prefix(NAMESPACE) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let name = CString::new(name)?;
    let (data, len) = (value.as_ptr().cast(), value.len());
    // SAFETY: the name ends with NUL; `data` and `len` describe `value`; all outlive the call.
    let result = unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), data, len, 0, 0) };
    Ok(Errno::result(result).map(drop)?)
}

/// Removes one attribute; that it is not there is no error.
///
/// # Errors
/// Those of `fremovexattr(2)`, except that the file system has no attributes.
pub fn remove_xattr(object: Object<'_>, name: &[u8]) -> io::Result<()> {
    // What is not opened or not in the namespace has none.
    let (Target::Open(fd), Some(name)) = (object.0, name.strip_prefix(NAMESPACE)) else {
        return Ok(());
    };
    let name = CString::new(name)?;
    // SAFETY: the name ends with NUL and outlives the call.
    let result = unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr(), 0) };
    match Errno::result(result) {
        Err(Errno::ENOATTR | Errno::ENOTSUP | Errno::EOPNOTSUPP) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// No POSIX ACL is inherited. What this system inherits is its own and stays.
///
/// # Errors
/// None.
pub fn acl_is_inherited(_: &OpenDir) -> io::Result<bool> {
    Ok(false)
}

fn list(fd: BorrowedFd<'_>, data: *mut u8, len: usize) -> libc::ssize_t {
    // SAFETY: the callers give room for `len` bytes, or null and 0 to ask for the size.
    unsafe { libc::flistxattr(fd.as_raw_fd(), data.cast(), len, 0) }
}

fn read(fd: BorrowedFd<'_>, name: &CStr, data: *mut u8, len: usize) -> libc::ssize_t {
    // SAFETY: as above; the name ends with NUL and outlives the call.
    unsafe { libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), data.cast(), len, 0, 0) }
}

/// Asks for the size and then for the bytes, again if they have grown between the two.
fn read_whole(call: impl Fn(*mut u8, usize) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS_MAX {
        let size = counted(call(std::ptr::null_mut(), 0))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        if size > VALUE_BYTES_MAX {
            let why = "an attribute is too large to be carried";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut bytes = vec![0; size];
        match counted(call(bytes.as_mut_ptr(), bytes.len())) {
            Ok(len) => {
                bytes.truncate(len);
                return Ok(bytes);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::ERANGE.into())
}

fn counted(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn is_absent(error: &io::Error) -> bool {
    // Types of entries that have no attributes are not permitted any.
    matches!(
        error.raw_os_error(),
        Some(libc::ENOATTR | libc::ENOTSUP | libc::EOPNOTSUPP | libc::EPERM)
    )
}

const NAMESPACE: &[u8] = b"user.";
/// What the system keeps for itself.
const OF_SYSTEM: &[u8] = b"com.apple.system.";
/// What other systems take.
const VALUE_BYTES_MAX: usize = 65_536;
/// Each attempt fails only if the attribute grows in between.
const ATTEMPTS_MAX: u32 = 4;
