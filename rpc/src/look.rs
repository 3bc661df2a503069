//! Looks at what is there: the entries below a path, and the room of a file system.
//! It must not change anything, nor print.

use std::collections::HashMap;
use std::sync::Arc;

use blit_core::endpoint::Endpoint;
use blit_core::engine::Engine;
use blit_core::entry::Kind;
use blit_core::event::Control;
use blit_core::path::RelPath;
use blit_core::session::Session;
use blit_core::spec::{SourceItem, TransferSpec};
use blit_core::summary::Notice;
use blit_core::task::{Dir, Root, SpaceFacts};
use blit_core::{Error, ErrorKind};

use crate::local::{Asker, source_item};
use crate::transfer::{Outcome, only_local, run_pair};

/// Lists the contents of the directory that `endpoint` names, or the one entry that it is: a [`Notice::Listing`] for
/// each page, a directory's page before those of its sub-directories. `spec` says how deep and what the filter admits.
pub fn look(
    endpoint: &Endpoint,
    spec: &TransferSpec,
    (engine, control): (&dyn Engine, &Arc<Control>),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let asker = Asker { engine, control };
    let item = match item(endpoint, &asker) {
        Ok(item) => item,
        Err(error) => return Outcome::failed(error),
    };
    let source = Session::source(vec![item], spec.clone(), engine.limits());
    run_pair(&asker, (source, Session::viewer()), None, observe)
}

/// The room of the file system that `endpoint` is on.
///
/// # Errors
/// Those of opening the directory that it is, or that it is in.
pub fn space(
    endpoint: &Endpoint,
    (engine, control): (&dyn Engine, &Arc<Control>),
) -> Result<SpaceFacts, Error> {
    let local = only_local(endpoint)?;
    let asker = Asker { engine, control };
    let at = Dir::new(&Root::new(local.path.clone()), RelPath::root());
    match asker.examine(at, false) {
        Err(error) if error.kind == ErrorKind::NotADirectory => {
            match source_item(local, &mut HashMap::new())? {
                SourceItem::Entry { parent, .. } => asker.examine(parent, false),
                SourceItem::Contents(_) => Err(error),
            }
        }
        other => other,
    }
}

fn item(endpoint: &Endpoint, asker: &Asker<'_>) -> Result<SourceItem, Error> {
    let local = only_local(endpoint)?;
    let item = source_item(local, &mut HashMap::new())?;
    let SourceItem::Entry { parent, name, .. } = &item else { return Ok(item) };
    match asker.look(parent.clone(), name)? {
        None => Err(Error::new(ErrorKind::NotFound, "open", &parent.shown(Some(name)))),
        Some(meta) if meta.kind == Kind::Dir => Ok(SourceItem::Contents(parent.child(name))),
        Some(_) => Ok(item),
    }
}
