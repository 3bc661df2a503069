//! The executors of the io_uring engine and their threads.
//! It must not know what is executed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use blit_fallback::Confinement;

use super::executor;
use super::queue::{Job, Queue, Until, panic_text};
use super::watchdog;
use crate::start::Refusal;

/// Executors, each on a thread of its own, that share one queue. Dropping it ends them; tasks not begun are given up.
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    watchdog: Option<JoinHandle<()>>,
}

/// When the threads make their executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launch {
    /// Before their first task.
    AtOnce,
    /// When that costs no wait any more. Until then they serve the queue as plain threads, so that a run of a few
    /// milliseconds does not wait for what it does not need.
    WhenPrepared,
}

struct Shared {
    queue: Queue,
    launch: Launch,
    confinement: Option<Confinement>,
    roll: Mutex<Roll>,
}

/// What became of the executors.
#[derive(Default)]
struct Roll {
    made: usize,
    /// Why some threads go on without one.
    lapses: Vec<Refusal>,
}

impl Pool {
    /// Starts that many threads. It does not wait until they are ready.
    pub(super) fn start(
        workers: usize,
        launch: Launch,
        confinement: Option<Confinement>,
    ) -> Result<Self, Refusal> {
        let (queue, roll) = (Queue::new(workers), Mutex::default());
        let shared = Arc::new(Shared { queue, launch, confinement, roll });
        let mut pool = Self { shared, workers: Vec::with_capacity(workers), watchdog: None };
        for worker in 0..workers {
            let name = format!("blit-uring-{worker}");
            pool.workers.push(pool.spawn(name, move |shared| shared.work(worker))?);
        }
        let watch = |shared: &Shared| watchdog::watch(&shared.queue, shared.launch);
        pool.watchdog = Some(pool.spawn("blit-watchdog".to_owned(), watch)?);
        Ok(pool)
    }

    fn spawn(
        &self,
        name: String,
        work: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<JoinHandle<()>, Refusal> {
        let shared = Arc::clone(&self.shared);
        let started = Builder::new().name(name).spawn(move || work(&shared));
        started.map_err(|error| Refusal { step: "thread", why: error.to_string() })
    }

    /// Queues `jobs`.
    pub(super) fn submit(&self, jobs: impl Iterator<Item = Job>) {
        self.shared.queue.push(jobs);
    }

    /// How many executors there are and what else serves, for people.
    pub(super) fn describe(&self) -> String {
        let roll = self.shared.roll();
        let noun = if self.workers.len() == 1 { "executor" } else { "executors" };
        let rest = self.workers.len() - roll.made;
        let made = match rest {
            0 => format!("uring ({} {noun}", roll.made),
            _ => format!("uring ({} of {} {noun}", roll.made, self.workers.len()),
        };
        match roll.lapses.first() {
            None if rest == 0 => format!("{made})"),
            None => format!("{made}, too little work for more)"),
            Some(first) => format!("{made}: {first})"),
        }
    }

    /// Waits for the thread of `worker`. One whose executor never gets its first turn (the fault that `executor` tells
    /// of, at the one moment when the watchdog cannot reach it) is left behind: it holds nothing but the queue.
    fn join(&self, worker: usize, thread: JoinHandle<()>) {
        for _ in 0..BOARDING_MS_MAX {
            if !self.shared.queue.is_boarding(worker) {
                // A thread that panicked has said so itself, and its tasks have been answered.
                drop(thread.join());
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.close();
        for (worker, thread) in std::mem::take(&mut self.workers).into_iter().enumerate() {
            self.join(worker, thread);
        }
        self.shared.queue.dismiss();
        if let Some(watchdog) = self.watchdog.take() {
            drop(watchdog.join());
        }
    }
}

impl Shared {
    /// Serves the queue on an executor. Where that cannot be had, or breaks, the thread serves it without.
    fn work(&self, worker: usize) {
        if let Some(Err(error)) = self.confinement.as_ref().map(Confinement::enter) {
            return executor::block_on(self.queue.refuse(worker, &error));
        }
        if self.launch == Launch::WhenPrepared {
            executor::block_on(self.queue.serve(worker, Until::Prepared));
        }
        if !self.queue.board(worker) {
            return;
        }
        let is_made = Cell::new(false);
        let made = || {
            is_made.set(true);
            self.roll().made += 1;
        };
        let served = catch_unwind(AssertUnwindSafe(|| {
            executor::run(made, self.queue.serve(worker, Until::Closed))
        }));
        let lapse = match served {
            Ok(Ok(())) => return,
            Ok(Err(refusal)) => refusal,
            Err(panic) => {
                // It may have broken before it was made.
                self.roll().made -= usize::from(is_made.get());
                Refusal { step: "executor", why: panic_text(panic.as_ref()).to_owned() }
            }
        };
        self.roll().lapses.push(lapse);
        executor::block_on(self.queue.serve(worker, Until::Closed));
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an ending engine waits for an executor to begin, in milliseconds. It takes less than one.
const BOARDING_MS_MAX: u32 = 1000;
