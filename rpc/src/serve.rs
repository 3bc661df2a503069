//! Answers connections: finds out what each is for, within a deadline, and hands it to the control plane or to the session
//! that it belongs to. It must not know configurations: [`Host`] decides what there is and who may use it.

mod greeting;
mod jobs;
mod ledger;
mod module;
mod order;
mod session;
mod work;

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use blit_core::engine::Engine;
use blit_core::event::Port;
use blit_core::stream::{Attachment, End, Plane, Slot, Stream};
use blit_core::task::Root;
use blit_core::{Error, ErrorKind};
use rustls::{Connection, ServerConfig, ServerConnection};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::connect::{left, shake};
use crate::identity::PublicKey;
use crate::owners::Names;
use crate::preamble::{self, CONTROL_MAGIC, DATA_MAGIC, MAGIC_BYTES, WELCOME};
use crate::stream::Secure;
use crate::streams::{Plain, Sealed, Streams};
use crate::tls::{self, Channel, HELLO_BYTES_MAX, Hello};
use crate::token::{Mint, Refusal};

use ledger::Ledger;

pub use crate::client::ModuleInfo;

/// What there is to be served, and who may use it.
pub trait Host: Send + Sync {
    /// What clients are greeted with.
    fn motd(&self) -> String;

    /// The modules that `caller` may use.
    fn modules(&self, caller: &Caller) -> Vec<ModuleInfo>;

    /// The module of this name; the empty name is the default root. None where there is none, and where `caller` may not use it.
    fn module(&self, name: &str, caller: &Caller) -> Option<ModuleInfo>;

    /// What a session of a module works with. Called in the session's own thread. Its root is called `shown` in messages.
    ///
    /// # Errors
    /// Why no session can begin now.
    fn workshop(&self, module: &str, shown: &[u8], caller: &Caller) -> Result<Workshop, Error>;

    /// Whether this caller may speak without encryption.
    fn allows_plaintext(&self, caller: &Caller) -> bool;

    /// What the daemon says of itself to a caller who asks for a diagnosis.
    fn diagnosis(&self, caller: &Caller) -> Vec<String>;

    /// Something happened that an operator may want to know.
    fn note(&self, happening: &Happening<'_>);
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The end of it here.
    pub local: SocketAddr,
    /// The key that it proved.
    pub key: Option<PublicKey>,
    /// The connection is encrypted.
    pub is_sealed: bool,
}

/// What a session of a module works with.
pub struct Workshop {
    /// Executes its tasks.
    pub engine: Arc<dyn Engine>,
    /// The module's directory.
    pub root: Arc<Root>,
    /// Owners are numbers in this module.
    pub numeric_ids: bool,
    /// Dropped when the session has ended.
    pub guard: Box<dyn Any + Send>,
}

/// What an operator may want to know.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A connection ended before it was one of this protocol, or was not allowed.
    Refused(&'a Caller, &'a str),
    /// A data connection showed what is no token, or not one of its own; `Refused` follows.
    TokenRefused(&'a Caller, Refusal),
    /// A client said who it is.
    Greeted(&'a Caller, &'a str),
    /// A session began: the operation and the module.
    Began(&'a Caller, &'static str, &'a str),
    /// A session ended: module, what it did, and why early.
    Ended(&'a Caller, &'a str, Traffic, Option<&'a Error>),
}

/// What a session has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of contents over data connections, in both directions.
    pub data: u64,
    /// Bytes of contents over the control connection.
    pub control: u64,
    /// Of both, those that came here.
    pub received: u64,
    /// Of both, those that went from here.
    pub sent: u64,
    /// Entries that the session has dealt with, where it came to an end.
    pub entries: u64,
}

/// Bounds and settings of a server.
#[derive(Clone)]
pub struct Settings {
    /// How connections are encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// From accepting a connection to the end of its greeting.
    pub handshake_timeout: Duration,
    /// Without progress for so long, a session has failed.
    pub stall_timeout: Duration,
    /// Data connections of one session.
    pub streams_max: u16,
    /// Asks the system for the names of owners.
    pub names: Names,
}

/// Serves connections until it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

/// What all connections share.
pub(super) struct Shared {
    host: Arc<dyn Host>,
    settings: Settings,
    mint: Mint,
    /// Tokens' clock.
    since: Instant,
    sessions: Mutex<HashMap<u64, Joinable>>,
    ledger: Ledger,
    next_session: AtomicU64,
    draining: AtomicBool,
    ending: AtomicBool,
}

/// A session that data connections can join.
#[derive(Clone)]
pub(super) struct Joinable {
    plane: Arc<Plane>,
    engine: Weak<dyn Engine>,
    port: Port,
    end: End,
    streams: Arc<Streams>,
    key: Option<PublicKey>,
    /// Data connections may be without encryption.
    plaintext: bool,
}

/// What a connection turned out to be.
enum Purpose {
    Control(Option<Box<Connection>>),
    Data(Box<dyn Stream>, Slot, Joinable),
    /// None any more: its client dialled before it knew whether there would be a session.
    Left,
}

impl Server {
    /// A server of what `host` offers.
    ///
    /// # Errors
    /// Those of starting a thread, and of the system's random numbers.
    pub fn start(host: Arc<dyn Host>, settings: Settings) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            host,
            settings,
            mint: Mint::random()?,
            since: Instant::now(),
            sessions: Mutex::default(),
            ledger: Ledger::default(),
            next_session: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::io("start", b"executor", error))?;
        let (jobs, mut inbox) = unbounded_channel::<Job>();
        let run = move || {
            LocalSet::new().block_on(&runtime, async move {
                while let Some(job) = inbox.recv().await {
                    job();
                }
            });
        };
        let thread = Builder::new().name("blit-rpc".to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::io("start", b"thread", error))?;
        Ok(Self { shared, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Takes a connection that was accepted. Blocks until it has said what it is for, at most for the deadline; `guard` is
    /// dropped when the connection has ended.
    pub fn take(&self, socket: TcpStream, guard: Box<dyn Any + Send>) {
        let deadline = Instant::now() + self.shared.settings.handshake_timeout;
        let ends = socket.peer_addr().and_then(|peer| Ok((peer, socket.local_addr()?)));
        // Whoever has left already needs no answer.
        let Ok((peer, local)) = ends else { return };
        let mut caller = Caller { peer, local, key: None, is_sealed: false };
        match self.purpose(&socket, &mut caller, deadline) {
            Ok(Purpose::Control(seal)) => self.control((socket, seal), caller, deadline, guard),
            Ok(Purpose::Data(stream, slot, joinable)) => {
                let Joinable { plane, engine, port, end, streams, .. } = joinable;
                match (engine.upgrade(), streams.add(slot, stream)) {
                    (Some(engine), Some(stream)) => {
                        engine.attach(Attachment { plane, slot, stream, end, port });
                    }
                    (None, _) => self.refuse(&caller, "its session has ended"),
                    // A token is no promise: many may have been given before the first was shown.
                    (_, None) => self.refuse(&caller, "its session has that stream or no room"),
                }
            }
            Ok(Purpose::Left) => {}
            Err(why) => self.refuse(&caller, &why.to_string()),
        }
    }

    /// Nothing new begins; what runs goes on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Whatever runs is ended.
    pub fn end(&self) {
        self.drain();
        self.shared.ending.store(true, Ordering::Relaxed);
        for session in self.shared.sessions().values() {
            session.port.control().cancel();
        }
    }

    /// How many tokens were refused so far.
    pub fn refusals(&self) -> crate::token::Refusals {
        self.shared.mint.refusals()
    }

    fn control(
        &self,
        (socket, seal): (TcpStream, Option<Box<Connection>>),
        caller: Caller,
        deadline: Instant,
        guard: Box<dyn Any + Send>,
    ) {
        let shared = Arc::clone(&self.shared);
        let job = move || greeting::begin((socket, seal), (shared, caller), deadline, guard);
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(Box::new(job)));
        }
    }

    fn refuse(&self, caller: &Caller, why: &str) {
        self.shared.host.note(&Happening::Refused(caller, why));
    }

    /// Finds out what a connection is for.
    fn purpose(
        &self,
        socket: &TcpStream,
        caller: &mut Caller,
        deadline: Instant,
    ) -> io::Result<Purpose> {
        socket.set_nodelay(true)?;
        let mut timed = preamble::Timed { socket, deadline };
        let mut first = [0; MAGIC_BYTES];
        timed.read_exact(&mut first)?;
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        if first == CONTROL_MAGIC {
            return match self.shared.host.allows_plaintext(caller) {
                true => Ok(Purpose::Control(None)),
                false => Err(denied()),
            };
        }
        if first == DATA_MAGIC {
            let (token, binding) = preamble::receive_token(&mut timed)?;
            let (slot, joinable) = self.redeem(&token, binding, caller)?;
            if !joinable.plaintext || !self.shared.host.allows_plaintext(caller) {
                return Err(denied());
            }
            timed.write_all(&WELCOME)?;
            let stream = Plain::new(socket.try_clone()?, self.patience())?;
            return Ok(Purpose::Data(Box::new(stream), slot, joinable));
        }
        let Some(config) = &self.shared.settings.tls else { return Err(foreign()) };
        let (channel, received) = hello(&mut timed, &first)?;
        caller.is_sealed = true;
        match channel {
            Channel::Control => {
                let connection = ServerConnection::new(Arc::clone(config));
                let mut connection = Connection::Server(connection.map_err(io::Error::other)?);
                let mut received = &received[..];
                while !received.is_empty() {
                    connection.read_tls(&mut received)?;
                    connection.process_new_packets().map_err(io::Error::other)?;
                }
                shake(&mut connection, socket, deadline)?;
                caller.key = tls::peer_key(&connection);
                Ok(Purpose::Control(Some(Box::new(connection))))
            }
            Channel::Data => {
                let mut stream = Secure::accept(socket.try_clone()?, config, &received, deadline)?;
                caller.key = stream.peer_key();
                stream.set_timeout(Some(left(deadline)?))?;
                stream.set_deadline(Some(deadline))?;
                let (token, binding) = match preamble::receive_token(&mut stream) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Ok(Purpose::Left);
                    }
                    shown => shown?,
                };
                stream.set_deadline(None)?;
                let (slot, joinable) = self.redeem(&token, binding, caller)?;
                if joinable.key != caller.key {
                    return Err(denied());
                }
                stream.write_all(&WELCOME)?;
                let stream = Sealed::new(stream, self.patience())?;
                Ok(Purpose::Data(Box::new(stream), slot, joinable))
            }
        }
    }

    /// The session and the slot that a token is for.
    fn redeem(
        &self,
        token: &[u8],
        binding: Option<[u8; 32]>,
        caller: &Caller,
    ) -> io::Result<(Slot, Joinable)> {
        let shared = &self.shared;
        let now = shared.since.elapsed();
        let redeemed = shared.mint.redeem(token, caller.peer.ip(), binding, now);
        let redeemed = redeemed.map_err(|why| {
            shared.host.note(&Happening::TokenRefused(caller, why));
            io::Error::other(format!("token: {why:?}"))
        })?;
        let joinable = shared.sessions().get(&redeemed.session).cloned();
        let joinable = joinable.ok_or_else(|| io::Error::other("token of no session"))?;
        Ok((Slot(redeemed.slot), joinable))
    }

    /// How long a data connection may not take what is sent: less than a session may stand still.
    fn patience(&self) -> Option<Duration> {
        Some(self.shared.settings.stall_timeout * 2 / 3)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Joinable>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Reads what a client of TLS says first, to its end, and what it is for.
fn hello(
    timed: &mut preamble::Timed<'_>,
    first: &[u8; MAGIC_BYTES],
) -> io::Result<(Channel, Vec<u8>)> {
    let mut received = first.to_vec();
    loop {
        match tls::look_at_hello(&received) {
            Hello::For(channel) => return Ok((channel, received)),
            Hello::Foreign => return Err(foreign()),
            Hello::Incomplete => {}
        }
        let mut more = [0; 1024];
        let room = (HELLO_BYTES_MAX - received.len()).min(more.len());
        match timed.read(&mut more[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => received.extend_from_slice(&more[..len]),
        }
    }
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not speak this protocol")
}

/// An answer to what cannot be.
pub(super) fn refused(op: &'static str, path: &[u8], why: &str) -> Error {
    Error::because(ErrorKind::Refused, op, path, why)
}
