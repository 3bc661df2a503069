//! The source role: lists the source depth first and tells the destination what is there, never further ahead than
//! the destination has room for. It must not know what becomes of the entries.

use std::collections::HashSet;

use super::Actions;
use super::desk::Desk;
use super::schedule::{PAGE_ENTRIES_MAX, WINDOW_ENTRIES_MAX};
use crate::engine::Limits;
use crate::entry::{Entry, Kind};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::frame::{DirId, Frame, Listing};
use crate::path::Name;
use crate::spec::{SourceItem, TransferSpec};
use crate::summary::Summary;
use crate::task::{Dir, Held, List, Listed, Output, Task, TaskId, What};

/// From `new` to `start`: nothing listed. Then listing, until `scanned`; then waiting for the destination to finish.
#[derive(Debug)]
pub(super) struct Source {
    spec: TransferSpec,
    items: std::vec::IntoIter<SourceItem>,
    /// The item in work is not yet listed to its end.
    item_open: bool,
    items_found: usize,
    desk: Desk<Job>,
    /// Directories to list, the next one last.
    stack: Vec<Pending>,
    next_dir: u64,
    unsettled: usize,
    /// Names already given away in the destination directory, where several sources might give the same.
    taken: HashSet<Name>,
    missing: Option<Error>,
    scanned: bool,
    summary: Summary,
    error: Option<Error>,
    ended: bool,
}

#[derive(Debug)]
struct Pending {
    id: DirId,
    from: Dir,
    after: Option<Held>,
}

/// A page that is being read.
#[derive(Debug)]
struct Reading {
    id: DirId,
    from: Dir,
    /// It is the first one of its directory.
    first: bool,
}

#[derive(Debug)]
enum Job {
    /// One named source.
    Item { parent: Dir, target_name: Name },
    /// The next page of a directory.
    Page(Reading),
}

impl Source {
    pub(super) fn new(items: Vec<SourceItem>, spec: TransferSpec, limits: Limits) -> Self {
        Self {
            spec,
            items: items.into_iter(),
            item_open: false,
            items_found: 0,
            desk: Desk::new(limits.workers.max(1) * LISTS_PER_WORKER_MAX),
            stack: Vec::new(),
            next_dir: DirId::BASE.0 + 1,
            unsettled: 0,
            taken: HashSet::new(),
            missing: None,
            scanned: false,
            summary: Summary::default(),
            error: None,
            ended: false,
        }
    }

    pub(super) fn start(&mut self, out: &mut Actions) {
        self.go_on(out);
    }

    pub(super) fn handle(&mut self, event: Event, out: &mut Actions) {
        match event {
            Event::Done(id, result) => self.done(id, result, out),
            Event::Frame(frame) => self.frame(frame),
            Event::Cut(error) => self.abort(error, out),
        }
        self.go_on(out);
    }

    pub(super) fn abort(&mut self, error: Error, out: &mut Actions) {
        if self.error.is_none() && !self.ended {
            self.desk.drop_waiting();
            self.stack.clear();
            out.frames.push(Frame::Failed(error.clone()));
            self.error = Some(error);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        (self.ended || self.error.is_some()) && self.desk.is_quiet()
    }

    pub(super) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn oldest_task(&self) -> Option<(&'static str, Vec<u8>)> {
        self.desk.oldest()
    }

    fn frame(&mut self, frame: Frame) {
        match frame {
            Frame::Settled(entries) => self.unsettled = self.unsettled.saturating_sub(entries),
            Frame::Finished(summary) => {
                self.summary = *summary;
                self.ended = true;
            }
            Frame::Failed(error) => {
                self.desk.drop_waiting();
                self.stack.clear();
                self.error.get_or_insert(error);
            }
            Frame::Listing(_) | Frame::Unreadable(_) | Frame::Scanned => {
                let what = "the destination sent a frame that only a source sends";
                self.error = Some(Error::because(ErrorKind::Internal, "receive", b"", what));
            }
        }
    }

    /// Begins what there is room for.
    fn go_on(&mut self, out: &mut Actions) {
        if self.error.is_none() && !self.ended {
            self.begin_lists();
            if !self.scanned && !self.item_open && self.stack.is_empty() && self.desk.len() == 0 {
                self.finish_scan(out);
            }
        }
        self.desk.flush(&mut out.tasks);
    }

    fn begin_lists(&mut self) {
        while self.unsettled + self.desk.len() * PAGE_ENTRIES_MAX < WINDOW_ENTRIES_MAX {
            if let Some(Pending { id, from, after }) = self.stack.pop() {
                let first = after.is_none();
                let what = What::Next { after, entries_max: PAGE_ENTRIES_MAX };
                let list = self.list(from.clone(), what);
                self.desk.put(Job::Page(Reading { id, from, first }), list);
            } else if self.item_open || !self.begin_item() {
                return;
            }
        }
    }

    /// Begins the next source, if there is one.
    fn begin_item(&mut self) -> bool {
        match self.items.next() {
            None => return false,
            Some(SourceItem::Contents(from)) => {
                self.stack.push(Pending { id: DirId::BASE, from, after: None });
            }
            Some(SourceItem::Entry { parent, name, target_name }) => {
                let list = self.list(parent.clone(), What::One(name));
                self.desk.put(Job::Item { parent, target_name }, list);
            }
        }
        self.item_open = true;
        true
    }

    fn list(&self, dir: Dir, what: What) -> Task {
        let xattrs = self.spec.preserve.reads_xattrs();
        Task::List(List { dir, what, xattrs, leftovers: false })
    }

    fn finish_scan(&mut self, out: &mut Actions) {
        self.scanned = true;
        out.scanned = true;
        if let (0, Some(error)) = (self.items_found, self.missing.take()) {
            self.abort(error, out);
            return;
        }
        out.frames.push(Frame::Scanned);
    }

    fn done(&mut self, id: TaskId, result: Result<Output, Error>, out: &mut Actions) {
        let Some(job) = self.desk.finish(id) else { return };
        if self.error.is_some() {
            return;
        }
        let listed = match result {
            Ok(Output::Listed(listed)) => Ok(listed),
            Ok(_) => Err(Error::because(ErrorKind::Internal, "list", b"", "not a listing")),
            Err(error) if error.kind.ends_session() => return self.abort(error, out),
            Err(error) => Err(error),
        };
        match job {
            Job::Item { parent, target_name } => self.item(&parent, target_name, listed, out),
            Job::Page(reading) => match listed {
                Ok(listed) => self.page(&reading, listed, out),
                Err(error) => self.unlisted(&reading, error, out),
            },
        }
    }

    /// A named source was looked up.
    fn item(
        &mut self,
        parent: &Dir,
        target_name: Name,
        listed: Result<Listed, Error>,
        out: &mut Actions,
    ) {
        self.item_open = false;
        let (entry, failure) = match listed {
            Ok(Listed { mut entries, mut failures, .. }) => (entries.pop(), failures.pop()),
            Err(error) => (None, Some(error)),
        };
        let Some(mut entry) = entry else {
            let error = failure.unwrap_or_else(|| {
                Error::new(ErrorKind::NotFound, "open source", &parent.shown(Some(&target_name)))
            });
            self.missing.get_or_insert_with(|| error.clone());
            out.frames.push(Frame::Unreadable(error));
            let listing = self.named(parent, None, None);
            self.send(listing, out);
            return;
        };
        self.items_found += 1;
        let source_name = (entry.name != target_name).then(|| entry.name.clone());
        let source_dir = parent.child(&entry.name);
        entry.name = target_name;
        let first_stacked = self.stack.len();
        let listing = self.named(parent, Some(entry), source_name);
        self.send(listing, out);
        // The directory itself may bear another name in the source.
        if let Some(pending) = self.stack.get_mut(first_stacked) {
            pending.from = source_dir;
        }
    }

    fn page(&mut self, reading: &Reading, listed: Listed, out: &mut Actions) {
        let Reading { id, from, first } = reading;
        let Listed { dir, entries, failures, next, .. } = listed;
        for error in failures {
            out.frames.push(Frame::Unreadable(error));
        }
        let is_base = *id == DirId::BASE;
        if is_base && *first {
            self.items_found += 1;
        }
        let more = next.is_some();
        if is_base {
            self.item_open = more;
        }
        let last = if is_base { !more && self.items.len() == 0 } else { !more };
        let meta = dir.filter(|_| is_base).map(Box::new);
        if let Some(after) = next {
            self.stack.push(Pending { id: *id, from: from.clone(), after: Some(after) });
        }
        let listing = Listing {
            dir: *id,
            meta,
            page: entries.into(),
            first_child: DirId(self.next_dir),
            from: Some(from.clone()),
            source_name: None,
            last,
        };
        self.send(listing, out);
    }

    /// A directory could not be read, or not to its end.
    fn unlisted(&mut self, reading: &Reading, error: Error, out: &mut Actions) {
        let Reading { id, first, .. } = *reading;
        let is_base = id == DirId::BASE;
        let error = match error.kind {
            ErrorKind::NotFound if !is_base => error.with_kind(ErrorKind::Vanished),
            _ => error,
        };
        if is_base {
            self.item_open = false;
            if first {
                self.missing.get_or_insert_with(|| error.clone());
            }
        }
        out.frames.push(Frame::Unreadable(error));
        let listing = Listing {
            dir: id,
            meta: None,
            page: Vec::new().into(),
            first_child: DirId(self.next_dir),
            from: None,
            source_name: None,
            last: !is_base || self.items.len() == 0,
        };
        self.send(listing, out);
    }

    /// A page of the destination directory with one named source, or with none where that is missing.
    fn named(&self, from: &Dir, entry: Option<Entry>, source_name: Option<Name>) -> Listing {
        Listing {
            dir: DirId::BASE,
            meta: None,
            page: entry.into_iter().collect(),
            first_child: DirId(self.next_dir),
            from: Some(from.clone()),
            source_name,
            last: self.items.len() == 0,
        }
    }

    fn send(&mut self, mut listing: Listing, out: &mut Actions) {
        if listing.dir == DirId::BASE {
            self.drop_taken(&mut listing, out);
        }
        let (mut files, mut bytes) = (0, 0);
        let first_stacked = self.stack.len();
        for entry in listing.page.iter() {
            if entry.meta.kind == Kind::Dir {
                if let Some(from) = &listing.from {
                    let id = DirId(self.next_dir);
                    self.stack.push(Pending { id, from: from.child(&entry.name), after: None });
                }
                self.next_dir += 1;
            } else {
                files += 1;
                bytes += if entry.meta.kind == Kind::File { entry.meta.size } else { 0 };
            }
        }
        // The stack gives back the last first; the directory's own order is kinder to disks.
        self.stack[first_stacked..].reverse();
        out.learned.0 += files;
        out.learned.1 += bytes;
        self.unsettled += page_cost(listing.page.len());
        out.frames.push(Frame::Listing(listing));
    }

    /// Leaves out entries whose name an earlier source has already given to the destination directory.
    fn drop_taken(&mut self, listing: &mut Listing, out: &mut Actions) {
        let several = self.items.len() > 0 || !self.taken.is_empty();
        if !several {
            return;
        }
        let clash = |entry: &&Entry| self.taken.contains(&entry.name);
        let clashing: Vec<Name> =
            listing.page.iter().filter(clash).map(|entry| entry.name.clone()).collect();
        for name in &clashing {
            let path = match &listing.from {
                Some(from) => from.shown(Some(name)),
                None => name.as_bytes().to_vec(),
            };
            let why = "another source already supplies this name";
            let error = Error::because(ErrorKind::AlreadyExists, "copy", &path, why);
            out.frames.push(Frame::Unreadable(error));
        }
        if !clashing.is_empty() {
            let kept = listing.page.iter().filter(|entry| !self.taken.contains(&entry.name));
            listing.page = kept.cloned().collect();
        }
        self.taken.extend(listing.page.iter().map(|entry| entry.name.clone()));
    }
}

/// How much of the window a page takes; an empty one costs too.
pub(super) fn page_cost(entries: usize) -> usize {
    entries.max(1)
}

/// Listings per worker that are asked for ahead, so that a worker that is free finds one.
const LISTS_PER_WORKER_MAX: usize = 2;
