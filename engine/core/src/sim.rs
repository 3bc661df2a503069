//! The simulated engine: one thread, a seed, an in-memory disk, and everything that can go wrong.
//! It must not do I/O, read a clock or start a thread: the same seed gives the same run.
//!
//! Tasks are queued by `submit` and done in pieces by `step`: a piece is at most one call that changes the disk, so that
//! tasks interleave, outsiders edit and crashes happen between any two of them.

mod copy;
mod disk;
mod hash;
mod list;
mod outsider;
mod place;
mod publish;
mod remove;
mod rng;
mod snapshot;
mod space;
mod volume;
mod wire;
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use disk::{Attributes, Disk, FsOptions, User};
pub use outsider::Mutate;
pub use snapshot::{Seen, Snapshot, differences};
pub use work::Faults;

use crate::engine::{Engine, Limits};
use crate::error::{Error, ErrorKind};
use crate::event::Port;
use crate::stream::Attachment;
use crate::task::{Output, Task, TaskId};
use rng::{Rng, mix};
use work::{Own, Work, World};

/// What happens to a simulated engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// What goes wrong, how often.
    pub faults: Faults,
    /// After so many pieces the process is killed.
    pub crash_after: Option<u64>,
    /// What the engine tells as its limit.
    pub workers: usize,
    /// Who edits meanwhile.
    pub mutate: Option<Mutate>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { faults: Faults::default(), crash_after: None, workers: 4, mutate: None }
    }
}

/// An engine over a [`Disk`]. Another one over the same disk is another process, or the next run.
pub struct SimEngine {
    disk: Disk,
    options: SimOptions,
    running: Arc<AtomicBool>,
    inner: Mutex<Inner>,
}

struct Inner {
    rng: Rng,
    own: Own,
    jobs: Vec<Job>,
    pieces: u64,
    edits: u32,
}

struct Job {
    id: TaskId,
    port: Port,
    work: Box<dyn Work>,
    hangs: bool,
}

impl Job {
    fn can_go_on(&self) -> bool {
        !self.hangs && (self.work.is_ready() || self.port.control().is_cancelled())
    }
}

impl SimEngine {
    /// An engine whose order and faults follow from `seed`.
    pub fn new(disk: &Disk, seed: u64, options: SimOptions) -> Arc<Self> {
        let running = Arc::new(AtomicBool::new(true));
        let own = Own::new(mix(seed), &running, disk.dropped());
        let inner = Inner { rng: Rng::new(seed), own, jobs: Vec::new(), pieces: 0, edits: 0 };
        Arc::new(Self { disk: disk.clone(), options, running, inner: Mutex::new(inner) })
    }

    /// Does one piece of one pending task, both chosen by chance. False when there is nothing to do: no task is
    /// pending, or only such that hang, or the engine has crashed.
    pub fn step(&self) -> bool {
        let mut inner = self.lock();
        if self.has_crashed() {
            return false;
        }
        if self.options.crash_after.is_some_and(|pieces| inner.pieces >= pieces) {
            drop(inner);
            self.crash();
            return false;
        }
        let ready: Vec<usize> =
            (0..inner.jobs.len()).filter(|index| inner.jobs[*index].can_go_on()).collect();
        if ready.is_empty() {
            return false;
        }
        inner.pieces += 1;
        let index = ready[inner.rng.below(ready.len())];
        let mut job = inner.jobs.swap_remove(index);
        match self.advance(&mut inner, &mut job) {
            None => inner.jobs.push(job),
            Some(result) => {
                drop(inner);
                job.port.done(job.id, result);
            }
        }
        true
    }

    /// Steps until there is nothing to do.
    pub fn pump(&self) {
        while self.step() {}
    }

    /// Kills the process: no task ever moves again, anonymous files are gone, locks are free.
    pub fn crash(&self) {
        self.running.store(false, Ordering::Relaxed);
        self.lock().jobs.clear();
        self.disk.lock().sweep();
    }

    /// Whether the process was killed.
    pub fn has_crashed(&self) -> bool {
        !self.running.load(Ordering::Relaxed)
    }

    /// Pieces done so far; a crash may be put after any of them.
    pub fn pieces(&self) -> u64 {
        self.lock().pieces
    }

    /// Tasks that were submitted and have not ended; those that hang never will.
    pub fn pending(&self) -> usize {
        self.lock().jobs.len()
    }

    fn advance(&self, inner: &mut Inner, job: &mut Job) -> Option<Result<Output, Error>> {
        let mut volume = self.disk.lock();
        if let Some(mutate) = &self.options.mutate
            && inner.edits < mutate.edits_max
            && inner.rng.chance(mutate.per_mille)
        {
            inner.edits += 1;
            // An edit that finds nothing to do is none.
            let _ = outsider::edit(&mut volume, &mut inner.rng, &mutate.below);
        }
        let mut world = World {
            volume: &mut volume,
            rng: &mut inner.rng,
            faults: &self.options.faults,
            control: job.port.control(),
            own: &mut inner.own,
        };
        if world.control.is_cancelled() {
            return Some(job.work.abandon(&mut world));
        }
        job.work.advance(&mut world)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for SimEngine {
    fn submit(&self, tasks: Vec<(TaskId, Task)>, port: &Port) {
        if self.has_crashed() {
            return;
        }
        let mut inner = self.lock();
        for (id, task) in tasks {
            let hangs = inner.rng.chance(self.options.faults.hang);
            inner.jobs.push(Job { id, port: port.clone(), work: work_of(task), hangs });
        }
    }

    fn attach(&self, _attachment: Attachment) {}

    fn limits(&self) -> Limits {
        Limits { workers: self.options.workers }
    }

    fn describe(&self) -> String {
        "sim".to_owned()
    }
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        self.crash();
    }
}

fn work_of(task: Task) -> Box<dyn Work> {
    match task {
        Task::List(task) => Box::new(list::Listing::new(task)),
        Task::Copy(task) => Box::new(copy::Copying::new(task)),
        Task::Send(task) => Box::new(wire::Sending(task)),
        Task::Receive(task) => Box::new(wire::Receiving::new(task)),
        Task::Blocks(task) => Box::new(hash::Comparing(task)),
        Task::Place(task) => Box::new(place::Placing::new(task)),
        Task::Remove(task) => Box::new(remove::Removing::new(task)),
        Task::Hash(task) => Box::new(hash::Hashing::new(task)),
        Task::Space(task) => Box::new(space::Examining::new(task)),
    }
}

fn interrupted(op: &'static str, path: &[u8]) -> Error {
    Error::new(ErrorKind::Interrupted, op, path)
}

#[cfg(test)]
mod tests;
