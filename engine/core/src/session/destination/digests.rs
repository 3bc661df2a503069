//! Files of one size that only their digests can tell apart: both sides are read at the same time.
//! It must not know how a digest is computed.

use std::collections::HashMap;

use super::Destination;
use super::outcome::wrong_output;
use super::work::Job;
use crate::error::Error;
use crate::path::Name;
use crate::session::Actions;
use crate::session::plan::{Doubt, Plan};
use crate::session::schedule::BATCH_FILES_MAX;
use crate::task::{Hash, Hashed, Output, Task};

/// Batches whose digests are awaited.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    batches: HashMap<u64, Batch>,
    next: u64,
}

#[derive(Debug)]
struct Batch {
    page: u64,
    doubts: Vec<Doubt>,
    source: Option<Result<Hashed, Error>>,
    destination: Option<Result<Hashed, Error>>,
}

impl Destination {
    /// Queues the reading of both sides. Each batch holds its page.
    pub(super) fn ask_digests(&mut self, page: u64, doubtful: Vec<Doubt>, out: &mut Actions) {
        for doubts in doubtful.chunks(BATCH_FILES_MAX) {
            let Some(work) = self.pages.get_mut(&page) else { return };
            let Some(folder) = self.folders.get(&work.listing.dir) else { return };
            let from = work.listing.from.clone();
            let name = |doubt: &Doubt| Some(work.listing.page.get(doubt.pick.index)?.name.clone());
            let names: Vec<Name> = doubts.iter().filter_map(name).collect();
            let source_names = match &work.listing.source_name {
                Some(name) => vec![name.clone()],
                None => names.clone(),
            };
            work.holds += 1;
            let batch = self.doubts.next;
            self.doubts.next += 1;
            let awaited = Batch { page, doubts: doubts.to_vec(), source: None, destination: None };
            self.doubts.batches.insert(batch, awaited);
            let picks = doubts.iter().map(|doubt| doubt.pick.index).collect();
            let destination = Hash { dir: folder.to.clone(), names };
            match from {
                Some(dir) => {
                    let source = Task::Hash(Hash { dir, names: source_names });
                    self.desk.put(Job::Digest { batch, of_source: true }, source);
                }
                None => out.frames.extend(self.want_digests(page, batch, picks)),
            }
            self.desk.put(Job::Digest { batch, of_source: false }, Task::Hash(destination));
        }
    }

    /// One side of a batch was read.
    pub(super) fn digested(
        &mut self,
        number: u64,
        of_source: bool,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let hashed = result.and_then(|output| match output {
            Output::Hashed(hashed) => Ok(hashed),
            _ => Err(wrong_output()),
        });
        let Some(batch) = self.doubts.batches.get_mut(&number) else { return };
        let side = if of_source { &mut batch.source } else { &mut batch.destination };
        *side = Some(hashed);
        if batch.source.is_none() || batch.destination.is_none() {
            return;
        }
        let Some(batch) = self.doubts.batches.remove(&number) else { return };
        let page = batch.page;
        let plan = self.resolve(batch, out);
        self.carry_out(page, plan, out);
        self.release(page, out);
    }

    /// What the digests say is to be done. What cannot be read at the destination is copied anew.
    fn resolve(&mut self, batch: Batch, out: &mut Actions) -> Plan {
        let Batch { page, doubts, source, destination } = batch;
        let mut plan = Plan::default();
        for (place, doubt) in doubts.into_iter().enumerate() {
            let index = doubt.pick.index;
            let bytes = self.content_bytes(page, index);
            match (digest(&source, place), digest(&destination, place)) {
                (Err(error), _) => {
                    out.settled.0 += 1;
                    out.settled.1 = out.settled.1.saturating_add(bytes);
                    self.lost(error, out);
                    self.keep(page, index);
                    self.leader_failed(page, index, out);
                }
                (Ok(source), Ok(destination)) if source == destination => {
                    if doubt.changes.any() {
                        plan.repairs.push((index, doubt.changes));
                    } else {
                        plan.same.0 += 1;
                        plan.same.1 = plan.same.1.saturating_add(bytes);
                    }
                    if self.entry(page, index).is_some_and(|entry| self.linked(entry)) {
                        plan.led.push((index, doubt.old));
                    }
                }
                (Ok(_), _) => plan.large.push(doubt.pick),
            }
        }
        plan
    }
}

fn digest(side: &Option<Result<Hashed, Error>>, place: usize) -> Result<u128, Error> {
    match side {
        Some(Ok(hashed)) => {
            hashed.digests.get(place).cloned().unwrap_or_else(|| Err(wrong_output()))
        }
        Some(Err(error)) => Err(error.clone()),
        None => Err(wrong_output()),
    }
}
