//! The data streams of a session at the client: dials as many as it has use for, and lets the control connection carry the bytes
//! where none is to be had. It must not know what is sent on them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::engine::Engine;
use blit_core::event::{Event, Port};
use blit_core::session::schedule::{Flow, Streams as Growth};
use blit_core::stream::{Attachment, End, Plane, Slot, Stream};
use blit_core::summary::Notice;
use blit_core::{Error, ErrorKind};

use crate::carrier::carrier;
use crate::client::Client;
use crate::connect::{Access, DATA_TIMEOUT, Dialled, Place};
use crate::streams::Streams;
use crate::token::Token;
use crate::transfer::Carried;

/// The streams of one session.
pub(crate) struct Data {
    streams: Arc<Streams>,
    happenings: Mutex<Option<Receiver<Happening>>>,
    tell: Sender<Happening>,
    /// The session is about to end: streams that end need no others.
    closing: Arc<AtomicBool>,
    /// What the first connection waits for, which is dialled before there is a session.
    first: Mutex<Option<Grant>>,
}

/// Takes the token of a connection that is being dialled.
pub(crate) type Grant = SyncSender<Result<Token, Error>>;

enum Happening {
    /// A connection was dialled, in this time, or could not be.
    Dialled(Slot, io::Result<(Box<dyn Stream>, Duration)>),
    /// A stream ended; it was in use then.
    Ended(Slot, bool),
    Stop,
}

/// What streams are made with.
pub(crate) struct Lines<'a> {
    pub(crate) client: &'a Client,
    pub(crate) access: &'a Access,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) plane: Arc<Plane>,
    pub(crate) end: End,
    pub(crate) port: Port,
    /// For how long a stream may not take what is sent.
    pub(crate) patience: Duration,
}

impl Data {
    /// Nothing is dialled yet.
    pub(crate) fn new(closing: Arc<AtomicBool>) -> Self {
        let (tell, happenings) = channel();
        let told = tell.clone();
        // After the session nobody wants to know.
        let streams = Streams::new(usize::MAX, move |slot, is_used| {
            drop(told.send(Happening::Ended(slot, is_used)));
        });
        let happenings = Mutex::new(Some(happenings));
        Self { streams, happenings, tell, closing, first: Mutex::default() }
    }

    /// Dials the first connection. Its token is to come in time, from the session that is being opened meanwhile.
    pub(crate) fn begin(&self, place: &Place, access: &Access, patience: Duration) {
        if access.force_rpc_data {
            return;
        }
        let grant = self.dial(Slot(0), (place, access), patience);
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(grant);
    }

    /// Who is to be given the first token.
    pub(crate) fn first(&self) -> Option<Grant> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn streams(&self) -> Arc<Streams> {
        Arc::clone(&self.streams)
    }

    /// The session has ended.
    pub(crate) fn stop(&self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.tell.send(Happening::Stop));
    }

    pub(crate) fn carried(&self) -> Carried {
        let (data, control) = self.streams.carried();
        Carried { data, control }
    }

    /// Dials a connection in a thread that nobody waits for, and says who is to be given its token.
    fn dial(&self, slot: Slot, (place, access): (&Place, &Access), patience: Duration) -> Grant {
        let (grant, granted) = sync_channel(1);
        let (place, access, tell) = (place.clone(), access.clone(), self.tell.clone());
        let failed = tell.clone();
        let dial = move || {
            let begun = Instant::now();
            let dialled = reach((&place, &access), &granted, patience);
            let dialled = dialled.map(|stream| (stream, begun.elapsed()));
            // After the session nobody wants it.
            drop(tell.send(Happening::Dialled(slot, dialled)));
        };
        if let Err(error) = Builder::new().name("blit-dial".to_owned()).spawn(dial) {
            drop(failed.send(Happening::Dialled(slot, Err(error))));
        }
        grant
    }

    /// Keeps the session in streams until it has ended.
    pub(crate) fn keep(&self, lines: &Lines<'_>) {
        let taken = self.happenings.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(happenings) = taken else { return };
        let dialling = usize::from(!lines.access.force_rpc_data);
        let mut growth = Growth::new(lines.engine.limits());
        let after = growth.dialled(Duration::ZERO);
        let mut keeper = Keeper {
            data: self,
            lines,
            growth,
            next: Slot(1),
            living: 0,
            dialling,
            carried: false,
            why: None,
            look: Look { at: Instant::now(), after, bytes: 0 },
        };
        keeper.keep(&happenings);
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// Dials, waits for the token, shows it.
fn reach(
    (place, access): (&Place, &Access),
    granted: &Receiver<Result<Token, Error>>,
    patience: Duration,
) -> io::Result<Box<dyn Stream>> {
    let begun = Instant::now();
    let mut dialled = Dialled::reach(place, access, begun + DATA_TIMEOUT)?;
    // The daemon may look at its disks for long before there is a session, and drops who has nothing to show meanwhile.
    let token = granted.recv().map_err(|_| io::ErrorKind::NotConnected)?;
    let token = token.map_err(io::Error::other)?;
    if begun.elapsed() > DATA_TIMEOUT {
        dialled = Dialled::reach(place, access, Instant::now() + DATA_TIMEOUT)?;
    }
    dialled.present(place, token, Instant::now() + TAKEN_TIMEOUT, Some(patience))
}

/// The streams of a session that runs.
struct Keeper<'a> {
    data: &'a Data,
    lines: &'a Lines<'a>,
    growth: Growth,
    /// A slot is used once.
    next: Slot,
    living: usize,
    dialling: usize,
    /// The control connection carries what is left.
    carried: bool,
    why: Option<io::Error>,
    look: Look,
}

/// When the streams were looked at last, how long until they are again, and what they had carried.
struct Look {
    at: Instant,
    after: Duration,
    bytes: u64,
}

impl Keeper<'_> {
    fn keep(&mut self, happenings: &Receiver<Happening>) {
        loop {
            let is_bare = self.living == 0 && self.dialling == 0 && !self.carried;
            if is_bare && !self.data.is_closing() {
                self.carried = true;
                if let Err(error) = self.carry() {
                    return self.lines.port.post(Event::Cut(error));
                }
            }
            match happenings.recv_timeout(BEAT) {
                Ok(Happening::Dialled(slot, dialled)) => self.dialled(slot, dialled),
                Ok(Happening::Ended(Slot::CONTROL, _)) if !self.data.is_closing() => {
                    let shown = self.lines.client.place.shown();
                    let why = "the data that the control connection carried was cut off";
                    let error =
                        Error::because(ErrorKind::Disconnected, "talk to", shown.as_bytes(), why);
                    return self.lines.port.post(Event::Cut(error));
                }
                Ok(Happening::Ended(slot, is_used)) => {
                    self.living = self.living.saturating_sub(1);
                    if is_used {
                        // Something on the way does not like them: further ones would end as this one has.
                        self.growth.limit(self.living + self.dialling);
                    }
                    if !self.data.is_closing() {
                        self.lines.client.lost(slot);
                        self.why = Some(io::Error::other("all of them broke"));
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.grow(),
                Ok(Happening::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Dials more connections where those that are there are too few.
    fn grow(&mut self) {
        if self.carried || self.living == 0 || self.dialling > 0 || self.data.is_closing() {
            return;
        }
        let waiting = self.lines.plane.waiting.load(Ordering::Relaxed);
        let bytes = self.data.carried().data;
        let micros = self.look.at.elapsed().as_micros().max(1);
        let bytes_per_sec = u128::from(bytes - self.look.bytes) * 1_000_000 / micros;
        let bytes_per_sec = u64::try_from(bytes_per_sec).unwrap_or(u64::MAX);
        let flow = Flow { living: self.living, waiting, bytes_per_sec };
        if !self.growth.are_few(flow) && self.look.at.elapsed() < self.look.after {
            return;
        }
        (self.look.at, self.look.bytes) = (Instant::now(), bytes);
        for _ in 0..self.growth.add(flow) {
            if self.next == Slot::CONTROL {
                return;
            }
            let Lines { client, access, patience, .. } = self.lines;
            let grant = self.data.dial(self.next, (&client.place, access), *patience);
            client.grant(self.next, grant);
            self.next = Slot(self.next.0 + 1);
            self.dialling += 1;
        }
    }

    /// Gives a connection to the engine.
    fn dialled(&mut self, slot: Slot, dialled: io::Result<(Box<dyn Stream>, Duration)>) {
        self.dialling = self.dialling.saturating_sub(1);
        let (stream, time) = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                self.growth.limit(self.living + self.dialling);
                self.why = Some(error);
                return;
            }
        };
        if self.carried || self.data.is_closing() {
            return;
        }
        self.living += 1;
        self.attach(slot, stream);
        let bytes = self.data.carried().data;
        self.look = Look { at: Instant::now(), after: self.growth.dialled(time), bytes };
        if self.dialling == 0 {
            self.grow();
        }
    }

    /// Lets the control connection carry what data connections would.
    fn carry(&mut self) -> Result<(), Error> {
        let Lines { client, port, .. } = self.lines;
        let (stream, arriving, leaving) = carrier(client.place.is_sealed());
        client.carry((arriving, leaving), port.control())?;
        self.attach(Slot::CONTROL, Box::new(stream));
        if let Some(why) = self.why.take() {
            let text = format!(
                "data connections to {} cannot be used ({why}); the control connection carries the data, more slowly",
                client.place.shown()
            );
            port.post(Event::Told(Notice::Warning(text)));
        }
        Ok(())
    }

    fn attach(&self, slot: Slot, stream: Box<dyn Stream>) {
        // A slot is used once, so it is free.
        let Some(stream) = self.data.streams.add(slot, stream) else { return };
        let Lines { engine, plane, end, port, .. } = self.lines;
        let (plane, port) = (Arc::clone(plane), port.clone());
        engine.attach(Attachment { plane, slot, stream, end: *end, port });
    }
}

/// How often it is looked whether tasks wait for streams.
const BEAT: Duration = Duration::from_millis(50);
/// For the daemon to take a connection that has shown its token.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(2);
