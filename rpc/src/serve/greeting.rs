//! What a control connection offers: the greeting, the daemon, its modules. It must not know how sessions work.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_core::path::RelPath;
use blit_core::spec::Verb;
use blit_core::stream::Packing;
use blit_core::task::SpaceFacts;
use blit_core::{Error, ErrorKind};
use blit_schema::control_capnp::{daemon, hello, module};
use blit_schema::session_capnp as schema;
use capnp::capability::Rc;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use rustls::Connection;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::order::Order;
use super::session::{self, Opening};
use super::{Caller, Happening, ModuleInfo, Shared, refused};
use crate::convert::{self, narrow, unreadable};
use crate::protocol::{CAPABILITIES, COMPRESSION, VERSION_MAX, VERSION_MIN};
use crate::socket::{Socket, network};
use crate::tls;

/// Serves a control connection until it ends. Called on the executor's thread.
pub(super) fn begin(
    (socket, seal): (TcpStream, Option<Box<Connection>>),
    (shared, caller): (Arc<Shared>, Caller),
    deadline: Instant,
    guard: Box<dyn Any + Send>,
) {
    let binding = seal.as_ref().and_then(|seal| tls::channel_binding(seal).ok());
    // A socket that cannot be used any more has nobody at its other end.
    let Ok(socket) = Socket::new(socket, seal) else { return };
    let guest = Rc::new(Guest {
        shared,
        caller,
        binding,
        greeted: Cell::new(false),
        capabilities: Cell::new(0),
        sessions: Cell::new(0),
        used: Cell::new(Instant::now()),
        asking: Cell::new(false),
        gone: Cell::new(false),
    });
    let socket = socket.strict();
    let bootstrap: hello::Client = capnp_rpc::new_client(Greeter(Rc::clone(&guest)));
    let system = RpcSystem::new(Box::new(network(socket, Side::Server)), Some(bootstrap.client));
    let disconnector = RefCell::new(Some(system.get_disconnector()));
    let serving = spawn_local(async move {
        // However it ended, there is nobody to tell.
        drop(system.await);
        drop(guard);
    });
    drop(spawn_local(async move {
        guest.watch(deadline).await;
        if let Some(disconnector) = disconnector.take() {
            drop(tokio::time::timeout(GOODBYE_TIMEOUT, disconnector).await);
        }
        serving.abort();
    }));
}

/// One client as its connection knows it.
pub(super) struct Guest {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) binding: Option<[u8; 32]>,
    greeted: Cell<bool>,
    /// What the client can do.
    capabilities: Cell<u64>,
    /// Sessions that are open.
    pub(super) sessions: Cell<usize>,
    /// When the client asked for something last.
    used: Cell<Instant>,
    /// It waits for an answer that takes a thread.
    asking: Cell<bool>,
    /// It has said nothing for too long.
    gone: Cell<bool>,
}

impl Guest {
    /// Ends when the connection is of no use: not greeted in time, idle, or the daemon ends.
    async fn watch(&self, deadline: Instant) {
        loop {
            sleep(WATCH_INTERVAL).await;
            let is_late = !self.greeted.get() && Instant::now() >= deadline;
            let idle = self.sessions.get() == 0;
            let is_idle = idle && self.used.get().elapsed() >= IDLE_TIMEOUT;
            if is_late || is_idle || self.gone.get() || (idle && self.shared.is_draining()) {
                return;
            }
        }
    }

    /// Ends the connection, which is of no use any more.
    pub(super) fn give_up(&self) {
        self.gone.set(true);
    }

    pub(super) fn touch(&self) {
        self.used.set(Instant::now());
    }
}

/// The first capability.
struct Greeter(Rc<Guest>);

impl Greeter {
    fn greet(
        &self,
        params: &hello::HelloParams,
        results: &mut hello::HelloResults,
    ) -> Result<(), capnp::Error> {
        let Self(guest) = self;
        let greeting = params.get()?.get_greeting()?;
        let (min, max) = (greeting.get_version_min(), greeting.get_version_max());
        let missing = greeting.get_required() & !CAPABILITIES;
        let why = if min > VERSION_MAX || max < VERSION_MIN {
            Some(format!(
                "the client speaks versions {min} to {max} of the protocol, this daemon {VERSION_MIN} to {VERSION_MAX}"
            ))
        } else if missing != 0 {
            Some(format!(
                "the client needs capabilities {missing:#x} that this daemon does not have"
            ))
        } else {
            None
        };
        if let Some(why) = why {
            results.get().set_error(&convert::error_bytes(&refused("greet", b"", &why)));
            return Ok(());
        }
        guest.greeted.set(true);
        guest.capabilities.set(greeting.get_capabilities());
        guest.touch();
        let name = greeting.get_name()?.to_str()?;
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        guest.shared.host.note(&Happening::Greeted(&guest.caller, &name));
        let mut welcome = results.get().init_welcome();
        welcome.set_version(max.min(VERSION_MAX));
        welcome.set_capabilities(CAPABILITIES);
        welcome.set_name(concat!("blitd ", env!("CARGO_PKG_VERSION")));
        welcome.set_motd(guest.shared.host.motd());
        welcome.set_daemon(capnp_rpc::new_client(Desk(Rc::clone(guest))));
        Ok(())
    }
}

impl hello::Server for Greeter {
    fn hello(
        self: Rc<Self>,
        params: hello::HelloParams,
        mut results: hello::HelloResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(self.greet(&params, &mut results))
    }
}

/// The daemon.
struct Desk(Rc<Guest>);

impl Desk {
    fn module_of(&self, params: &daemon::ModuleParams) -> Result<module::Client, Error> {
        let Self(guest) = self;
        let name = params.get().and_then(|params| Ok(params.get_name()?.to_string()?));
        let name = name.map_err(unreadable)?;
        let found = guest.shared.host.module(&name, &guest.caller);
        let info = found.ok_or_else(|| {
            let why = if name.is_empty() {
                "the path names no module, and there is no default root or it is not for this key"
            } else {
                "there is no such module, or it is not for this key"
            };
            refused("open module", name.as_bytes(), why)
        })?;
        Ok(capnp_rpc::new_client(Room { guest: Rc::clone(guest), info }))
    }
}

impl daemon::Server for Desk {
    fn modules(
        self: Rc<Self>,
        _: daemon::ModulesParams,
        mut results: daemon::ModulesResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        let modules = self.0.shared.host.modules(&self.0.caller);
        let mut list = results.get().init_modules(narrow(modules.len()));
        for (index, info) in (0..).zip(&modules) {
            let mut module = list.reborrow().get(index);
            module.set_name(&info.name);
            module.set_comment(&info.comment);
            module.set_read_only(info.read_only);
        }
        ready(Ok(()))
    }

    fn module(
        self: Rc<Self>,
        params: daemon::ModuleParams,
        mut results: daemon::ModuleResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        match self.module_of(&params) {
            Ok(module) => results.get().set_module(module),
            Err(error) => results.get().set_error(&convert::error_bytes(&error)),
        }
        ready(Ok(()))
    }

    fn diagnose(
        self: Rc<Self>,
        _: daemon::DiagnoseParams,
        mut results: daemon::DiagnoseResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        let lines = self.0.shared.host.diagnosis(&self.0.caller);
        let mut list = results.get().init_lines(narrow(lines.len()));
        for (index, line) in (0..).zip(&lines) {
            list.set(index, line);
        }
        ready(Ok(()))
    }

    fn ping(
        self: Rc<Self>,
        _: daemon::PingParams,
        _: daemon::PingResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        ready(Ok(()))
    }
}

/// A module.
struct Room {
    guest: Rc<Guest>,
    info: ModuleInfo,
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
    /// The room at a path; one question at a time, each of which takes a thread.
    async fn space_at(&self, path: RelPath) -> Result<SpaceFacts, Error> {
        let asking = &self.guest.asking;
        if asking.replace(true) {
            let why = "this connection waits for another answer of this kind";
            return Err(Error::because(ErrorKind::Exhausted, "examine", &path.to_bytes(), why));
        }
        let facts = session::space(&self.guest, &self.info.name, path).await;
        asking.set(false);
        facts
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
}

/// Whether so many paths are few enough for one order. A list of nothing takes no room in a message.
fn check_count(count: u32) -> Result<(), Error> {
    if count <= PATHS_MAX {
        return Ok(());
    }
    Err(refused("open", b"", &format!("an order has at most {PATHS_MAX} paths")))
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
                check_count(list.len())?;
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
                        let mut id = to.init_id();
                        id.set_dev(found.id.dev);
                        id.set_ino(found.id.ino);
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
                let path = Paths::default().path(target.get_path())?;
                let (contents, one_file) = (target.get_contents(), target.get_one_file());
                Ok(Order::Push { path, contents, one_file })
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
                    let mut ids = place.init_ids(narrow(answer.ids.len()));
                    for (index, id) in (0..).zip(&answer.ids) {
                        let mut to = ids.reborrow().get(index);
                        to.set_dev(id.dev);
                        to.set_ino(id.ino);
                    }
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
            let order = params.get_paths().map_err(unreadable).and_then(|list| {
                check_count(list.len())?;
                let mut paths = Paths::default();
                let paths = list.iter().map(|path| paths.path(path));
                paths.collect::<Result<Vec<_>, Error>>().map(Order::Remove)
            });
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
                Ok(path) => self.space_at(path).await,
                Err(error) => Err(error),
            };
            match facts {
                Ok(facts) => convert::spec::write_space(&facts, results.get().init_space()),
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }
}

async fn open(opening: Result<Opening, Error>) -> Result<session::Opened, Error> {
    session::open(opening?).await
}

/// How often a connection is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// A connection without a session that asks for nothing is closed after so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Characters of what a client calls itself that are kept.
const NAME_CHARS_MAX: usize = 64;
/// Paths of one order.
const PATHS_MAX: u32 = 64 << 10;
/// Names in the paths of an order: some 100 MiB while it is read, and many times what a user types.
const NAMES_MAX: usize = 1 << 20;
/// Sessions of one connection at a time.
const SESSIONS_MAX: usize = 1;
