//! Reads regular files and sends them on a data stream, many small ones in a frame.
//! It must not know how a stream is carried, nor what the destination does with the files.

mod outgoing;

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use blit_core::entry::{Entry, Kind};
use blit_core::event::Control;
use blit_core::header::{BLOCK_BYTES, BODY_BYTES_MAX};
use blit_core::session::schedule::SMALL_FILE_BYTES_MAX;
use blit_core::stream::{Part, Range, Slot, Stream};
use blit_core::task::{Output, Send, Sent, Task};
use blit_core::{Error, ErrorKind};
use xxhash_rust::xxh3::xxh3_128;

use crate::ahead::{Ahead, Turn};
use crate::dir::{self, At, OpenedDir};
use crate::made_up;
use crate::pack::Packer;
use crate::stream::Lanes;
use crate::sys::{self, Access};

use outgoing::{Broken, FRAME_BYTES, Lane, Outgoing};

/// Sends what tasks ask for on a stream, one task after the other, until no more is wanted on it or it breaks.
pub(crate) fn send_all(lanes: &Lanes, (slot, stream): (Slot, &mut dyn Stream)) {
    let mut lane = Lane { stream, streams: 1, packer: Packer::default(), body: Vec::new() };
    while let Some(sending) = lanes.next_to_send(slot) {
        let Task::Send(task) = &sending.task else { continue };
        lane.streams = lanes.count();
        let sent = AssertUnwindSafe(|| send(task, (slot, &mut lane), sending.control()));
        match catch_unwind(sent) {
            Ok(sent) => {
                let is_broken = sent.slot.is_none();
                sending.done(Ok(Output::Sent(sent)));
                if is_broken {
                    return;
                }
            }
            // A task that panicked is answered too: its session waits for it.
            Err(_) => {
                let path = task.from.shown(None);
                let error = Error::because(ErrorKind::Internal, "send", &path, "a panic");
                return sending.done(Err(error));
            }
        }
    }
}

/// Sends the files of one task. What a file suffers is told to the receiver.
fn send(task: &Send, (slot, lane): (Slot, &mut Lane<'_>), control: &Control) -> Sent {
    lane.body.clear();
    let mut out = Outgoing { task, lane, carried: 0, settled: 0, control };
    let sent = Sender { task, ahead: Ahead::default() }.run(&mut out);
    let slot = sent.is_ok().then_some(slot);
    Sent { slot, bytes: out.settled, bytes_carried: out.carried }
}

/// Why a file is not sent as it is: it changed meanwhile, or an operation failed.
enum Fault {
    Changed,
    Failed(Error),
    Broken(Broken),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

struct Sender<'a> {
    task: &'a Send,
    ahead: Ahead,
}

impl Sender<'_> {
    fn run(&mut self, out: &mut Outgoing<'_, '_>) -> Result<(), Broken> {
        let entries: Vec<&Entry> =
            self.task.picks.iter().filter_map(|pick| self.task.page.get(*pick)).collect();
        match dir::open(&self.task.from, Access::Search) {
            Ok(dir) => {
                for at in 0..entries.len() {
                    self.one(&dir, (&entries, at), out)?;
                    out.flush(false)?;
                }
            }
            Err(error) => {
                for index in 0..entries.len() {
                    out.items().failed(number(index), &error);
                    out.flush(false)?;
                }
            }
        }
        out.flush(true)
    }

    /// Sends one file; one that changes meanwhile is sent again, and refused if it does not settle.
    fn one(
        &mut self,
        dir: &OpenedDir,
        (entries, at): (&[&Entry], usize),
        out: &mut Outgoing<'_, '_>,
    ) -> Result<(), Broken> {
        let entry = entries[at];
        let index = number(at);
        if self.interrupted(out) {
            let error = self.at(entry).refused(ErrorKind::Interrupted, "send");
            out.items().failed(index, &error);
            return Ok(());
        }
        let mut opened = Some(self.open_in_turn(dir, entries, at));
        let mut entry = Cow::Borrowed(entry);
        for _ in 0..ATTEMPTS_MAX {
            let file = opened.take().unwrap_or_else(|| self.open(dir, &entry));
            let sent = match file {
                Ok(file) => {
                    self.content(&file, (index, &entry), out).map_err(|fault| (fault, file))
                }
                Err(error) => {
                    let error = self.not_opened(&entry, error);
                    out.items().failed(index, &error);
                    return Ok(());
                }
            };
            match sent {
                Ok(()) => return Ok(()),
                Err((Fault::Broken(broken), _)) => return Err(broken),
                Err((Fault::Failed(error), _)) => {
                    out.items().failed(index, &error);
                    return Ok(());
                }
                Err((Fault::Changed, file)) => match self.renewed(&file, &entry) {
                    // Of a range of a file that changed, the others are void too.
                    Ok(now) if self.task.part == Part::Whole => {
                        if let Err(error) = self.renew((index, &now), out) {
                            out.items().failed(index, &error);
                            return Ok(());
                        }
                        entry = Cow::Owned(now);
                    }
                    Ok(_) => break,
                    Err(error) => {
                        out.items().failed(index, &error);
                        return Ok(());
                    }
                },
            }
        }
        let error = self.at(&entry).refused(ErrorKind::Changed, "copy");
        out.items().failed(index, &error);
        Ok(())
    }

    /// Says what the file is now.
    fn renew(&self, (index, now): (u32, &Entry), out: &mut Outgoing<'_, '_>) -> Result<(), Error> {
        let before = out.items().0.len();
        out.items().renewed(index, &now.meta);
        if out.lane.body.len() - before <= META_BYTES_MAX {
            return Ok(());
        }
        out.lane.body.truncate(before);
        let why = "its attributes are too large to be sent";
        Err(self.at(now).because(ErrorKind::Unsupported, "send", why))
    }

    fn interrupted(&self, out: &Outgoing<'_, '_>) -> bool {
        out.control.is_cancelled()
    }

    fn content(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        out: &mut Outgoing<'_, '_>,
    ) -> Result<(), Fault> {
        let size = entry.meta.size;
        match &self.task.part {
            Part::Whole if size == 0 => self.sizeless(file, (index, entry), out),
            Part::Whole if size <= SMALL_FILE_BYTES_MAX && !entry.meta.may_have_holes() => {
                self.small(file, (index, entry), out)
            }
            Part::Whole => {
                let whole = Range { offset: 0, len: size, known: None };
                self.range(file, (index, entry), (&whole, out))
            }
            Part::Range(range) => self.range(file, (index, entry), (range, out)),
        }
    }

    /// Sends a file of which the system says that it has no bytes, which it says too of those whose content it makes up when
    /// they are read (`/proc`).
    fn sizeless(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        out: &mut Outgoing<'_, '_>,
    ) -> Result<(), Fault> {
        // Reading a pipe or a device that has taken its place would do something.
        self.prove(file, entry)?;
        let content =
            made_up::read(file).map_err(|e| Fault::Failed(self.at(entry).failed("read")(e)))?;
        if content.is_empty() {
            out.items().file(index, 0);
            return Ok(());
        }
        // Where it was only written to meanwhile, it has a size now.
        self.prove(file, entry)?;
        let mut now = entry.clone();
        (now.meta.size, now.meta.allocated) = (content.len() as u64, content.len() as u64);
        self.renew((index, &now), out).map_err(Fault::Failed)?;
        for (number, piece) in content.chunks(PIECE_BYTES).enumerate() {
            out.items().piece(index, (number * PIECE_BYTES) as u64, piece.len());
            out.lane.body.extend_from_slice(piece);
            out.flush(false)?;
        }
        out.items().end(index);
        Ok(())
    }

    /// Reads a whole file into the frame. One that cannot be proven unchanged is taken out again.
    fn small(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        out: &mut Outgoing<'_, '_>,
    ) -> Result<(), Fault> {
        let size = usize::try_from(entry.meta.size).expect("it is small");
        // Reading a pipe or a device that has taken its place would do something.
        self.prove(file, entry)?;
        let before = out.items().0.len();
        out.items().file(index, size);
        let start = out.lane.body.len();
        out.lane.body.resize(start + size, 0);
        let read = self.fill(file, entry, (0, &mut out.lane.body[start..]));
        match read.and_then(|()| self.prove(file, entry)) {
            Ok(()) => {
                out.settle(entry.meta.size);
                Ok(())
            }
            Err(fault) => {
                out.lane.body.truncate(before);
                Err(fault)
            }
        }
    }

    /// Sends a range in pieces: without its holes, or where the receiver has something already, without what is equal.
    fn range(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        (range, out): (&Range, &mut Outgoing<'_, '_>),
    ) -> Result<(), Fault> {
        self.prove(file, entry)?;
        let end = entry.meta.size.min(range.offset.saturating_add(range.len));
        let mut at = range.offset;
        let known = range.known.as_deref().unwrap_or_default();
        let compared = end.min(range.offset + known.len() as u64 * BLOCK_BYTES);
        if !known.is_empty() && range.offset.is_multiple_of(BLOCK_BYTES) {
            self.blocks(file, (index, entry), (at..compared, known, out))?;
            at = compared;
        }
        while at < end && entry.meta.may_have_holes() {
            let failed = self.at(entry).failed("read");
            let extent = sys::next_extent(file, at, end).map_err(|e| Fault::Failed(failed(e)))?;
            let Some(extent) = extent else {
                out.settle(end - at);
                at = end;
                break;
            };
            let (first, last) = (extent.start.min(end), extent.end.min(end));
            out.settle(first - at);
            self.pieces(file, (index, entry), (first..last, out))?;
            if last <= at {
                break;
            }
            at = last;
        }
        self.pieces(file, (index, entry), (at..end, out))?;
        self.prove(file, entry)?;
        out.items().end(index);
        Ok(())
    }

    fn pieces(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        (range, out): (std::ops::Range<u64>, &mut Outgoing<'_, '_>),
    ) -> Result<(), Fault> {
        let mut at = range.start;
        while at < range.end {
            let want = (range.end - at).min(PIECE_BYTES as u64);
            let len = usize::try_from(want).expect("a piece is bounded");
            let before = out.items().0.len();
            out.items().piece(index, at, len);
            let start = out.lane.body.len();
            out.lane.body.resize(start + len, 0);
            if let Err(fault) = self.fill(file, entry, (at, &mut out.lane.body[start..])) {
                out.lane.body.truncate(before);
                return Err(fault);
            }
            out.settle(want);
            out.flush(false)?;
            at += want;
            if self.interrupted(out) {
                let error = self.at(entry).refused(ErrorKind::Interrupted, "send");
                return Err(Fault::Failed(error));
            }
        }
        Ok(())
    }

    /// Sends those blocks of a range whose digests are not the receiver's.
    fn blocks(
        &self,
        file: &File,
        (index, entry): (u32, &Entry),
        (range, known, out): (std::ops::Range<u64>, &[u128], &mut Outgoing<'_, '_>),
    ) -> Result<(), Fault> {
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).expect("a block is small")];
        let mut same = range.start..range.start;
        for (digest, offset) in known.iter().zip((range.start..).step_by(block.len())) {
            let len = (range.end.saturating_sub(offset)).min(BLOCK_BYTES);
            if len == 0 {
                break;
            }
            let space = &mut block[..usize::try_from(len).expect("a block is small")];
            self.fill(file, entry, (offset, space))?;
            if xxh3_128(space) == *digest {
                same.end = offset + len;
                out.settle(len);
                continue;
            }
            if !same.is_empty() {
                out.items().same(index, same.start, same.end - same.start);
            }
            same = offset + len..offset + len;
            out.items().piece(index, offset, space.len());
            out.lane.body.extend_from_slice(space);
            out.settle(len);
            out.flush(false)?;
            if self.interrupted(out) {
                let error = self.at(entry).refused(ErrorKind::Interrupted, "send");
                return Err(Fault::Failed(error));
            }
        }
        if !same.is_empty() {
            out.items().same(index, same.start, same.end - same.start);
        }
        Ok(())
    }

    /// Reads exactly as many bytes as there is space.
    fn fill(
        &self,
        file: &File,
        entry: &Entry,
        (offset, space): (u64, &mut [u8]),
    ) -> Result<(), Fault> {
        let mut done = 0;
        while done < space.len() {
            match sys::read_at(file, &mut space[done..], offset + done as u64) {
                Ok(0) => return Err(Fault::Changed),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Failed(self.at(entry).failed("read")(error))),
            }
        }
        Ok(())
    }

    /// Makes sure that the open file is the one that was listed, unchanged, and no pipe or device in its place.
    fn prove(&self, file: &File, entry: &Entry) -> Result<(), Fault> {
        let failed = self.at(entry).failed("examine");
        let now = sys::stat(file.into()).map_err(|error| Fault::Failed(failed(error)))?;
        if now.is_unchanged_since(&entry.meta) { Ok(()) } else { Err(Fault::Changed) }
    }

    fn open(&self, dir: &OpenedDir, entry: &Entry) -> io::Result<File> {
        let name = self.task.source_name.as_ref().unwrap_or(&entry.name);
        dir::open_source((&self.task.from, dir), name, true)
    }

    fn open_in_turn(&mut self, dir: &OpenedDir, entries: &[&Entry], at: usize) -> io::Result<File> {
        let turn = Turn { index: at, count: entries.len(), is_read: entries[at].meta.size > 0 };
        let mut ahead = std::mem::take(&mut self.ahead);
        let opened = ahead.open(turn, |index| self.open(dir, entries[index]));
        self.ahead = ahead;
        opened
    }

    fn not_opened(&self, entry: &Entry, error: io::Error) -> Error {
        let kind = error.kind();
        let error = self.at(entry).failed("open")(error);
        match kind {
            io::ErrorKind::NotFound => error.with_kind(ErrorKind::Vanished),
            _ => error,
        }
    }

    /// The entry as it is now, for another attempt.
    fn renewed(&self, file: &File, entry: &Entry) -> Result<Entry, Error> {
        let mut meta = sys::stat(file.into()).map_err(self.at(entry).failed("examine"))?;
        if meta.kind != Kind::File {
            return Err(self.at(entry).refused(ErrorKind::Changed, "copy"));
        }
        if self.task.xattrs {
            let read = sys::xattrs_of(file.into());
            meta.xattrs = read.map_err(self.at(entry).failed("read attributes of"))?;
        }
        Ok(Entry { name: entry.name.clone(), meta })
    }

    fn at<'b>(&'b self, entry: &'b Entry) -> At<'b> {
        let name = self.task.source_name.as_ref().unwrap_or(&entry.name);
        At::entry(&self.task.from, name)
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a task has at most as many files as a page")
}

/// Bytes of a piece of a large file.
const PIECE_BYTES: usize = 512 << 10;
/// Bytes of metadata of one file: more than most file systems hold, so little that a frame takes those of all attempts.
const META_BYTES_MAX: usize = 512 << 10;
const _: () = assert!(
    (FRAME_BYTES + PIECE_BYTES + ATTEMPTS_MAX as usize * META_BYTES_MAX) as u64
        + SMALL_FILE_BYTES_MAX
        + 4096
        < BODY_BYTES_MAX as u64
);
/// The first attempt and two more; a file that changes faster than it is read is not worth more.
const ATTEMPTS_MAX: u32 = 3;
