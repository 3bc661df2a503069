//! The io_uring engine: one executor a core, or threads where the kernel refuses io_uring.
//! It must not know how a task is carried out, nor name the runtime its executors are made of.
//!
//! The executors are the ground that streams and sockets stand on. The tasks of a local transfer are system calls of
//! the executor's thread, because no ring of its own made one of them faster. Wall time against plain calls (medians
//! of 5 to 9; two workers, two cores, ext4, Linux 6.18, 20 000 files of 4 KiB in 100 directories, modes and times kept;
//! other work on the machine moved warm wall times by a quarter, the warm processor time of the rows was 1.00, 0.99,
//! 1.11, 0.97):
//!
//! | how the sources are read | warm | cold |
//! |---|---|---|
//! | open, `copy_file_range` | 1.00 | 1.00 |
//! | linked open, read, close on a ring, 64 files at a time, two batches in turn | 0.98 to 1.07 | 0.45 to 0.56 |
//! | the same chains only to fill the page cache, then plain calls | 0.73 | 0.53 |
//! | 256 files opened and `posix_fadvise(WILLNEED)` ahead, then plain calls | 1.05 to 1.07 | 0.41 to 0.49 |
//!
//! So what a ring gains on cold files is that many reads are under way, which one system call a file gives as well,
//! on every engine, without a second open. `statx` and buffered writes always leave a ring for a kernel thread.

mod executor;
mod pool;
mod probe;
mod queue;
mod watchdog;

use std::sync::{Arc, OnceLock};

use blit_core::engine::{Engine, Limits};
use blit_core::event::Port;
use blit_core::stream::Attachment;
use blit_core::task::{Task, TaskId};
use blit_fallback::{Confinement, ThreadEngine, stream};

use crate::start::{Plan, Refusal};
use pool::{Launch, Pool};
use queue::Job;

/// io_uring, or the step at which the kernel refuses it.
pub(crate) fn start(plan: Plan) -> Result<Arc<dyn Engine>, Refusal> {
    probe::probe()?;
    Ok(Arc::new(UringEngine::new(plan, Launch::AtOnce)))
}

/// io_uring or, if it is refused when first needed, threads. Nothing is probed before there is work for more than the
/// calling thread, because a small job must cost neither a thread nor a ring.
pub(crate) fn start_or_threads(plan: Plan) -> (Arc<dyn Engine>, Option<Refusal>) {
    (Arc::new(UringEngine::new(plan, Launch::WhenPrepared)), None)
}

struct UringEngine {
    /// Does what is small, and everything where io_uring is refused. It starts no thread before it must.
    threads: ThreadEngine,
    launch: Launch,
    confinement: Option<Confinement>,
    crew: OnceLock<Crew>,
}

/// Who executes tasks once there are too many for the calling thread.
enum Crew {
    Executors(Pool),
    Threads(Refusal),
}

impl UringEngine {
    fn new(plan: Plan, launch: Launch) -> Self {
        Self {
            confinement: plan.confinement.clone(),
            threads: plan.threads(),
            launch,
            crew: OnceLock::new(),
        }
    }

    fn crew(&self) -> &Crew {
        self.crew.get_or_init(|| {
            let workers = self.threads.limits().workers;
            let confinement = self.confinement.clone();
            let start = || Pool::start(workers, self.launch, confinement);
            match probe::probe().and_then(|()| start()) {
                Ok(pool) => Crew::Executors(pool),
                Err(refusal) => Crew::Threads(refusal),
            }
        })
    }
}

impl Engine for UringEngine {
    fn submit(&self, tasks: Vec<(TaskId, Task)>, port: &Port) {
        let tasks = tasks.into_iter().filter_map(|(id, task)| stream::divert(id, task, port));
        let tasks = self.threads.run_small(tasks.collect(), port);
        if tasks.is_empty() {
            return;
        }
        match self.crew() {
            Crew::Executors(pool) => pool.submit(tasks.into_iter().map(|(id, task)| Job {
                id,
                task,
                port: port.clone(),
            })),
            Crew::Threads(_) => self.threads.submit(tasks, port),
        }
    }

    fn attach(&self, attachment: Attachment) {
        self.threads.attach(attachment);
    }

    fn limits(&self) -> Limits {
        self.threads.limits()
    }

    fn describe(&self) -> String {
        match self.crew.get() {
            None if self.confinement.is_some() => "uring (no work yet)".to_owned(),
            None => "calling thread (too little work for more)".to_owned(),
            Some(Crew::Executors(pool)) => pool.describe(),
            Some(Crew::Threads(refusal)) => format!("{} ({refusal})", self.threads.describe()),
        }
    }
}
