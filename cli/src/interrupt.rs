//! The wish to end a run that comes from outside: Ctrl-C and a polite kill.
//! It must not know what is running, nor end anything itself, except when it is asked for a second time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::report::Exit;

/// Whether the user or the system asked for an end.
#[derive(Debug)]
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. The first signal is only noted; the second ends the process at once.
    pub(crate) fn listen() -> io::Result<Self> {
        let raised = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that the first signal finds the flag down.
            flag::register_conditional_shutdown(
                signal,
                Exit::Interrupted.code(),
                Arc::clone(&raised),
            )?;
            flag::register(signal, Arc::clone(&raised))?;
        }
        Ok(Self { raised })
    }

    /// What the first signal raises.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }

    /// While this holds, the first signal ends the process: it waits for an answer, and nothing has to be put in order.
    pub(crate) fn end_at_once(&self, holds: bool) {
        self.raised.store(holds, Ordering::Relaxed);
    }
}
