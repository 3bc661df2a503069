//! When a run stands still, and what is told then. It must not measure time: whoever watches gives the beats.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::event::{Control, Progress};
use crate::task::Subject;

/// For how many beats nothing has moved.
#[derive(Debug, Default)]
pub struct Stall {
    seen: Option<(Progress, u64)>,
    beats: u32,
}

impl Stall {
    /// Counts one more [`BEAT`] and says whether nothing has moved for longer than the run may stand still.
    pub fn beat(&mut self, control: &Control) -> bool {
        let motion = Some(control.motion());
        if self.seen != motion {
            *self = Self { seen: motion, beats: 0 };
            return false;
        }
        self.beats += 1;
        let beats_max = |seconds: u32| seconds.saturating_mul(BEATS_PER_SEC).max(1);
        control.stall_timeout_s().map(beats_max).is_some_and(|max| self.beats >= max)
    }

    /// The end of a run that stands still because of `subject`.
    pub fn error(&self, subject: Option<&Subject>) -> Error {
        let (op, path) = subject.map_or(("wait", Vec::new()), |it| (it.op, it.shown()));
        let why = format!("nothing has moved for {} s", self.beats / BEATS_PER_SEC);
        Error::because(ErrorKind::Stalled, op, &path, why)
    }
}

/// How often whoever watches looks whether something moves.
pub const BEAT: Duration = Duration::from_millis(500);
const BEATS_PER_SEC: u32 = 2;
