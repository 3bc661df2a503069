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

use crate::client::Client;
pub use crate::client::{ModuleInfo, Welcome};
use crate::connect::Access;
use crate::local::{Asker, source_item};
use crate::remote::{self, Reach};
use crate::transfer::{Outcome, no_access, run_pair};

/// Lists the contents of the directory that `endpoint` names, or the one entry that it is: a [`Notice::Listing`] for
/// each page, a directory's page before those of its sub-directories. `spec` says how deep and what the filter admits.
pub fn look(
    endpoint: &Endpoint,
    spec: &TransferSpec,
    (asked, access): ((&dyn Engine, &Arc<Control>), Option<&Access>),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let (engine, control) = asked;
    let asker = Asker { engine, control };
    let local = match endpoint {
        Endpoint::Local(local) => local,
        Endpoint::Remote(at) => {
            let Some(access) = access else { return Outcome::failed(no_access(at)) };
            let reach = Reach { asker, access, spec, stall_timeout_s: None };
            return remote::look(at, reach, observe).unwrap_or_else(Outcome::failed);
        }
    };
    let item = match source_item(local, &mut HashMap::new()).and_then(|item| opened(item, &asker)) {
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
    access: Option<&Access>,
) -> Result<SpaceFacts, Error> {
    let local = match endpoint {
        Endpoint::Local(local) => local,
        Endpoint::Remote(at) => {
            let access = access.ok_or_else(|| no_access(at))?;
            let (client, _) = Client::connect(&at.host, at.port, access)?;
            let module = at.module.as_deref().unwrap_or_default();
            return client.space((module, &at.path.to_bytes()), control);
        }
    };
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

/// What the daemon at `host` and `port` says of itself, and the modules that this user may use.
///
/// # Errors
/// Those of reaching it.
pub fn modules(
    (host, port): (&str, u16),
    access: &Access,
    control: &Control,
    observe: &mut dyn FnMut(Notice),
) -> Result<(Welcome, Vec<ModuleInfo>), Error> {
    let (client, notes) = Client::connect(host, port, access)?;
    notes.into_iter().for_each(observe);
    Ok((client.welcome.clone(), client.modules(control)?))
}

/// What the daemon at `host` and `port` says of itself and of this user.
///
/// # Errors
/// Those of reaching it.
pub fn diagnose(
    (host, port): (&str, u16),
    access: &Access,
    control: &Control,
    observe: &mut dyn FnMut(Notice),
) -> Result<Vec<String>, Error> {
    let (client, notes) = Client::connect(host, port, access)?;
    notes.into_iter().for_each(observe);
    client.diagnose(control)
}

/// What is looked at of an item: the contents of a directory, or the entry that it is.
pub(crate) fn opened(item: SourceItem, asker: &Asker<'_>) -> Result<SourceItem, Error> {
    let SourceItem::Entry { parent, name, .. } = &item else { return Ok(item) };
    match asker.look(parent.clone(), name)? {
        None => Err(Error::new(ErrorKind::NotFound, "open", &parent.shown(Some(name)))),
        Some(meta) if meta.kind == Kind::Dir => Ok(SourceItem::Contents(parent.child(name))),
        Some(_) => Ok(item),
    }
}
