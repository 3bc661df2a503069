//! The source role: lists the source depth first and tells the destination what is there, never further ahead than
//! the destination has room for. It must not know what becomes of the entries.

mod peer;
mod place;

use std::collections::HashSet;
use std::sync::Arc;

use super::Actions;
use super::departures::{Departure, Departures, Outcome};
use super::desk::Desk;
use super::lendings::Lendings;
use super::schedule::{PAGE_ENTRIES_MAX, RECEIVES_MAX, WINDOW_ENTRIES_MAX};
use crate::engine::Limits;
use crate::entry::{Entry, Kind};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::frame::{DirId, Frame, Listing, PageNumber};
use crate::path::Name;
use crate::spec::{SourceItem, TransferSpec, Verb};
use crate::stream::{Plane, Ticket};
use crate::summary::{Action, Change, Summary};
use crate::task::{Dir, List, Listed, Output, Subject, Survey, Task, TaskId, What};

use place::{Pending, Place, Reading};

/// From `new` to `start`: nothing listed. Then listing, until `scanned`; then waiting for the destination to finish.
#[derive(Debug)]
pub(super) struct Source {
    spec: TransferSpec,
    items: std::vec::IntoIter<SourceItem>,
    /// The item in work is not yet listed to its end.
    item_open: bool,
    items_found: usize,
    desk: Desk<Job>,
    /// Listings that run or wait.
    lists: usize,
    /// Directories to list, the next one last.
    stack: Vec<Pending>,
    next_dir: u64,
    next_page: u64,
    unsettled: usize,
    /// What a move still has to remove.
    departures: Option<Departures>,
    /// What a destination on another machine may ask for; none where it reads the source itself.
    lendings: Option<Lendings>,
    /// Names already given away in the destination directory, where several sources might give the same.
    taken: HashSet<Name>,
    missing: Option<Error>,
    scanned: bool,
    summary: Summary,
    error: Option<Error>,
    /// The destination has ended.
    finished: bool,
    ended: bool,
}

#[derive(Debug)]
enum Job {
    /// One named source.
    Item { parent: Dir, target_name: Name },
    /// The next page of a directory.
    Page(Reading),
    /// Entries that have arrived are removed.
    Departure(Departure),
    /// Contents are sent to another machine.
    Send { ticket: Ticket, number: PageNumber, files: usize },
    /// Contents are digested for another machine.
    Digest { ticket: Ticket, files: usize },
}

impl Source {
    pub(super) fn new(items: Vec<SourceItem>, spec: TransferSpec, limits: Limits) -> Self {
        let departures = (spec.verb == Verb::Move).then(|| Departures::new(spec.dry_run));
        Self {
            spec,
            items: items.into_iter(),
            item_open: false,
            items_found: 0,
            desk: Desk::new(limits.workers.max(1) * LISTS_PER_WORKER_MAX),
            lists: 0,
            stack: Vec::new(),
            next_dir: DirId::BASE.0 + 1,
            next_page: 0,
            unsettled: 0,
            departures,
            lendings: None,
            taken: HashSet::new(),
            missing: None,
            scanned: false,
            summary: Summary::default(),
            error: None,
            finished: false,
            ended: false,
        }
    }

    pub(super) fn lend_over(&mut self, plane: Arc<Plane>) {
        self.lendings = Some(Lendings::new(plane, self.spec.preserve.reads_xattrs()));
        // What waits for a stream must not keep listings waiting.
        self.desk.widen(RECEIVES_MAX);
    }

    pub(super) fn start(&mut self, out: &mut Actions) {
        self.go_on(out);
    }

    pub(super) fn handle(&mut self, event: Event, out: &mut Actions) {
        match event {
            Event::Done(id, result) => self.done(id, result, out),
            Event::Frame(frame) => self.frame(frame, out),
            Event::Cut(error) => self.abort(error, out),
            // What was on it is asked for again.
            Event::Lost(_) | Event::Told(_) | Event::Alive | Event::Mark(_) => {}
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

    pub(super) fn oldest_task(&self) -> Option<&Subject> {
        self.desk.oldest()
    }

    /// Begins what there is room for.
    fn go_on(&mut self, out: &mut Actions) {
        if self.error.is_none() && !self.ended {
            self.begin_lists();
            if !self.scanned && !self.item_open && self.stack.is_empty() && self.lists == 0 {
                self.finish_scan(out);
            }
            self.depart(out);
            let left = self.departures.as_ref().is_some_and(|departures| !departures.is_done());
            self.ended = self.finished && !left;
        }
        self.desk.flush(&mut out.tasks);
    }

    fn begin_lists(&mut self) {
        while self.unsettled + self.lists * PAGE_ENTRIES_MAX < WINDOW_ENTRIES_MAX {
            if let Some(Pending { place, after }) = self.stack.pop() {
                let first = after.is_none();
                let what = What::Next { after, entries_max: PAGE_ENTRIES_MAX };
                let list = self.list(place.from.clone(), what);
                self.desk.put(Job::Page(Reading { place, first }), list);
                self.lists += 1;
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
                self.stack.push(Pending { place: Place::base(from), after: None });
            }
            Some(SourceItem::Entry { parent, name, target_name }) => {
                let list = self.list(parent.clone(), What::Names([name].into()));
                self.desk.put(Job::Item { parent, target_name }, list);
                self.lists += 1;
            }
        }
        self.item_open = true;
        true
    }

    fn list(&self, dir: Dir, what: What) -> Task {
        let xattrs = self.spec.preserve.reads_xattrs();
        Task::List(List { dir, what, xattrs, survey: Survey::Nothing })
    }

    fn finish_scan(&mut self, out: &mut Actions) {
        self.scanned = true;
        out.scanned = true;
        if let Some(departures) = &mut self.departures {
            departures.scanned();
        }
        if let (0, Some(error)) = (self.items_found, self.missing.take()) {
            self.abort(error, out);
            return;
        }
        out.frames.push(Frame::Scanned);
    }

    fn done(&mut self, id: TaskId, result: Result<Output, Error>, out: &mut Actions) {
        let Some(job) = self.desk.finish(id) else { return };
        let job = match job {
            Job::Departure(departure) => return self.departed(&departure, result, out),
            Job::Send { ticket, number, files } => {
                self.answered(files);
                return self.sent((ticket, number), result, out);
            }
            Job::Digest { ticket, files } => {
                self.answered(files);
                return self.digested((ticket, files), result, out);
            }
            job => job,
        };
        self.lists -= 1;
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
            Job::Departure(_) | Job::Send { .. } | Job::Digest { .. } => {}
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
            self.send(listing, None, out);
            return;
        };
        self.items_found += 1;
        let source_name = (entry.name != target_name).then(|| entry.name.clone());
        let source_dir = parent.child(&entry.name);
        entry.name = target_name;
        let first_stacked = self.stack.len();
        let listing = self.named(parent, Some(entry), source_name);
        self.send(listing, None, out);
        // The directory itself may bear another name in the source.
        if let Some(pending) = self.stack.get_mut(first_stacked) {
            pending.place.from = source_dir;
        }
    }

    fn page(&mut self, reading: &Reading, listed: Listed, out: &mut Actions) {
        let Reading { place, first } = reading;
        let Listed { dir, mut entries, mut failures, next, .. } = listed;
        let mut place = place.clone();
        failures.extend(place.refuse_loops(&self.spec, dir.as_ref(), &mut entries));
        let complete = failures.is_empty();
        for error in failures {
            out.frames.push(Frame::Unreadable(error));
        }
        let is_base = place.id == DirId::BASE;
        if is_base && *first {
            self.items_found += 1;
        }
        let more = next.is_some();
        if is_base {
            self.item_open = more;
        }
        if let Some(filter) = &self.spec.filter {
            let mut inside = filter.inside(&place.way);
            entries.retain(|entry| inside.admits(&entry.name, entry.meta.kind == Kind::Dir));
        }
        if let (true, Some(dir)) = (self.spec.one_file_system, &dir) {
            place.dev.get_or_insert(dir.id.dev);
        }
        if let Some(after) = next {
            self.stack.push(Pending { place: place.clone(), after: Some(after) });
        }
        let listing = Listing {
            dir: place.id,
            number: PageNumber(0),
            meta: dir.filter(|_| is_base).map(Box::new),
            page: entries.into(),
            first_child: DirId(self.next_dir),
            from: Some(place.from.clone()),
            source_name: None,
            last: if is_base { !more && self.items.len() == 0 } else { !more },
            named: false,
            complete,
        };
        self.send(listing, Some(&place), out);
    }

    /// A directory could not be read, or not to its end.
    fn unlisted(&mut self, reading: &Reading, error: Error, out: &mut Actions) {
        let is_base = reading.place.id == DirId::BASE;
        let error = match error.kind {
            ErrorKind::NotFound if !is_base => error.with_kind(ErrorKind::Vanished),
            _ => error,
        };
        if is_base {
            self.item_open = false;
            if reading.first {
                self.missing.get_or_insert_with(|| error.clone());
            }
        }
        out.frames.push(Frame::Unreadable(error));
        let last = !is_base || self.items.len() == 0;
        let listing = self.empty(reading.place.id, last);
        self.send(listing, Some(&reading.place), out);
    }

    /// A page that tells nothing but that there is no more to tell.
    fn empty(&self, dir: DirId, last: bool) -> Listing {
        Listing {
            dir,
            number: PageNumber(0),
            meta: None,
            page: Vec::new().into(),
            first_child: DirId(self.next_dir),
            from: None,
            source_name: None,
            last,
            named: false,
            complete: false,
        }
    }

    /// A page of the destination directory with one named source, or with none where that is missing.
    fn named(&self, from: &Dir, entry: Option<Entry>, source_name: Option<Name>) -> Listing {
        Listing {
            page: entry.into_iter().collect(),
            from: Some(from.clone()),
            source_name,
            named: true,
            ..self.empty(DirId::BASE, self.items.len() == 0)
        }
    }

    /// Sends a page and puts its directories on the stack. `place` is where its entries are; of named sources none.
    fn send(&mut self, mut listing: Listing, place: Option<&Place>, out: &mut Actions) {
        listing.number = PageNumber(self.next_page);
        self.next_page += 1;
        if listing.dir == DirId::BASE {
            self.drop_taken(&mut listing, out);
        }
        let (mut files, mut bytes) = (0, 0);
        let first_stacked = self.stack.len();
        let mut foreign = Vec::new();
        let recursive = self.spec.recursive || listing.named;
        for entry in listing.page.iter() {
            if entry.meta.kind != Kind::Dir {
                files += 1;
                bytes = entry.meta.content_bytes().saturating_add(bytes);
                continue;
            }
            let id = DirId(self.next_dir);
            self.next_dir += 1;
            let Some(from) = listing.from.as_ref().filter(|_| recursive) else { continue };
            let dev = place.and_then(|place| place.dev);
            if dev.is_some_and(|dev| dev != entry.meta.id.dev) {
                foreign.push(id);
                continue;
            }
            let place = Place::below(place, (id, from), entry, &self.spec);
            self.stack.push(Pending { place, after: None });
        }
        // The stack gives back the last first; the directory's own order is kinder to disks.
        self.stack[first_stacked..].reverse();
        out.learned.0 += files;
        out.learned.1 = out.learned.1.saturating_add(bytes);
        self.unsettled += page_cost(listing.page.len());
        if let Some(departures) = &mut self.departures {
            departures.listed(&listing);
        }
        if let Some(lendings) = &mut self.lendings {
            lendings.listed(&listing);
        }
        out.frames.push(Frame::Listing(listing));
        for id in foreign {
            let listing = self.empty(id, true);
            self.send(listing, None, out);
        }
    }

    /// Queues the removal of what has arrived.
    fn depart(&mut self, out: &mut Actions) {
        let Some(departures) = &mut self.departures else { return };
        for (departure, task) in departures.tasks() {
            self.desk.put(Job::Departure(departure), task);
        }
        let pretended = departures.pretended();
        self.left(pretended, out);
    }

    fn departed(
        &mut self,
        departure: &Departure,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let Some(departures) = &mut self.departures else { return };
        let outcome = departures.departed(departure, result);
        self.left(outcome, out);
    }

    /// Entries have left the source, or would.
    fn left(&mut self, outcome: Outcome, out: &mut Actions) {
        self.summary.removed += outcome.removed;
        for error in outcome.failures {
            self.summary.fail(error);
        }
        if self.spec.itemise {
            let told =
                |(dir, name): (Dir, Name)| Change::new(Action::Removed, dir.shown(Some(&name)));
            out.changes.extend(outcome.gone.into_iter().map(told));
        }
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
