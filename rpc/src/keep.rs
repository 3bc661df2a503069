//! Finds out what the directories mean that a transfer keeps things in or takes them from.
//! It must not change anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use blit_core::endpoint::{Endpoint, Remote};
use blit_core::entry::{FileId, Meta};
use blit_core::path::{Name, RelPath};
use blit_core::spec::{Counterpart, SourceItem, Target, TransferSpec};
use blit_core::task::{Dir, Root, SpaceFacts};
use blit_core::{Error, ErrorKind};

use crate::local::Asker;
use crate::shown::place;

/// Completes what `spec` says of a backup directory and of an earlier copy with what these are.
///
/// # Errors
/// `NotFound` if one does not exist; `Usage` if it is the destination itself, on another file system, or, as a backup
/// directory, in one of the sources.
pub(crate) fn complete(
    spec: &mut TransferSpec,
    at: (&Target, &SpaceFacts),
    sources: &[(&SourceItem, Option<&Meta>)],
    asker: Asker<'_>,
) -> Result<(), Error> {
    if let Some(backup) = &mut spec.backup {
        let above = look(backup, at, ("keep backups in", FOR_BACKUP), asker)?;
        let holds = |(item, meta): &(&SourceItem, Option<&Meta>)| {
            let is_dir = !matches!(item, SourceItem::Contents(_)) || meta.is_some();
            is_dir && meta.is_some_and(|meta| above.contains(&meta.id))
        };
        if sources.iter().any(holds) {
            let why = "it is in the source; name a directory outside";
            return Err(refused("keep backups in", &backup.dir, why));
        }
    }
    if let Some(reference) = &mut spec.reference {
        look(reference, at, ("link to files in", FOR_REFERENCE), asker)?;
    }
    Ok(())
}

/// Finds out which directory it is. Gives that and all above it.
fn look(
    counterpart: &mut Counterpart,
    (target, facts): (&Target, &SpaceFacts),
    (op, [itself, elsewhere]): (&'static str, [&str; 2]),
    asker: Asker<'_>,
) -> Result<Vec<FileId>, Error> {
    let found = asker.examine(counterpart.dir.clone(), false)?;
    if found.dir.id == facts.dir.id && !target.absent {
        return Err(refused(op, &counterpart.dir, itself));
    }
    if found.dir.id.dev != facts.dir.id.dev {
        return Err(refused(op, &counterpart.dir, elsewhere));
    }
    (counterpart.id, counterpart.base) = (found.dir.id, target.path.clone());
    Ok(found.ancestors)
}

fn refused(op: &'static str, dir: &Dir, why: &str) -> Error {
    Error::because(ErrorKind::Usage, op, &dir.shown(None), why)
}

/// Reads a directory that is named beside `destination`, and is where that is. At a daemon: `host:/module/path`; a path that
/// begins with a slash, below the module; or any other, relative to the destination. On this machine: a path.
///
/// # Errors
/// `Usage` where it is elsewhere, or would leave the module.
pub fn beside(text: &OsStr, destination: &Endpoint) -> Result<Counterpart, Error> {
    let bytes = text.as_encoded_bytes();
    let refuse = |why: &str| Err(Error::because(ErrorKind::Usage, "use", bytes, why));
    let named = Endpoint::parse(text, |text| Path::new(text).symlink_metadata().is_ok());
    let (at, named) = match (destination, named?) {
        (Endpoint::Local(_), Endpoint::Local(local)) => {
            return Ok(counterpart(Dir::new(&Root::new(local.path), RelPath::root())));
        }
        (Endpoint::Local(_), Endpoint::Remote(_)) => {
            return refuse("the destination is on this machine, so this directory is too");
        }
        (Endpoint::Remote(at), named) => (at, named),
    };
    let path = match named {
        Endpoint::Remote(named) if is_same_module(&named, at) => named.path,
        Endpoint::Remote(_) => {
            return refuse("it is in the same module of the same daemon as the destination");
        }
        Endpoint::Local(_) => match below(at, bytes) {
            Some(path) => path,
            None => return refuse("it would be outside the module of the destination"),
        },
    };
    // Nothing opens this root: the daemon finds the path below its module.
    let root = Root::new(PathBuf::from(place(at, b"")));
    Ok(counterpart(Dir::new(&root, path)))
}

fn is_same_module(a: &Remote, b: &Remote) -> bool {
    (&a.host, a.port, &a.module) == (&b.host, b.port, &b.module)
}

/// The way of `path` below the module of `at`, by its names alone; none where it leaves that.
fn below(at: &Remote, path: &[u8]) -> Option<RelPath> {
    let start = if path.starts_with(b"/") { RelPath::root() } else { at.path.clone() };
    path.split(|byte| *byte == b'/').try_fold(start, |path, name| match name {
        b"" | b"." => Some(path),
        b".." => path.split_last().map(|(parent, _)| parent),
        name => Some(path.join(&Name::new(name).ok()?)),
    })
}

/// A directory that is still to be looked at.
pub(crate) fn counterpart(dir: Dir) -> Counterpart {
    Counterpart { dir, id: FileId::default(), base: RelPath::root() }
}

/// Why the destination itself is no backup directory, nor one on another file system.
const FOR_BACKUP: [&str; 2] = [
    "it is the destination itself; name a directory in it or beside it",
    "it is on another file system than the destination; name one on the same",
];
/// The same of an earlier copy.
const FOR_REFERENCE: [&str; 2] = [
    "it is the destination itself; name an earlier copy beside it",
    "it is on another file system than the destination, so nothing can be linked",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Vec<u8>, ErrorKind> {
        let destination = Endpoint::parse(OsStr::new("store:/backup/a/tuesday"), |_| false);
        let found = beside(OsStr::new(text), &destination.expect("valid"));
        found.map(|found| found.dir.path.to_bytes()).map_err(|error| error.kind)
    }

    #[test]
    fn a_directory_beside_a_remote_destination_is_in_its_module() {
        for (text, path) in [
            ("../monday", "a/monday"),
            ("kept", "a/tuesday/kept"),
            ("./kept/", "a/tuesday/kept"),
            ("/monday", "monday"),
            ("store:/backup/monday/", "monday"),
            ("../..", ""),
        ] {
            assert_eq!(found(text), Ok(path.as_bytes().to_vec()), "{text}");
        }
        for text in ["../../..", "/..", "store:/other/monday", "store:99:/backup/m", "store:m", ""]
        {
            assert_eq!(found(text), Err(ErrorKind::Usage), "{text}");
        }
    }
}
