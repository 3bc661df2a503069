//! Removes what a user names. It must not remove a file system's or a module's root, nor follow a link.

use std::collections::HashMap;

use blit_core::drive::Drive;
use std::sync::Arc;

use blit_core::endpoint::{Endpoint, Local};
use blit_core::engine::Engine;
use blit_core::entry::Kind;
use blit_core::event::{Control, Seat};
use blit_core::frame::Frame;
use blit_core::link::Link;
use blit_core::path::Name;
use blit_core::session::Session;
use blit_core::spec::{SourceItem, TransferSpec};
use blit_core::summary::Notice;
use blit_core::task::Dir;
use blit_core::{Error, ErrorKind};

use crate::connect::Access;
use crate::local::{Asker, source_item};
use crate::remote::{self, Reach};
use crate::transfer::{Outcome, no_access, sides};

/// Removes the entries that `endpoints` name, directories only where `spec.recursive`. Nothing is touched if one of
/// them may not be removed.
pub fn remove(
    endpoints: &[Endpoint],
    spec: &TransferSpec,
    (asked, access): ((&dyn Engine, &Arc<Control>), Option<&Access>),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let (engine, control) = asked;
    let asker = Asker { engine, control };
    let (near, far) = sides(endpoints);
    if let Some(first) = far.first() {
        if !near.is_empty() {
            let why = "local and remote entries are removed by runs of their own";
            let host = first.host.as_bytes();
            return Outcome::failed(Error::because(ErrorKind::Usage, "remove", host, why));
        }
        let Some(access) = access else { return Outcome::failed(no_access(first)) };
        let reach = Reach { asker, access, spec, stall_timeout_s: None };
        return remote::remove(&far, reach, observe).unwrap_or_else(Outcome::failed);
    }
    let named: Result<Vec<(Dir, Name)>, Error> =
        near.into_iter().map(|local| named(local, spec, &asker)).collect();
    let named = match named {
        Ok(named) => named,
        Err(error) => return Outcome::failed(error),
    };
    let mut drive = Drive::new(engine, control);
    drive.add(Session::removal(named, spec, engine.limits()), Box::new(NoPeer));
    let stalled = drive.run(observe).err();
    let session = drive.session(Seat(0));
    let error = stalled.or_else(|| session.error().cloned());
    Outcome { summary: session.summary().clone(), error, ..Outcome::default() }
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
