//! What executes tasks.
//! It must not know sessions, roles or peers.

use crate::event::Port;
use crate::stream::Attachment;
use crate::task::{Task, TaskId};

/// Executes tasks.
pub trait Engine: Send + Sync {
    /// Queues `tasks` and returns at once, except that a few small tasks may be run before it returns
    /// ([`crate::session::schedule::Inline`]). Each yields exactly one `Event::Done` on `port`, in any order.
    fn submit(&self, tasks: Vec<(TaskId, Task)>, port: &Port);

    /// Takes over a data stream: at the source's end to send on it, at the destination's to receive what tasks wait for.
    fn attach(&self, attachment: Attachment);

    /// The bounds a session must keep to here.
    fn limits(&self) -> Limits;

    /// Which engine this is and why, for diagnosis: `threads (io_uring refused: ...)`.
    fn describe(&self) -> String;
}

/// The bounds of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that can run at the same time.
    pub workers: usize,
}
