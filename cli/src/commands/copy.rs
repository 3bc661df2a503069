//! `blit copy`. It must not know how a transfer is run or how anything is worded.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_core::event::Control;
use blit_rpc::transfer::{self, Outcome, Request};

use crate::args::CopyArgs;
use crate::interrupt::Interrupt;
use crate::options::{self, EngineOptions};
use crate::report::Exit;
use crate::ui::progress::Line;
use crate::ui::{Ended, Ui};

/// Copies and tells about it.
pub(crate) fn run(args: &CopyArgs) -> Exit {
    let started = Instant::now();
    let telling = options::telling(args);
    let line = Line::new(telling.progress);
    let mut ui = Ui::new(telling, line.bar());
    let mut described = String::new();
    let outcome = options::request(args, &telling)
        .and_then(|request| {
            let run = Run { request, engine: options::engine(args), started };
            run.transfer(line, &mut ui, &mut described)
        })
        .unwrap_or_else(|error| Outcome { error: Some(error), ..Outcome::default() });
    ui.end(&Ended { outcome: &outcome, engine: &described, elapsed: started.elapsed() })
}

/// One transfer, checked and ready to go.
struct Run {
    request: Request,
    engine: EngineOptions,
    started: Instant,
}

impl Run {
    /// Runs the transfer here, while a thread beside it watches for signals and shows the progress.
    fn transfer(&self, line: Line, ui: &mut Ui, described: &mut String) -> Result<Outcome, Error> {
        let interrupt =
            Interrupt::listen().map_err(|error| Error::io("listen to signals", b"", error))?;
        let engine = blit_engine::start(self.engine.choice, self.engine.workers)?.engine;
        let control = Arc::new(Control::default());
        let watch = Watch {
            control: &control,
            interrupt,
            started: self.started,
            ended: AtomicBool::new(false),
        };
        let dry_run = self.request.spec.dry_run;
        let mut outcome = thread::scope(|scope| {
            let watcher = scope.spawn(|| watch.until_the_end(line));
            let _end = End { watch: &watch, watcher: watcher.thread() };
            transfer::run(&self.request, engine.as_ref(), &control, &mut |change| {
                ui.change(&change);
                // A dry run that cannot tell is of no use; a copy is, whoever listens.
                if dry_run && ui.is_broken() {
                    control.cancel();
                }
            })
        });
        if dry_run && ui.is_broken() {
            // It was stopped for want of a listener; that is told, and is the reason.
            outcome.error = None;
        }
        // Only now it is known what the work was found to need.
        *described = engine.describe();
        if outcome.engine_hangs() {
            // Its workers wait for a disk that may never answer; the end of the process ends them.
            mem::forget(engine);
        }
        Ok(outcome)
    }
}

/// What goes on beside a run.
struct Watch<'a> {
    control: &'a Control,
    interrupt: Interrupt,
    started: Instant,
    ended: AtomicBool,
}

impl Watch<'_> {
    fn until_the_end(&self, mut line: Line) {
        while !self.ended.load(Ordering::Acquire) {
            if self.interrupt.is_raised() {
                self.control.cancel();
            }
            line.show(self.control.progress(), self.started.elapsed());
            thread::park_timeout(LOOK_EVERY);
        }
        line.clear();
    }
}

/// Ends the watch when the run ends, a panic included.
struct End<'a> {
    watch: &'a Watch<'a>,
    watcher: &'a Thread,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.watch.ended.store(true, Ordering::Release);
        self.watcher.unpark();
    }
}

/// Short enough that Ctrl-C feels immediate, long enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
