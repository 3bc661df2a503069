//! One end of a session on the control connection: frames go out in messages, what comes in is posted to the session, and
//! silence is noticed. It must not know what frames mean.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use blit_core::event::{Event, Mark, Port};
use blit_core::frame::Frame;
use blit_core::link::Link;
use blit_core::stream::Plane;
use blit_core::summary::{Notice, Summary};
use blit_core::{Error, ErrorKind};
use blit_schema::session_capnp::{change, frame, peer, session};
use capnp::struct_list;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::convert::{self, narrow, protocol, unreadable};
use crate::owners::{Mapped, Names, Told};
use crate::shown::Shown;

/// What a session has to say: where that goes in, and where it comes out. A peer that takes none of it is not listened to either,
/// so that it cannot make this grow.
pub(crate) fn outbox<E>() -> (Outbox<E>, Unsaid<E>) {
    let (sender, receiver) = unbounded_channel();
    let bytes = Arc::<AtomicUsize>::default();
    (Outbox { sender, bytes: Arc::clone(&bytes) }, Unsaid { receiver, bytes })
}

/// Where a session says something. After the connection has ended nobody listens, which the session is told by itself.
pub(crate) struct Outbox<E> {
    sender: UnboundedSender<Said<E>>,
    bytes: Arc<AtomicUsize>,
}

impl<E> Outbox<E> {
    /// Says something; whether somebody may hear it.
    pub(crate) fn say(&self, said: Said<E>) -> bool {
        if let Said::Frame(frame) = &said {
            self.bytes.fetch_add(convert::frame::weight(frame), Ordering::Relaxed);
        }
        self.sender.send(said).is_ok()
    }
}

impl<E> Clone for Outbox<E> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), bytes: Arc::clone(&self.bytes) }
    }
}

/// What was said and not sent.
pub(crate) struct Unsaid<E> {
    receiver: UnboundedReceiver<Said<E>>,
    bytes: Arc<AtomicUsize>,
}

/// The link as the session's loop sees it.
pub(crate) struct RemoteLink<E> {
    pub(crate) outbox: Outbox<E>,
    /// Raised when the last frame was sent: what ends from now on ends as it should.
    pub(crate) closing: Arc<AtomicBool>,
}

/// What a session says: frames, and at a daemon at last how it ended.
pub(crate) enum Said<E> {
    Frame(Frame),
    Ended(E),
}

impl<E: Send> Link for RemoteLink<E> {
    fn send(&mut self, frame: Frame) {
        if matches!(frame, Frame::Finished(_) | Frame::Failed(_)) {
            self.closing.store(true, Ordering::Relaxed);
        }
        self.outbox.say(Said::Frame(frame));
    }
}

/// Where the peer's end of the session is.
#[derive(Clone)]
pub(crate) enum Far {
    /// At a daemon.
    Daemon(session::Client),
    /// At a client.
    Client(peer::Client),
}

impl Far {
    async fn frames(&self, batch: &[Frame], told: &mut Told) -> Result<(), capnp::Error> {
        let count = narrow(batch.len());
        let write = |mut list: struct_list::Builder<'_, frame::Owned>, told: &mut Told| {
            for (index, frame) in (0..).zip(batch) {
                convert::frame::write(frame, told, list.reborrow().get(index));
            }
        };
        match self {
            Self::Daemon(session) => {
                let mut request = session.frames_request();
                write(request.get().init_batch(count), told);
                request.send().await
            }
            Self::Client(peer) => {
                let mut request = peer.frames_request();
                write(request.get().init_batch(count), told);
                request.send().await
            }
        }
    }

    async fn ping(&self, moved: u64) -> Result<u64, capnp::Error> {
        match self {
            Self::Daemon(session) => {
                let mut request = session.ping_request();
                request.get().set_moved(moved);
                Ok(request.send().promise.await?.get()?.get_moved())
            }
            Self::Client(peer) => {
                let mut request = peer.ping_request();
                request.get().set_moved(moved);
                Ok(request.send().promise.await?.get()?.get_moved())
            }
        }
    }

    /// Tells that a data stream has ended here.
    pub(crate) async fn lost(&self, slot: u16) -> Result<(), capnp::Error> {
        match self {
            Self::Daemon(session) => {
                let mut request = session.lost_request();
                request.get().set_slot(slot);
                request.send().promise.await.map(drop)
            }
            Self::Client(peer) => {
                let mut request = peer.lost_request();
                request.get().set_slot(slot);
                request.send().promise.await.map(drop)
            }
        }
    }
}

/// Sends what the session has to say, as much as there is in one message. Gives what it says at last.
pub(crate) async fn pump<E>(
    mut outbox: Unsaid<E>,
    far: Far,
    names: Names,
) -> Result<Option<E>, capnp::Error> {
    let mut told = Told::new(names);
    let mut next = outbox.receiver.recv().await;
    while let Some(said) = next.take() {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        match said {
            Said::Ended(ended) => return Ok(Some(ended)),
            Said::Frame(frame) => {
                bytes += convert::frame::weight(&frame);
                batch.push(frame);
            }
        }
        while bytes < BATCH_BYTES && batch.len() < BATCH_FRAMES_MAX {
            match outbox.receiver.try_recv() {
                Ok(Said::Frame(frame)) => {
                    bytes += convert::frame::weight(&frame);
                    batch.push(frame);
                }
                Ok(ended) => {
                    next = Some(ended);
                    break;
                }
                Err(_) => break,
            }
        }
        far.frames(&batch, &mut told).await?;
        outbox.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if next.is_none() {
            next = outbox.receiver.recv().await;
        }
    }
    Ok(None)
}

/// Asks the peer again and again whether it is there, and whether it moves. Ends when it is silent for too long.
pub(crate) async fn watch(far: Far, mailbox: &Mailbox, silence: Duration) -> Error {
    loop {
        sleep(PING_INTERVAL.min(silence / 4)).await;
        // Counted from what was heard last, so that a peer that is gone is missed before this end is said to stand still. This
        // process may have been stopped meanwhile: some time is left to answer in any case.
        let patience = silence.saturating_sub(mailbox.heard.get().elapsed()).max(silence / 4);
        match timeout(patience, far.ping(mailbox.moved())).await {
            Ok(Ok(moved)) => mailbox.alive(moved),
            Ok(Err(error)) => return mailbox.broken(&error),
            Err(_) if mailbox.heard.get().elapsed() < silence => {}
            Err(_) => {
                let why = format!(
                    "{} has been silent for {} s",
                    mailbox.who,
                    mailbox.heard.get().elapsed().as_secs()
                );
                return Error::because(ErrorKind::Disconnected, "wait for peer", b"", why);
            }
        }
    }
}

/// What arrives for the session at this end.
pub(crate) struct Mailbox {
    port: Port,
    /// The peer, in words: `the daemon host:9031`.
    who: String,
    mapped: RefCell<Mapped>,
    shown: Option<RefCell<Shown>>,
    /// The role at this end has no other, so that a failure there is the end of the link.
    lone: bool,
    heard: Cell<Instant>,
    /// What the peer said last of how far it is.
    far_moved: Cell<u64>,
    closing: Arc<AtomicBool>,
    /// The peer's role has ended and said so: what becomes of the connection does not matter any more.
    over: Cell<bool>,
    /// What the destination said when all was done.
    finished: RefCell<Option<Summary>>,
    /// What arrived and was not handled yet.
    waiting: Arc<AtomicUsize>,
    /// What the session here has said and the peer has not taken.
    unsaid: Arc<AtomicUsize>,
    /// That it moves is believed of a peer for so long without anything that shows it here; without an end where none is set.
    doubts_after: Option<Duration>,
    /// When something has shown it last, and how far this end was then.
    proven: Cell<(Instant, u64)>,
}

impl Mailbox {
    pub(crate) fn new(
        (port, plane): (Port, &Plane),
        who: String,
        names: Names,
        closing: Arc<AtomicBool>,
    ) -> Self {
        let mapped = Mapped::new(names);
        // A plane belongs to one session, and so to one end of a link.
        plane.translation.get_or_init(|| mapped.translation());
        Self {
            port,
            who,
            mapped: RefCell::new(mapped),
            shown: None,
            lone: false,
            heard: Cell::new(Instant::now()),
            far_moved: Cell::new(0),
            closing,
            over: Cell::new(false),
            finished: RefCell::default(),
            waiting: Arc::default(),
            unsaid: Arc::default(),
            doubts_after: None,
            proven: Cell::new((Instant::now(), 0)),
        }
    }

    /// What the session at this end says goes out there.
    pub(crate) fn beside<E>(mut self, unsaid: &Unsaid<E>) -> Self {
        self.unsaid = Arc::clone(&unsaid.bytes);
        self
    }

    /// The peer may say for so long that it moves, and nothing else.
    pub(crate) fn doubting(mut self, after: Duration) -> Self {
        self.doubts_after = Some(after);
        self
    }

    /// Entries are shown as being below there.
    pub(crate) fn show(mut self, shown: Shown) -> Self {
        self.shown = Some(RefCell::new(shown));
        self
    }

    /// The role at this end has no other.
    pub(crate) fn alone(mut self, lone: bool) -> Self {
        self.lone = lone;
        self
    }

    /// Posts the frames of a message. A session bounds what its peer may have on the way; a peer that sends more is cut off.
    ///
    /// # Errors
    /// `Protocol`, which the session is told too.
    pub(crate) fn frames(
        &self,
        batch: capnp::Result<struct_list::Reader<'_, frame::Owned>>,
    ) -> Result<(), capnp::Error> {
        self.heard.set(Instant::now());
        self.take_frames(batch?).map_err(|error| {
            self.cut(error.clone());
            capnp::Error::failed(error.to_string())
        })
    }

    fn take_frames(&self, batch: struct_list::Reader<'_, frame::Owned>) -> Result<(), Error> {
        self.check_batch(batch.len())?;
        self.proven.set((Instant::now(), self.moved()));
        let mut mapped = self.mapped.borrow_mut();
        let mut bytes = 0;
        for frame in batch {
            bytes += convert::frame::burden(frame)?;
            self.post(convert::frame::read(frame, &mut mapped)?);
        }
        self.load(bytes, None);
        Ok(())
    }

    /// Whether a message may be taken.
    fn check_batch(&self, len: u32) -> Result<(), Error> {
        if len as usize > BATCH_FRAMES_MAX {
            return Err(protocol("the peer sent more in one message than it may"));
        }
        if self.waiting.load(Ordering::Relaxed) > WAITING_BYTES_MAX {
            return Err(protocol("the peer sent more than there is room for"));
        }
        if self.unsaid.load(Ordering::Relaxed) > WAITING_BYTES_MAX {
            return Err(protocol("the peer takes nothing of what it is told"));
        }
        Ok(())
    }

    /// Counts what was just posted until it is handled, which `told` hears of.
    fn load(&self, bytes: usize, told: Option<oneshot::Sender<()>>) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let load = Load { bytes, waiting: Arc::clone(&self.waiting), _told: told };
        self.port.post(Event::Mark(Mark::new(load)));
    }

    fn post(&self, mut frame: Frame) {
        match &mut frame {
            Frame::Listing(listing) => {
                if let Some(shown) = &self.shown {
                    shown.borrow_mut().show(listing);
                }
            }
            Frame::Finished(summary) => {
                self.closing.store(true, Ordering::Relaxed);
                *self.finished.borrow_mut() = Some((**summary).clone());
            }
            Frame::Failed(error) if self.lone => return self.cut(error.clone()),
            Frame::Failed(_) => self.closing.store(true, Ordering::Relaxed),
            _ => {}
        }
        self.port.post(Event::Frame(frame));
    }

    /// Passes on what the peer did. The message is to be answered when what is given has heard that all was told.
    pub(crate) fn notices(
        &self,
        batch: capnp::Result<struct_list::Reader<'_, change::Owned>>,
    ) -> Result<oneshot::Receiver<()>, Error> {
        self.heard.set(Instant::now());
        let batch = batch.map_err(unreadable)?;
        self.check_batch(batch.len())?;
        let mut bytes = 0;
        for change in batch {
            let change = convert::summary::read_change(change)?;
            bytes += size_of::<Event>() + change.path.len();
            self.port.post(Event::Told(Notice::Change(change)));
        }
        let (told, handled) = oneshot::channel();
        self.load(bytes, Some(told));
        Ok(handled)
    }

    /// The peer said how far it is.
    pub(crate) fn alive(&self, moved: u64) {
        self.heard.set(Instant::now());
        if self.far_moved.replace(moved) != moved && self.is_believed() {
            self.port.post(Event::Alive);
        }
    }

    /// Whether the peer's word that it moves counts: bytes or frames of it must have come or gone lately.
    fn is_believed(&self) -> bool {
        let Some(after) = self.doubts_after else { return true };
        let (at, moved) = self.proven.get();
        if moved != self.moved() {
            self.proven.set((Instant::now(), self.moved()));
            return true;
        }
        at.elapsed() < after
    }

    /// How far this end is, as one number that changes when anything does.
    pub(crate) fn moved(&self) -> u64 {
        let progress = self.port.control().progress();
        let counts = [progress.files, progress.bytes, progress.files_known, progress.bytes_known];
        counts.iter().fold(0, |all: u64, count| all.wrapping_add(*count))
    }

    /// Ends a viewer that nothing is listed for.
    pub(crate) fn finish(&self) {
        self.port.post(Event::Frame(Frame::Scanned));
    }

    /// The peer's role has ended and needs nothing more of this one. What that has still to do it does.
    pub(crate) fn close(&self) {
        self.heard.set(Instant::now());
        self.closing.store(true, Ordering::Relaxed);
        self.over.set(true);
    }

    /// The link to the peer is gone.
    pub(crate) fn cut(&self, error: Error) {
        if self.over.get() {
            return;
        }
        self.closing.store(true, Ordering::Relaxed);
        self.port.post(Event::Cut(error));
    }

    /// What a destination said that has ended well.
    pub(crate) fn finished(&self) -> Option<Summary> {
        self.finished.borrow().clone()
    }

    /// Why a call to the peer failed.
    pub(crate) fn broken(&self, error: &capnp::Error) -> Error {
        let why = match error.kind {
            capnp::ErrorKind::Disconnected => format!("{} closed the connection", self.who),
            _ => format!(
                "{} answered: {}",
                self.who,
                blit_core::path::Escaped(error.extra.as_bytes())
            ),
        };
        let kind = match error.kind {
            capnp::ErrorKind::Disconnected => ErrorKind::Disconnected,
            _ => ErrorKind::Protocol,
        };
        Error::because(kind, "talk to peer", b"", why)
    }

    /// The peer's end is gone.
    pub(crate) fn gone(&self) -> Error {
        self.broken(&capnp::Error::disconnected(String::new()))
    }
}

/// What a message has brought, until it is handled.
struct Load {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
    _told: Option<oneshot::Sender<()>>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How often the peer is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// A message is sent when it has about so many bytes: few enough that the next one is made while this one travels.
const BATCH_BYTES: usize = 64 << 10;
/// Frames of one message.
const BATCH_FRAMES_MAX: usize = 1024;
/// What may wait for the session, or for the peer: several times what an honest window of entries comes to.
const WAITING_BYTES_MAX: usize = 64 << 20;
