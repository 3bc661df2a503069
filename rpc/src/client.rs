//! A connection to a daemon as the rest of this crate uses it: calls that block, over an executor on a thread of its own.
//! It must not decide what is transferred.

mod jobs;
mod peer;
mod session;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use blit_core::endpoint::Remote;
use blit_core::entry::Meta;
use blit_core::event::Control;
use blit_core::path::{Escaped, RelPath};
use blit_core::stream::Packing;
use blit_core::task::SpaceFacts;
use blit_core::{Error, ErrorKind};
use blit_schema::control_capnp::{daemon, hello, module};
use blit_schema::session_capnp::session::Client as SessionClient;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::FutureExt;
use futures::future::{Either, LocalBoxFuture, Shared, select, try_join};
use rustls::AlertDescription;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use crate::connect::{Access, CONNECT_TIMEOUT, Place, Reached, reach};
use crate::convert::{self, narrow, unreadable};
use crate::protocol::{CAPABILITIES, COMPRESSION, VERSION_MAX, VERSION_MIN};
use crate::shown;
use crate::socket::{MESSAGE_WORDS_MAX, Socket, network};

pub(crate) use session::{Beside, Found, Joint, Opened, Order, Word};

/// A connection to a daemon.
pub(crate) struct Client {
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
    pub(crate) place: Place,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    /// What it calls itself.
    pub name: String,
    /// What it greets with.
    pub motd: String,
    /// What it can do.
    capabilities: u64,
}

impl Welcome {
    /// What of `wanted` both can do.
    fn packing(&self, wanted: Packing) -> Packing {
        if self.capabilities & COMPRESSION != 0 { wanted } else { Packing::Never }
    }
}

/// A module as a daemon lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its name; empty for the default root.
    pub name: String,
    /// What it is for.
    pub comment: String,
    /// Nothing may be changed in it.
    pub read_only: bool,
}

/// What the executor's thread has of the connection.
pub(super) struct Conn {
    daemon: daemon::Client,
    /// What it says of itself, once it has answered.
    greeting: Greeting,
    /// How the daemon is called in words.
    who: String,
    /// The session, once there is one.
    session: RefCell<Option<SessionClient>>,
}

type Job = Box<dyn FnOnce(Rc<Conn>) + Send>;

type Greeting = Shared<LocalBoxFuture<'static, Result<Welcome, Error>>>;

impl Client {
    /// Reaches a daemon and greets it, without waiting for its answer: what is asked next goes out with the greeting.
    ///
    /// # Errors
    /// `Unreachable`; `Refused` where the daemon is not the one that is known. That it does not speak this protocol is an error of
    /// what is asked first.
    pub(crate) fn connect(
        host: &str,
        port: u16,
        access: &Access,
    ) -> Result<(Self, Vec<blit_core::summary::Notice>), Error> {
        let Reached { socket, seal, place, notes } = reach(host, port, access)?;
        let who = format!("the daemon {}", place.shown());
        let (jobs, inbox) = unbounded_channel();
        let (tell, told) = sync_channel(1);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            LocalSet::new().block_on(&runtime, async move {
                match Socket::new(socket, seal) {
                    Ok(socket) => {
                        drop(tell.send(Ok(())));
                        let (conn, system) = greet(socket, who);
                        serve(Rc::new(conn), system, inbox).await;
                    }
                    Err(error) => {
                        drop(tell.send(Err(Error::io("connect to", who.as_bytes(), error))));
                    }
                }
            });
        };
        let thread = Builder::new().name("blit-rpc".to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::io("start", b"thread", error))?;
        let client = Self { jobs: Some(jobs), thread: Some(thread), place };
        told.recv().map_err(|_| client.is_gone("connect to"))??;
        Ok((client, notes))
    }

    /// What the daemon says of itself.
    ///
    /// # Errors
    /// `Unreachable`, `Refused` where it does not speak this protocol.
    pub(crate) fn welcome(&self, control: &Control) -> Result<Welcome, Error> {
        let ask = |conn: Rc<Conn>| async move { conn.greeted().await };
        self.ask(("connect to", CALL_TIMEOUT), control, ask)
    }

    /// Calls the daemon and waits, at most for `patience` and not after the run was cancelled.
    pub(super) fn ask<T, F>(
        &self,
        (op, patience): (&'static str, Duration),
        control: &Control,
        call: impl FnOnce(Rc<Conn>) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + 'static,
    {
        let shown = self.place.shown();
        let (answer, answers) = sync_channel(1);
        let job = move |conn: Rc<Conn>| {
            drop(spawn_local(async move {
                drop(answer.send(call(conn).await));
            }));
        };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Box::new(job)).is_ok());
        let deadline = Instant::now() + patience;
        if !sent {
            return Err(self.is_gone(op));
        }
        loop {
            match answers.recv_timeout(BEAT) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if control.is_cancelled() => {
                    return Err(Error::new(ErrorKind::Interrupted, op, shown.as_bytes()));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                    let why = format!("the daemon has not answered for {} s", patience.as_secs());
                    return Err(Error::because(ErrorKind::Disconnected, op, shown.as_bytes(), why));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Err(self.is_gone(op))
    }

    fn is_gone(&self, op: &'static str) -> Error {
        let why = "the connection to the daemon is gone";
        Error::because(ErrorKind::Disconnected, op, self.place.shown().as_bytes(), why)
    }

    /// Runs `job` on the executor's thread, without an answer.
    pub(super) fn tell(&self, job: impl FnOnce(Rc<Conn>) + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(Box::new(job)));
        }
    }

    /// Whether contents are to be compressed on their way to this daemon or from it, if it can do that too.
    pub(crate) fn packing(&self, access: &Access) -> Packing {
        match access.packing {
            // No network is between two ends on one machine.
            Packing::WherePays if self.place.is_here => Packing::Never,
            packing => packing,
        }
    }

    /// What the daemon exports to this user.
    pub(crate) fn modules(&self, control: &Control) -> Result<Vec<ModuleInfo>, Error> {
        self.ask(("list modules of", CALL_TIMEOUT), control, |conn| async move {
            conn.greeted().await?;
            let answer = conn.daemon.modules_request().send().promise.await;
            let answer = answer.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)?;
            let mut modules = Vec::new();
            for module in answer.get_modules().map_err(unreadable)?.iter().take(MODULES_MAX) {
                modules.push(ModuleInfo {
                    name: convert::text(module.get_name())?,
                    comment: convert::text(module.get_comment())?,
                    read_only: module.get_read_only(),
                });
            }
            Ok(modules)
        })
    }

    /// What the daemon says of itself.
    pub(crate) fn diagnose(&self, control: &Control) -> Result<Vec<String>, Error> {
        self.ask(("ask", CALL_TIMEOUT), control, |conn| async move {
            conn.greeted().await?;
            let answer = conn.daemon.diagnose_request().send().promise.await;
            let answer = answer.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)?;
            let lines = answer.get_lines().map_err(unreadable)?;
            lines.iter().take(MODULES_MAX).map(convert::text).collect()
        })
    }

    /// The room of the file system that a path of a module is on.
    pub(crate) fn space(&self, at: &Remote, control: &Control) -> Result<SpaceFacts, Error> {
        let module = at.module.clone().unwrap_or_default();
        let path = at.path.to_bytes();
        let shown = shown::place(at, &path).into_bytes();
        self.ask(("examine", CALL_TIMEOUT), control, |conn| async move {
            let (module, found) = conn.module(&module);
            let mut request = module.space_request();
            request.get().set_path(&path);
            let space = async { request.send().promise.await.map_err(|error| conn.failed(&error)) };
            let ((), answer) = try_join(found, space).await?;
            let answer = answer.get().map_err(unreadable)?;
            let told = convert::read_error(answer.get_error().map_err(unreadable)?);
            told.map_err(|error| error.with_path(&shown))?;
            Ok(convert::spec::read_space(answer.get_space().map_err(unreadable)?))
        })
    }

    /// What stands at paths of a module.
    pub(crate) fn stat(
        &self,
        (module, paths): (&str, Vec<RelPath>),
        control: &Control,
    ) -> Result<Vec<Result<Meta, Error>>, Error> {
        let module = module.to_owned();
        self.ask(("examine", CALL_TIMEOUT), control, |conn| async move {
            let (module, known) = conn.module(&module);
            known.await?;
            let mut found = Vec::new();
            for paths in paths.chunks(STAT_PATHS_MAX) {
                let mut request = module.stat_request();
                let mut list = request.get().init_paths(narrow(paths.len()));
                for (index, path) in (0..).zip(paths) {
                    list.set(index, &path.to_bytes());
                }
                let answer = request.send().promise.await.map_err(|error| conn.failed(&error))?;
                let answer = answer.get().map_err(unreadable)?;
                convert::read_error(answer.get_error().map_err(unreadable)?)?;
                let list = answer.get_found().map_err(unreadable)?;
                found.extend(convert::standing::read(list, paths.len())?);
            }
            Ok(found)
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The executor ends when nobody can ask it any more.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has panicked, or ended: either way there is nothing left to end.
            thread.join().unwrap_or_default();
        }
    }
}

impl Conn {
    /// What the daemon says of itself.
    async fn greeted(&self) -> Result<Welcome, Error> {
        let unanswered = |_| {
            let why = "it did not answer in time";
            Error::because(ErrorKind::Unreachable, "connect to", self.who.as_bytes(), why)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, self.greeting.clone()).await.map_err(unanswered)?
    }

    /// A module by its name, to be called at once, and what becomes known of it and of the daemon. That goes before the answers to
    /// such calls, which fail without saying why where there is no module.
    fn module(
        self: &Rc<Self>,
        name: &str,
    ) -> (module::Client, impl Future<Output = Result<(), Error>> + use<>) {
        let mut request = self.daemon.module_request();
        request.get().set_name(name);
        let called = request.send();
        let (module, conn) = (called.pipeline.get_module(), Rc::clone(self));
        let found = async move {
            conn.greeted().await?;
            let answer = called.promise.await.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)
        };
        (module, found)
    }

    /// Waits for `answer`, which may take the daemon's disks long, but not while the daemon says nothing at all.
    async fn unless_silent<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
        silence: Duration,
    ) -> Result<T, Error> {
        let silent = async {
            // Until then it has as long as a connection has.
            if self.greeted().await.is_err() {
                pending::<()>().await;
            }
            loop {
                let ping = self.daemon.ping_request().send().promise;
                match tokio::time::timeout(silence, ping).await {
                    Ok(Ok(_)) => tokio::time::sleep(silence / 4).await,
                    // What is wrong with the connection, the answer tells too.
                    Ok(Err(_)) => pending::<()>().await,
                    Err(_) => return,
                }
            }
        };
        match select(pin!(answer), pin!(silent)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let why = format!("it has been silent for {} s", silence.as_secs());
                Err(Error::because(ErrorKind::Disconnected, "wait for", self.who.as_bytes(), why))
            }
        }
    }

    /// Why a call failed.
    fn failed(&self, error: &capnp::Error) -> Error {
        let (kind, why) = match error.kind {
            capnp::ErrorKind::Disconnected => {
                (ErrorKind::Disconnected, "it closed the connection".to_owned())
            }
            capnp::ErrorKind::Unimplemented => {
                (ErrorKind::Refused, "it does not offer this".to_owned())
            }
            _ => (ErrorKind::Protocol, Escaped(error.extra.as_bytes()).to_string()),
        };
        Error::because(kind, "ask", self.who.as_bytes(), why)
    }
}

/// Begins to speak the protocol.
fn greet(socket: Socket, who: String) -> (Conn, RpcSystem<Side>) {
    let (verdict, is_sealed) = (socket.verdict(), socket.is_sealed());
    let allowance = Rc::new(Cell::new(MESSAGE_WORDS_MAX));
    let mut system = RpcSystem::new(Box::new(network(socket, Side::Client, allowance)), None);
    let hello: hello::Client = system.bootstrap(Side::Server);
    let mut request = hello.hello_request();
    let mut greeting = request.get().init_greeting();
    greeting.set_version_min(VERSION_MIN);
    greeting.set_version_max(VERSION_MAX);
    greeting.set_capabilities(CAPABILITIES);
    greeting.set_name(concat!("blit ", env!("CARGO_PKG_VERSION")));
    let called = request.send();
    let daemon = called.pipeline.get_welcome().get_daemon();
    let named = who.clone();
    let answer = async move {
        let answer = called.promise.await;
        welcome(answer, &named, |_| foreign(verdict.get(), is_sealed, &named))
    };
    let greeting = answer.boxed_local().shared();
    (Conn { daemon, greeting, who, session: RefCell::default() }, system)
}

/// Why whatever is there does not answer as a daemon does.
fn foreign(alert: Option<AlertDescription>, is_sealed: bool, who: &str) -> Error {
    if let Some(alert) = alert {
        // A daemon that asks for certificates judges them when the handshake is over at this end.
        let why = rejection(alert);
        return Error::because(ErrorKind::Refused, "show certificate to", who.as_bytes(), why);
    }
    let why = match is_sealed {
        // The handshake was one for this protocol.
        true => "it closed the connection before it answered",
        false => "what answers there is not a blit daemon",
    };
    Error::because(ErrorKind::Unreachable, "connect to", who.as_bytes(), why)
}

/// What the daemon has answered to the greeting.
fn welcome(
    answer: capnp::Result<capnp::capability::Response<hello::hello_results::Owned>>,
    who: &str,
    foreign: impl Fn(capnp::Error) -> Error,
) -> Result<Welcome, Error> {
    let answer = answer.map_err(&foreign)?;
    let answer = answer.get().map_err(&foreign)?;
    convert::read_error(answer.get_error().map_err(&foreign)?)?;
    let answer = answer.get_welcome().map_err(&foreign)?;
    let version = answer.get_version();
    if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
        let why = format!("it speaks version {version} of the protocol, this is {VERSION_MAX}");
        return Err(Error::because(ErrorKind::Refused, "talk to", who.as_bytes(), why));
    }
    Ok(Welcome {
        name: convert::text(answer.get_name())?,
        motd: convert::text(answer.get_motd())?,
        capabilities: answer.get_capabilities(),
    })
}

/// Why a daemon does not take the certificate of this client, by the alert that it sent.
fn rejection(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "none of its authorities has signed it".to_owned(),
        AlertDescription::CertificateExpired => "it has expired".to_owned(),
        other => format!("it is not taken ({other:?})"),
    }
}

/// Runs jobs until nobody brings any more.
async fn serve(conn: Rc<Conn>, system: RpcSystem<Side>, mut inbox: UnboundedReceiver<Job>) {
    let disconnector = system.get_disconnector();
    drop(spawn_local(system));
    while let Some(job) = inbox.recv().await {
        job(Rc::clone(&conn));
    }
    drop(conn);
    // Says goodbye, if the daemon still listens.
    drop(tokio::time::timeout(GOODBYE_TIMEOUT, disconnector).await);
}

/// How often a caller that waits looks whether the run is cancelled.
const BEAT: Duration = Duration::from_millis(100);
/// An answer that needs no disk work to speak of.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Paths that a daemon is asked about at once.
const STAT_PATHS_MAX: usize = 1024;
/// Modules that are shown of one daemon.
const MODULES_MAX: usize = 4096;
