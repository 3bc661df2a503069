//! What the daemon offers of a session: frames go to its thread, data connections to its streams.
//! It must not know what the session is for.

use std::cell::RefCell;
use std::future::{Future, ready};
use std::net::IpAddr;
use std::rc::Rc as Local;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Builder;

use blit_core::event::Port;
use blit_core::path::Name;
use blit_core::spec::TransferSpec;
use blit_core::stream::{Attachment, Packing, Plane, Slot};
use blit_core::summary::Change;
use blit_core::task::Root;
use blit_core::{Error, ErrorKind};
use blit_schema::session_capnp as schema;
use blit_schema::session_capnp::session;
use capnp::capability::Rc;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::greeting::Guest;
use super::ledger::{Deed, Entered};
use super::order::{Answer, Order};
use super::work::{self, Ended, Ready, Work};
use super::{Happening, Joinable, Shared, Traffic, refused};
use crate::carrier::carrier;
use crate::convert::{self, narrow, unreadable};
use crate::link::{self, Far, Mailbox, Unsaid, pump, watch};
use crate::local::Asker;
use crate::owners::Names;
use crate::streams::Streams;
use crate::token::Grant;

/// An order that may be carried out.
pub(super) struct Opening {
    pub(super) guest: Rc<Guest>,
    pub(super) module: String,
    /// What the client calls it.
    pub(super) shown: Vec<u8>,
    pub(super) order: Order,
    pub(super) spec: TransferSpec,
    pub(super) numeric_ids: bool,
    pub(super) plaintext_data: bool,
    pub(super) packing: Packing,
    pub(super) peer: schema::peer::Client,
}

/// A session that can begin, and what the client is told of it.
pub(super) struct Opened {
    pub(super) session: session::Client,
    pub(super) answer: Answer,
}

/// Counts the sessions of a connection.
struct Place(Rc<Guest>);

impl Place {
    fn take(guest: &Rc<Guest>) -> Self {
        guest.sessions.set(guest.sessions.get() + 1);
        Self(Rc::clone(guest))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.sessions.set(self.0.sessions.get() - 1);
        self.0.touch();
    }
}

/// Starts the thread of a session and waits until it knows what its order means.
pub(super) async fn open(opening: Opening) -> Result<Opened, Error> {
    let Opening { guest, module, shown, order, spec, peer, .. } = opening;
    let Opening { numeric_ids, plaintext_data, packing, .. } = opening;
    let place = Place::take(&guest);
    let (outbox, frames) = link::outbox();
    let (notices, changes) = channel(CHANGES_WAITING_MAX);
    let (begin, begun) = sync_channel(1);
    let (ready, answer) = oneshot::channel();
    let closing = Arc::new(AtomicBool::new(false));
    let deed = Deed::of(&module, &order, &spec);
    let lone = matches!(order, Order::Remove(_));
    let work = Work {
        shared: Arc::clone(&guest.shared),
        caller: guest.caller.clone(),
        module: module.clone(),
        shown: if shown.is_empty() { work::called(&module) } else { shown },
        order,
        spec,
        outbox,
        notices,
        closing: Arc::clone(&closing),
        begin: begun,
    };
    let thread = Builder::new().name("blit-session".to_owned());
    let spawned = thread.spawn(move || work::run(work, ready));
    spawned.map_err(|error| Error::io("start", b"session", error))?;
    let vanished = |_| Error::new(ErrorKind::Internal, "open session", b"");
    let ready = answer.await.map_err(vanished)??;
    let Ready { mut answer, port, engine, plane, end: data, numeric_ids: by_module } = ready;
    answer.keep_ids(&guest.caller);
    guest.shared.host.note(&Happening::Began(&guest.caller, deed.order.word(), &module));
    let numeric = numeric_ids || by_module;
    let names = if numeric { Names::NUMERIC } else { guest.shared.settings.names };
    let mailbox =
        Local::new(mailbox(&guest, (&port, &plane), (names, lone), closing).beside(&frames));
    let silence = guest.shared.settings.stall_timeout;
    let (streams, losses) = streams(&guest, packing);
    let id = guest.shared.next_session.fetch_add(1, Ordering::Relaxed);
    let job = Entered::new(&guest.shared, id, deed, (&guest.caller, port.clone()));
    let entry = data.map(|end| Joinable {
        plane,
        engine,
        port,
        end,
        streams: Arc::clone(&streams),
        key: guest.caller.key,
        plaintext: plaintext_data || !guest.caller.is_sealed,
    });
    let registered = Registered::add(&guest, id, entry);
    let entry = Local::clone(&registered.entry);
    let far = Far::Client(peer.clone());
    let attending = Attending {
        far: far.clone(),
        mailbox: Local::clone(&mailbox),
        names,
        silence,
        peer,
        guest: Rc::clone(&guest),
        module,
        streams: Arc::clone(&streams),
        job,
    };
    drop(spawn_local(async move {
        attending.attend(frames, changes, losses).await;
        drop((registered, place));
    }));
    let session = Seat { guest, id, mailbox, begin: RefCell::new(Some(begin)), entry };
    Ok(Opened { session: capnp_rpc::new_client(session), answer })
}

/// The streams of a session, and those that have ended.
fn streams(guest: &Guest, packing: Packing) -> (Arc<Streams>, UnboundedReceiver<Slot>) {
    let (lost, losses) = unbounded_channel();
    let max = usize::from(guest.shared.settings.streams_max);
    // After the session nobody wants to know.
    let streams = Streams::new(max, move |slot, _| lost.send(slot).unwrap_or_default());
    streams.agree(packing);
    (streams, losses)
}

/// What arrives from the client of a session.
fn mailbox(
    guest: &Guest,
    (port, plane): (&Port, &Arc<Plane>),
    (names, lone): (Names, bool),
    closing: Arc<AtomicBool>,
) -> Mailbox {
    let who = format!("the client {}", guest.caller.peer);
    let believed = WORD_TIMEOUTS * guest.shared.settings.stall_timeout;
    Mailbox::new((port.clone(), plane), who, names, closing).alone(lone).doubting(believed)
}

/// A session in the list of those that data connections can join.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
    /// What the session's capability has of it: a client that keeps that does not keep the engine.
    entry: Local<RefCell<Option<Joinable>>>,
}

impl Registered {
    fn add(guest: &Guest, id: u64, entry: Option<Joinable>) -> Self {
        if let Some(entry) = &entry {
            guest.shared.sessions().insert(id, entry.clone());
        }
        let shared = Arc::clone(&guest.shared);
        Self { shared, id, entry: Local::new(RefCell::new(entry)) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let joinable = self.shared.sessions().remove(&self.id);
        drop(self.entry.take());
        // Whoever sends or receives there would wait for a peer that has nothing more to say.
        if let Some(joinable) = joinable {
            joinable.streams.close_all();
        }
        self.shared.mint.revoke(self.id);
    }
}

/// What speaks for a session to its client.
struct Attending {
    far: Far,
    mailbox: Local<Mailbox>,
    names: Names,
    silence: std::time::Duration,
    peer: schema::peer::Client,
    guest: Rc<Guest>,
    module: String,
    streams: Arc<Streams>,
    job: Entered,
}

impl Attending {
    /// Until the session has ended and the client knows it, or is gone.
    async fn attend(
        self,
        said: Unsaid<Ended>,
        changes: Receiver<Change>,
        losses: UnboundedReceiver<Slot>,
    ) {
        let (far, mailbox) = (self.far.clone(), Local::clone(&self.mailbox));
        let silence = self.silence;
        let guest = Rc::clone(&self.guest);
        let watching = spawn_local(async move {
            let error = watch(far, &mailbox, silence).await;
            mailbox.cut(error);
            // Whoever says nothing for so long takes no answer either.
            guest.give_up();
        });
        let losing = spawn_local(tell_losses(self.far.clone(), losses));
        let telling = spawn_local(tell_changes(self.peer.clone(), changes, silence));
        let ended = pump(said, self.far.clone(), self.names).await;
        match ended {
            Ok(Some(ended)) => {
                self.note_end(ended.summary.entries, ended.error.as_ref());
                self.job.end(ended.summary.failed, ended.error.as_ref());
                // What was done goes before the end; to a client that is gone, all of this fails at once.
                drop(telling.await);
                if !self.tell_end(&ended).await {
                    self.guest.give_up();
                }
                drop(ended.known);
            }
            Err(error) => {
                let error = self.mailbox.broken(&error);
                self.note_end(0, Some(&error));
                self.job.end(0, Some(&error));
                self.mailbox.cut(error);
            }
            // It never began.
            Ok(None) => self.note_end(0, None),
        }
        watching.abort();
        losing.abort();
    }

    fn note_end(&self, entries: u64, error: Option<&Error>) {
        let caller = &self.guest.caller;
        let ((data, control), received) = (self.streams.carried(), self.streams.received());
        let sent = (data + control).saturating_sub(received);
        let traffic = Traffic { data, control, received, sent, entries };
        let happening = Happening::Ended(caller, &self.module, traffic, error);
        self.guest.shared.host.note(&happening);
    }

    /// Whether the client has answered in time.
    async fn tell_end(&self, ended: &Ended) -> bool {
        let mut request = self.peer.ended_request();
        let mut outcome = request.get().init_outcome();
        if let Some(error) = &ended.error {
            outcome.set_error(&convert::error_bytes(error));
        }
        convert::summary::write(&ended.summary, outcome.reborrow().init_summary());
        let mut matched = outcome.init_matched(narrow(ended.matched.len()));
        for (index, number) in (0..).zip(&ended.matched) {
            matched.set(index, *number);
        }
        tokio::time::timeout(self.silence, request.send().promise).await.is_ok()
    }
}

async fn tell_losses(far: Far, mut losses: UnboundedReceiver<Slot>) {
    while let Some(slot) = losses.recv().await {
        if far.lost(slot.0).await.is_err() {
            return;
        }
    }
}

/// Ends when the client takes nothing for so long as `patience`: then what is done is not told any more.
async fn tell_changes(
    peer: schema::peer::Client,
    mut changes: Receiver<Change>,
    patience: std::time::Duration,
) {
    while let Some(first) = changes.recv().await {
        let mut batch = vec![first];
        while batch.len() < CHANGES_MAX
            && let Ok(change) = changes.try_recv()
        {
            batch.push(change);
        }
        let mut request = peer.notices_request();
        let mut list = request.get().init_batch(narrow(batch.len()));
        for (index, change) in (0..).zip(&batch) {
            convert::summary::write_change(change, list.reborrow().get(index));
        }
        if !matches!(tokio::time::timeout(patience, request.send()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The capability of a session. Gone with its connection, it cuts the session off.
struct Seat {
    guest: Rc<Guest>,
    id: u64,
    mailbox: Local<Mailbox>,
    begin: RefCell<Option<SyncSender<Option<Name>>>>,
    /// Of a session that has data, until it has ended.
    entry: Local<RefCell<Option<Joinable>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mailbox.cut(self.mailbox.gone());
    }
}

impl Seat {
    fn let_begin(&self, params: &session::BeginParams) -> Result<(), Error> {
        let name = params.get().and_then(|params| params.get_new_name()).map_err(unreadable)?;
        let new_name = match name {
            [] => None,
            name => Some(Name::new(name).map_err(|_| refused("begin", name, "it is not a name"))?),
        };
        let begin = self.begin.borrow_mut().take();
        let begin = begin.ok_or_else(|| refused("begin", b"", "the session has begun already"))?;
        let gone = |_| refused("begin", b"", "the session has ended before it began");
        begin.try_send(new_name).map_err(gone)
    }

    fn issue(&self, params: &session::TokenParams) -> Result<Vec<u8>, Error> {
        let slot = params.get().map_err(unreadable)?.get_slot();
        let shared = &self.guest.shared;
        let are_full = self.entry.borrow().as_ref().is_none_or(|entry| entry.streams.are_full());
        if Slot(slot) == Slot::CONTROL || are_full {
            let why =
                format!("a session has at most {} data connections", shared.settings.streams_max);
            return Err(refused("open data connection", b"", &why));
        }
        let peer: IpAddr = self.guest.caller.peer.ip();
        let grant = Grant { session: self.id, slot, peer, binding: self.guest.binding };
        Ok(shared.mint.issue(grant, shared.since.elapsed())?.to_vec())
    }

    /// Puts a stream in place that the control connection carries.
    fn take_carrier(
        &self,
        params: &session::CarryParams,
    ) -> Result<schema::carrier::Client, Error> {
        let to = params.get().and_then(|params| params.get_carrier()).map_err(unreadable)?;
        let Some(Joinable { plane, engine, port, end, streams, .. }) = self.entry.borrow().clone()
        else {
            return Err(refused("carry data", b"", "this session has none"));
        };
        let (stream, arriving, leaving) = carrier(self.guest.caller.is_sealed);
        let slot = Slot::CONTROL;
        let engine = engine.upgrade();
        let engine = engine.ok_or_else(|| refused("carry data", b"", "the session has ended"))?;
        let Some(stream) = streams.add(slot, Box::new(stream)) else {
            return Err(refused("carry data", b"", "the control connection carries it already"));
        };
        engine.attach(Attachment { plane, slot, stream, end, port });
        drop(spawn_local(leaving.run(to)));
        Ok(capnp_rpc::new_client(arriving))
    }
}

impl session::Server for Seat {
    fn begin(
        self: Rc<Self>,
        params: session::BeginParams,
        mut results: session::BeginResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        if let Err(error) = self.let_begin(&params) {
            results.get().set_error(&convert::error_bytes(&error));
        }
        ready(Ok(()))
    }

    fn token(
        self: Rc<Self>,
        params: session::TokenParams,
        mut results: session::TokenResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        match self.issue(&params) {
            Ok(token) => results.get().set_token(&token),
            Err(error) => results.get().set_error(&convert::error_bytes(&error)),
        }
        ready(Ok(()))
    }

    fn carry(
        self: Rc<Self>,
        params: session::CarryParams,
        mut results: session::CarryResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        match self.take_carrier(&params) {
            Ok(carrier) => results.get().set_carrier(carrier),
            Err(error) => results.get().set_error(&convert::error_bytes(&error)),
        }
        ready(Ok(()))
    }

    fn frames(
        self: Rc<Self>,
        params: session::FramesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().and_then(|params| self.mailbox.frames(params.get_batch())))
    }

    fn lost(
        self: Rc<Self>,
        params: session::LostParams,
        _: session::LostResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().map(|params| {
            if let Some(entry) = &*self.entry.borrow() {
                entry.streams.close(Slot(params.get_slot()));
            }
        }))
    }

    fn ping(
        self: Rc<Self>,
        params: session::PingParams,
        mut results: session::PingResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().map(|params| {
            self.mailbox.alive(params.get_moved());
            results.get().set_moved(self.mailbox.moved());
        }))
    }
}

/// The answer to a question about a module, found out in a thread of its own.
pub(super) async fn question<T: Send + 'static>(
    guest: &Guest,
    module: &str,
    ask: impl FnOnce(&Arc<Root>, Asker<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (shared, caller) = (Arc::clone(&guest.shared), guest.caller.clone());
    let (answer, answers) = oneshot::channel();
    let module = module.to_owned();
    let ask = move || drop(answer.send(work::question((&shared, &caller), &module, ask)));
    let spawned = Builder::new().name("blit-question".to_owned()).spawn(ask);
    spawned.map_err(|error| Error::io("start", b"thread", error))?;
    answers.await.map_err(|_| Error::new(ErrorKind::Internal, "examine", b""))?
}

/// Changes that wait to be told. When there are more, the session waits.
const CHANGES_WAITING_MAX: usize = 16 << 10;
/// Changes of one message.
const CHANGES_MAX: usize = 512;
/// A client may say for so many stall timeouts that it moves without anything of it coming or going: by default, one that does not
/// tell the truth is let go within a minute.
const WORD_TIMEOUTS: u32 = 4;
