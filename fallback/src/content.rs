//! The bytes of one file: shared, copied inside the system, or read and written; holes stay holes.
//! It must not know names, metadata or publishing.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use blit_core::entry::{Kind, Meta};
use blit_core::event::Control;
use blit_core::spec::Reflink;

use crate::sys;
use crate::turn;

/// What is known of copying between two file systems. Learned once, by trying.
#[derive(Debug, Default)]
pub(crate) struct Route {
    cannot_clone: AtomicBool,
    cannot_copy_range: AtomicBool,
}

impl Route {
    /// Whether contents are known to be read, and not shared.
    pub(crate) fn reads(&self) -> bool {
        self.cannot_clone.load(Ordering::Relaxed)
    }

    /// What is known of copying from the device `source` to the device `destination`.
    pub(crate) fn between(source: u64, destination: u64) -> Arc<Self> {
        type Known = Vec<((u64, u64), Arc<Route>)>;
        static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, route)) = known.iter().find(|(pair, _)| *pair == (source, destination)) {
            return Arc::clone(route);
        }
        if known.len() >= ROUTES_MAX {
            known.clear();
        }
        let route = Arc::<Self>::default();
        known.push(((source, destination), Arc::clone(&route)));
        route
    }
}

/// One copying of content.
pub(crate) struct Transfer<'a> {
    pub(crate) source: &'a File,
    pub(crate) target: &'a File,
    /// The source as it was listed.
    pub(crate) meta: &'a Meta,
    pub(crate) route: &'a Route,
    pub(crate) reflink: Reflink,
    pub(crate) control: &'a Control,
    /// There is something in the target, so that holes are written too.
    pub(crate) is_written: bool,
}

/// What copying did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    /// Bytes that are shared.
    pub(crate) cloned: u64,
    /// Bytes that were counted as progress already.
    pub(crate) settled: u64,
    /// Where the content ended, if not where its size said.
    pub(crate) end: Option<u64>,
}

/// An operation that failed, on which side.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) op: &'static str,
    pub(crate) of_source: bool,
    pub(crate) error: io::Error,
}

impl Transfer<'_> {
    /// Copies `meta.size` bytes. A source that has fewer is an `UnexpectedEof`: it has become shorter, or its size is not
    /// true, as in file systems that make contents up.
    pub(crate) fn run(&self) -> Result<Filled, Fault> {
        if self.meta.size == 0 && sys::makes_contents_up(self.source) {
            self.require_file()?;
            let end = read_and_write((self.source, self.target), 0..u64::MAX)?;
            return Ok(Filled { end: Some(end), ..Filled::default() });
        }
        if self.meta.size == 0 {
            return Ok(Filled::default());
        }
        if self.reflink != Reflink::Never && self.clone_whole()? {
            return Ok(Filled { cloned: self.meta.size, ..Filled::default() });
        }
        if !self.has_holes() {
            let whole = 0..self.meta.size;
            let settled = self.copy(whole)?;
            return Ok(Filled { settled, ..Filled::default() });
        }
        self.copy_extents()
    }

    fn has_holes(&self) -> bool {
        !self.is_written && self.meta.may_have_holes()
    }

    fn clone_whole(&self) -> Result<bool, Fault> {
        let must = self.reflink == Reflink::Always;
        if !must && self.route.cannot_clone.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match sys::clone_file(self.source, self.target) {
            Ok(()) => Ok(true),
            Err(error) if must => {
                Err(Fault { op: "share the content of", of_source: false, error })
            }
            Err(error) => {
                if is_of_file_system(&error) {
                    self.route.cannot_clone.store(true, Ordering::Relaxed);
                }
                Ok(false)
            }
        }
    }

    fn copy_extents(&self) -> Result<Filled, Fault> {
        self.require_file()?;
        let size = self.meta.size;
        let (mut at, mut settled) = (0, 0);
        while at < size {
            let extent = sys::next_extent(self.source, at, size).map_err(read_fault)?;
            let Some(extent) = extent else { break };
            let end = extent.end.min(size);
            if extent.start >= end {
                break;
            }
            settled += self.copy(extent.start..end)?;
            at = end;
        }
        self.target.set_len(size).map_err(write_fault)?;
        Ok(Filled { settled, ..Filled::default() })
    }

    /// Copies a range and returns how much of it was counted as progress: nothing of a small one.
    fn copy(&self, range: Range<u64>) -> Result<u64, Fault> {
        let (mut at, mut settled) = (range.start, 0);
        let pace = self.control.pace();
        let slice = pace.map_or(SLICE_BYTES, |pace| pace.slice_bytes().min(SLICE_BYTES));
        let is_large = self.meta.size > slice;
        while at < range.end {
            let end = range.end.min(at + slice);
            if let Some(pace) = pace {
                turn::wait(pace, end - at, self.control).map_err(write_fault)?;
            }
            let reached = self.copy_slice(at..end)?;
            if is_large {
                self.control.settle(0, reached - at);
                settled += reached - at;
                if self.control.is_cancelled() {
                    return Err(write_fault(io::ErrorKind::Interrupted.into()));
                }
            }
            if reached < end {
                return Err(read_fault(io::ErrorKind::UnexpectedEof.into()));
            }
            at = reached;
        }
        Ok(settled)
    }

    /// Copies one slice and returns where it ended: before its end only at the end of the source.
    fn copy_slice(&self, slice: Range<u64>) -> Result<u64, Fault> {
        let mut at = slice.start;
        // Copying inside the system may share, so whoever wants bytes of their own gets them read and written.
        let inside =
            self.reflink != Reflink::Never && !self.route.cannot_copy_range.load(Ordering::Relaxed);
        while inside && at < slice.end {
            let len = usize::try_from(slice.end - at).unwrap_or(usize::MAX);
            match sys::copy_range(self.source, self.target, at, len) {
                // Some file systems in user space say so at once for files that they do have.
                Ok(0) => break,
                Ok(count) => at += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if must_end(&error) => return Err(write_fault(error)),
                Err(error) => {
                    if is_of_file_system(&error) {
                        self.route.cannot_copy_range.store(true, Ordering::Relaxed);
                    }
                    break;
                }
            }
        }
        if at < slice.end {
            self.require_file()?;
            at = read_and_write((self.source, self.target), at..slice.end)?;
        }
        Ok(at)
    }

    /// Reading waits for ever on a pipe and does something on a device, so nothing else than a file is ever read.
    fn require_file(&self) -> Result<(), Fault> {
        let now = sys::stat(self.source.into()).map_err(read_fault)?;
        if now.kind == Kind::File {
            return Ok(());
        }
        let why = format!("it has become a {}", now.kind.word());
        Err(read_fault(io::Error::other(why)))
    }
}

/// Reads a range and writes it to the same place, and returns where it ended: before its end only at the end of the source.
pub(crate) fn read_and_write(
    (source, target): (&File, &File),
    range: Range<u64>,
) -> Result<u64, Fault> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(BUFFER_BYTES, 0);
        let mut at = range.start;
        while at < range.end {
            let want = usize::try_from(range.end - at).unwrap_or(BUFFER_BYTES);
            let space = &mut buffer[..want.min(BUFFER_BYTES)];
            let count = match sys::read_at(source, space, at) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_fault(error)),
            };
            sys::write_at(target, &space[..count], at).map_err(write_fault)?;
            at += count as u64;
        }
        Ok(at)
    })
}

pub(crate) fn read_fault(error: io::Error) -> Fault {
    Fault { op: "read", of_source: true, error }
}

pub(crate) fn write_fault(error: io::Error) -> Fault {
    Fault { op: "write", of_source: false, error }
}

/// Whether each further file between these file systems would be refused too.
fn is_of_file_system(error: &io::Error) -> bool {
    sys::is_cross_device(error)
        || (sys::is_unsupported(error) && error.kind() != io::ErrorKind::InvalidInput)
}

/// Whether reading and writing would not do better.
fn must_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes between two looks at the stop signal: some milliseconds, and long enough for the file system to allocate well.
const SLICE_BYTES: u64 = 8 << 20;
/// Bytes of one read and write; more gains nothing on cached data.
const BUFFER_BYTES: usize = 256 << 10;
/// Pairs of file systems that are remembered.
const ROUTES_MAX: usize = 64;
