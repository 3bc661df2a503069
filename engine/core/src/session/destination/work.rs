//! Cuts what is to be done in a directory into tasks.

use super::Destination;
use super::again::Late;
use super::folder::State;
use super::large::{self, is_drafted};
use super::spelling::Respelling;
use crate::entry::{Changes, Entry, Kind};
use crate::error::Error;
use crate::frame::DirId;
use crate::path::RelPath;
use crate::session::Actions;
use crate::session::links::{Answer, Follower};
use crate::session::plan::{Child, Plan};
use crate::session::remover::Chore;
use crate::session::schedule::{BATCH_BYTES_MAX, BATCH_FILES_MAX, whole_directory_is_one_task};
use crate::stream::{Part, Ticket};
use crate::summary::Action;
use crate::task::{
    Copy, CopyInto, Dir, List, Over, Page, Pick, Place, ReceiveInto, Step, Survey, Task, What,
};

/// What a task of the destination is for.
#[derive(Debug)]
pub(super) enum Job {
    /// Find leftovers beside a destination directory that does not exist.
    Sweep,
    /// Find what stands under the names of a page.
    LookUp { page: u64 },
    /// Find what an earlier snapshot has under the names of a page.
    Reference { page: u64 },
    /// Digest files of one side.
    Digest { batch: u64, of_source: bool },
    /// Count what is replaced by entries of a page.
    Census { page: u64, chore: Chore },
    /// Look once more at names that were taken meanwhile.
    Again { page: u64, late: Vec<Late> },
    /// Remove what the source does not have.
    Delete(Chore),
    /// Set the times of a directory again after something in it was removed.
    Retouch,
    /// Make a directory without files.
    Make { dir: DirId },
    /// Give a directory the rights that are needed.
    Widen { dir: DirId },
    /// Make a directory that is not visible yet.
    Stage { dir: DirId },
    /// Make a staged directory visible.
    Publish { dir: DirId },
    /// Copy or receive files of a page.
    Fill(Fill),
    /// Something for a large file from another machine.
    Large(large::Chore),
    /// Make, link or repair entries of a page.
    Steps { page: u64, notes: Vec<Note> },
    /// Spell names as the source does.
    Respell { page: u64, respelling: Respelling },
    /// Remove leftovers.
    Leftovers { dir: DirId },
    /// Set the metadata of a directory.
    Finish { dir: DirId },
}

/// A batch of files that is being copied.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) page: u64,
    pub(super) picks: Vec<Pick>,
    pub(super) into: CopyInto,
    /// What the source was asked with, where it sends them.
    pub(super) ticket: Option<Ticket>,
}

/// What an entry is worked on for, with its place in its page.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Copy(usize),
    Node(usize),
    Repair(usize, Changes),
    /// With the path of the name that it is linked to.
    Link(usize, RelPath),
    Share(Pick),
}

impl Note {
    /// The entry's place in its page.
    pub(super) fn index(&self) -> usize {
        match self {
            Self::Copy(index) | Self::Node(index) | Self::Repair(index, _) => *index,
            Self::Link(index, _) | Self::Share(Pick { index, .. }) => *index,
        }
    }
}

impl Destination {
    /// Begins a directory that does not exist, with the first page of its entries.
    pub(super) fn make(&mut self, page: u64, dir: DirId, out: &mut Actions) {
        let mut plan = self.decide(page, Vec::new());
        self.hold(page);
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        if self.spec.dry_run {
            folder.state = State::Ready { fresh: true };
            self.made(dir, out);
            self.carry_out(page, plan, out);
            return self.release(page, out);
        }
        folder.state = State::Making;
        let over = folder.over;
        let takes_meta = folder.meta.is_some();
        let plain = !(takes_meta && self.spec.preserve.mode);
        let Some((parent, name)) = folder.to.path.split_last() else { return };
        let parent = Dir::new(&folder.to.root, parent);
        if dir == DirId::BASE {
            self.sweep_beside(parent.clone());
        }
        let keeps_old = self.spec.backup.is_some() && over != Over::Nothing;
        if !takes_meta || plan.small.is_empty() || keeps_old {
            let steps = vec![Step::MakeDir { name, plain, over }];
            self.put_place(Job::Make { dir }, parent, steps);
        } else if whole_directory_is_one_task(
            plan.small.len(),
            self.bytes(page, &plan.small),
            self.desk.len(),
        ) {
            let picks = std::mem::take(&mut plan.small);
            self.put_copy(page, picks, CopyInto::New(over));
        } else {
            self.put_place(Job::Stage { dir }, parent, vec![Step::Stage]);
        }
        if let Some(folder) = self.folders.get_mut(&dir) {
            folder.rest.push((page, plan));
        }
    }

    fn sweep_beside(&mut self, dir: Dir) {
        let what = What::Itself;
        let list = List { dir, what, xattrs: false, survey: Survey::Leftovers };
        if let Some(base) = self.folders.get_mut(&DirId::BASE) {
            base.open += 1;
        }
        self.desk.put(Job::Sweep, Task::List(list));
    }

    /// A directory was made by this run.
    pub(super) fn made(&mut self, dir: DirId, out: &mut Actions) {
        self.summary.dirs += 1;
        self.tell(dir, None, (Action::MadeDir, Changes::default()), out);
    }

    /// A directory can be written to: goes on with what waited for that.
    pub(super) fn ready(&mut self, dir: DirId, fresh: bool, out: &mut Actions) {
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        folder.state = State::Ready { fresh };
        folder.staged = None;
        let rest = std::mem::take(&mut folder.rest);
        let leaders = std::mem::take(&mut folder.leaders);
        self.routable.extend(folder.queue.drain(..));
        for (page, index) in leaders {
            self.leader_done(page, index, out);
        }
        for (page, plan) in rest {
            self.carry_out(page, plan, out);
            self.release(page, out);
        }
    }

    /// A directory cannot be made; all below it is left out.
    pub(super) fn fail_folder(&mut self, dir: DirId, error: Error, out: &mut Actions) {
        self.lost(error, out);
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        folder.state = State::Failed;
        folder.staged = None;
        let rest = std::mem::take(&mut folder.rest);
        let leaders = std::mem::take(&mut folder.leaders);
        self.routable.extend(folder.queue.drain(..));
        for (page, index) in leaders {
            self.leader_failed(page, index, out);
        }
        for (page, plan) in rest {
            for pick in plan.small.iter().chain(&plan.large).chain(&plan.nodes).chain(&plan.shared)
            {
                self.leader_failed(page, pick.index, out);
            }
            self.discard(page, out);
            self.release(page, out);
        }
    }

    /// Queues everything that a plan says for a page whose directory is ready. The caller holds the page.
    pub(super) fn carry_out(&mut self, page: u64, plan: Plan, out: &mut Actions) {
        let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
        if let Some(folder) = self.folders.get_mut(&dir) {
            folder.touched |= plan.changes_directory();
        }
        for error in plan.failures {
            self.summary.fail(error);
        }
        self.summary.same += plan.same.0;
        out.settled.0 += plan.same.0;
        out.settled.1 = out.settled.1.saturating_add(plan.same.1);
        self.skip(page, &plan.skipped, out);
        self.ask_digests(page, plan.doubtful, out);
        self.begin_children(page, plan.children);
        if self.spec.dry_run {
            self.pretend(page, &plan.small, &plan.large, out);
        } else {
            for batch in self.batches(page, plan.small) {
                self.put_copy(page, batch, CopyInto::Existing);
            }
            for pick in plan.large {
                let size = self.entry(page, pick.index).map_or(0, |entry| entry.meta.size);
                if self.receipts.is_some() && is_drafted(size) && !self.spec.in_place {
                    self.begin_large(page, pick);
                } else {
                    self.put_copy(page, vec![pick], CopyInto::Existing);
                }
            }
        }
        let mut steps = self.node_steps(page, &plan.nodes);
        steps.extend(self.share_steps(page, &plan.shared));
        steps.extend(self.repair_steps(page, &plan.repairs));
        self.put_steps(page, steps, out);
        for (index, known) in plan.led {
            if let Some(id) = self.entry(page, index).map(|entry| entry.meta.id) {
                let waiting = self.links.settle(id, Some(known));
                self.ask_again(waiting, out);
            }
        }
        self.follow(plan.followers, out);
    }

    fn begin_children(&mut self, page: u64, children: Vec<Child>) {
        let Some(mut id) = self.pages.get(&page).map(|work| work.listing.first_child) else {
            return;
        };
        for child in children {
            let state = match child {
                Child::Absent => State::Absent,
                Child::Replaced => {
                    if let Some(folder) = self.folders.get_mut(&id) {
                        folder.over = Over::Entry;
                    }
                    State::Absent
                }
                Child::Blocked => State::Failed,
                Child::Existing(old) => {
                    if let Some(folder) = self.folders.get_mut(&id) {
                        folder.old = Some(old);
                    }
                    State::Ready { fresh: false }
                }
            };
            self.set_child(id, state);
            id.0 += 1;
        }
    }

    /// Leaves entries out.
    pub(super) fn skip(&mut self, page: u64, skipped: &[usize], out: &mut Actions) {
        for index in skipped {
            self.summary.skipped += 1;
            out.settled.0 += 1;
            out.settled.1 = out.settled.1.saturating_add(self.content_bytes(page, *index));
            self.keep(page, *index);
            self.leader_failed(page, *index, out);
        }
    }

    /// An entry does not come to stand at the destination.
    pub(super) fn keep(&mut self, page: u64, index: usize) {
        if let Some(work) = self.pages.get_mut(&page) {
            work.kept.push(index);
        }
    }

    /// The bytes of content that an entry counts for in the progress.
    pub(super) fn content_bytes(&self, page: u64, index: usize) -> u64 {
        self.entry(page, index).map_or(0, |entry| entry.meta.content_bytes())
    }

    /// Counts what a dry run would copy.
    fn pretend(&mut self, page: u64, small: &[Pick], large: &[Pick], out: &mut Actions) {
        for pick in small.iter().chain(large) {
            let Some(entry) = self.entry(page, pick.index) else { continue };
            let size = entry.meta.size;
            self.summary.files += 1;
            self.summary.bytes = self.summary.bytes.saturating_add(size);
            out.settled.0 += 1;
            out.settled.1 = out.settled.1.saturating_add(size);
            self.copied(page, *pick, out);
        }
    }

    /// A file was copied, or would be.
    pub(super) fn copied(&mut self, page: u64, pick: Pick, out: &mut Actions) {
        self.tell_copied(page, pick, out);
        self.leader_done(page, pick.index, out);
    }

    /// A file was copied into a directory that is not visible yet: nothing can be linked to it before that.
    pub(super) fn hidden(&mut self, page: u64, pick: Pick, out: &mut Actions) {
        self.tell_copied(page, pick, out);
        let is_linked = self.entry(page, pick.index).is_some_and(|entry| self.linked(entry));
        let dir = self.pages.get(&page).map(|work| work.listing.dir);
        if let Some(folder) = dir.and_then(|dir| self.folders.get_mut(&dir))
            && is_linked
        {
            folder.leaders.push((page, pick.index));
        }
    }

    fn tell_copied(&mut self, page: u64, pick: Pick, out: &mut Actions) {
        let action = if pick.over == Over::Nothing { Action::Copied } else { Action::Replaced };
        self.tell_entry(page, pick.index, (action, Changes::default()), out);
    }

    pub(super) fn tell_entry(
        &mut self,
        page: u64,
        index: usize,
        what: (Action, Changes),
        out: &mut Actions,
    ) {
        if self.spec.itemise
            && let Some(work) = self.pages.get(&page)
            && let Some(entry) = work.listing.page.get(index)
        {
            self.tell(work.listing.dir, Some(&entry.name), what, out);
        }
    }

    /// Cuts small files into tasks of about equal work.
    pub(super) fn batches(&self, page: u64, picks: Vec<Pick>) -> Vec<Vec<Pick>> {
        let mut batches: Vec<Vec<Pick>> = Vec::new();
        let mut bytes = 0;
        for pick in picks {
            let size = self.entry(page, pick.index).map_or(0, |entry| entry.meta.size);
            match batches.last_mut() {
                Some(batch) if batch.len() < BATCH_FILES_MAX && bytes < BATCH_BYTES_MAX => {
                    batch.push(pick);
                    bytes += size;
                }
                _ => {
                    batches.push(vec![pick]);
                    bytes = size;
                }
            }
        }
        batches
    }

    pub(super) fn put_copy(&mut self, page: u64, picks: Vec<Pick>, into: CopyInto) {
        if self.receipts.is_some() {
            self.hold(page);
            let into = (ReceiveInto::Dir(into), into);
            return self.put_receive((page, picks), into, (Part::Whole, None));
        }
        let Some(work) = self.pages.get_mut(&page) else { return };
        let Some(folder) = self.folders.get(&work.listing.dir) else { return };
        let Some(from) = work.listing.from.clone() else { return };
        work.holds += 1;
        let to = Dir { staged: folder.staged.clone(), ..folder.to.clone() };
        let manner = self.manner(&to);
        let Some(work) = self.pages.get(&page) else { return };
        let copy = Copy {
            from,
            to,
            into,
            page: Page::clone(&work.listing.page),
            picks: picks.clone(),
            source_name: work.listing.source_name.clone(),
            manner,
        };
        self.desk.put(Job::Fill(Fill { page, picks, into, ticket: None }), Task::Copy(copy));
    }

    pub(super) fn put_place(&mut self, job: Job, to: Dir, steps: Vec<Step>) {
        let manner = self.manner(&to);
        let place = Place { to, steps, manner };
        self.desk.put(job, Task::Place(place));
    }

    fn node_steps(&self, page: u64, nodes: &[Pick]) -> Vec<(Step, Note)> {
        let step = |pick: &Pick| {
            let entry = self.entry(page, pick.index)?.clone();
            Some((Step::Node { entry, over: pick.over }, Note::Node(pick.index)))
        };
        nodes.iter().filter_map(step).collect()
    }

    fn repair_steps(&self, page: u64, repairs: &[(usize, Changes)]) -> Vec<(Step, Note)> {
        let step = |(index, changes): &(usize, Changes)| {
            let entry = self.entry(page, *index)?.clone();
            Some((Step::Repair { entry, changes: *changes }, Note::Repair(*index, *changes)))
        };
        repairs.iter().filter_map(step).collect()
    }

    /// Queues steps in the directory of a page; a dry run counts them.
    pub(super) fn put_steps(&mut self, page: u64, steps: Vec<(Step, Note)>, out: &mut Actions) {
        let mut steps = steps.into_iter().peekable();
        while steps.peek().is_some() {
            let (batch, notes): (Vec<Step>, Vec<Note>) =
                steps.by_ref().take(BATCH_FILES_MAX).unzip();
            if self.spec.dry_run {
                self.steps_done(page, &notes, &[], out);
                continue;
            }
            self.hold(page);
            let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
            let Some(to) = self.folders.get(&dir).map(|folder| folder.to.clone()) else { return };
            self.put_place(Job::Steps { page, notes }, to, batch);
        }
    }

    /// Decides for names that follow another name of their inode.
    pub(super) fn follow(&mut self, followers: Vec<Follower>, out: &mut Actions) {
        let mut steps: Vec<(u64, Vec<(Step, Note)>)> = Vec::new();
        for follower in followers {
            let Follower { page, index, over, .. } = follower;
            let Some((entry, path)) = self.entry_and_path(page, index) else { continue };
            match self.links.follow(entry.meta.id, follower, path) {
                Answer::Wait => self.hold(page),
                Answer::Same => {
                    self.summary.same += 1;
                    out.settled.0 += 1;
                    out.settled.1 = out.settled.1.saturating_add(entry.meta.size);
                }
                Answer::Lead => self.lead(page, Pick { index, over }, &entry, out),
                Answer::Link(of) => {
                    let note = Note::Link(index, of.clone());
                    let link = (Step::Link { name: entry.name, of, over }, note);
                    match steps.last_mut() {
                        Some((last, links)) if *last == page => links.push(link),
                        _ => steps.push((page, vec![link])),
                    }
                }
            }
        }
        for (page, links) in steps {
            self.touch(page);
            self.put_steps(page, links, out);
        }
    }

    /// An entry whose leader failed is transferred itself.
    fn lead(&mut self, page: u64, pick: Pick, entry: &Entry, out: &mut Actions) {
        if entry.meta.kind != Kind::File {
            let steps = self.node_steps(page, &[pick]);
            self.put_steps(page, steps, out);
        } else if self.spec.dry_run {
            self.pretend(page, &[pick], &[], out);
        } else {
            self.put_copy(page, vec![pick], CopyInto::Existing);
        }
    }

    /// Followers that waited are decided; each held its page.
    pub(super) fn ask_again(&mut self, waiting: Vec<Follower>, out: &mut Actions) {
        let pages: Vec<u64> = waiting.iter().map(|follower| follower.page).collect();
        self.follow(waiting, out);
        for page in pages {
            self.release(page, out);
        }
    }

    /// Marks the directory of a page as changed.
    pub(super) fn touch(&mut self, page: u64) {
        if let Some(work) = self.pages.get(&page)
            && let Some(folder) = self.folders.get_mut(&work.listing.dir)
        {
            folder.touched = true;
        }
    }

    pub(super) fn entry(&self, page: u64, index: usize) -> Option<&Entry> {
        self.pages.get(&page)?.listing.page.get(index)
    }

    fn entry_and_path(&self, page: u64, index: usize) -> Option<(Entry, RelPath)> {
        let work = self.pages.get(&page)?;
        let entry = work.listing.page.get(index)?;
        let folder = self.folders.get(&work.listing.dir)?;
        Some((entry.clone(), folder.to.path.join(&entry.name)))
    }

    pub(super) fn bytes(&self, page: u64, picks: &[Pick]) -> u64 {
        picks.iter().filter_map(|pick| self.entry(page, pick.index)).map(|e| e.meta.size).sum()
    }

    /// Whether an entry is one of several names of an inode that are kept.
    pub(super) fn linked(&self, entry: &Entry) -> bool {
        self.spec.preserve.hard_links && entry.meta.kind != Kind::Dir && entry.meta.nlink > 1
    }
}
