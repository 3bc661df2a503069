//! Takes note of what became of a task.

use super::Destination;
use super::again::{Late, came_late};
use super::folder::{State, digest};
use super::work::{Fill, Job, Note};
use crate::entry::{Changes, FileId};
use crate::error::{Error, ErrorKind};
use crate::frame::DirId;
use crate::path::{self, Name};
use crate::session::Actions;
use crate::session::plan::Plan;
use crate::summary::Action;
use crate::task::{Copied, CopyInto, Dir, Listed, Output, Over, Pick, Placed, Removed, Step};

impl Destination {
    pub(super) fn job_done(&mut self, job: Job, result: Result<Output, Error>, out: &mut Actions) {
        if let Err(error) = &result
            && error.kind.ends_session()
        {
            return self.abort(error.clone(), out);
        }
        match job {
            Job::Sweep => self.swept(result, out),
            Job::LookUp { page } => match listed(result) {
                Ok(listed) => self.looked_up(page, listed, out),
                Err(error) => self.look_up_failed(page, error, out),
            },
            Job::Large(chore) => self.large_done(chore, result, out),
            Job::Fill(fill) => {
                if let (Some(receipts), Some(ticket)) = (&mut self.receipts, fill.ticket) {
                    receipts.answered(ticket);
                }
                self.filled(&fill, result, out);
                self.release(fill.page, out);
            }
            Job::Steps { page, notes } => self.steps_ended(page, &notes, result, out),
            Job::Respell { page, respelling } => self.respelled(page, respelling, result, out),
            Job::Reference { page } => self.reference_seen(page, result),
            Job::Again { page, late } => {
                self.seen_again(page, late, result, out);
                self.release(page, out);
            }
            Job::Digest { batch, of_source } => self.digested(batch, of_source, result, out),
            Job::Census { page, chore } => self.counted(page, chore, result, out),
            Job::Delete(chore) => self.deleted(chore, result, out),
            Job::Retouch => {
                if let Err(error) = one_step(result) {
                    self.fail(error, out);
                }
            }
            Job::Leftovers { dir } => self.leftovers_removed(dir, result, out),
            Job::Make { dir } => self.dir_made(dir, one_step(result), out),
            Job::Publish { dir } => self.published(dir, one_step(result), out),
            Job::Stage { dir } => match one_step(result) {
                Ok(placed) => self.staged(dir, placed, out),
                Err(error) => self.fail_folder(dir, error, out),
            },
            Job::Widen { dir } => {
                if let Some(folder) = self.folders.get_mut(&dir) {
                    folder.widened = one_step(result).is_ok();
                }
                self.ready(dir, false, out);
            }
            Job::Finish { dir } => {
                match one_step(result) {
                    Ok(placed) => self.summary.lose(&placed.lost),
                    Err(error) => {
                        self.fail(error, out);
                        if let Some(folder) = self.folders.get_mut(&dir) {
                            folder.unsound = true;
                        }
                    }
                }
                self.close(dir, out);
            }
        }
    }

    fn steps_ended(
        &mut self,
        page: u64,
        notes: &[Note],
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        match placed(result) {
            Ok(placed) => {
                self.summary.lose(&placed.lost);
                self.remain(placed.remains, out);
                self.steps_done(page, notes, &placed.failures, out);
            }
            Err(error) => {
                let all: Vec<_> = (0..notes.len()).map(|place| (place, error.clone())).collect();
                self.steps_done(page, notes, &all, out);
            }
        }
        self.release(page, out);
    }

    /// One entry does not arrive.
    pub(super) fn lost(&mut self, error: Error, out: &mut Actions) {
        self.untransferred |= error.kind != ErrorKind::Vanished;
        self.fail(error, out);
    }

    /// A task ended after the session had failed: what it did was done all the same.
    pub(super) fn job_done_late(&mut self, result: Result<Output, Error>) {
        if let Ok(Output::Copied(copied) | Output::Received(copied)) = result {
            self.summary.files += copied.files;
            self.summary.bytes = self.summary.bytes.saturating_add(copied.bytes);
            self.summary.bytes_cloned =
                self.summary.bytes_cloned.saturating_add(copied.bytes_cloned);
        }
    }

    /// What was replaced could not be removed whole; the new entry is in place all the same.
    pub(super) fn remain(&mut self, remains: Vec<Error>, out: &mut Actions) {
        for error in remains {
            self.fail(error, out);
        }
    }

    /// One entry failed; where each further one would fail alike, the session ends.
    pub(super) fn fail(&mut self, error: Error, out: &mut Actions) {
        let ends = error.kind.ends_session().then(|| error.clone());
        self.summary.fail(error);
        if let Some(error) = ends {
            self.abort(error, out);
        }
    }

    fn swept(&mut self, result: Result<Output, Error>, out: &mut Actions) {
        // Whether leftovers can be found is not what the run is about: the directory may be readable by nobody.
        if let (Ok(listed), Some(base)) = (listed(result), self.folders.get(&DirId::BASE))
            && !listed.leftovers.is_empty()
            && let Some((parent, _)) = base.to.path.split_last()
        {
            let at = Dir::new(&base.to.root, parent);
            self.remove_leftovers(DirId::BASE, at, listed.leftovers);
        }
        self.close(DirId::BASE, out);
    }

    fn looked_up(&mut self, page: u64, listed: Listed, out: &mut Actions) {
        let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
        for error in listed.failures {
            self.summary.fail(error);
        }
        if let (Some(folder), Some(meta)) = (self.folders.get_mut(&dir), listed.dir) {
            folder.old.get_or_insert_with(|| Box::new(meta));
            self.summary.standing += listed.names.len() as u64;
            folder.standing.extend(listed.names.into_iter().map(|name| (digest(&name), name)));
        }
        let (partials, leftovers): (Vec<Name>, Vec<Name>) =
            listed.leftovers.into_iter().partition(|name| path::is_partial(name.as_bytes()));
        if let Some(folder) = self.folders.get_mut(&dir) {
            // The files that they are parts of may be on later pages.
            folder.partials.extend(partials);
            if !leftovers.is_empty() {
                let at = folder.to.clone();
                self.remove_leftovers(dir, at, leftovers);
            }
        }
        self.spell(page, (dir, listed.entries), out);
    }

    /// Carries out what was decided for a page, when the directory has the rights that are needed.
    pub(super) fn go_on(&mut self, page: u64, plan: Plan, out: &mut Actions) {
        let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        let lacks_rights = folder.old.as_ref().is_some_and(|old| {
            !self.rule.may_chown
                && old.uid == self.rule.own_uid
                && old.mode & USER_WRITES != USER_WRITES
        });
        if lacks_rights && !folder.widened && plan.changes_directory() && !self.spec.dry_run {
            folder.rest.push((page, plan));
            if folder.state != State::Making {
                folder.state = State::Making;
                let to = folder.to.clone();
                self.put_place(Job::Widen { dir }, to, vec![Step::Widen]);
            }
            return;
        }
        self.carry_out(page, plan, out);
        self.release(page, out);
    }

    fn look_up_failed(&mut self, page: u64, error: Error, out: &mut Actions) {
        self.summary.fail(error);
        self.discard(page, out);
        self.release(page, out);
    }

    fn dir_made(&mut self, dir: DirId, result: Result<Placed, Error>, out: &mut Actions) {
        match result {
            Ok(placed) => {
                self.remain(placed.remains, out);
                self.made(dir, out);
                self.ready(dir, true, out);
            }
            Err(error) if error.kind.ends_session() => self.abort(error, out),
            Err(error) if self.came_late_for(dir, &error) => self.ready(dir, true, out),
            Err(error) => self.fail_folder(dir, error, out),
        }
    }

    /// Whether another run has made the directory meanwhile. Then what is to be in it is put there all the same, and each
    /// name that is taken there is looked at again.
    fn came_late_for(&self, dir: DirId, error: &Error) -> bool {
        let new = self.folders.get(&dir).is_some_and(|folder| folder.over == Over::Nothing);
        new && came_late(error)
    }

    /// A directory is there, but not visible: fills it with its small files.
    fn staged(&mut self, dir: DirId, placed: Placed, out: &mut Actions) {
        let Some(folder) = self.folders.get_mut(&dir) else { return };
        let Some((page, plan)) = folder.rest.first_mut() else { return };
        let (page, small) = (*page, std::mem::take(&mut plan.small));
        folder.staged = placed.staged;
        let batches = self.batches(page, small);
        if let Some(folder) = self.folders.get_mut(&dir) {
            folder.filling = batches.len();
        }
        for batch in batches {
            self.put_copy(page, batch, CopyInto::Staged);
        }
        self.publish_if_filled(dir, out);
    }

    fn publish_if_filled(&mut self, dir: DirId, out: &mut Actions) {
        let Some(folder) = self.folders.get(&dir) else { return };
        if folder.filling > 0 {
            return;
        }
        let (Some(staged), Some((parent, name))) = (&folder.staged, folder.to.path.split_last())
        else {
            let what = "the staged directory is not held";
            let error =
                Error::because(ErrorKind::Internal, "publish", &folder.to.shown(None), what);
            return self.abort(error, out);
        };
        let to = Dir::new(&folder.to.root, parent);
        let steps = vec![Step::Publish { staged: staged.clone(), name, over: folder.over }];
        self.put_place(Job::Publish { dir }, to, steps);
    }

    /// Remembers what was copied into a directory that is not visible yet.
    fn note_staged(&mut self, fill: &Fill, copied: &Copied) {
        let dir = self.pages.get(&fill.page).map(|work| work.listing.dir);
        if let Some(folder) = dir.and_then(|dir| self.folders.get_mut(&dir)) {
            let is_there = |pick: &&Pick| !copied.failures.iter().any(|(at, _)| *at == pick.index);
            folder.filled.picks.extend(fill.picks.iter().filter(is_there));
            folder.filled.files += copied.files;
            folder.filled.bytes += copied.bytes;
            folder.filled.bytes_cloned += copied.bytes_cloned;
        }
    }

    fn published(&mut self, dir: DirId, result: Result<Placed, Error>, out: &mut Actions) {
        if result.as_ref().is_err_and(|error| self.came_late_for(dir, error))
            && let Some(folder) = self.folders.get_mut(&dir)
        {
            // What was filled in goes with it, so it is filled in again where it is to be.
            let staged = std::mem::take(&mut folder.filled);
            folder.leaders.clear();
            if let Some((_, plan)) = folder.rest.first_mut() {
                plan.small.extend(staged.picks);
            }
            self.summary.files -= staged.files;
            self.summary.bytes -= staged.bytes;
            self.summary.bytes_cloned -= staged.bytes_cloned;
        }
        self.dir_made(dir, result, out);
    }

    fn filled(&mut self, fill: &Fill, result: Result<Output, Error>, out: &mut Actions) {
        let Some(dir) = self.pages.get(&fill.page).map(|work| work.listing.dir) else { return };
        match copied(result) {
            Ok(copied) => {
                if matches!(fill.into, CopyInto::New(_)) {
                    self.made(dir, out);
                }
                self.account(fill, copied, out);
                match fill.into {
                    CopyInto::Existing => {}
                    CopyInto::New(_) => self.ready(dir, true, out),
                    CopyInto::Staged => self.batch_staged(dir, out),
                }
            }
            Err(error) => self.not_filled(dir, fill, &error, out),
        }
    }

    /// None of a batch was copied.
    fn not_filled(&mut self, dir: DirId, fill: &Fill, error: &Error, out: &mut Actions) {
        if matches!(fill.into, CopyInto::New(_)) && self.came_late_for(dir, error) {
            let rest = self.folders.get_mut(&dir).and_then(|folder| folder.rest.first_mut());
            if let Some((_, plan)) = rest {
                plan.small.clone_from(&fill.picks);
            }
            return self.ready(dir, true, out);
        }
        for pick in &fill.picks {
            self.leader_failed(fill.page, pick.index, out);
            if !matches!(fill.into, CopyInto::New(_)) {
                self.keep(fill.page, pick.index);
            }
        }
        if matches!(fill.into, CopyInto::New(_)) {
            return self.fail_folder(dir, error.clone(), out);
        }
        out.settled.0 += fill.picks.len() as u64;
        out.settled.1 = out.settled.1.saturating_add(self.bytes(fill.page, &fill.picks));
        self.untransferred = true;
        fill.picks.iter().for_each(|_| self.summary.fail(error.clone()));
        if fill.into == CopyInto::Staged {
            self.batch_staged(dir, out);
        }
    }

    fn batch_staged(&mut self, dir: DirId, out: &mut Actions) {
        if let Some(folder) = self.folders.get_mut(&dir) {
            folder.filling -= 1;
        }
        if self.error.is_none() {
            self.publish_if_filled(dir, out);
        }
    }

    fn account(&mut self, fill: &Fill, copied: Copied, out: &mut Actions) {
        self.summary.files += copied.files;
        if fill.into == CopyInto::Staged {
            self.note_staged(fill, &copied);
        }
        self.summary.bytes = self.summary.bytes.saturating_add(copied.bytes);
        self.summary.bytes_cloned = self.summary.bytes_cloned.saturating_add(copied.bytes_cloned);
        self.summary.lose(&copied.lost);
        self.remain(copied.remains, out);
        let mut failures = copied.failures;
        failures.sort_by_key(|(index, _)| *index);
        let mut late = Vec::new();
        for pick in &fill.picks {
            match failures.binary_search_by_key(&pick.index, |(index, _)| *index) {
                Ok(at) if came_late(&failures[at].1) && pick.over == Over::Nothing => {
                    let error = failures[at].1.clone();
                    late.push(Late { note: Note::Copy(pick.index), error });
                }
                Ok(at) => {
                    self.file_lost((fill.page, pick.index), failures[at].1.clone(), out);
                }
                Err(_) if fill.into == CopyInto::Staged => self.hidden(fill.page, *pick, out),
                Err(_) => self.copied(fill.page, *pick, out),
            }
        }
        self.look_again(fill.page, late);
    }

    pub(super) fn steps_done(
        &mut self,
        page: u64,
        notes: &[Note],
        failures: &[(usize, Error)],
        out: &mut Actions,
    ) {
        let mut late = Vec::new();
        for (place, note) in notes.iter().enumerate() {
            let failure = failures.iter().find(|(failed, _)| *failed == place);
            match (note, failure.map(|(_, error)| error)) {
                (_, None) => self.step_done(page, note, out),
                (Note::Share(pick), Some(error)) if !error.kind.ends_session() => {
                    self.put_copy(page, vec![*pick], CopyInto::Existing);
                }
                (Note::Node(_) | Note::Link(..), Some(error)) if came_late(error) => {
                    late.push(Late { note: note.clone(), error: error.clone() });
                }
                (_, Some(error)) => self.never(page, note, error.clone(), out),
            }
        }
        self.look_again(page, late);
    }

    /// An entry does not come to stand at the destination.
    pub(super) fn never(&mut self, page: u64, note: &Note, error: Error, out: &mut Actions) {
        let index = note.index();
        out.settled.0 += 1;
        out.settled.1 += self.content_bytes(page, index);
        self.lost(error, out);
        self.keep(page, index);
        if !matches!(note, Note::Repair(..) | Note::Link(..)) {
            self.leader_failed(page, index, out);
        }
    }

    fn step_done(&mut self, page: u64, note: &Note, out: &mut Actions) {
        let index = note.index();
        out.settled.0 += 1;
        out.settled.1 += self.content_bytes(page, index);
        let (counter, action) = match note {
            Note::Copy(_) => (&mut self.summary.files, Action::Copied),
            Note::Node(_) => (&mut self.summary.nodes, Action::MadeNode),
            Note::Repair(..) => (&mut self.summary.repaired, Action::Repaired),
            Note::Link(..) | Note::Share(_) => (&mut self.summary.links, Action::Linked),
        };
        *counter += 1;
        let metadata = match note {
            Note::Repair(_, changes) => *changes,
            _ => Changes::default(),
        };
        self.tell_entry(page, index, (action, metadata), out);
        if let Note::Node(_) | Note::Share(_) = note {
            self.leader_done(page, index, out);
        }
    }

    fn leftovers_removed(&mut self, dir: DirId, result: Result<Output, Error>, out: &mut Actions) {
        match result {
            Ok(Output::Removed(Removed { files, dirs, failures })) => {
                self.summary.leftovers += files + dirs;
                if let Some(folder) = self.folders.get_mut(&dir) {
                    folder.touched |= files + dirs > 0;
                }
                failures.into_iter().for_each(|error| self.summary.fail(error));
                if files + dirs > 0 {
                    self.tell(dir, None, (Action::RemovedLeftover, Changes::default()), out);
                }
            }
            Ok(_) => self.summary.fail(wrong_output()),
            Err(error) => self.summary.fail(error),
        }
        self.close(dir, out);
    }

    /// An entry stands at the destination with new content; its followers can be linked.
    pub(super) fn leader_done(&mut self, page: u64, index: usize, out: &mut Actions) {
        if let Some(id) = self.linked_id(page, index) {
            let waiting = self.links.settle(id, None);
            self.ask_again(waiting, out);
        }
    }

    /// An entry could not be transferred; the next of its followers is tried.
    pub(super) fn leader_failed(&mut self, page: u64, index: usize, out: &mut Actions) {
        if let Some(id) = self.linked_id(page, index) {
            let waiting = self.links.fail(id);
            self.ask_again(waiting, out);
        }
    }

    fn linked_id(&self, page: u64, index: usize) -> Option<FileId> {
        let entry = self.entry(page, index)?;
        self.linked(entry).then_some(entry.meta.id)
    }
}

fn listed(result: Result<Output, Error>) -> Result<Listed, Error> {
    match result? {
        Output::Listed(listed) => Ok(listed),
        _ => Err(wrong_output()),
    }
}

fn copied(result: Result<Output, Error>) -> Result<Copied, Error> {
    match result? {
        Output::Copied(copied) | Output::Received(copied) => Ok(copied),
        _ => Err(wrong_output()),
    }
}

pub(super) fn placed(result: Result<Output, Error>) -> Result<Placed, Error> {
    match result? {
        Output::Placed(placed) => Ok(placed),
        _ => Err(wrong_output()),
    }
}

/// Of a placing with one step, its failure is the failure of the whole.
pub(super) fn one_step(result: Result<Output, Error>) -> Result<Placed, Error> {
    let mut placed = placed(result)?;
    match placed.failures.pop() {
        Some((_, error)) => Err(error),
        None => Ok(placed),
    }
}

pub(super) fn wrong_output() -> Error {
    Error::because(
        ErrorKind::Internal,
        "run task",
        b"",
        "the engine gave the output of another task",
    )
}

/// A directory in which its owner can make entries.
const USER_WRITES: u32 = 0o300;
