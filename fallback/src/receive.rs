//! Takes regular files from a data stream and publishes them, in the thread that reads the stream.
//! It must not trust the peer: what was not asked for, or does not fit, ends the stream.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use blit_core::codec::{Decoder, Malformed};
use blit_core::entry::{Entry, Meta};
use blit_core::event::Control;
use blit_core::header::{Header, Item, next_item};
use blit_core::stream::Stream;
use blit_core::task::{Copied, Dir, Output, Over, Pick, Receive, ReceiveInto};
use blit_core::{Error, ErrorKind};

use crate::destination::{Destination, Draft, Written};
use crate::dir::At;
use crate::draft::{self, Drafted};
use crate::frames::{Frames, malformed, next_of};
use crate::stream::{Awaited, Begun, Lanes};
use crate::sys;
use crate::turn;

/// Reads a stream until it ends and does the tasks whose tickets it brings.
pub(crate) fn receive_all(lanes: &Lanes, stream: &mut dyn Stream) {
    let mut frames = Frames::of(stream);
    // Why a stream ends is the peer's or the network's matter; that it has ended is told, and what was on it asked for again.
    while let Ok(Some(header)) = frames.next(None) {
        let Some(awaited) = lanes.awaited(header.ticket) else { return };
        let received = AssertUnwindSafe(|| one_ticket(&awaited, (&mut frames, header)));
        match catch_unwind(received) {
            Ok(Ok(result)) => {
                lanes.received(header.ticket);
                awaited.done(result.map(Output::Received));
            }
            Ok(Err(Broken(begun))) => return lanes.wait_again(awaited, begun),
            // A task that panicked is answered too: its session waits for it.
            Err(_) => {
                lanes.received(header.ticket);
                let path = awaited.task.to.shown(None);
                let error = Error::because(ErrorKind::Internal, "receive", &path, "a panic");
                return awaited.done(Err(error));
            }
        }
    }
}

/// The stream ended, or brought what is not of the protocol, before all of a task had come. With what has begun, unless that is
/// as it was.
struct Broken(Option<Begun>);

/// Does one task. `Err` when the stream ended first: nothing of the task that is not published counts then.
fn one_ticket(
    awaited: &Awaited,
    (frames, first): (&mut Frames<'_>, Header),
) -> Result<Result<Copied, Error>, Broken> {
    let task = &awaited.task;
    let mut receiver = match Receiver::new(awaited) {
        Ok(receiver) => receiver,
        Err(error) => {
            let mut header = first;
            while !header.last {
                let next = next_of(frames, task.ticket);
                header = next.map_err(|_| Broken(None))?;
            }
            return Ok(Err(error));
        }
    };
    let mut header = first;
    loop {
        let taken = receiver.items(&frames.body);
        if taken.is_ok() && header.last {
            return Ok(receiver.finish());
        }
        match taken.and_then(|()| next_of(frames, task.ticket)) {
            Ok(next) => header = next,
            Err(_) => return Err(Broken(Some(receiver.begun()))),
        }
    }
}

/// One task in work.
struct Receiver<'a> {
    task: &'a Receive,
    control: &'a Control,
    files: Vec<File<'a>>,
    into: Into<'a>,
    open: Option<Open>,
    /// Why each further file fails.
    end: Option<ErrorKind>,
    /// Files and bytes that have become known as settled.
    settled: (u64, u64),
    /// How many of these were counted when an earlier stream brought them.
    counted: (u64, u64),
}

/// Where the files go.
enum Into<'a> {
    Dir(Box<Destination<'a>>),
    Draft(Arc<Drafted>, Copied),
    /// It is finished.
    Nothing,
}

/// A picked file.
struct File<'a> {
    pick: &'a Pick,
    /// What stands in its place: what a stream that broke has brought of the task is replaced.
    over: Over,
    listed: &'a Entry,
    /// As it is now, where it changed since it was listed.
    renewed: Option<Box<Entry>>,
    /// Bytes of it that count as progress.
    settled: u64,
    is_done: bool,
    is_published: bool,
    /// It failed here. What still comes of it was on its way already and is passed over.
    is_given_up: bool,
}

impl File<'_> {
    fn entry(&self) -> &Entry {
        self.renewed.as_deref().unwrap_or(self.listed)
    }
}

/// A file that comes in pieces.
struct Open {
    index: usize,
    draft: Draft,
    end: u64,
}

impl<'a> Receiver<'a> {
    fn new(awaited: &'a Awaited) -> Result<Self, Error> {
        let (task, control) = (&awaited.task, awaited.control());
        let into = match &task.into {
            ReceiveInto::Dir(into) => {
                let mut to = Destination::open(&task.to, *into, &task.manner)?;
                if awaited.is_begun {
                    to.begin_again();
                }
                Into::Dir(Box::new(to))
            }
            ReceiveInto::Draft(held) => {
                Into::Draft(draft::drafted_of(held, &task.to)?, Copied::default())
            }
        };
        let file = |(place, pick): (usize, &'a Pick)| {
            let listed = task.page.get(pick.index)?;
            let is_published = awaited.begun.published.contains(&place);
            let over = if is_published { Over::Entry } else { pick.over };
            Some(File {
                pick,
                over,
                listed,
                renewed: None,
                settled: 0,
                is_done: false,
                is_published,
                is_given_up: false,
            })
        };
        let files = task.picks.iter().enumerate().filter_map(file).collect();
        let (settled, counted) = ((0, 0), awaited.begun.settled);
        Ok(Self { task, control, files, into, open: None, end: None, settled, counted })
    }

    /// Takes the items of one frame.
    fn items(&mut self, body: &[u8]) -> io::Result<()> {
        if let Some(pace) = self.control.pace() {
            // What is not taken from the stream is not sent either.
            turn::wait_for_all(pace, body.len(), self.control)?;
        }
        let mut body = Decoder(body);
        while let Some(item) = next_item(&mut body).map_err(malformed)? {
            self.item(item).map_err(malformed)?;
        }
        Ok(())
    }

    fn item(&mut self, item: Item<'_>) -> Result<(), Malformed> {
        if self.is_given_up(&item) {
            return Ok(());
        }
        match item {
            Item::Renewed { index, meta } => self.renew(self.known(index)?, meta),
            Item::File { index, bytes } => self.whole(self.known(index)?, bytes),
            Item::Piece { index, offset, bytes } => self.piece(self.known(index)?, offset, bytes),
            Item::Same { index, offset, len } => self.same(self.known(index)?, offset, len),
            Item::End { index } => self.close(self.known(index)?),
            Item::Failed { index, error } => {
                let index = self.known(index)?;
                self.record(index, Err(error));
                Ok(())
            }
        }
    }

    fn is_given_up(&self, item: &Item<'_>) -> bool {
        let (Item::Renewed { index, .. }
        | Item::File { index, .. }
        | Item::Piece { index, .. }
        | Item::Same { index, .. }
        | Item::End { index }
        | Item::Failed { index, .. }) = item;
        let index = usize::try_from(*index).ok();
        index.and_then(|index| self.files.get(index)).is_some_and(|file| file.is_given_up)
    }

    fn give_up(&mut self, index: usize, error: Error) {
        self.files[index].is_given_up = true;
        self.record(index, Err(error));
    }

    /// The file that an item is of; one that is settled has no more items.
    fn known(&self, index: u32) -> Result<usize, Malformed> {
        let index = usize::try_from(index).map_err(|_| Malformed)?;
        match self.files.get(index) {
            Some(file) if !file.is_done => Ok(index),
            _ => Err(Malformed),
        }
    }

    fn renew(&mut self, index: usize, meta: Meta) -> Result<(), Malformed> {
        self.drop_open();
        let file = &mut self.files[index];
        if meta.kind != file.listed.meta.kind || matches!(self.into, Into::Draft(..)) {
            return Err(Malformed);
        }
        let name = file.listed.name.clone();
        let meta = self.task.plane.translated(meta);
        file.renewed = Some(Box::new(Entry { name, meta }));
        Ok(())
    }

    fn whole(&mut self, index: usize, bytes: &[u8]) -> Result<(), Malformed> {
        self.drop_open();
        let file = &self.files[index];
        if bytes.len() as u64 != file.entry().meta.size {
            return Err(Malformed);
        }
        let result = match (&self.into, self.refusal(index)) {
            (_, Some(error)) => Err(error),
            (Into::Dir(to), None) => to.put(file.entry(), file.over, bytes),
            (Into::Draft(..) | Into::Nothing, None) => return Err(Malformed),
        };
        let written = Written { bytes: bytes.len() as u64, cloned: 0 };
        self.record(index, result.map(|()| written));
        Ok(())
    }

    fn piece(&mut self, index: usize, offset: u64, bytes: &[u8]) -> Result<(), Malformed> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Malformed)?;
        if end > self.files[index].entry().meta.size {
            return Err(Malformed);
        }
        let result = match self.refusal(index) {
            Some(error) => Err(error),
            None => self.write(index, offset, bytes),
        };
        match result {
            Ok(()) => self.settle(index, bytes.len() as u64),
            Err(error) => self.give_up(index, error),
        }
        Ok(())
    }

    fn write(&mut self, index: usize, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|open| open.index != index) {
            self.drop_open();
        }
        let file = &self.files[index];
        let at = At::entry(&self.task.to, &file.listed.name);
        let to = match &self.into {
            Into::Draft(draft, _) => return draft.write(bytes, offset).map_err(at.failed("write")),
            Into::Dir(to) => to,
            Into::Nothing => return Ok(()),
        };
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let draft = begin((to, &self.task.to), file.entry(), file.over)?;
                none.insert(Open { index, draft, end: 0 })
            }
        };
        sys::write_at(&open.draft.file, bytes, offset).map_err(at.failed("write"))?;
        open.end = open.end.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn same(&mut self, index: usize, offset: u64, len: u64) -> Result<(), Malformed> {
        let end = offset.checked_add(len).ok_or(Malformed)?;
        let Into::Draft(draft, _) = &self.into else { return Err(Malformed) };
        if end > self.files[index].entry().meta.size {
            return Err(Malformed);
        }
        let at = At::entry(&self.task.to, &self.files[index].listed.name);
        let result = match self.refusal(index) {
            Some(error) => Err(error),
            None => draft.keep(offset, len).map_err(at.failed("write")),
        };
        match result {
            Ok(()) => self.settle(index, len),
            Err(error) => self.give_up(index, error),
        }
        Ok(())
    }

    /// All of a file has come, or of a range.
    fn close(&mut self, index: usize) -> Result<(), Malformed> {
        let written = match &self.into {
            Into::Draft(..) | Into::Nothing => Ok(Written::default()),
            Into::Dir(_) => self.publish(index),
        };
        self.record(index, written);
        Ok(())
    }

    fn publish(&mut self, index: usize) -> Result<Written, Error> {
        if self.open.as_ref().is_some_and(|open| open.index != index) {
            self.drop_open();
        }
        let Into::Dir(to) = &self.into else { return Ok(Written::default()) };
        let file = &self.files[index];
        let (entry, over) = (file.entry(), file.over);
        let size = entry.meta.size;
        if let Some(error) = self.refusal(index) {
            return Err(error);
        }
        let (draft, end) = match self.open.take() {
            Some(open) => (open.draft, open.end),
            // Nothing but a hole.
            None => (begin((to, &self.task.to), entry, over)?, 0),
        };
        if end < size
            && let Err(error) = draft.file.set_len(size)
        {
            to.discard(draft, entry);
            return Err(At::entry(&self.task.to, &entry.name).failed("write")(error));
        }
        to.publish(draft, entry, over)?;
        Ok(Written { bytes: size, cloned: 0 })
    }

    /// Why a file is not written, where it is not.
    fn refusal(&self, index: usize) -> Option<Error> {
        let kind = match self.end {
            None if self.control.is_cancelled() => ErrorKind::Interrupted,
            None => return None,
            Some(kind) => kind,
        };
        Some(At::entry(&self.task.to, &self.files[index].listed.name).refused(kind, "write"))
    }

    fn settle(&mut self, index: usize, bytes: u64) {
        self.files[index].settled += bytes;
        self.count(0, bytes);
    }

    /// Adds to the progress what was not counted before.
    fn count(&mut self, files: u64, bytes: u64) {
        let known = (files.min(self.counted.0), bytes.min(self.counted.1));
        self.counted = (self.counted.0 - known.0, self.counted.1 - known.1);
        self.settled.0 += files;
        self.settled.1 = self.settled.1.saturating_add(bytes);
        self.control.settle(files - known.0, bytes - known.1);
    }

    /// Takes note of what became of a file.
    fn record(&mut self, index: usize, result: Result<Written, Error>) {
        if self.open.as_ref().is_some_and(|open| open.index == index) {
            self.drop_open();
        }
        if let Err(error) = &result
            && matches!(error.kind, ErrorKind::NoSpace | ErrorKind::Quota | ErrorKind::ReadOnly)
        {
            self.end = self.end.or(Some(error.kind));
            if let Into::Draft(draft, _) = &self.into {
                draft.discard();
            }
        }
        let file = &mut self.files[index];
        file.is_done = true;
        file.is_published |= result.is_ok();
        let (place, rest) = (file.pick.index, file.entry().meta.size.saturating_sub(file.settled));
        let settled = file.settled;
        if let Into::Dir(_) = self.into {
            self.count(1, rest);
        }
        match &mut self.into {
            Into::Dir(to) => to.record(place, result),
            Into::Draft(_, copied) => match result {
                Ok(_) => copied.bytes += settled,
                Err(error) => copied.failures.push((place, error)),
            },
            Into::Nothing => {}
        }
    }

    /// What stays of a task whose stream broke.
    fn begun(&self) -> Begun {
        let files = self.files.iter().enumerate();
        let published = files.filter(|(_, file)| file.is_published).map(|(place, _)| place);
        let (files, bytes) = self.settled;
        let settled = (files + self.counted.0, bytes.saturating_add(self.counted.1));
        Begun { published: published.collect(), settled }
    }

    fn drop_open(&mut self) {
        if let (Some(open), Into::Dir(to)) = (self.open.take(), &self.into) {
            to.discard(open.draft, self.files[open.index].entry());
        }
    }

    /// Publishes what is published at once, and says what became of the files.
    fn finish(mut self) -> Result<Copied, Error> {
        for index in 0..self.files.len() {
            if !self.files[index].is_done {
                let at = At::entry(&self.task.to, &self.files[index].listed.name);
                let error =
                    at.because(ErrorKind::Protocol, "receive", "the source did not send it");
                self.record(index, Err(error));
            }
        }
        match std::mem::replace(&mut self.into, Into::Nothing) {
            Into::Dir(to) => to.finish(),
            Into::Draft(_, copied) => Ok(copied),
            Into::Nothing => Ok(Copied::default()),
        }
    }
}

/// Creates a file that nothing shows in where nothing is written; what is overwritten in its place loses what it held.
fn begin((to, dir): (&Destination<'_>, &Dir), entry: &Entry, over: Over) -> Result<Draft, Error> {
    let draft = to.create(entry, over)?;
    if draft.is_written()
        && let Err(error) = draft.file.set_len(0)
    {
        let error = At::entry(dir, &entry.name).failed("truncate")(error);
        to.discard(draft, entry);
        return Err(error);
    }
    Ok(draft)
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.drop_open();
    }
}
