//! What a control connection offers: the greeting and the daemon. It must not know how sessions work.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_core::{Error, ErrorKind};
use blit_schema::control_capnp::{daemon, hello, module};
use capnp::capability::Rc;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use rustls::Connection;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::jobs::Board;
use super::module::Room;
use super::{Caller, Happening, Shared, refused};
use crate::convert::{self, narrow, unreadable};
use crate::intake::Allowance;
use crate::protocol::{CAPABILITIES, VERSION_MAX, VERSION_MIN};
use crate::socket::{MESSAGE_WORDS_MAX, STRANGER_WORDS_MAX, Socket, network};
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
    let allowance = Rc::new(Cell::new(STRANGER_WORDS_MAX));
    let guest = Rc::new(Guest {
        allowance: Rc::clone(&allowance),
        shared,
        caller,
        binding,
        greeted: Cell::new(false),
        capabilities: Cell::new(0),
        sessions: Cell::new(0),
        used: Cell::new(Instant::now()),
        asking: Cell::new(false),
        watching: Cell::new(false),
        gone: Cell::new(false),
    });
    let socket = socket.strict();
    let bootstrap: hello::Client = capnp_rpc::new_client(Greeter(Rc::clone(&guest)));
    let system =
        RpcSystem::new(Box::new(network(socket, Side::Server, allowance)), Some(bootstrap.client));
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
    /// How long its messages may be.
    allowance: Allowance,
    /// What the client can do.
    pub(super) capabilities: Cell<u64>,
    /// Sessions that are open.
    pub(super) sessions: Cell<usize>,
    /// When the client asked for something last.
    used: Cell<Instant>,
    /// It waits for an answer that takes a thread.
    pub(super) asking: Cell<bool>,
    /// It waits until a job moves.
    pub(super) watching: Cell<bool>,
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

/// A question that a connection asks one at a time. Whoever does not wait for the answer may ask another one.
pub(super) struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    /// # Errors
    /// `Exhausted` where another one is not answered yet.
    pub(super) fn take(asking: &'a Cell<bool>, op: &'static str) -> Result<Self, Error> {
        if asking.replace(true) {
            let why = "this connection waits for another answer of this kind";
            return Err(Error::because(ErrorKind::Exhausted, op, b"", why));
        }
        Ok(Self(asking))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
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
        // Who may use nothing here needs no long messages.
        guest.allowance.set(MESSAGE_WORDS_MAX);
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

    fn jobs(
        self: Rc<Self>,
        _: daemon::JobsParams,
        mut results: daemon::JobsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        results.get().set_jobs(capnp_rpc::new_client(Board(Rc::clone(&self.0))));
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

/// How often a connection is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// A connection without a session that asks for nothing is closed after so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Characters of what a client calls itself that are kept.
const NAME_CHARS_MAX: usize = 64;
