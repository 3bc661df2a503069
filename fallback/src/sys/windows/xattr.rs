//! Windows: extended attributes, of which there are none, and POSIX ACLs, which there are not either.
//! It must not know which of them a transfer keeps.

use std::io;

use blit_core::entry::{Kind, Xattrs};
use blit_core::path::Name;

use super::{Object, OpenDir};

/// No attributes are told.
///
/// # Errors
/// None.
pub fn xattrs_at(_: &OpenDir, _: &Name, _: Kind) -> io::Result<Option<Xattrs>> {
    Ok(None)
}

/// No attributes are told.
///
/// # Errors
/// None.
pub fn xattrs_of(_: Object<'_>) -> io::Result<Option<Xattrs>> {
    Ok(None)
}

/// Nothing can be set.
///
/// # Errors
/// `Unsupported`.
pub fn set_xattr(_: Object<'_>, _: &[u8], _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is nothing to be removed.
///
/// # Errors
/// None.
pub fn remove_xattr(_: Object<'_>, _: &[u8]) -> io::Result<()> {
    Ok(())
}

/// No POSIX ACL is inherited. What Windows inherits is its own and stays.
///
/// # Errors
/// None.
pub fn acl_is_inherited(_: &OpenDir) -> io::Result<bool> {
    Ok(false)
}
