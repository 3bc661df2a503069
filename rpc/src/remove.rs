//! Removes what a user names. It must not remove a file system's or a module's root, nor follow a link.

use std::collections::HashMap;
use std::sync::Arc;

use blit_core::drive::Drive;
use blit_core::endpoint::{Endpoint, Local};
use blit_core::engine::Engine;
use blit_core::entry::Kind;
use blit_core::event::{Control, Seat};
use blit_core::frame::Frame;
use blit_core::link::Link;
use blit_core::path::{Name, RelPath};
use blit_core::session::Session;
use blit_core::spec::{SourceItem, TransferSpec};
use blit_core::summary::Notice;
use blit_core::task::{Dir, Root};
use blit_core::{Error, ErrorKind};

use crate::connect::Access;
use crate::local::{Asker, source_item};
use crate::remote::{self, Reach};
use crate::transfer::{Outcome, no_access, sides};

/// What is to be removed.
#[derive(Clone, Copy)]
pub enum Doomed<'a> {
    /// What each of these names.
    Named(&'a [Endpoint]),
    /// What is at these paths below a directory.
    Below(&'a Endpoint, &'a [RelPath]),
}

/// Removes entries, directories only where `spec.recursive`. Nothing is touched if one of them may not be removed.
pub fn remove(
    doomed: Doomed<'_>,
    spec: &TransferSpec,
    (asked, access): ((&dyn Engine, &Arc<Control>), Option<&Access>),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let (engine, control) = asked;
    let asker = Asker { engine, control };
    let endpoints = match doomed {
        Doomed::Named(endpoints) => endpoints,
        Doomed::Below(_, []) => return Outcome::default(),
        Doomed::Below(base, _) => std::slice::from_ref(base),
    };
    let (near, far) = sides(endpoints);
    if let Some(first) = far.first() {
        if !near.is_empty() {
            let why = "local and remote entries are removed by runs of their own";
            let host = first.host.as_bytes();
            return Outcome::failed(Error::because(ErrorKind::Usage, "remove", host, why));
        }
        let Some(access) = access else { return Outcome::failed(no_access(first)) };
        let reach = Reach { asker, access, spec };
        let paths = match doomed {
            Doomed::Named(_) => Ok(far.iter().map(|remote| remote.path.clone()).collect()),
            Doomed::Below(_, paths) => {
                let descend = |path| entry_of(path).map(|_| first.path.descend(path));
                paths.iter().map(descend).collect()
            }
        };
        let removed = paths.and_then(|paths| remote::remove(&far, paths, reach, observe));
        return removed.unwrap_or_else(Outcome::failed);
    }
    let entries = match doomed {
        Doomed::Named(_) => near.into_iter().map(|local| named(local, spec, &asker)).collect(),
        Doomed::Below(_, paths) => {
            let roots = near.into_iter().map(|local| Root::new(&local.path));
            let entries = roots.flat_map(|root| paths.iter().map(move |path| below(&root, path)));
            let checked = |(parent, name): (Dir, Name)| {
                check(&parent, &name, spec, &asker).map(|()| (parent, name))
            };
            entries.map(|entry| entry.and_then(checked)).collect()
        }
    };
    let entries: Vec<(Dir, Name)> = match entries {
        Ok(entries) => entries,
        Err(error) => return Outcome::failed(error),
    };
    let mut drive = Drive::new(engine, control);
    drive.add(Session::removal(entries, spec, engine.limits()), Box::new(NoPeer));
    let stalled = drive.run(observe).err();
    let session = drive.session(Seat(0));
    let error = stalled.or_else(|| session.error().cloned());
    Outcome { summary: session.summary().clone(), error, ..Outcome::default() }
}

/// An entry below the directory that paths are relative to, which is not itself one of them.
fn below(root: &Arc<Root>, path: &RelPath) -> Result<(Dir, Name), Error> {
    let (parent, name) = entry_of(path)?;
    Ok((Dir::new(root, parent), name))
}

fn entry_of(path: &RelPath) -> Result<(RelPath, Name), Error> {
    let why = "the list names the directory itself; name what is in it";
    path.split_last().ok_or_else(|| Error::because(ErrorKind::Usage, "remove", b".", why))
}

/// The entry that an endpoint names, if it may be removed.
fn named(local: &Local, spec: &TransferSpec, asker: &Asker<'_>) -> Result<(Dir, Name), Error> {
    let mut local = local.clone();
    let shown = local.path.as_os_str().as_encoded_bytes().to_vec();
    let refuse = |why: &str| Err(Error::because(ErrorKind::Usage, "remove", &shown, why));
    // `dir/` names the directory too; `.`, `..` and `/` name none that could go.
    local.contents = false;
    if shown.ends_with(b"/.") || shown.ends_with(b"/..") || local.path.file_name().is_none() {
        return refuse("name the directory itself");
    }
    let SourceItem::Entry { parent, name, .. } = source_item(&local, &mut HashMap::new())? else {
        return refuse("name the directory itself");
    };
    check(&parent, &name, spec, asker)?;
    Ok((parent, name))
}

/// Whether an entry may be removed.
///
/// # Errors
/// `NotFound`; `Usage` for a directory where `spec` is not recursive, and for the root of a file system.
pub(crate) fn check(
    parent: &Dir,
    name: &Name,
    spec: &TransferSpec,
    asker: &Asker<'_>,
) -> Result<(), Error> {
    let shown = parent.shown(Some(name));
    let refuse = |why: &str| Err(Error::because(ErrorKind::Usage, "remove", &shown, why));
    let Some(meta) = asker.look(parent.clone(), name)? else {
        return Err(Error::new(ErrorKind::NotFound, "remove", &shown));
    };
    if meta.kind == Kind::Dir {
        if !spec.recursive {
            return refuse("it is a directory; -r removes it with all that is in it");
        }
        if meta.mounted || asker.examine(parent.clone(), false)?.dir.id.dev != meta.id.dev {
            return refuse("it is the root of a file system; remove what is in it");
        }
    }
    Ok(())
}

/// A removal tells nobody.
pub(crate) struct NoPeer;

impl Link for NoPeer {
    fn send(&mut self, _frame: Frame) {}
}
