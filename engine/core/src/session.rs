//! The two roles of a transfer as state machines: events go in, tasks and frames come out.
//! They must not do I/O, wait, or know the engine and the link behind them.

pub mod schedule;

mod departures;
mod desk;
mod destination;
mod lendings;
mod links;
mod plan;
mod removal;
mod remover;
mod source;
mod viewer;

use std::sync::Arc;

use crate::engine::Limits;
use crate::error::Error;
use crate::event::Event;
use crate::frame::{Frame, Listing};
use crate::path::Name;
use crate::spec::{SourceItem, Target, TransferSpec};
use crate::stream::Plane;
use crate::summary::{Change, Summary};
use crate::task::{Dir, SpaceFacts, Subject, Task, TaskId};

use destination::Destination;
use removal::Removal;
use source::Source;
use viewer::Viewer;

/// What a session wants done. The loop takes it out after every event.
#[derive(Debug, Default)]
pub struct Actions {
    /// For the engine.
    pub tasks: Vec<(TaskId, Task)>,
    /// For the peer session, in this order.
    pub frames: Vec<Frame>,
    /// For whoever watches.
    pub changes: Vec<Change>,
    /// For whoever asked for a listing.
    pub listings: Vec<Listing>,
    /// Entries and bytes settled without a copy task.
    pub settled: (u64, u64),
    /// Entries and bytes that became known.
    pub learned: (u64, u64),
    /// Nothing more will become known.
    pub scanned: bool,
}

/// One role of one transfer.
#[derive(Debug)]
pub struct Session {
    role: Role,
}

#[derive(Debug)]
enum Role {
    Source(Box<Source>),
    Destination(Box<Destination>),
    Removal(Box<Removal>),
    Viewer(Box<Viewer>),
}

impl Session {
    /// The role that lists `items`. Listing begins with [`Session::start`].
    pub fn source(items: Vec<SourceItem>, spec: TransferSpec, limits: Limits) -> Self {
        Self { role: Role::Source(Box::new(Source::new(items, spec, limits))) }
    }

    /// The role that makes `target` what the peer lists. `facts` are those of the target's root.
    pub fn destination(
        target: Target,
        facts: &SpaceFacts,
        spec: TransferSpec,
        limits: Limits,
    ) -> Self {
        Self { role: Role::Destination(Box::new(Destination::new(target, facts, spec, limits))) }
    }

    /// The same role with a peer on another machine: contents travel on the streams of `plane`.
    #[must_use]
    pub fn over(mut self, plane: &Arc<Plane>) -> Self {
        match &mut self.role {
            Role::Source(source) => source.lend_over(Arc::clone(plane)),
            Role::Destination(destination) => destination.receive_over(Arc::clone(plane)),
            Role::Removal(_) | Role::Viewer(_) => {}
        }
        self
    }

    /// The only role of a removal: the `entries` go, each a name in a directory, with all that is below them.
    pub fn removal(entries: Vec<(Dir, Name)>, spec: &TransferSpec, limits: Limits) -> Self {
        Self { role: Role::Removal(Box::new(Removal::new(entries, spec, limits))) }
    }

    /// The role that looks at what a source lists, and does nothing with it.
    pub fn viewer() -> Self {
        Self { role: Role::Viewer(Box::default()) }
    }

    /// Begins.
    pub fn start(&mut self, out: &mut Actions) {
        match &mut self.role {
            Role::Source(source) => source.start(out),
            Role::Removal(removal) => removal.start(out),
            Role::Destination(_) | Role::Viewer(_) => {}
        }
    }

    /// Takes note of what happened. A session that has ended ignores it.
    pub fn handle(&mut self, event: Event, out: &mut Actions) {
        match &mut self.role {
            Role::Source(source) => source.handle(event, out),
            Role::Destination(destination) => destination.handle(event, out),
            Role::Removal(removal) => removal.handle(event, out),
            Role::Viewer(viewer) => viewer.handle(event, out),
        }
    }

    /// Ends the session for `error` as soon as its running tasks have ended; nothing new is begun.
    pub fn abort(&mut self, error: Error, out: &mut Actions) {
        match &mut self.role {
            Role::Source(source) => source.abort(error, out),
            Role::Destination(destination) => destination.abort(error, out),
            Role::Removal(removal) => removal.abort(error, out),
            Role::Viewer(viewer) => viewer.abort(error, out),
        }
    }

    /// Whether the session has ended, well or not, and has no task running.
    pub fn is_ended(&self) -> bool {
        match &self.role {
            Role::Source(source) => source.is_ended(),
            Role::Destination(destination) => destination.is_ended(),
            Role::Removal(removal) => removal.is_ended(),
            Role::Viewer(viewer) => viewer.is_ended(),
        }
    }

    /// Why the session ends early, where it does.
    pub fn error(&self) -> Option<&Error> {
        match &self.role {
            Role::Source(source) => source.error(),
            Role::Destination(destination) => destination.error(),
            Role::Removal(removal) => removal.error(),
            Role::Viewer(viewer) => viewer.error(),
        }
    }

    /// What this role has done so far; the whole of a transfer is the sum of its roles.
    pub fn summary(&self) -> &Summary {
        match &self.role {
            Role::Source(source) => source.summary(),
            Role::Destination(destination) => destination.summary(),
            Role::Removal(removal) => removal.summary(),
            Role::Viewer(viewer) => viewer.summary(),
        }
    }

    /// The task that has run longest, as operation and path.
    pub fn oldest_task(&self) -> Option<&Subject> {
        match &self.role {
            Role::Source(source) => source.oldest_task(),
            Role::Destination(destination) => destination.oldest_task(),
            Role::Removal(removal) => removal.oldest_task(),
            Role::Viewer(viewer) => viewer.oldest_task(),
        }
    }
}
