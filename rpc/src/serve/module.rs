//! What a module offers: orders that open sessions, and questions that are answered at once. A read-only module offers nothing that
//! changes it. It must not know how sessions work.

use std::future::Future;
use std::sync::Arc;

use blit_core::path::RelPath;
use blit_core::spec::Verb;
use blit_core::stream::Packing;
use blit_core::task::Root;
use blit_core::{Error, ErrorKind};
use blit_schema::control_capnp::module;
use blit_schema::session_capnp as schema;
use capnp::capability::Rc;

use super::greeting::{Guest, Turn};
use super::order::{self, Order};
use super::session::{self, Opening};
use super::{ModuleInfo, refused};
use crate::client::Beside;
use crate::convert::{self, narrow, unreadable};
use crate::local::Asker;
use crate::protocol::COMPRESSION;

/// A module.
pub(super) struct Room {
    pub(super) guest: Rc<Guest>,
    pub(super) info: ModuleInfo,
}

impl Room {
    fn opening(
        &self,
        order: Result<Order, Error>,
        spec: capnp::Result<schema::spec::Reader<'_>>,
        peer: capnp::Result<schema::peer::Client>,
    ) -> Result<Opening, Error> {
        self.guest.touch();
        let (order, spec) = (order?, spec.map_err(unreadable)?);
        let mut transfer = convert::spec::read(spec)?;
        if matches!(order, Order::Look(_)) {
            // Who only looks is told nothing that he could answer for, and nothing leaves the source.
            transfer.verb = Verb::Copy;
        }
        if self.info.read_only && order.writes(&transfer) {
            let name = self.info.name.as_bytes();
            return Err(refused("change module", name, "it is read-only"));
        }
        if self.guest.shared.is_draining() {
            return Err(refused("open session", b"", "the daemon is about to end"));
        }
        if self.guest.sessions.get() >= SESSIONS_MAX {
            let why = "this connection has a session already";
            return Err(Error::because(ErrorKind::Exhausted, "open session", b"", why));
        }
        let packing = match self.guest.capabilities.get() & COMPRESSION {
            0 => Packing::Never,
            _ => convert::spec::read_packing(spec)?,
        };
        Ok(Opening {
            guest: Rc::clone(&self.guest),
            module: self.info.name.clone(),
            shown: convert::spec::read_shown(spec)?,
            order,
            numeric_ids: spec.get_numeric_ids(),
            plaintext_data: spec.get_plaintext_data(),
            packing,
            spec: transfer,
            peer: peer.map_err(unreadable)?,
        })
    }
}

impl Room {
    /// The answer to a question; one at a time, each of which takes a thread.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Arc<Root>, Asker<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = Turn::take(&self.guest.asking, "examine")?;
        session::question(&self.guest, &self.info.name, ask).await
    }
}

/// Reads the paths of one order. Each name of a path takes many times the room that it has in a message, so they are
/// counted before they are kept.
#[derive(Default)]
struct Paths {
    names: usize,
}

impl Paths {
    fn path(&mut self, bytes: capnp::Result<&[u8]>) -> Result<RelPath, Error> {
        let bytes = bytes.map_err(unreadable)?;
        self.names += bytes.split(|byte| *byte == b'/').count();
        if self.names > NAMES_MAX {
            let why = format!("the paths of an order have at most {NAMES_MAX} names together");
            return Err(refused("open", b"", &why));
        }
        RelPath::new(bytes).map_err(|_| {
            refused("open", bytes, "a path stays below its module: no .. and no empty names in it")
        })
    }

    fn source(&mut self, from: schema::source_path::Reader<'_>) -> Result<(RelPath, bool), Error> {
        Ok((self.path(from.get_path())?, from.get_contents()))
    }

    fn beside(&mut self, from: schema::beside::Reader<'_>) -> Result<Option<RelPath>, Error> {
        if from.get_is_given() { self.path(from.get_path()).map(Some) } else { Ok(None) }
    }

    /// Paths as they are listed, at most `max` of them.
    fn list(
        &mut self,
        list: capnp::Result<capnp::data_list::Reader<'_>>,
        max: u32,
    ) -> Result<Vec<RelPath>, Error> {
        let list = list.map_err(unreadable)?;
        check_count(list.len(), max)?;
        list.iter().map(|path| self.path(path)).collect()
    }
}

/// Whether so many paths are few enough for one order or question. A list of nothing takes no room in a message.
fn check_count(count: u32, max: u32) -> Result<(), Error> {
    if count <= max {
        return Ok(());
    }
    Err(refused("open", b"", &format!("there may be at most {max} paths in one request")))
}

impl module::Server for Room {
    fn look(
        self: Rc<Self>,
        params: module::LookParams,
        mut results: module::LookResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let opening = params.get().map(|params| {
            let source = params.get_source().map_err(unreadable);
            let source = source.and_then(|source| Paths::default().source(source));
            let order = source.map(Order::Look);
            self.opening(order, params.get_spec(), params.get_peer())
        });
        async move {
            match open(opening?).await {
                Ok(opened) => results.get().set_session(opened.session),
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn pull(
        self: Rc<Self>,
        params: module::PullParams,
        mut results: module::PullResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let opening = params.get().map(|params| {
            let order = params.get_sources().map_err(unreadable).and_then(|list| {
                check_count(list.len(), PATHS_MAX)?;
                let mut paths = Paths::default();
                let sources = list.iter().map(|source| paths.source(source));
                sources.collect::<Result<Vec<_>, Error>>().map(Order::Pull)
            });
            self.opening(order, params.get_spec(), params.get_peer())
        });
        async move {
            match open(opening?).await {
                Ok(session::Opened { session, answer }) => {
                    let mut results = results.get();
                    results.set_session(session);
                    let mut list = results.init_found(narrow(answer.found.len()));
                    for (index, found) in (0..).zip(&answer.found) {
                        let mut to = list.reborrow().get(index);
                        to.set_exists(found.exists);
                        to.set_is_dir(found.is_dir);
                        convert::write_id(found.id, to.reborrow().init_id());
                        convert::write_ids(&found.above, to.init_above(narrow(found.above.len())));
                    }
                }
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn push(
        self: Rc<Self>,
        params: module::PushParams,
        mut results: module::PushResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let opening = params.get().map(|params| {
            let order = params.get_target().map_err(unreadable).and_then(|target| {
                let mut paths = Paths::default();
                let path = paths.path(target.get_path())?;
                let (contents, one_file) = (target.get_contents(), target.get_one_file());
                let backup =
                    target.get_backup().map_err(unreadable).and_then(|from| paths.beside(from))?;
                let reference = target
                    .get_reference()
                    .map_err(unreadable)
                    .and_then(|from| paths.beside(from))?;
                Ok(Order::Push { path, contents, one_file, beside: Beside { backup, reference } })
            });
            self.opening(order, params.get_spec(), params.get_peer())
        });
        async move {
            match open(opening?).await {
                Ok(session::Opened { session, answer }) => {
                    let mut results = results.get();
                    results.set_session(session);
                    if let Some(name) = &answer.new_name {
                        results.set_new_name(name.as_bytes());
                    }
                    let mut place = results.init_place();
                    place.set_absent(answer.absent);
                    convert::write_ids(&answer.ids, place.init_ids(narrow(answer.ids.len())));
                }
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn remove(
        self: Rc<Self>,
        params: module::RemoveParams,
        mut results: module::RemoveResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let opening = params.get().map(|params| {
            let order = Paths::default().list(params.get_paths(), PATHS_MAX).map(Order::Remove);
            self.opening(order, params.get_spec(), params.get_peer())
        });
        async move {
            match open(opening?).await {
                Ok(opened) => results.get().set_session(opened.session),
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn space(
        self: Rc<Self>,
        params: module::SpaceParams,
        mut results: module::SpaceResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.guest.touch();
        let path = params.get().map(|params| Paths::default().path(params.get_path()));
        async move {
            let facts = match path? {
                Ok(path) => self.ask(|root, asker| order::space(root, path, asker)).await,
                Err(error) => Err(error),
            };
            match facts {
                Ok(facts) => convert::spec::write_space(&facts, results.get().init_space()),
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn stat(
        self: Rc<Self>,
        params: module::StatParams,
        mut results: module::StatResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.guest.touch();
        let paths =
            params.get().map(|params| Paths::default().list(params.get_paths(), STAT_PATHS_MAX));
        async move {
            let found = match paths? {
                Ok(paths) => self.ask(|root, asker| Ok(order::stat(root, paths, asker))).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => {
                    let list = results.get().init_found(narrow(found.len()));
                    convert::standing::write(&found, list);
                }
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }
}

async fn open(opening: Result<Opening, Error>) -> Result<session::Opened, Error> {
    session::open(opening?).await
}

/// Paths of one order.
const PATHS_MAX: u32 = 64 << 10;
/// Names in the paths of an order: some 100 MiB while it is read, and many times what a user types.
const NAMES_MAX: usize = 1 << 20;
/// Paths of one question: no more entries than a page has.
const STAT_PATHS_MAX: u32 = 1024;
/// Sessions of one connection at a time.
const SESSIONS_MAX: usize = 1;
