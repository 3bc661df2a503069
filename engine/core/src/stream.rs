//! The data streams of one session, as sessions and engines name them.
//! It must not know how a stream is dialled, authenticated or encrypted.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use crate::entry::Meta;
use crate::event::Port;

/// A reliable, ordered pipe of bytes to the peer's engine, opened and authenticated by whoever connects the two.
pub trait Stream: Send {
    /// Sends all of `bytes`. May wait as long as the peer does not read.
    ///
    /// # Errors
    /// The stream is broken or was closed.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes and takes as many as there are, at most as `space` holds; 0 when the peer has ended the stream.
    ///
    /// # Errors
    /// The stream is broken or was closed.
    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize>;

    /// Whether what is sent is protected on its way. Where it is not, records carry digests.
    fn is_sealed(&self) -> bool;

    /// Ends the stream from another thread: whoever waits in it gets an error.
    fn closer(&self) -> Closer;

    /// Whether bodies of frames are compressed, as both ends have agreed.
    fn packing(&self) -> Packing {
        Packing::Never
    }
}

/// Whether bodies of frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Packing {
    /// None is, and none is taken.
    #[default]
    Never,
    /// Where the stream is slow and the content becomes clearly smaller.
    WherePays,
    /// Where the content becomes smaller.
    Always,
}

/// Ends a stream.
pub type Closer = Box<dyn Fn() + Send + Sync>;

/// Which stream of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// The stream that is carried by the control connection.
    pub const CONTROL: Self = Self(u16::MAX);
}

/// All data streams of one session at one end. Engines keep in `held` what they need for it; dropped, it ends them.
#[derive(Default)]
pub struct Plane {
    /// The engine's own.
    pub held: OnceLock<Box<dyn Any + Send + Sync>>,
    /// What whoever made the streams does to metadata that come on one.
    pub translation: OnceLock<Translation>,
    /// How many tasks wait for a stream, kept by the engine: what whoever dials goes by.
    pub waiting: Arc<AtomicUsize>,
}

/// Gives metadata of the peer the numbers that its owners have here.
pub type Translation = Box<dyn Fn(&mut Meta) + Send + Sync>;

impl Plane {
    /// A plane without streams.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Metadata that have come on a stream, as they are here.
    pub fn translated(&self, mut meta: Meta) -> Meta {
        if let Some(translation) = self.translation.get() {
            translation(&mut meta);
        }
        meta
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plane")
    }
}

/// A stream that an engine takes over. When it has ended, the port is told by `Event::Lost`.
pub struct Attachment {
    /// The streams that it joins.
    pub plane: Arc<Plane>,
    /// Which of them it is.
    pub slot: Slot,
    /// The stream itself.
    pub stream: Box<dyn Stream>,
    /// What it is used for at this end.
    pub end: End,
    /// Who is told of its end.
    pub port: Port,
}

/// What a stream is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The source's end sends.
    Source,
    /// The destination's end receives.
    Destination,
}

/// Names what is sent for one request of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Which part of the picked files is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of each.
    Whole,
    /// One range of the only pick.
    Range(Range),
}

/// A range of a large file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes; of the last range, up to the end of the file.
    pub len: u64,
    /// What the destination has at this place already: the digests (XXH3-128) of its blocks of
    /// [`crate::header::BLOCK_BYTES`]. Blocks that are equal are not sent.
    pub known: Option<Arc<[u128]>>,
}
