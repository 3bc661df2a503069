//! The tasks of one session: what runs, what waits for room at the engine, and what each one is for.
//! It must not know what the tasks do.

use std::collections::{BTreeMap, VecDeque};

use crate::task::{Subject, Task, TaskId};

/// Tasks with the session's own note `J` of what each is for.
#[derive(Debug)]
pub(super) struct Desk<J> {
    next_id: u64,
    running: BTreeMap<TaskId, (J, Subject)>,
    waiting: VecDeque<(J, Task)>,
    running_max: usize,
}

impl<J> Desk<J> {
    /// A desk that keeps at most `running_max` tasks at the engine.
    pub(super) fn new(running_max: usize) -> Self {
        assert!(running_max > 0, "a session must be able to run a task");
        Self { next_id: 0, running: BTreeMap::new(), waiting: VecDeque::new(), running_max }
    }

    /// Lets that many more tasks be at the engine, which wait there and take no worker.
    pub(super) fn widen(&mut self, more: usize) {
        self.running_max += more;
    }

    /// Adds a task behind those that wait.
    pub(super) fn put(&mut self, job: J, task: Task) {
        self.waiting.push_back((job, task));
    }

    /// Moves tasks to `out` while the engine has room.
    pub(super) fn flush(&mut self, out: &mut Vec<(TaskId, Task)>) {
        while self.running.len() < self.running_max {
            let Some((job, task)) = self.waiting.pop_front() else { return };
            let id = TaskId(self.next_id);
            self.next_id += 1;
            self.running.insert(id, (job, Subject::of(&task)));
            out.push((id, task));
        }
    }

    /// Takes the note of a task that ended. `None` if no such task runs.
    pub(super) fn finish(&mut self, id: TaskId) -> Option<J> {
        self.running.remove(&id).map(|(job, _)| job)
    }

    /// Forgets the tasks that wait.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// How many tasks run or wait.
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Whether no task is at the engine.
    pub(super) fn is_quiet(&self) -> bool {
        self.running.is_empty()
    }

    /// The task that has run longest.
    pub(super) fn oldest(&self) -> Option<&Subject> {
        self.running.values().next().map(|(_, subject)| subject)
    }
}
