//! The last phase of a mirror: removes what the source does not have.
//! It must not remove anything below a directory whose source listing was not complete, nor before all else is done.

use std::collections::HashMap;

use super::Destination;
use super::folder::State;
use super::work::Job;
use crate::entry::{Changes, Meta};
use crate::error::{Error, ErrorKind};
use crate::frame::DirId;
use crate::path::Name;
use crate::session::Actions;
use crate::session::plan::Plan;
use crate::session::remover::{Chore, Doomed, Orders, Remover, Rules};
use crate::spec::Verb;
use crate::summary::{Action, Change};
use crate::task::{Dir, Output, Step};

/// From collecting to removing, to setting the times of the directories again.
#[derive(Debug, Default)]
pub(super) struct Deletion {
    doomed: Vec<Doomed>,
    /// Directories that lose entries, with the metadata they are to have.
    touched: Vec<(Dir, Box<Meta>)>,
    remover: Option<Remover>,
    begun: bool,
    /// What is replaced is being counted for these pages.
    censuses: HashMap<u64, Census>,
    /// Entries that are replaced.
    replaced: u64,
}

/// What the entries of a page replace, being counted.
#[derive(Debug)]
struct Census {
    remover: Remover,
    plan: Plan,
    /// Something of it cannot be removed, so that it is not replaced either.
    obstructed: bool,
}

impl Destination {
    /// Takes note of what a directory has too much, when all else in it is done. True if the session ended for it.
    pub(super) fn doom_extras(&mut self, dir: DirId, out: &mut Actions) -> bool {
        let Some(folder) = self.folders.get_mut(&dir) else { return true };
        let stands = folder.state == State::Ready { fresh: false };
        if !folder.mirrored || !folder.complete || !stands || folder.standing.is_empty() {
            return false;
        }
        let is_empty = folder.top && folder.wanted.is_empty();
        let names = folder.extras();
        if names.is_empty() {
            return false;
        }
        if is_empty && !self.spec.deletion.from_empty_source {
            let why = "the source is empty and the destination is not; nothing was removed \
                       (--allow-empty-source mirrors it all the same)";
            let path = folder.to.shown(None);
            self.abort(Error::because(ErrorKind::Usage, "mirror to", &path, why), out);
            return true;
        }
        let doomed = Doomed { dir: folder.to.clone(), way: folder.way.clone(), names };
        self.deletion.doomed.push(doomed);
        if let Some(meta) = &folder.meta {
            self.deletion.touched.push((folder.to.clone(), meta.clone()));
        }
        false
    }

    /// Counts what the entries of a page replace, with all that is in it, then goes on with them. The caller holds the
    /// page.
    pub(super) fn count_replaced(&mut self, page: u64, plan: Plan, out: &mut Actions) {
        let Some(doomed) = self.replaced(page, &plan) else { return self.go_on(page, plan, out) };
        let backup = self.spec.backup.clone();
        let rules = Rules { dry_run: true, backup, ..Rules::default() };
        let mut remover = Remover::new(vec![doomed], rules);
        let orders = remover.begin();
        self.deletion.censuses.insert(page, Census { remover, plan, obstructed: false });
        for (chore, task) in orders.tasks {
            self.desk.put(Job::Census { page, chore }, task);
        }
    }

    fn replaced(&self, page: u64, plan: &Plan) -> Option<Doomed> {
        let work = self.pages.get(&page).filter(|_| self.spec.verb == Verb::Mirror)?;
        let folder = self.folders.get(&work.listing.dir)?;
        let entries = &work.listing.page;
        let name = |index: usize| Some(entries.get(index)?.name.clone());
        let names: Vec<Name> = plan.replaced(entries).into_iter().filter_map(name).collect();
        let doomed = Doomed { dir: folder.to.clone(), way: folder.way.clone(), names };
        (!doomed.names.is_empty()).then_some(doomed)
    }

    /// Part of what is replaced was counted.
    pub(super) fn counted(
        &mut self,
        page: u64,
        chore: Chore,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let Some(census) = self.deletion.censuses.get_mut(&page) else { return };
        let orders = census.remover.done(chore, result);
        let is_done = census.remover.is_done();
        census.obstructed |= !orders.failures.is_empty();
        self.deletion.replaced += orders.removed.len() as u64;
        self.tell_removed(orders.removed, out);
        for error in orders.failures {
            self.lost(error, out);
        }
        for (chore, task) in orders.tasks {
            self.desk.put(Job::Census { page, chore }, task);
        }
        if !is_done {
            return;
        }
        let Some(Census { mut plan, obstructed, .. }) = self.deletion.censuses.remove(&page) else {
            return;
        };
        let spared = if obstructed { plan.spare_trees() } else { Vec::new() };
        for index in spared {
            self.leader_failed(page, index, out);
        }
        match self.spec.deletion.entries_max {
            Some(max) if self.deletion.replaced > max => {
                let why = format!("more than {max} entries would be removed; these were not");
                let path = self.folders.get(&DirId::BASE).map(|base| base.to.shown(None));
                let path = path.unwrap_or_default();
                self.abort(Error::because(ErrorKind::Other, "remove in", &path, why), out);
            }
            _ => self.go_on(page, plan, out),
        }
    }

    /// Begins the next part of the deletion. False when there is none left.
    pub(super) fn begin_deletion(&mut self, out: &mut Actions) -> bool {
        if !self.deletion.begun {
            self.deletion.begun = true;
            let doomed = self.doomed();
            let excluded_too = self.spec.deletion.excluded;
            let rules = Rules {
                dry_run: self.spec.dry_run,
                entries_max: self
                    .spec
                    .deletion
                    .entries_max
                    .map(|max| max.saturating_sub(self.deletion.replaced)),
                filter: self.spec.filter.clone().filter(|_| !excluded_too),
                backup: self.spec.backup.clone(),
            };
            let mut remover = Remover::new(doomed, rules);
            let orders = remover.begin();
            self.deletion.remover = Some(remover);
            self.obey(orders, out);
        } else if self.spec.preserve.times && !self.spec.dry_run {
            let changes = Changes { times: true, ..Changes::default() };
            for (to, meta) in std::mem::take(&mut self.deletion.touched) {
                self.put_place(Job::Retouch, to, vec![Step::Finish { meta, changes }]);
            }
        }
        self.desk.len() > 0
    }

    /// What is to be removed: nothing where an entry could not be transferred. What looks like too much might be its only
    /// copy, under the name that it had before.
    fn doomed(&mut self) -> Vec<Doomed> {
        let doomed = std::mem::take(&mut self.deletion.doomed);
        if !self.untransferred || doomed.is_empty() {
            return doomed;
        }
        self.deletion.touched.clear();
        let count: usize = doomed.iter().map(|doomed| doomed.names.len()).sum();
        let why = format!(
            "{count} that the source does not have stay, because other entries could not be \
             transferred and these might be their only copies"
        );
        let path = doomed.first().map(|doomed| doomed.dir.shown(None)).unwrap_or_default();
        self.summary.fail(Error::because(ErrorKind::Other, "remove in", &path, why));
        Vec::new()
    }

    /// Something of the deletion has ended.
    pub(super) fn deleted(
        &mut self,
        chore: Chore,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let Some(remover) = &mut self.deletion.remover else { return };
        let orders = remover.done(chore, result);
        self.obey(orders, out);
    }

    fn tell_removed(&mut self, removed: Vec<(Dir, Name)>, out: &mut Actions) {
        self.summary.removed += removed.len() as u64;
        if self.spec.itemise {
            let top = self.top.depth();
            let path = |(dir, name): (Dir, Name)| dir.path.join(&name).to_bytes_below(top);
            let told = |entry| Change::new(Action::Removed, path(entry));
            out.changes.extend(removed.into_iter().map(told));
        }
    }

    fn obey(&mut self, orders: Orders, out: &mut Actions) {
        self.tell_removed(orders.removed, out);
        for error in orders.failures {
            self.fail(error, out);
        }
        if let Some(error) = orders.refused {
            return self.abort(error, out);
        }
        for (chore, task) in orders.tasks {
            self.desk.put(Job::Delete(chore), task);
        }
    }
}
