//! The user's wish to stop, and the one process group that has to stop with us.

use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::system;

/// Shared by the thread that takes the signals and by everything that takes long.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<State>);

#[derive(Default)]
struct State {
    raised: AtomicBool,
    /// The leader of the running group; only set while it cannot have been reaped.
    leader: Mutex<Option<u32>>,
}

impl Interrupt {
    /// Asks everything to stop and kills what runs.
    pub(crate) fn raise(&self) {
        let leader = self.leader();
        self.0.raised.store(true, Ordering::SeqCst);
        kill(*leader);
    }

    /// An error once the user asked to stop; called between any two long steps.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.raised.load(Ordering::SeqCst) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Starts a group that `raise` and `kill_group` reach, unless it is too late to start one.
    pub(crate) fn start_group(
        &self,
        start: impl FnOnce() -> io::Result<Child>,
    ) -> Result<io::Result<Child>> {
        let mut leader = self.leader();
        self.check()?;
        let child = start();
        *leader = child.as_ref().ok().map(Child::id);
        Ok(child)
    }

    /// Kills the running group, for instance when its time is up.
    pub(crate) fn kill_group(&self) {
        kill(*self.leader());
    }

    /// To be called before the leader is waited for: afterwards its number may be another's.
    pub(crate) fn release_group(&self) {
        *self.leader() = None;
    }

    fn leader(&self) -> MutexGuard<'_, Option<u32>> {
        self.0.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(leader: Option<u32>) {
    if let Some(leader) = leader {
        // A group that has just ended by itself is as good as killed.
        drop(system::kill_group(leader));
    }
}
