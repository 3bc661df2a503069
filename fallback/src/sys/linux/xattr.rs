//! Linux: extended attributes and POSIX ACLs.
//! It must not know which of them a transfer keeps.
#![expect(unsafe_code, reason = "the attribute calls have no wrapper")]

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use blit_core::entry::{Kind, Xattr, Xattrs};
use blit_core::path::Name;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::{Object, OpenDir, checked, open_entry, proc_path, with_name};
use crate::sys::{ACL_ACCESS, ACL_DEFAULT};

/// The attributes of the entry `name`, a link itself, sorted by name; `None` where there are none.
///
/// # Errors
/// Those of `listxattr(2)` and `getxattr(2)`, except that the file system has no attributes.
pub fn xattrs_at(dir: &OpenDir, name: &Name, kind: Kind) -> io::Result<Option<Xattrs>> {
    if !XATTRAT_IS_MISSING.load(Ordering::Relaxed) {
        let read = with_name(name.as_bytes(), |name| read_all(Place::At(dir.as_fd(), name)));
        match read {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                XATTRAT_IS_MISSING.store(true, Ordering::Relaxed);
            }
            other => return other,
        }
    }
    if matches!(kind, Kind::File | Kind::Dir) {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        if let Ok(fd) = openat(dir, name.as_bytes(), flags, Mode::empty()) {
            return read_all(Place::Open(fd.as_fd()));
        }
    }
    xattrs_of(Object::from(&open_entry(dir, name)?))
}

/// The attributes of an open object, sorted by name; `None` where there are none.
///
/// # Errors
/// As [`xattrs_at`].
pub fn xattrs_of(object: Object<'_>) -> io::Result<Option<Xattrs>> {
    match read_all(Place::Open(object.0)) {
        Err(error) if is_bad_descriptor(&error) => {
            let path = proc_path(object.0);
            let path = CStr::from_bytes_with_nul(path.as_bytes());
            read_all(Place::Path(path.map_err(io::Error::other)?))
        }
        other => other,
    }
}

/// Sets one attribute.
///
/// # Errors
/// Those of `setxattr(2)`.
pub fn set_xattr(object: Object<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    let (data, len) = (value.as_ptr().cast(), value.len());
    // SAFETY: the name ends with NUL; `data` and `len` describe `value`; all outlive the call.
    let result = unsafe { libc::fsetxattr(object.0.as_raw_fd(), name.as_ptr(), data, len, 0) };
    match checked(result.into()) {
        Err(error) if is_bad_descriptor(&error) => {
            let path = proc_path(object.0);
            // SAFETY: as above; the path ends with NUL.
            let result =
                unsafe { libc::setxattr(path.as_ptr().cast(), name.as_ptr(), data, len, 0) };
            checked(result.into()).map(drop)
        }
        other => other.map(drop),
    }
}

/// Removes one attribute; that it is not there is no error.
///
/// # Errors
/// Those of `removexattr(2)`, except that the file system has no attributes.
pub fn remove_xattr(object: Object<'_>, name: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the name ends with NUL and outlives the call.
    let result = unsafe { libc::fremovexattr(object.0.as_raw_fd(), name.as_ptr()) };
    let mut removed = checked(result.into());
    if removed.as_ref().is_err_and(is_bad_descriptor) {
        let path = proc_path(object.0);
        // SAFETY: as above; the path ends with NUL.
        let result = unsafe { libc::removexattr(path.as_ptr().cast(), name.as_ptr()) };
        removed = checked(result.into());
    }
    match removed {
        Err(error) if is_absent(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether new entries of the directory inherit an ACL from it.
///
/// # Errors
/// Those of `getxattr(2)`, except that there is none.
pub fn acl_is_inherited(dir: &OpenDir) -> io::Result<bool> {
    let name = c"system.posix_acl_default";
    // SAFETY: the name ends with NUL; a length of 0 only asks for the size.
    let result =
        unsafe { libc::fgetxattr(dir.0.as_raw_fd(), name.as_ptr(), std::ptr::null_mut(), 0) };
    let mut size = isize_checked(result);
    if size.as_ref().is_err_and(is_bad_descriptor) {
        let path = proc_path(dir.as_fd());
        // SAFETY: as above; the path ends with NUL.
        let result =
            unsafe { libc::getxattr(path.as_ptr().cast(), name.as_ptr(), std::ptr::null_mut(), 0) };
        size = isize_checked(result);
    }
    match size {
        Ok(size) => Ok(size > 0),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How the object is named in a call.
#[derive(Clone, Copy)]
enum Place<'a> {
    At(BorrowedFd<'a>, &'a CStr),
    Open(BorrowedFd<'a>),
    Path(&'a CStr),
}

impl Place<'_> {
    fn list(self, buffer: &mut [u8]) -> io::Result<usize> {
        let (data, len) = (buffer.as_mut_ptr().cast::<libc::c_char>(), buffer.len());
        // SAFETY: paths end with NUL, `data` and `len` describe `buffer`, and all outlive the call.
        unsafe {
            match self {
                Self::At(dir, name) => {
                    let flags = libc::AT_SYMLINK_NOFOLLOW;
                    let (dir, name) = (dir.as_raw_fd(), name.as_ptr());
                    checked(libc::syscall(LISTXATTRAT, dir, name, flags, data, len))
                }
                Self::Open(fd) => isize_checked(libc::flistxattr(fd.as_raw_fd(), data, len)),
                Self::Path(path) => isize_checked(libc::listxattr(path.as_ptr(), data, len)),
            }
        }
    }

    fn read(self, attribute: &CStr, buffer: &mut [u8]) -> io::Result<usize> {
        let (data, len) = (buffer.as_mut_ptr(), buffer.len());
        let attribute = attribute.as_ptr();
        // SAFETY: paths and names end with NUL, `data` and `len` describe `buffer`, and all outlive the call.
        unsafe {
            match self {
                Self::At(dir, name) => {
                    let size = u32::try_from(len).unwrap_or(u32::MAX);
                    let mut args = XattrArgs { value: data as u64, size, flags: 0 };
                    let args_len = size_of::<XattrArgs>();
                    let flags = libc::AT_SYMLINK_NOFOLLOW;
                    let (dir, name) = (dir.as_raw_fd(), name.as_ptr());
                    let args = std::ptr::from_mut(&mut args);
                    checked(libc::syscall(GETXATTRAT, dir, name, flags, attribute, args, args_len))
                }
                Self::Open(fd) => {
                    isize_checked(libc::fgetxattr(fd.as_raw_fd(), attribute, data.cast(), len))
                }
                Self::Path(path) => {
                    isize_checked(libc::getxattr(path.as_ptr(), attribute, data.cast(), len))
                }
            }
        }
    }
}

fn read_all(place: Place<'_>) -> io::Result<Option<Xattrs>> {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.is_empty() {
            scratch.resize(2 * VALUE_BYTES_MAX, 0);
        }
        let (list, value) = scratch.split_at_mut(VALUE_BYTES_MAX);
        let len = match place.list(list) {
            Ok(len) => len,
            Err(error) if is_absent(&error) => 0,
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for name in list[..len].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if !is_carried(name.to_bytes()) {
                continue;
            }
            match place.read(name, value) {
                Ok(len) => {
                    found.push(Xattr { name: name.to_bytes().into(), value: value[..len].into() })
                }
                // It went between the two calls.
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable();
        Ok((!found.is_empty()).then(|| found.into()))
    })
}

/// `system.*` other than the POSIX ACLs is computed by a file system and cannot be set on another; xfs lists its ACLs a
/// second time as `trusted.SGI_ACL_*`.
fn is_carried(name: &[u8]) -> bool {
    if name.starts_with(b"system.") {
        return matches!(name, ACL_ACCESS | ACL_DEFAULT);
    }
    !name.starts_with(b"trusted.SGI_ACL_")
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP))
}

fn is_bad_descriptor(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

fn isize_checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What `getxattrat(2)` takes.
#[repr(C)]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

thread_local! {
    /// Names and one value, each as large as the system allows.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

static XATTRAT_IS_MISSING: AtomicBool = AtomicBool::new(false);
/// XATTR_LIST_MAX and XATTR_SIZE_MAX.
const VALUE_BYTES_MAX: usize = 65_536;
/// Linux 6.13; the same number on every architecture that Rust has.
const GETXATTRAT: libc::c_long = 464;
const LISTXATTRAT: libc::c_long = 465;
