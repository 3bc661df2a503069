//! Files that are as they are in an earlier snapshot become further names of its files instead of being copied.
//! It must not know how names are given; where one cannot be given, the file is copied.

use super::Destination;
use super::folder::State;
use super::work::{Job, Note};
use crate::entry::{Entry, Kind};
use crate::error::Error;
use crate::session::plan::Plan;
use crate::task::{List, Listed, Output, Pick, Step, Survey, Task, What};

/// What the snapshot has under the names of a page. From `Unasked` over `Asked` to `Known`.
#[derive(Debug, Default)]
pub(super) enum Reference {
    #[default]
    Unasked,
    Asked,
    Known(Vec<Entry>),
}

impl Destination {
    /// Asks what the snapshot has under the names of a page whose directory can be worked on. True while that is not known.
    pub(super) fn awaits_reference(&mut self, page: u64) -> bool {
        let Some(reference) = &self.spec.reference else { return false };
        let Some(work) = self.pages.get_mut(&page) else { return false };
        let Some(folder) = self.folders.get(&work.listing.dir) else { return false };
        if !matches!(folder.state, State::Absent | State::Ready { .. }) {
            return false;
        }
        let holds_files = work.listing.page.iter().any(|entry| entry.meta.kind == Kind::File);
        match work.reference {
            Reference::Known(_) => false,
            Reference::Asked => true,
            Reference::Unasked if !holds_files => false,
            Reference::Unasked => {
                work.reference = Reference::Asked;
                let list = List {
                    dir: reference.place_of(&folder.to),
                    what: What::Named(work.listing.page.clone()),
                    xattrs: self.spec.preserve.reads_xattrs(),
                    survey: Survey::Nothing,
                };
                self.desk.put(Job::Reference { page }, Task::List(list));
                true
            }
        }
    }

    /// The snapshot was looked at. That it has no such directory only means that there is nothing to share.
    pub(super) fn reference_seen(&mut self, page: u64, result: Result<Output, Error>) {
        let entries = match result {
            Ok(Output::Listed(Listed { entries, .. })) => entries,
            _ => Vec::new(),
        };
        if let Some(work) = self.pages.get_mut(&page) {
            work.reference = Reference::Known(entries);
            self.routable.push_back(page);
        }
    }

    /// Takes out of what is copied for a page what the snapshot has too.
    pub(super) fn share(&mut self, page: u64, plan: &mut Plan) {
        let Some(work) = self.pages.get_mut(&page) else { return };
        if let Reference::Known(entries) = std::mem::take(&mut work.reference) {
            plan.share(&work.listing.page, &entries, &self.rule);
            work.reference = Reference::Known(Vec::new());
        }
    }

    pub(super) fn share_steps(&self, page: u64, shared: &[Pick]) -> Vec<(Step, Note)> {
        let from = || {
            let dir = self.pages.get(&page)?.listing.dir;
            let folder = self.folders.get(&dir)?;
            Some(self.spec.reference.as_ref()?.place_of(&folder.to))
        };
        let Some(from) = from() else { return Vec::new() };
        let step = |pick: &Pick| {
            let name = self.entry(page, pick.index)?.name.clone();
            Some((Step::Share { from: from.clone(), name, over: pick.over }, Note::Share(*pick)))
        };
        shared.iter().filter_map(step).collect()
    }
}
