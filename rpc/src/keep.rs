//! Finds out what the directories mean that a transfer keeps things in or takes them from.
//! It must not change anything beyond making a backup directory.

use std::path::Path;
use std::sync::Arc;

use blit_core::entry::FileId;
use blit_core::path::RelPath;
use blit_core::spec::{Counterpart, SourceItem, TransferSpec};
use blit_core::task::{Dir, Root};
use blit_core::{Error, ErrorKind};

use crate::local::{Resolved, Way};

/// Completes what `spec` says of a backup directory with what that is.
///
/// # Errors
/// `NotFound` if it does not exist; `Usage` if it is the destination itself, in the source, or on another file system.
pub(crate) fn backup(
    way: &Way<'_>,
    resolved: &Resolved,
    spec: &TransferSpec,
) -> Result<Option<Counterpart>, Error> {
    let Some(Counterpart { root, .. }) = &spec.backup else { return Ok(None) };
    let refuse = |why: &str| {
        let path = root.path().as_os_str().as_encoded_bytes();
        Err(Error::because(ErrorKind::Usage, "keep backups in", path, why))
    };
    let found = way.asker.examine(Dir::new(root, RelPath::root()), false)?;
    if found.dir.id == resolved.facts.dir.id && !resolved.target.absent {
        return refuse("it is the destination itself; name a directory in it or beside it");
    }
    if found.dir.id.dev != resolved.facts.dir.id.dev {
        return refuse("it is on another file system than the destination; name one on the same");
    }
    let holds = |(item, meta): (&SourceItem, &Option<blit_core::entry::Meta>)| {
        let is_dir = !matches!(item, SourceItem::Contents(_)) || meta.is_some();
        is_dir && meta.as_ref().is_some_and(|meta| found.ancestors.contains(&meta.id))
    };
    if resolved.items.iter().zip(&resolved.metas).any(holds) {
        return refuse("it is in the source; name a directory outside");
    }
    let base = resolved.target.path.clone();
    Ok(Some(Counterpart { root: Arc::clone(root), id: found.dir.id, base }))
}

/// Completes what `spec` says of an earlier snapshot with what that is.
///
/// # Errors
/// `NotFound` if it does not exist; `Usage` if it is the destination itself or on another file system.
pub(crate) fn reference(
    way: &Way<'_>,
    resolved: &Resolved,
    spec: &TransferSpec,
) -> Result<Option<Counterpart>, Error> {
    let Some(Counterpart { root, .. }) = &spec.reference else { return Ok(None) };
    let refuse = |why: &str| {
        let path = root.path().as_os_str().as_encoded_bytes();
        Err(Error::because(ErrorKind::Usage, "link to files in", path, why))
    };
    let found = way.asker.examine(Dir::new(root, RelPath::root()), false)?;
    if found.dir.id == resolved.facts.dir.id && !resolved.target.absent {
        return refuse("it is the destination itself; name an earlier copy beside it");
    }
    if found.dir.id.dev != resolved.facts.dir.id.dev {
        return refuse(
            "it is on another file system than the destination, so nothing can be linked",
        );
    }
    let base = resolved.target.path.clone();
    Ok(Some(Counterpart { root: Arc::clone(root), id: found.dir.id, base }))
}

/// A directory that is still to be looked at.
pub fn counterpart(path: &Path) -> Counterpart {
    Counterpart { root: Root::new(path), id: FileId::default(), base: RelPath::root() }
}
