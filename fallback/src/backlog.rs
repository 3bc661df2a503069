//! Queued work in the order in which it is best begun.
//! It must not know who does it.

use std::collections::VecDeque;

use blit_core::session::schedule::URGENT_IN_A_ROW_MAX;
use blit_core::task::{List, Survey, Task, What};

/// Jobs that wait. What moves bytes goes before what only looks ahead, but not for ever: where a file system answers slowly,
/// what is known already need not wait behind every listing, and a scan goes on while there is much to move.
#[derive(Debug)]
pub struct Backlog<J> {
    urgent: VecDeque<J>,
    ahead: VecDeque<J>,
    /// How many urgent ones were taken since the last other one.
    in_a_row: usize,
}

impl<J> Default for Backlog<J> {
    fn default() -> Self {
        Self { urgent: VecDeque::new(), ahead: VecDeque::new(), in_a_row: 0 }
    }
}

impl<J> Backlog<J> {
    /// Adds a job behind those of its kind.
    pub fn push(&mut self, job: J, looks_ahead: bool) {
        if looks_ahead { self.ahead.push_back(job) } else { self.urgent.push_back(job) }
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<J> {
        let is_turn = self.in_a_row >= URGENT_IN_A_ROW_MAX && !self.ahead.is_empty();
        let urgent = if is_turn { None } else { self.urgent.pop_front() };
        self.in_a_row = if urgent.is_some() { self.in_a_row + 1 } else { 0 };
        urgent.or_else(|| self.ahead.pop_front())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.urgent.len() + self.ahead.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all.
    pub fn drain(&mut self) -> impl Iterator<Item = J> {
        let Self { urgent, ahead, .. } = std::mem::take(self);
        urgent.into_iter().chain(ahead)
    }
}

/// Whether a task only finds out what is still to be done.
pub fn looks_ahead(task: &Task) -> bool {
    matches!(task, Task::List(List { what: What::Next { .. }, survey: Survey::Nothing, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_bytes_goes_first_and_what_looks_ahead_has_its_turn() {
        let mut backlog = Backlog::default();
        for job in 0..10 {
            backlog.push(job, job < 3);
        }
        let order: Vec<i32> = std::iter::from_fn(|| backlog.pop()).collect();
        assert_eq!(order, [3, 4, 5, 6, 0, 7, 8, 9, 1, 2]);
        assert!(backlog.is_empty());
    }
}
