//! Looks at what is there: the entries below a path, and the room of a file system.
//! It must not change anything, nor print.

use std::collections::HashMap;
use std::sync::Arc;

use blit_core::endpoint::Endpoint;
use blit_core::engine::Engine;
use blit_core::entry::{Kind, Meta};
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
use crate::local::{Asker, examine, source_item};
use crate::remote::{self, Reach};
use crate::transfer::{Outcome, no_access, run_pair, sides};

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
            let reach = Reach { asker, access, spec };
            return remote::look(at, reach, observe).unwrap_or_else(Outcome::failed);
        }
    };
    let item = match source_item(local, &mut HashMap::new()).and_then(|item| opened(item, &asker)) {
        Ok(item) => item,
        Err(error) => return Outcome::failed(error),
    };
    let source = Session::source(vec![item], spec.clone(), engine.limits());
    run_pair(&asker, (source, Session::viewer()), observe)
}

/// The room of the file system that `endpoint` is on.
///
/// # Errors
/// Those of opening the directory that it is, or that it is in.
pub fn space(
    endpoint: &Endpoint,
    (engine, control): (&dyn Engine, &Arc<Control>),
    access: Option<&Access>,
    observe: &mut dyn FnMut(Notice),
) -> Result<SpaceFacts, Error> {
    let local = match endpoint {
        Endpoint::Local(local) => local,
        Endpoint::Remote(at) => {
            let access = access.ok_or_else(|| no_access(at))?;
            let (client, notes) = Client::connect(&at.host, at.port, access)?;
            notes.into_iter().for_each(observe);
            return client.space(at, control);
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

/// What stands at each of `endpoints`, or why that is not known. All of them are on this machine, or in one module of a daemon.
///
/// # Errors
/// `Usage` where they are not; those of reaching the daemon.
pub fn stat(
    endpoints: &[Endpoint],
    (engine, control): (&dyn Engine, &Arc<Control>),
    access: Option<&Access>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Vec<Result<Meta, Error>>, Error> {
    let (near, far) = sides(endpoints);
    let Some(first) = far.first() else {
        let mut roots = HashMap::new();
        let items = near.into_iter().map(|local| source_item(local, &mut roots));
        let items = items.collect::<Result<Vec<_>, Error>>()?;
        let found = examine(&items, Asker { engine, control }, "open");
        return Ok(found.into_iter().map(|(_, meta)| meta).collect());
    };
    if !near.is_empty() {
        let why = "local and remote entries are looked at by runs of their own";
        return Err(Error::because(ErrorKind::Usage, "open", first.host.as_bytes(), why));
    }
    let first = remote::one_module(&far)?;
    let access = access.ok_or_else(|| no_access(first))?;
    let (client, notes) = Client::connect(&first.host, first.port, access)?;
    notes.into_iter().for_each(observe);
    let paths = far.iter().map(|remote| remote.path.clone()).collect();
    client.stat((first.module.as_deref().unwrap_or_default(), paths), control)
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
    let modules = client.modules(control)?;
    Ok((client.welcome(control)?, modules))
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
