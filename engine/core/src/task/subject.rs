//! What a task does and where, for messages. It must not hold anything open.

use super::{Copy, Dir, Hash, List, Task, What};
use crate::path::Name;

/// What a task does and where.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The operation.
    pub op: &'static str,
    dir: Dir,
    name: Option<Name>,
}

impl Subject {
    /// That of `task`.
    pub fn of(task: &Task) -> Self {
        let dir = Dir { staged: None, ..task.dir().clone() };
        Self { op: task.op(), dir, name: only_name(task).cloned() }
    }

    /// The whole path.
    pub fn shown(&self) -> Vec<u8> {
        self.dir.shown(self.name.as_ref())
    }
}

/// The entry that a task is about, where it is just one.
fn only_name(task: &Task) -> Option<&Name> {
    match task {
        Task::List(List { what: What::Names(names), .. }) => match &names[..] {
            [name] => Some(name),
            _ => None,
        },
        Task::Copy(Copy { page, picks, .. }) => match &picks[..] {
            [pick] => page.get(pick.index).map(|entry| &entry.name),
            _ => None,
        },
        Task::Hash(Hash { names, .. }) => match &names[..] {
            [name] => Some(name),
            _ => None,
        },
        _ => None,
    }
}
