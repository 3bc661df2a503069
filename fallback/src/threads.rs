//! The portable engine: a few threads that take tasks from one queue.
//! It must not know what is in a task beyond which module executes it.
//!
//! The threads share one descriptor table: a staged directory or a root that one of them opened is used by the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use blit_core::engine::{Engine, Limits};
use blit_core::event::{Control, Port};
use blit_core::session::schedule::{INLINE_TIME_MAX, Inline};
use blit_core::stream::Attachment;
use blit_core::task::{Output, Subject, Task, TaskId};
use blit_core::{Error, ErrorKind};

use crate::backlog::{Backlog, looks_ahead};
use crate::{Confinement, copy, draft, hash, list, place, remove, space, stream};

/// Executes one task in the calling thread.
///
/// # Errors
/// Where nothing of the task counts.
pub fn run(task: &Task, control: &Control) -> Result<Output, Error> {
    if control.is_cancelled() {
        return Err(interrupted(task));
    }
    match task {
        Task::List(task) => list::list(task, control).map(Output::Listed),
        Task::Copy(task) => copy::copy(task, control).map(Output::Copied),
        Task::Place(task) => place::place(task, control).map(Output::Placed),
        Task::Remove(task) => remove::remove(task, control).map(Output::Removed),
        // They are with the streams that carry them and never come here.
        Task::Send(_) | Task::Receive(_) => {
            let why = "nothing was attached that could carry it";
            Err(Error::because(ErrorKind::Internal, task.op(), &task.dir().shown(None), why))
        }
        Task::Blocks(task) => draft::blocks(task, control).map(Output::Blocks),
        Task::Hash(task) => hash::hash(task, control).map(Output::Hashed),
        Task::Space(task) => space::space(task).map(Output::Space),
    }
}

/// An engine of std threads. They are started when the work proves large enough, one by one as it queues up.
#[derive(Debug)]
pub struct ThreadEngine {
    shared: Arc<Shared>,
    workers_max: usize,
    /// Counts what is small enough for the calling thread. A confined engine runs nothing there.
    inline: Option<Inline>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ThreadEngine {
    /// An engine of at most so many threads; as many as there are processors if not said.
    pub fn new(workers: Option<usize>) -> Self {
        Self::with(workers, None)
    }

    /// An engine whose threads enter `confinement` before their first task. Nothing of a task runs in any other thread.
    pub fn confined(workers: Option<usize>, confinement: Confinement) -> Self {
        Self::with(workers, Some(confinement))
    }

    fn with(workers: Option<usize>, confinement: Option<Confinement>) -> Self {
        // So that all threads see what was true before there were any.
        crate::sys::umask();
        crate::ahead::files_max();
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inline: confinement.is_none().then(Inline::default),
            shared: Arc::new(Shared { confinement, ..Shared::default() }),
            workers_max: workers.unwrap_or_else(available).clamp(1, WORKERS_MAX),
            threads: Mutex::default(),
        }
    }

    /// Runs `tasks` in the calling thread while the run is small, and gives back what is left to others.
    pub fn run_small(&self, tasks: Vec<(TaskId, Task)>, port: &Port) -> Vec<(TaskId, Task)> {
        let inline = self.inline.as_ref();
        let Some(inline) = inline.filter(|it| it.admits(tasks.iter().map(|(_, task)| task))) else {
            return tasks;
        };
        let begun = Instant::now();
        let mut tasks = tasks.into_iter();
        while begun.elapsed() < INLINE_TIME_MAX {
            let Some((id, task)) = tasks.next() else { return Vec::new() };
            Job { id, task, port: port.clone() }.run_here();
        }
        inline.close();
        tasks.collect()
    }

    fn start(&self, count: usize) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = self.workers_max.saturating_sub(threads.len());
        for _ in 0..count.min(missing) {
            let shared = Arc::clone(&self.shared);
            let name = format!("blit-{}", threads.len());
            match std::thread::Builder::new().name(name).spawn(move || work(&shared)) {
                Ok(thread) => threads.push(thread),
                // The threads there are do the work; if there are none, whoever submits does.
                Err(_) => break,
            }
        }
        if threads.is_empty() {
            drop(threads);
            let confined = self.shared.confinement.is_some();
            let no_thread = Error::new(ErrorKind::Exhausted, "start confined thread", b"");
            while let Some(job) = self.shared.next() {
                if confined { job.fail(no_thread.clone()) } else { job.run_here() }
            }
        }
    }
}

impl Engine for ThreadEngine {
    fn submit(&self, tasks: Vec<(TaskId, Task)>, port: &Port) {
        let tasks = tasks.into_iter().filter_map(|(id, task)| stream::divert(id, task, port));
        let tasks = self.run_small(tasks.collect(), port);
        if tasks.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        for (id, task) in tasks {
            let is_ahead = looks_ahead(&task);
            state.queue.push(Job { id, task, port: port.clone() }, is_ahead);
        }
        let (queued, sleeping) = (state.queue.len(), state.sleeping);
        drop(state);
        for _ in 0..queued.min(sleeping) {
            self.shared.wake.notify_one();
        }
        if queued > sleeping {
            self.start(queued - sleeping);
        }
    }

    fn attach(&self, attachment: Attachment) {
        stream::attach(attachment, self.shared.confinement.clone());
    }

    fn limits(&self) -> Limits {
        Limits { workers: self.workers_max }
    }

    fn describe(&self) -> String {
        "threads".to_owned()
    }
}

impl Drop for ThreadEngine {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        let mut dropped = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.wake.notify_all();
        for job in dropped.drain() {
            job.port.done(job.id, Err(interrupted(&job.task)));
        }
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A worker catches what its tasks throw, so there is no panic to pass on.
            drop(thread.join());
        }
    }
}

/// What the workers share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    confinement: Option<Confinement>,
}

#[derive(Debug, Default)]
struct State {
    queue: Backlog<Job>,
    sleeping: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Job {
    id: TaskId,
    task: Task,
    port: Port,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        self.lock().queue.pop()
    }
}

impl Job {
    /// Executes the task and says once what became of it, whatever happens inside.
    fn run(self) {
        let Self { id, task, port } = self;
        let result = catch_unwind(AssertUnwindSafe(|| run(&task, port.control())));
        let result = result.unwrap_or_else(|panic| Err(broken(&task, &*panic)));
        // Whoever hears of the end may rely on it that nothing the task named is held any more.
        drop(task);
        port.done(id, result);
    }

    /// The same in the thread that drives the run, of which nobody else can tell when it hangs.
    fn run_here(self) {
        let control = Arc::clone(self.port.control());
        let _occupied = control.occupy(Subject::of(&self.task));
        self.run();
    }

    /// Says that the task was not begun, and why.
    fn fail(self, error: Error) {
        let Self { id, task, port } = self;
        drop(task);
        port.done(id, Err(error));
    }
}

fn work(shared: &Shared) {
    let entered = shared.confinement.as_ref().map_or(Ok(()), |at| at.enter().map(drop));
    let mut state = shared.lock();
    loop {
        if let Some(job) = state.queue.pop() {
            drop(state);
            match &entered {
                Ok(()) => job.run(),
                Err(error) => job.fail(error.clone()),
            }
            state = shared.lock();
        } else if state.stopping {
            return;
        } else {
            state.sleeping += 1;
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }
}

fn interrupted(task: &Task) -> Error {
    Error::new(ErrorKind::Interrupted, task.op(), &task.dir().shown(None))
}

fn broken(task: &Task, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let why = text.unwrap_or("a panic without words");
    Error::because(ErrorKind::Internal, task.op(), &task.dir().shown(None), why)
}

/// Threads beyond which file systems gain nothing from one process.
const WORKERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use blit_core::event::{Event, Seat};
    use blit_core::path::RelPath;
    use blit_core::task::{Dir, Held, List, Root, Space, Survey, What};

    use super::*;
    use crate::sandbox::Sandbox;

    fn space(sandbox: &Sandbox) -> Task {
        Task::Space(Space { dir: sandbox.dir(""), probe_times: true })
    }

    #[test]
    fn every_task_is_answered_once_inline_or_not_and_small_jobs_start_no_thread() {
        let sandbox = Sandbox::new();
        let (sender, receiver) = channel();
        let port = Port::new(Seat(0), sender, Arc::default());
        let engine = ThreadEngine::new(Some(3));
        engine.submit(vec![(TaskId(0), space(&sandbox))], &port);
        assert!(engine.threads.lock().expect("not poisoned").is_empty());
        for batch in 1..100_u64 {
            let task = |at| (TaskId(batch * 10 + at), space(&sandbox));
            engine.submit((0..10).map(task).collect(), &port);
        }
        assert!(engine.threads.lock().expect("not poisoned").len() <= 3);
        let mut answered: Vec<u64> = receiver
            .iter()
            .take(991)
            .map(|(_, event)| match event {
                Event::Done(id, Ok(Output::Space(_))) => id.0,
                other => panic!("{other:?}"),
            })
            .collect();
        answered.sort_unstable();
        answered.dedup();
        assert_eq!(answered.len(), 991);
        drop(engine);
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn cancelled_and_dropped_tasks_are_answered_too() {
        let sandbox = Sandbox::new();
        let (sender, receiver) = channel();
        let control = Arc::<Control>::default();
        let port = Port::new(Seat(0), sender, Arc::clone(&control));
        let engine = ThreadEngine::new(Some(1));
        engine.submit((0..500).map(|at| (TaskId(at), space(&sandbox))).collect(), &port);
        control.cancel();
        drop(engine);
        drop(port);
        assert_eq!(receiver.iter().count(), 500);
    }

    #[test]
    fn what_is_not_this_engines_own_is_an_internal_error() {
        let root = Root::new("/");
        let after = Some(Held(Arc::new(5)));
        let task = Task::List(List {
            dir: Dir::new(&root, RelPath::root()),
            what: What::Next { after, entries_max: 1 },
            xattrs: false,
            survey: Survey::Nothing,
        });
        let error = run(&task, &Control::default()).expect_err("not a position");
        assert_eq!(error.kind, ErrorKind::Internal);
    }
}
