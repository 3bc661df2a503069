//! Names that were free when they were looked at and are taken now: another run works on the same destination. Each is
//! looked at once more and decided again, so that the last one to publish wins.
//! It must not try a third time.

use super::Destination;
use super::spelling::folded;
use super::work::{Job, Note};
use crate::entry::{Entry, Kind, Meta, Verdict, compare};
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::session::Actions;
use crate::task::{CopyInto, Listed, Output, Over, Pick, Step, Survey, Task, What};

/// An entry that found its name taken.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) note: Note,
    pub(super) error: Error,
}

impl Destination {
    /// Looks at the names of these entries again. Each batch holds its page.
    pub(super) fn look_again(&mut self, page: u64, late: Vec<Late>) {
        if late.is_empty() {
            return;
        }
        let names =
            late.iter().filter_map(|late| Some(self.entry(page, late.note.index())?.name.clone()));
        let what = What::Names(names.collect());
        let dir = self.pages.get(&page).map(|work| work.listing.dir);
        let Some(dir) = dir.and_then(|dir| Some(self.folders.get(&dir)?.to.clone())) else {
            return;
        };
        self.hold(page);
        let xattrs = self.spec.preserve.reads_xattrs();
        let list = crate::task::List { dir, what, xattrs, survey: Survey::Nothing };
        self.desk.put(Job::Again { page, late }, Task::List(list));
    }

    /// The names were looked at.
    pub(super) fn seen_again(
        &mut self,
        page: u64,
        late: Vec<Late>,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let found = match result {
            Ok(Output::Listed(Listed { entries, .. })) => entries,
            _ => Vec::new(),
        };
        let mut steps = Vec::new();
        for Late { note, error } in late {
            let Some(entry) = self.entry(page, note.index()).cloned() else { continue };
            let old = found.iter().find(|found| found.name == entry.name).map(|found| &found.meta);
            match old {
                Some(old) if old.kind != Kind::Dir && !self.has_twin(page, &entry.name) => {
                    steps.extend(self.decide_again(page, note, (&entry, old), out));
                }
                _ => self.never(page, &note, error, out),
            }
        }
        self.put_steps(page, steps, out);
    }

    /// Whether the page has another name that only differs in case: where the destination takes the two for one, the name was
    /// taken by this very run.
    pub(super) fn has_twin(&self, page: u64, name: &Name) -> bool {
        let wanted = folded(name);
        let entries = self.pages.get(&page).map(|work| &work.listing.page);
        entries.is_some_and(|entries| {
            entries.iter().any(|other| other.name != *name && folded(&other.name) == wanted)
        })
    }

    fn decide_again(
        &mut self,
        page: u64,
        note: Note,
        (entry, old): (&Entry, &Meta),
        out: &mut Actions,
    ) -> Option<(Step, Note)> {
        let selection = self.spec.selection;
        if selection.ignore_existing || (selection.update && old.mtime > entry.meta.mtime) {
            self.skip(page, &[note.index()], out);
            return None;
        }
        let over = Over::Entry;
        let is_same = compare(&entry.meta, old, &self.rule) == Verdict::Same;
        match note {
            Note::Link(_, ref of) => {
                let (name, of) = (entry.name.clone(), of.clone());
                return Some((Step::Link { name, of, over }, note));
            }
            Note::Copy(index) | Note::Node(index) if is_same => {
                self.summary.same += 1;
                out.settled.0 += 1;
                out.settled.1 += self.content_bytes(page, index);
                self.leader_done(page, index, out);
            }
            Note::Node(index) => {
                let entry = entry.clone();
                return Some((Step::Node { entry, over }, Note::Node(index)));
            }
            Note::Copy(index) | Note::Share(Pick { index, .. }) | Note::Repair(index, _) => {
                self.put_copy(page, vec![Pick { index, over }], CopyInto::Existing);
            }
        }
        None
    }
}

/// Whether an entry failed only because its name was taken meanwhile.
pub(super) fn came_late(error: &Error) -> bool {
    error.kind == ErrorKind::AlreadyExists
}
