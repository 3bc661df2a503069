//! The tasks that executors share, and who sleeps for want of one.
//! It must not know what an executor is: it wakes wakers.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use blit_core::event::Port;
use blit_core::task::{Output, Task, TaskId};
use blit_core::{Error, ErrorKind};
use blit_fallback::{Backlog, looks_ahead};

/// A task and where its result goes.
pub(super) struct Job {
    pub(super) id: TaskId,
    pub(super) task: Task,
    pub(super) port: Port,
}

impl Job {
    /// Executes the task in this thread and reports it; a panic becomes the task's error.
    pub(super) fn run(self) {
        let Self { id, task, port } = self;
        let result = guarded(&task, || blit_fallback::run(&task, port.control()));
        // Whoever hears of the end may rely on it that nothing the task named is held any more.
        drop(task);
        port.done(id, result);
    }

    /// Reports the task as never begun.
    pub(super) fn give_up(self) {
        let path = self.task.dir().shown(None);
        let error = Error::new(ErrorKind::Interrupted, self.task.op(), &path);
        self.fail(error);
    }

    /// Reports the task as never begun, for that reason.
    fn fail(self, error: Error) {
        let Self { id, task, port } = self;
        drop(task);
        port.done(id, Err(error));
    }
}

fn guarded(task: &Task, run: impl FnOnce() -> Result<Output, Error>) -> Result<Output, Error> {
    // Nothing of a task that panicked is looked at again: its error says that nothing of it counts.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let why = format!("panic: {}", panic_text(panic.as_ref()));
        Err(Error::because(ErrorKind::Internal, task.op(), &task.dir().shown(None), why))
    })
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// How long a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Until the queue is closed.
    Closed,
    /// Until executors can be made without a wait, or the queue is closed.
    Prepared,
}

/// Tasks in the order they came. Sessions bound how many there are (`TASKS_PER_WORKER_MAX`).
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled when the watchdog has something to watch.
    watch: Condvar,
}

struct State {
    jobs: Backlog<Job>,
    /// How to wake each worker; `None` before its first and after its last turn.
    wakers: Vec<Option<Waker>>,
    /// Workers that sleep for want of a task.
    idle: Vec<usize>,
    /// Workers whose executor is made but has not had its first turn.
    boarding: Vec<usize>,
    /// Executors can be made without a wait.
    prepared: bool,
    /// Tasks queued or running.
    unfinished: usize,
    /// The watchdog waits for work.
    watchdog_sleeps: bool,
    /// Workers are to end.
    closed: bool,
    /// The watchdog is to end.
    dismissed: bool,
}

impl Queue {
    /// An empty queue for workers 0 to `workers - 1`.
    pub(super) fn new(workers: usize) -> Self {
        let state = State {
            jobs: Backlog::default(),
            wakers: vec![None; workers],
            idle: Vec::with_capacity(workers),
            boarding: Vec::with_capacity(workers),
            prepared: false,
            unfinished: 0,
            watchdog_sleeps: false,
            closed: false,
            dismissed: false,
        };
        Self { state: Mutex::new(state), watch: Condvar::new() }
    }

    /// Appends `jobs` and wakes as many sleeping workers.
    pub(super) fn push(&self, jobs: impl Iterator<Item = Job>) {
        let mut state = self.lock();
        let before = state.jobs.len();
        for job in jobs {
            let is_ahead = looks_ahead(&job.task);
            state.jobs.push(job, is_ahead);
        }
        let added = state.jobs.len() - before;
        state.unfinished += added;
        let kept = state.idle.len().saturating_sub(added);
        let woken = state.idle.split_off(kept);
        let wakers: Vec<Waker> =
            woken.into_iter().filter_map(|worker| state.wakers[worker].clone()).collect();
        let watchdog_sleeps = added > 0 && mem::take(&mut state.watchdog_sleeps);
        drop(state);
        if watchdog_sleeps {
            self.watch.notify_one();
        }
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Executes jobs as `worker` until the queue is closed, or until whatever `until` says.
    pub(super) async fn serve(&self, worker: usize, until: Until) {
        while let Some(job) = self.next(worker, until).await {
            job.run();
            self.lock().unfinished -= 1;
        }
        // A waker is dropped by the worker it belongs to, while what it wakes is still there.
        let waker = self.lock().wakers[worker].take();
        drop(waker);
    }

    /// Answers jobs as `worker` with `error`, which keeps it from executing any, until the queue is closed.
    pub(super) async fn refuse(&self, worker: usize, error: &Error) {
        while let Some(job) = self.next(worker, Until::Closed).await {
            job.fail(error.clone());
            self.lock().unfinished -= 1;
        }
        let waker = self.lock().wakers[worker].take();
        drop(waker);
    }

    /// Notes that the executor of `worker` begins; false when the queue is closed.
    pub(super) fn board(&self, worker: usize) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.boarding.push(worker);
        }
        !state.closed
    }

    /// Whether the executor of `worker` has begun and not yet come for its first job.
    pub(super) fn is_boarding(&self, worker: usize) -> bool {
        self.lock().boarding.contains(&worker)
    }

    /// Says that executors can now be made without a wait.
    pub(super) fn finish_preparation(&self) {
        self.lock().prepared = true;
        self.wake_all();
    }

    /// No more jobs are taken from here on; those not begun are given up.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let mut jobs = mem::take(&mut state.jobs);
        state.unfinished -= jobs.len();
        drop(state);
        self.watch.notify_one();
        self.wake_all();
        jobs.drain().for_each(Job::give_up);
    }

    /// For the watchdog: sleeps while there is no work, and then for `interval`. `false` when it is dismissed.
    pub(super) fn rest(&self, interval: Duration) -> bool {
        let mut state = self.lock();
        while state.unfinished == 0 && !state.closed {
            state.watchdog_sleeps = true;
            state = self.watch.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.watchdog_sleeps = false;
        let rested = self.watch.wait_timeout_while(state, interval, |state| !state.dismissed);
        !rested.unwrap_or_else(PoisonError::into_inner).0.dismissed
    }

    /// Lets the watchdog end. Only when no worker is left for it to wake.
    pub(super) fn dismiss(&self) {
        self.lock().dismissed = true;
        self.watch.notify_one();
    }

    /// Wakes every worker, whether it sleeps or not.
    pub(super) fn wake_all(&self) {
        let wakers: Vec<Waker> = self.lock().wakers.iter().flatten().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Loses the next wake, as a faulty executor does; false while nobody sleeps.
    #[cfg(test)]
    pub(super) fn forget_sleepers(&self) -> bool {
        !mem::take(&mut self.lock().idle).is_empty()
    }

    fn next(&self, worker: usize, until: Until) -> impl Future<Output = Option<Job>> {
        poll_fn(move |context| self.poll_next(worker, until, context))
    }

    fn poll_next(&self, worker: usize, until: Until, context: &Context<'_>) -> Poll<Option<Job>> {
        let mut state = self.lock();
        state.idle.retain(|idle| *idle != worker);
        state.boarding.retain(|boarding| *boarding != worker);
        if state.closed || (until == Until::Prepared && state.prepared) {
            return Poll::Ready(None);
        }
        if let Some(job) = state.jobs.pop() {
            return Poll::Ready(Some(job));
        }
        if state.wakers[worker].as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            state.wakers[worker] = Some(context.waker().clone());
        }
        state.idle.push(worker);
        Poll::Pending
    }

    /// Nothing that could panic is done under the lock, so its state holds whatever a panic elsewhere did.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use blit_core::event::{Control, Event, Seat};
    use blit_core::path::RelPath;
    use blit_core::task::{Dir, Hash, Root};

    use super::*;
    use crate::uring::executor::block_on;

    fn hash() -> Task {
        let dir = Dir::new(&Root::new("/some/where"), RelPath::root());
        Task::Hash(Hash { dir, names: Vec::new() })
    }

    fn jobs(count: u64) -> (impl Iterator<Item = Job>, Receiver<(Seat, Event)>) {
        let (sender, receiver) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        let job = move |id| Job { id: TaskId(id), task: hash(), port: port.clone() };
        ((0..count).map(job), receiver)
    }

    fn answers(receiver: &Receiver<(Seat, Event)>) -> Vec<(u64, ErrorKind)> {
        let answers = receiver.try_iter().map(|(_, event)| match event {
            Event::Done(id, Err(error)) => (id.0, error.kind),
            other => panic!("{other:?}"),
        });
        answers.collect()
    }

    #[test]
    fn a_panic_is_the_error_of_its_task_alone() {
        let error = guarded(&hash(), || panic!("no {}", "way")).expect_err("it panicked");
        assert_eq!(error.kind, ErrorKind::Internal);
        assert_eq!(error.to_string(), "hash /some/where: panic: no way");
    }

    #[test]
    fn closing_answers_what_was_not_begun() {
        let queue = Queue::new(1);
        let (jobs, receiver) = jobs(3);
        queue.push(jobs);
        queue.close();
        let never = ErrorKind::Interrupted;
        assert_eq!(answers(&receiver), [(0, never), (1, never), (2, never)]);
        block_on(queue.serve(0, Until::Closed));
        assert!(!queue.board(0));
    }

    #[test]
    fn a_sleeping_worker_is_woken_for_work_and_for_the_end() {
        let queue = Queue::new(1);
        let (jobs, receiver) = jobs(2);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| block_on(queue.serve(0, Until::Closed)));
            while queue.lock().idle.is_empty() {
                std::thread::yield_now();
            }
            queue.push(jobs);
            assert!(receiver.recv().is_ok() && receiver.recv().is_ok());
            queue.close();
            worker.join().expect("it ends");
        });
    }

    #[test]
    fn a_plain_worker_leaves_its_jobs_to_its_executor_once_that_is_prepared() {
        let queue = Queue::new(1);
        let (jobs, receiver) = jobs(1);
        queue.finish_preparation();
        queue.push(jobs);
        block_on(queue.serve(0, Until::Prepared));
        assert!(answers(&receiver).is_empty());
        assert!(queue.board(0) && queue.is_boarding(0));
    }

    #[test]
    fn the_watchdog_rests_until_it_is_dismissed() {
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            let watchdog = scope.spawn(|| while queue.rest(Duration::from_secs(3600)) {});
            while !queue.lock().watchdog_sleeps {
                std::thread::yield_now();
            }
            queue.close();
            queue.dismiss();
            watchdog.join().expect("it ends");
        });
    }
}
