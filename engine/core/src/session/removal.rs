//! The role that removes what the user names. It has no peer.
//! It must not know how a tree is taken apart: `remover` does.

use super::Actions;
use super::desk::Desk;
use super::remover::{Chore, Doomed, Orders, Remover, Rules};
use super::schedule::TASKS_PER_WORKER_MAX;
use crate::engine::Limits;
use crate::error::Error;
use crate::event::Event;
use crate::path::{Name, RelPath};
use crate::spec::TransferSpec;
use crate::summary::{Action, Change, Summary};
use crate::task::{Dir, Subject};

/// From removing to done: when no task is left.
#[derive(Debug)]
pub(super) struct Removal {
    remover: Remover,
    desk: Desk<Chore>,
    itemise: bool,
    summary: Summary,
    error: Option<Error>,
}

impl Removal {
    pub(super) fn new(entries: Vec<(Dir, Name)>, spec: &TransferSpec, limits: Limits) -> Self {
        let doomed = |(dir, name)| Doomed { dir, way: RelPath::root(), names: vec![name] };
        let doomed = entries.into_iter().map(doomed).collect();
        let rules = Rules {
            dry_run: spec.dry_run,
            entries_max: spec.deletion.entries_max,
            filter: spec.filter.clone(),
            backup: None,
        };
        Self {
            remover: Remover::new(doomed, rules),
            desk: Desk::new(limits.workers.max(1) * TASKS_PER_WORKER_MAX),
            itemise: spec.itemise,
            summary: Summary::default(),
            error: None,
        }
    }

    pub(super) fn start(&mut self, out: &mut Actions) {
        let orders = self.remover.begin();
        self.obey(orders, out);
    }

    pub(super) fn handle(&mut self, event: Event, out: &mut Actions) {
        match event {
            Event::Done(id, result) => {
                let Some(chore) = self.desk.finish(id) else { return };
                match result {
                    Err(error) if error.kind.ends_session() => self.abort(error, out),
                    result => {
                        let orders = self.remover.done(chore, result);
                        self.obey(orders, out);
                    }
                }
            }
            Event::Cut(error) => self.abort(error, out),
            Event::Frame(_) | Event::Lost(_) | Event::Told(_) | Event::Alive | Event::Mark(_) => {}
        }
    }

    pub(super) fn abort(&mut self, error: Error, _out: &mut Actions) {
        if self.error.is_none() && self.desk.len() > 0 {
            self.desk.drop_waiting();
            self.error = Some(error);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.desk.is_quiet()
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

    fn obey(&mut self, orders: Orders, out: &mut Actions) {
        self.summary.removed += orders.removed.len() as u64;
        if self.itemise {
            let told =
                |(dir, name): (Dir, Name)| Change::new(Action::Removed, dir.shown(Some(&name)));
            out.changes.extend(orders.removed.into_iter().map(told));
        }
        for error in orders.failures {
            self.summary.fail(error);
        }
        if let Some(error) = orders.refused {
            self.error = Some(error);
        }
        if self.error.is_none() {
            for (chore, task) in orders.tasks {
                self.desk.put(chore, task);
            }
            self.desk.flush(&mut out.tasks);
        }
    }
}
