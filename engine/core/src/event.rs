//! What happens to a session, and the way it is told.
//! It must not know who sends: an engine's worker, a link, or the loop itself.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::frame::Frame;
use crate::pace::Pace;
use crate::stream::Slot;
use crate::summary::Notice;
use crate::task::{Output, Subject, TaskId};

/// Something that happened to a session.
#[derive(Debug)]
pub enum Event {
    /// A task ended. `Err` means that nothing of it counts.
    Done(TaskId, Result<Output, Error>),
    /// The peer session said something.
    Frame(Frame),
    /// A data stream has ended.
    Lost(Slot),
    /// The link to the peer is gone.
    Cut(Error),
    /// The peer has something to say to whoever watches. The loop passes it on; no session sees it.
    Told(Notice),
    /// The peer moves, although it says nothing.
    Alive,
    /// The loop drops it when all that was posted before was handled, which tells whoever waits for that. No session sees it.
    Mark(Mark),
}

/// Something whose end somebody waits for.
pub struct Mark {
    _held: Box<dyn Any + Send>,
}

impl Mark {
    /// Dropped with the mark, `held` tells its maker that it was the mark's turn, or that the loop has ended.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark")
    }
}

/// Which session of a loop an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(pub usize);

/// The way to one session. Cheap to clone; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Port {
    seat: Seat,
    sender: Sender<(Seat, Event)>,
    control: Arc<Control>,
}

impl Port {
    /// A port to the session at `seat` of the loop that reads the other end of `sender`.
    pub fn new(seat: Seat, sender: Sender<(Seat, Event)>, control: Arc<Control>) -> Self {
        Self { seat, sender, control }
    }

    /// Tells the session that a task ended.
    pub fn done(&self, id: TaskId, result: Result<Output, Error>) {
        self.post(Event::Done(id, result));
    }

    /// Tells the session something. After the loop has ended nobody listens, which is no error.
    pub fn post(&self, event: Event) {
        drop(self.sender.send((self.seat, event)));
    }

    /// What all tasks of the run share.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }
}

/// Counters and the stop signal of one run, shared by all its tasks and polled by whoever wants to know. Workers add
/// per batch or slice, not per file, so that cores do not contend for the counters.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    /// Raised from outside, by a signal for instance.
    stop: Option<Arc<AtomicBool>>,
    pace: Option<Pace>,
    stall_timeout_s: Option<u32>,
    /// What the thread that drives the run does itself, and how often that has changed.
    occupation: Mutex<(u64, Option<Subject>)>,
    /// What tasks have done that settles nothing.
    stirs: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    files_known: AtomicU64,
    bytes_known: AtomicU64,
    scanned: AtomicBool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries settled: copied, found equal, or failed.
    pub files: u64,
    /// Bytes of content settled.
    pub bytes: u64,
    /// Entries known so far.
    pub files_known: u64,
    /// Bytes known so far.
    pub bytes_known: u64,
    /// Nothing more will become known.
    pub scanned: bool,
}

impl Control {
    /// Counters of a run that also ends when `stop` is raised.
    pub fn stopped_by(stop: Arc<AtomicBool>) -> Self {
        Self { stop: Some(stop), ..Self::default() }
    }

    /// The same, with a bound on the bytes per second, where there is one.
    #[must_use]
    pub fn paced(mut self, bytes_per_sec: Option<u64>) -> Self {
        self.pace = bytes_per_sec.map(Pace::new);
        self
    }

    /// The same, where the run ends when nothing has moved for so many seconds; with `None` it waits for ever.
    #[must_use]
    pub fn patient(mut self, stall_timeout_s: Option<u32>) -> Self {
        self.stall_timeout_s = stall_timeout_s;
        self
    }

    /// For how many seconds nothing may move.
    pub fn stall_timeout_s(&self) -> Option<u32> {
        self.stall_timeout_s
    }

    /// Notes that the thread which drives the run is in the hands of the system for `subject`, until what is returned is
    /// dropped. When it hangs, nobody else can tell.
    pub fn occupy(&self, subject: Subject) -> Occupied<'_> {
        self.set_occupation(Some(subject));
        Occupied { control: self }
    }

    fn set_occupation(&self, subject: Option<Subject>) {
        let mut occupation = self.occupation.lock().unwrap_or_else(PoisonError::into_inner);
        occupation.0 += 1;
        occupation.1 = subject;
    }

    /// What the thread which drives the run is occupied with, if it is; a number tells it from the same thing done again.
    pub fn occupation(&self) -> Option<(u64, Subject)> {
        let occupation = self.occupation.lock().unwrap_or_else(PoisonError::into_inner);
        Some((occupation.0, occupation.1.clone()?))
    }

    /// Says that a task goes on, although it settles nothing yet.
    pub fn stir(&self) {
        self.stirs.fetch_add(1, Ordering::Relaxed);
    }

    /// All that moves while a run goes on: it stands still when two looks find the same.
    pub fn motion(&self) -> (Progress, u64) {
        (self.progress(), self.stirs.load(Ordering::Relaxed))
    }

    /// How fast bytes may be moved, where that is bounded.
    pub fn pace(&self) -> Option<&Pace> {
        self.pace.as_ref()
    }

    /// Asks all tasks to end at their next check. What was published stays.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.is_stopped()
    }

    /// Whether whoever started the run wants no more of it.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Lets another attempt begin after one that has failed.
    pub fn renew(&self) {
        self.cancelled.store(false, Ordering::Relaxed);
    }

    /// Adds settled entries and bytes.
    pub fn settle(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds newly known entries and bytes.
    pub fn learn(&self, files: u64, bytes: u64) {
        self.files_known.fetch_add(files, Ordering::Relaxed);
        self.bytes_known.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says that nothing more will become known.
    pub fn finish_scan(&self) {
        self.scanned.store(true, Ordering::Relaxed);
    }

    /// How far the run is. The numbers are read one by one and may be a moment apart.
    pub fn progress(&self) -> Progress {
        Progress {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            files_known: self.files_known.load(Ordering::Relaxed),
            bytes_known: self.bytes_known.load(Ordering::Relaxed),
            scanned: self.scanned.load(Ordering::Relaxed),
        }
    }
}

/// The thread that drives a run is occupied for as long as this is held.
#[derive(Debug)]
#[must_use]
pub struct Occupied<'a> {
    control: &'a Control,
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.control.set_occupation(None);
    }
}
