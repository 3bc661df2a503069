//! The facade of glommio, and the only file that names it.
//! It must not know tasks: it runs one future on an executor of its own.
//!
//! glommio 0.9.0 and the fork in use have a fault: if the preempt timer fires, or a wake arrives, between the poll for
//! completions and the turn of the task queues, the executor parks with runnable tasks, for ever. The default timer
//! makes that rare and is never shortened here; `watchdog` makes it harmless.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};

use glommio::{LocalExecutorBuilder, Placement};

use crate::start::Refusal;

/// Does once for the process what the first executor would do otherwise. Its executors sleep behind a memory barrier
/// that the kernel must be told of, which takes 5 to 15 ms in a process of several threads, more on many cores.
pub(super) fn prepare() {
    glommio::early_init();
}

/// Makes an executor in this thread, says so through `made`, and runs `work` to its end on it. Where there can be none,
/// nothing of `work` has run.
pub(super) fn run(made: impl FnOnce(), work: impl Future<Output = ()>) -> Result<(), Refusal> {
    require_thread()?;
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY_BYTES)
        .make()
        .map_err(|error| Refusal { step: "executor", why: error.to_string() })?;
    made();
    executor.run(work);
    Ok(())
}

/// An executor starts a thread of its own and panics where the system gives none, so that is tried first: with more room
/// than it needs, since others may be starting theirs.
fn require_thread() -> Result<(), Refusal> {
    let started = thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn(|| {});
    let started = started.map_err(|error| Refusal { step: "thread", why: error.to_string() })?;
    // It does nothing that could panic.
    drop(started.join());
    Ok(())
}

/// Runs `work` to its end in this thread without an executor.
pub(super) fn block_on(work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    while work.as_mut().poll(&mut context).is_pending() {
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Memory that glommio registers for its own reads, on three rings an executor. Its default of 10 MiB would exceed the
/// usual `RLIMIT_MEMLOCK` of 8 MiB with the first executor; this is its minimum.
pub(super) const IO_MEMORY_BYTES: usize = 64 << 10;
/// Address space for a trial thread: the stacks of several.
const THREAD_STACK_BYTES: usize = 16 << 20;
