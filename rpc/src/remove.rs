//! Removes what a user names. It must not remove a file system's or a module's root, nor follow a link.

use std::collections::HashMap;
use std::sync::Arc;

use blit_core::drive::Drive;
use blit_core::endpoint::Endpoint;
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

use crate::local::{Asker, source_item};
use crate::transfer::{Outcome, only_local};

/// Removes the entries that `endpoints` name, directories only where `spec.recursive`. Nothing is touched if one of
/// them may not be removed.
pub fn remove(
    endpoints: &[Endpoint],
    spec: &TransferSpec,
    (engine, control): (&dyn Engine, &Arc<Control>),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let asker = Asker { engine, control };
    let named: Result<Vec<(Dir, Name)>, Error> =
        endpoints.iter().map(|endpoint| named(endpoint, spec, &asker)).collect();
    let named = match named {
        Ok(named) => named,
        Err(error) => return Outcome::failed(error),
    };
    let mut drive = Drive::new(engine, control);
    drive.add(Session::removal(named, spec, engine.limits()), Box::new(NoPeer));
    let stalled = drive.run(observe).err();
    let session = drive.session(Seat(0));
    let error = stalled.or_else(|| session.error().cloned());
    Outcome { summary: session.summary().clone(), error }
}

/// The entry that an endpoint names, if it may be removed.
fn named(
    endpoint: &Endpoint,
    spec: &TransferSpec,
    asker: &Asker<'_>,
) -> Result<(Dir, Name), Error> {
    let mut local = only_local(endpoint)?.clone();
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
    let Some(meta) = asker.look(parent.clone(), &name)? else {
        return Err(Error::new(ErrorKind::NotFound, "remove", &parent.shown(Some(&name))));
    };
    if meta.kind == Kind::Dir {
        if !spec.recursive {
            return refuse("it is a directory; -r removes it with all that is in it");
        }
        if meta.mounted || asker.examine(parent.clone(), false)?.dir.id.dev != meta.id.dev {
            return refuse("it is the root of a file system; remove what is in it");
        }
    }
    Ok((parent, name))
}

/// A removal tells nobody.
struct NoPeer;

impl Link for NoPeer {
    fn send(&mut self, _frame: Frame) {}
}
