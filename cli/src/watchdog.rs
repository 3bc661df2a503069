//! Ends a run whose own thread hangs in the system, where nothing but another thread can tell so.
//! It must not decide when a run stands still, nor how its end is worded.

use std::sync::Weak;
use std::thread;
use std::time::Instant;

use blit_core::event::Control;
use blit_core::stall::{BEAT, Stall};
use blit_rpc::transfer::Outcome;
use indicatif::ProgressBar;
use signal_hook::low_level;

use crate::options::Telling;
use crate::ui::{Ended, Ui};

/// Watches a run until nobody holds its control any more.
pub(crate) struct Watchdog {
    pub(crate) control: Weak<Control>,
    /// How the end is told.
    pub(crate) telling: Telling,
    /// What is shown meanwhile.
    pub(crate) bar: Option<ProgressBar>,
    /// When the run began.
    pub(crate) started: Instant,
}

impl Watchdog {
    /// Watches in a thread that nobody waits for: it sleeps, and ends with the process or soon after the run. Where there
    /// can be no thread, nobody watches; the work is what was asked for.
    pub(crate) fn watch(self) {
        let thread = thread::Builder::new().name("blit-watch".to_owned());
        drop(thread.stack_size(STACK_BYTES).spawn(move || self.look()));
    }

    fn look(self) {
        let mut stall = Stall::default();
        let mut turn = 0;
        loop {
            thread::sleep(BEAT);
            let Some(control) = self.control.upgrade() else { return };
            let Some((now, subject)) = control.occupation() else { continue };
            if now != turn {
                (turn, stall) = (now, Stall::default());
            }
            if stall.beat(&control) {
                return self.end(Outcome {
                    error: Some(stall.error(Some(&subject))),
                    ..Outcome::default()
                });
            }
        }
    }

    /// Ends the process without the thread that hangs, which may hold what an orderly end would wait for.
    fn end(self, outcome: Outcome) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let ended = Ended {
            outcome: &outcome,
            verb: self.telling.verb,
            engine: "",
            unmatched: &[],
            notes: &[],
            elapsed: self.started.elapsed(),
        };
        low_level::exit(Ui::new(self.telling).end(&ended).code());
    }
}

/// Enough to tell an error; it is only touched then.
const STACK_BYTES: usize = 256 << 10;
