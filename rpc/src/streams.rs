//! Data streams of one session at one end: over sockets, encrypted or not, and what is known of all of them together.
//! It must not know who dialled them, nor what they carry.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use blit_core::session::schedule::STREAM_IDLE;
use blit_core::stream::{Closer, Packing, Slot, Stream};

use crate::stream::Secure;

/// A socket without encryption.
pub(crate) struct Plain {
    socket: TcpStream,
    /// The same socket, for whoever ends it.
    twin: Arc<TcpStream>,
}

impl Plain {
    /// Takes over a connected socket. A peer that does not read for `patience` breaks the stream.
    pub(crate) fn new(socket: TcpStream, patience: Option<Duration>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(patience)?;
        let twin = Arc::new(socket.try_clone()?);
        Ok(Self { socket, twin })
    }
}

impl Stream for Plain {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        read(&mut self.socket, space)
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn closer(&self) -> Closer {
        let twin = Arc::clone(&self.twin);
        Box::new(move || shut(&twin))
    }
}

/// A socket with encryption.
pub(crate) struct Sealed {
    stream: Secure,
    twin: Arc<TcpStream>,
}

impl Sealed {
    /// Takes over an encrypted connection; as [`Plain::new`].
    pub(crate) fn new(stream: Secure, patience: Option<Duration>) -> io::Result<Self> {
        let socket = stream.socket();
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(patience)?;
        let twin = Arc::new(socket.try_clone()?);
        Ok(Self { stream, twin })
    }
}

impl Stream for Sealed {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        read(&mut self.stream, space)
    }

    fn is_sealed(&self) -> bool {
        true
    }

    fn closer(&self) -> Closer {
        let twin = Arc::clone(&self.twin);
        Box::new(move || shut(&twin))
    }
}

fn read(from: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// It may have ended already, which is what is wanted.
fn shut(socket: &TcpStream) {
    socket.shutdown(Shutdown::Both).unwrap_or_default();
}

/// All streams of a session at this end.
pub(crate) struct Streams {
    /// How many there may be at a time.
    max: usize,
    closers: Mutex<HashMap<Slot, Arc<Closer>>>,
    /// Told when a stream has ended here, and whether it was in use then.
    ended: Box<dyn Fn(Slot, bool) + Send + Sync>,
    /// What both ends have agreed on; nothing until they have.
    packing: OnceLock<Packing>,
    data: AtomicU64,
    control: AtomicU64,
    /// Of both, what came here.
    received: AtomicU64,
}

impl Streams {
    pub(crate) fn new(max: usize, ended: impl Fn(Slot, bool) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            max,
            closers: Mutex::default(),
            ended: Box::new(ended),
            packing: OnceLock::new(),
            data: AtomicU64::new(0),
            control: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// The ends have agreed on whether bodies are compressed. Only the first time counts.
    pub(crate) fn agree(&self, packing: Packing) {
        self.packing.get_or_init(|| packing);
    }

    /// Whether there are as many as there may be.
    pub(crate) fn are_full(&self) -> bool {
        self.lock().len() >= self.max
    }

    /// Counts and remembers a stream. `None` if its slot is taken, or there may be no more.
    pub(crate) fn add(
        self: &Arc<Self>,
        slot: Slot,
        stream: Box<dyn Stream>,
    ) -> Option<Box<dyn Stream>> {
        let mut closers = self.lock();
        let is_full = closers.len() >= self.max && slot != Slot::CONTROL;
        if is_full || closers.contains_key(&slot) {
            return None;
        }
        closers.insert(slot, Arc::new(stream.closer()));
        drop(closers);
        let streams = Arc::clone(self);
        Some(Box::new(Counted { stream, slot, streams, used: Instant::now() }))
    }

    /// Ends a stream, because the peer has lost it.
    pub(crate) fn close(&self, slot: Slot) {
        let closer = self.lock().get(&slot).cloned();
        if let Some(closer) = closer {
            closer();
        }
    }

    /// Ends all of them: their session has ended.
    pub(crate) fn close_all(&self) {
        let closers: Vec<Arc<Closer>> = self.lock().values().cloned().collect();
        for closer in closers {
            closer();
        }
    }

    /// How many bytes went over data connections and over the control connection.
    pub(crate) fn carried(&self) -> (u64, u64) {
        (self.data.load(Ordering::Relaxed), self.control.load(Ordering::Relaxed))
    }

    /// How many of these bytes were received.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn carry(&self, slot: Slot, bytes: usize) {
        let counter = if slot == Slot::CONTROL { &self.control } else { &self.data };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Arc<Closer>>> {
        self.closers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is counted, and missed when it is gone.
struct Counted {
    stream: Box<dyn Stream>,
    slot: Slot,
    streams: Arc<Streams>,
    /// When something went over it last.
    used: Instant,
}

impl Stream for Counted {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.send(bytes)?;
        self.used = Instant::now();
        self.streams.carry(self.slot, bytes.len());
        Ok(())
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.receive(space)?;
        if len > 0 {
            self.used = Instant::now();
        }
        self.streams.carry(self.slot, len);
        self.streams.received.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }

    fn is_sealed(&self) -> bool {
        self.stream.is_sealed()
    }

    fn closer(&self) -> Closer {
        self.stream.closer()
    }

    fn packing(&self) -> Packing {
        self.streams.packing.get().copied().unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stream.closer()();
        self.streams.lock().remove(&self.slot);
        (self.streams.ended)(self.slot, self.used.elapsed() < STREAM_IDLE / 2);
    }
}
