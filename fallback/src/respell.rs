//! Gives an entry another spelling of its name, where the file system takes both for one.
//! It must not replace another entry.

use blit_core::path::Name;
use blit_core::{Error, ErrorKind};

use crate::dir::At;
use crate::sys::{self, Names, OpenDir};

/// Renames `from` in `dir` to `name`, which must lead to the same entry. It is there all the time.
///
/// # Errors
/// `AlreadyExists` where the two are two entries; `InvalidName` where the file system keeps the old spelling; those of the
/// system.
pub(crate) fn respell(
    dir: &OpenDir,
    from: &Name,
    (name, at): (&Name, At<'_>),
) -> Result<(), Error> {
    let id = |name| sys::stat_at(dir, name).map(|meta| meta.id).map_err(at.failed("examine"));
    if id(from)? != id(name)? {
        return Err(at.refused(ErrorKind::AlreadyExists, "rename to"));
    }
    sys::rename_over(dir, from, name).map_err(at.failed("rename to"))?;
    let mut names = Names::of(dir).map_err(at.failed("rename to"))?;
    while let Some((bytes, _)) = names.next_name().map_err(at.failed("rename to"))? {
        if bytes == name.as_bytes() {
            return Ok(());
        }
    }
    let why = format!("the file system keeps the spelling {from}");
    Err(at.because(ErrorKind::InvalidName, "rename to", &why))
}
