//! The destination role: makes its directory what the source lists. Directories come before what is in them, their
//! metadata after; nothing else is ordered. It must not know how entries are read or written.

mod again;
mod deletion;
mod digests;
mod folder;
mod large;
mod outcome;
mod receipts;
mod reference;
mod spelling;
mod work;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Actions;
use super::desk::Desk;
use super::links::Links;
use super::plan::{Judge, Plan};
use super::schedule::{RECEIVES_MAX, TASKS_PER_WORKER_MAX};
use super::source::page_cost;
use crate::engine::Limits;
use crate::entry::{Changes, Entry, Kind, differences};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::frame::{DirId, Frame, Listing, Settled};
use crate::path::{Name, RelPath};
use crate::spec::{Comparison, Equality, Target, TransferSpec, Verb};
use crate::stream::Plane;
use crate::summary::{Action, Change, Summary};
use crate::task::{
    Dir, List, Manner, Place, Removal, Remove, SpaceFacts, Step, Subject, Survey, Task, What,
};

use folder::{Folder, State};
use reference::Reference;
use work::Job;

/// From listening to `ended`: everything was listed and settled; or to `error`.
#[derive(Debug)]
pub(super) struct Destination {
    spec: TransferSpec,
    rule: Comparison,
    /// What is told is below this: the destination, or what holds it while it is still to be made.
    top: RelPath,
    desk: Desk<Job>,
    folders: HashMap<DirId, Folder>,
    pages: HashMap<u64, PageInWork>,
    next_page: u64,
    /// Pages whose directory may have become ready, to be looked at again.
    routable: VecDeque<u64>,
    links: Links,
    summary: Summary,
    /// Files whose digests are awaited.
    doubts: digests::Doubts,
    /// What a source on another machine was asked for; none where it can be read from here.
    receipts: Option<receipts::Receipts>,
    /// Large files that come from another machine.
    larges: large::Larges,
    /// What a mirror has to remove when all else is done.
    deletion: deletion::Deletion,
    /// An entry could not be transferred, so that nothing is removed.
    untransferred: bool,
    scanned: bool,
    error: Option<Error>,
    ended: bool,
}

/// A page whose entries are not all settled.
#[derive(Debug)]
struct PageInWork {
    listing: Listing,
    /// What holds it: its tasks, its followers that wait, its directory that is made.
    holds: usize,
    /// Entries that do not come to stand at the destination.
    kept: Vec<usize>,
    /// What an earlier snapshot has under its names.
    reference: Reference,
}

impl Destination {
    pub(super) fn new(
        target: Target,
        facts: &SpaceFacts,
        spec: TransferSpec,
        limits: Limits,
    ) -> Self {
        let rule = Comparison {
            preserve: spec.preserve,
            granularity_ns: facts.granularity_ns,
            may_chown: facts.may_chown,
            own_uid: facts.own_uid,
            groups: facts.groups.clone().into(),
            holds_xattrs: facts.holds_xattrs,
            // Before a move removes a source, its content is known to stand at the destination.
            equality: match (spec.verb, spec.equality) {
                (Verb::Move, Equality::Times | Equality::Size) => Equality::Checksum,
                (_, equality) => equality,
            },
        };
        let state = if target.absent { State::Absent } else { State::Ready { fresh: false } };
        let above = target.path.split_last().filter(|_| target.absent).map(|(parent, _)| parent);
        let top = above.unwrap_or_else(|| target.path.clone());
        let base = Folder::new(Dir::new(&target.root, target.path), None, state);
        Self {
            spec,
            rule,
            top,
            desk: Desk::new(limits.workers.max(1) * TASKS_PER_WORKER_MAX),
            folders: HashMap::from([(DirId::BASE, base)]),
            pages: HashMap::new(),
            next_page: 0,
            routable: VecDeque::new(),
            links: Links::default(),
            summary: Summary::default(),
            doubts: digests::Doubts::default(),
            receipts: None,
            larges: large::Larges::default(),
            deletion: deletion::Deletion::default(),
            untransferred: false,
            scanned: false,
            error: None,
            ended: false,
        }
    }

    pub(super) fn receive_over(&mut self, plane: Arc<Plane>) {
        self.receipts = Some(receipts::Receipts::new(plane));
        self.desk.widen(RECEIVES_MAX);
    }

    pub(super) fn handle(&mut self, event: Event, out: &mut Actions) {
        match event {
            Event::Done(id, result) => {
                if let Some(job) = self.desk.finish(id) {
                    match self.error {
                        None => self.job_done(job, result, out),
                        Some(_) => self.job_done_late(result),
                    }
                }
            }
            Event::Frame(frame) if self.error.is_none() => self.frame(frame, out),
            Event::Frame(_) => {}
            Event::Lost(slot) => self.stream_lost(slot, out),
            Event::Told(_) | Event::Alive | Event::Mark(_) => {}
            Event::Cut(error) => self.abort(error, out),
        }
        while let Some(page) = self.routable.pop_front() {
            self.route(page, out);
        }
        if self.error.is_none() {
            self.flush(out);
            self.end_if_complete(out);
        }
    }

    pub(super) fn abort(&mut self, error: Error, out: &mut Actions) {
        if self.error.is_none() && !self.ended {
            self.desk.drop_waiting();
            self.routable.clear();
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

    fn end_if_complete(&mut self, out: &mut Actions) {
        if self.scanned && !self.ended && self.folders.is_empty() && self.desk.len() == 0 {
            if self.begin_deletion(out) {
                return self.flush(out);
            }
            self.ended = true;
            out.frames.push(Frame::Finished(Box::new(self.summary.clone())));
        }
    }

    fn frame(&mut self, frame: Frame, out: &mut Actions) {
        match frame {
            Frame::Listing(listing) => self.receive(listing, out),
            Frame::Unreadable(error) => self.summary.fail(error),
            Frame::Scanned => {
                self.scanned = true;
                out.scanned |= self.receipts.is_some();
            }
            Frame::Sent(ticket, slot) => self.sent(ticket, slot, out),
            Frame::Digests(ticket, digests) => self.digests_came(ticket, digests, out),
            Frame::Failed(error) => {
                self.desk.drop_waiting();
                self.error = Some(error);
            }
            Frame::Settled(_)
            | Frame::Closed(..)
            | Frame::Need(_)
            | Frame::Digest(_)
            | Frame::Finished(_) => {
                let what = "the source sent a frame that only a destination sends";
                self.abort(Error::because(ErrorKind::Protocol, "receive", b"", what), out);
            }
        }
    }

    /// Takes in a page: its sub-directories become known, then it is routed.
    fn receive(&mut self, mut listing: Listing, out: &mut Actions) {
        if let Some(receipts) = &mut self.receipts {
            if let Err(error) = receipts.admit(&listing, self.next_page) {
                return self.abort(error, out);
            }
            for entry in listing.page.iter().filter(|entry| entry.meta.kind != Kind::Dir) {
                out.learned.0 += 1;
                out.learned.1 = out.learned.1.saturating_add(entry.meta.content_bytes());
            }
        }
        let folder = self.folders.get_mut(&listing.dir).filter(|folder| !folder.listed);
        let Some(folder) = folder else {
            let what = "the source listed a directory that it had not announced";
            return self.abort(Error::because(ErrorKind::Protocol, "receive", b"", what), out);
        };
        self.summary.entries += listing.page.len() as u64;
        folder.open += 1;
        folder.listed |= listing.last;
        folder.complete &= listing.complete;
        let mirror = self.spec.verb == Verb::Mirror;
        if let Some(meta) = listing.meta.take() {
            folder.meta = Some(meta);
            folder.top = true;
            folder.mirrored = mirror;
        }
        if mirror {
            folder.wanted.extend(listing.page.iter().map(|entry| folder::digest(&entry.name)));
        }
        let (to, way, mut id) = (folder.to.clone(), folder.way.clone(), listing.first_child);
        let mut children = Vec::new();
        for entry in listing.page.iter().filter(|entry| entry.meta.kind == Kind::Dir) {
            let mut child = Folder::new(to.child(&entry.name), Some(listing.dir), State::Waiting);
            child.meta = Some(Box::new(entry.meta.clone()));
            child.top = listing.named;
            child.mirrored = mirror;
            if !listing.named {
                child.way = way.join(&entry.name);
            }
            children.push((id, child));
            id.0 += 1;
        }
        folder.open += children.len();
        self.folders.extend(children);
        let page = self.next_page;
        self.next_page += 1;
        self.pages.insert(
            page,
            PageInWork { listing, holds: 0, kept: Vec::new(), reference: Reference::default() },
        );
        self.routable.push_back(page);
    }

    /// Looks what can be done with a page now.
    fn route(&mut self, page: u64, out: &mut Actions) {
        if self.awaits_reference(page) {
            return;
        }
        let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        match folder.state {
            State::Waiting | State::Making => folder.queue.push(page),
            State::Failed => self.discard(page, out),
            State::Absent => self.make(page, dir, out),
            State::Ready { fresh: true } => {
                let plan = self.decide(page, Vec::new());
                self.hold(page);
                self.carry_out(page, plan, out);
                self.release(page, out);
            }
            State::Ready { fresh: false } => {
                let survey = match (folder.swept, folder.mirrored, self.spec.dry_run) {
                    (false, true, _) => Survey::Names,
                    (false, false, false) => Survey::Leftovers,
                    _ => Survey::Nothing,
                };
                folder.swept = true;
                let dir = folder.to.clone();
                self.hold(page);
                self.look_up(page, dir, survey);
            }
        }
    }

    /// Asks what stands at the destination under the names of a page.
    fn look_up(&mut self, page: u64, dir: Dir, survey: Survey) {
        let Some(work) = self.pages.get(&page) else { return };
        let what = What::Named(work.listing.page.clone());
        let xattrs = self.spec.preserve.reads_xattrs();
        self.desk.put(Job::LookUp { page }, Task::List(List { dir, what, xattrs, survey }));
    }

    fn decide(&mut self, page: u64, existing: Vec<Entry>) -> Plan {
        let Some(work) = self.pages.get(&page) else { return Plan::default() };
        let Some(folder) = self.folders.get(&work.listing.dir) else {
            return Plan::default();
        };
        let judge = Judge { rule: &self.rule, spec: &self.spec, to: &folder.to, page };
        let mut plan = judge.decide(&work.listing.page, existing, &mut self.links);
        self.share(page, &mut plan);
        plan
    }

    /// The directory of a page cannot be made: its sub-directories cannot either.
    fn discard(&mut self, page: u64, out: &mut Actions) {
        let Some(work) = self.pages.get_mut(&page) else { return };
        let mut child = work.listing.first_child;
        let mut children = Vec::new();
        for (index, entry) in work.listing.page.iter().enumerate() {
            if entry.meta.kind == Kind::Dir {
                children.push(child);
                child.0 += 1;
            } else {
                work.kept.push(index);
                out.settled.0 += 1;
                out.settled.1 = out.settled.1.saturating_add(entry.meta.content_bytes());
            }
        }
        for child in children {
            self.set_child(child, State::Failed);
        }
        self.hold(page);
        self.release(page, out);
    }

    /// Lets a sub-directory go on with the pages that waited for it.
    fn set_child(&mut self, child: DirId, state: State) {
        if let Some(folder) = self.folders.get_mut(&child) {
            folder.state = state;
            self.routable.extend(folder.queue.drain(..));
        }
    }

    fn hold(&mut self, page: u64) {
        if let Some(work) = self.pages.get_mut(&page) {
            work.holds += 1;
        }
    }

    /// Takes one hold off a page. The last one settles it.
    fn release(&mut self, page: u64, out: &mut Actions) {
        let Some(work) = self.pages.get_mut(&page) else { return };
        work.holds -= 1;
        if work.holds > 0 {
            return;
        }
        let Some(PageInWork { listing, kept, .. }) = self.pages.remove(&page) else { return };
        let entries = page_cost(listing.page.len());
        if let Some(receipts) = &mut self.receipts {
            receipts.settled(listing.page.len());
        }
        out.frames.push(Frame::Settled(Settled { number: listing.number, entries, kept }));
        self.close(listing.dir, out);
    }

    /// Something in a directory has ended: sets its metadata when all has, and so on upwards.
    fn close(&mut self, dir: DirId, out: &mut Actions) {
        let mut next = Some(dir);
        while let Some(dir) = next {
            let Some(folder) = self.folders.get_mut(&dir) else { return };
            folder.open -= 1;
            if folder.open > 0 || !folder.listed {
                return;
            }
            let partials = std::mem::take(&mut folder.partials);
            if !partials.is_empty() && !self.spec.dry_run {
                let at = folder.to.clone();
                self.remove_leftovers(dir, at, partials);
                return;
            }
            if self.doom_extras(dir, out) {
                return;
            }
            let changes = self.last_changes(dir, out);
            let Some(folder) = self.folders.get_mut(&dir) else { return };
            if changes.any() && !self.spec.dry_run && !folder.finishing {
                folder.finishing = true;
                folder.open += 1;
                self.finish(dir, changes);
                return;
            }
            next = folder.parent;
            let stands = matches!(folder.state, State::Ready { .. }) && !folder.unsound;
            self.folders.remove(&dir);
            out.frames.push(Frame::Closed(dir, stands));
        }
    }

    /// What a directory still needs when all in it is done.
    fn last_changes(&mut self, dir: DirId, out: &mut Actions) -> Changes {
        let Some(folder) = self.folders.get(&dir) else { return Changes::default() };
        let (Some(meta), State::Ready { fresh }) = (&folder.meta, &folder.state) else {
            return folder.narrow_again();
        };
        if folder.finishing {
            return Changes::default();
        }
        if *fresh {
            return Changes::all(&self.spec.preserve);
        }
        let Some(old) = &folder.old else { return Changes::default() };
        let mut changes = differences(meta, old, &self.rule);
        if changes.any() {
            self.summary.repaired += 1;
            self.tell(dir, None, (Action::Repaired, changes), out);
        }
        let Some(folder) = self.folders.get(&dir) else { return changes };
        changes.times |= folder.touched && self.spec.preserve.times;
        changes.mode |= folder.widened;
        changes
    }

    fn finish(&mut self, dir: DirId, changes: Changes) {
        let Some(folder) = self.folders.get(&dir) else { return };
        let Some(mut meta) = folder.meta.clone().or_else(|| folder.old.clone()) else { return };
        if let (false, Some(old)) = (self.spec.preserve.mode, &folder.old) {
            meta.mode = old.mode;
        }
        let steps = vec![Step::Finish { meta, changes }];
        let place = Place { to: folder.to.clone(), steps, manner: self.manner(&folder.to) };
        self.desk.put(Job::Finish { dir }, Task::Place(place));
    }

    fn remove_leftovers(&mut self, dir: DirId, at: Dir, names: Vec<Name>) {
        if let Some(folder) = self.folders.get_mut(&dir) {
            folder.open += 1;
            let remove = Remove { dir: at, names, removal: Removal::Leftover };
            self.desk.put(Job::Leftovers { dir }, Task::Remove(remove));
        }
    }

    fn manner(&self, to: &Dir) -> Manner {
        let TransferSpec { preserve, reflink, in_place, .. } = self.spec;
        let fsync = self.spec.fsync || self.spec.verb == Verb::Move;
        let aside = self.spec.backup.as_ref().map(|backup| backup.place_of(to));
        Manner { preserve, reflink, fsync, in_place, aside }
    }

    /// Reports a change of a directory or of an entry in it.
    fn tell(
        &self,
        dir: DirId,
        name: Option<&Name>,
        (action, metadata): (Action, Changes),
        out: &mut Actions,
    ) {
        if self.spec.itemise
            && let Some(folder) = self.folders.get(&dir)
        {
            let path = match name {
                Some(name) => folder.to.path.join(name),
                None => folder.to.path.clone(),
            };
            let path = path.to_bytes_below(self.top.depth());
            out.changes.push(Change { action, path, metadata });
        }
    }
}
