//! One run of a verb: the engine is started when it is first needed, a thread beside shows the progress where somebody
//! looks, and the end is told. It must not know what a verb does.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_core::engine::Engine;
use blit_core::event::Control;
use blit_core::filter::Filter;
use blit_core::summary::Notice;
use blit_rpc::transfer::{self, Outcome, Request};

use crate::interrupt::Interrupt;
use crate::options::{EngineOptions, Telling};
use crate::report::Exit;
use crate::ui::progress::Line;
use crate::ui::{Ended, Ui};
use crate::watchdog::Watchdog;

/// What a verb works with.
pub(crate) struct Run {
    /// Where everything is told.
    pub(crate) ui: Ui,
    telling: Telling,
    options: EngineOptions,
    machine: Option<Machine>,
    filter: Option<Arc<Filter>>,
    bytes_per_sec: Option<u64>,
    notes: Vec<String>,
    started: Instant,
}

/// What executes.
struct Machine {
    engine: Arc<dyn Engine>,
    interrupt: Interrupt,
    hangs: bool,
}

/// What work is done with.
pub(crate) type Hands<'a> = (&'a dyn Engine, &'a Arc<Control>);

/// Does `work` and tells about it.
pub(crate) fn go(
    telling: Telling,
    options: EngineOptions,
    work: impl FnOnce(&mut Run) -> Result<Outcome, Error>,
) -> Exit {
    let ui = Ui::new(telling.clone());
    let started = Instant::now();
    let (machine, filter, bytes_per_sec) = (None, None, None);
    let notes = Vec::new();
    let mut run = Run { ui, telling, options, machine, filter, bytes_per_sec, notes, started };
    let outcome = run.ui.open_log().and_then(|()| work(&mut run));
    let outcome =
        outcome.unwrap_or_else(|error| Outcome { error: Some(error), ..Outcome::default() });
    run.end(&outcome)
}

impl Run {
    /// Remembers the filter, to tell at the end which of its rules were of no use.
    pub(crate) fn watch_filter(&mut self, filter: &Option<Arc<Filter>>) {
        self.filter.clone_from(filter);
    }

    /// Remembers something worth knowing, to tell it at the end.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Bounds the bytes per second, where that is asked for.
    pub(crate) fn limit_rate(&mut self, bytes_per_sec: Option<u64>) {
        self.bytes_per_sec = bytes_per_sec;
    }

    /// Runs a transfer and tells its changes.
    ///
    /// # Errors
    /// When nothing can be run at all.
    pub(crate) fn transfer(&mut self, request: &Request) -> Result<Outcome, Error> {
        self.tell(|(engine, control), observe| transfer::run(request, engine, control, observe))
    }

    /// Runs `work` and tells its changes.
    ///
    /// # Errors
    /// When nothing can be run at all.
    pub(crate) fn tell(
        &mut self,
        work: impl FnOnce(Hands<'_>, &mut dyn FnMut(Notice)) -> Outcome,
    ) -> Result<Outcome, Error> {
        self.watch(work, |ui, notice| {
            if let Notice::Change(change) = notice {
                ui.change(&change);
            }
        })
    }

    /// Runs `work` while signals are watched for. `observe` is told what it notices.
    ///
    /// # Errors
    /// When nothing can be run at all.
    pub(crate) fn watch(
        &mut self,
        work: impl FnOnce(Hands<'_>, &mut dyn FnMut(Notice)) -> Outcome,
        mut observe: impl FnMut(&mut Ui, Notice),
    ) -> Result<Outcome, Error> {
        let machine = match &mut self.machine {
            Some(machine) => machine,
            none => none.insert(Machine::start(self.options)?),
        };
        // A run that only tells is of no use when it cannot; others are, whoever listens.
        let only_tells = self.telling.dry_run || self.telling.verb.looks();
        let control = Control::stopped_by(machine.interrupt.flag());
        let control = control.paced(self.bytes_per_sec).patient(self.options.stall_timeout_s);
        let control = Arc::new(control);
        let line = Line::new(self.telling.progress);
        self.ui.print_around(line.bar());
        if self.options.stall_timeout_s.is_some() {
            let (telling, started) = (self.telling.clone(), self.started);
            let control = Arc::downgrade(&control);
            Watchdog { control, telling, bar: line.bar(), started }.watch();
        }
        let ui = &mut self.ui;
        let hands = (machine.engine.as_ref(), &control);
        let mut observe = |notice| {
            match notice {
                Notice::Note(text) => ui.aside("note", &text),
                Notice::Warning(text) => ui.aside("warning", &text),
                notice => observe(ui, notice),
            }
            if only_tells && ui.is_broken() {
                control.cancel();
            }
        };
        let mut outcome = if line.is_hidden() {
            work(hands, &mut observe)
        } else {
            let ended = AtomicBool::new(false);
            let watch = Watch { control: &control, started: self.started, ended };
            watch.beside(line, || work(hands, &mut observe))
        };
        machine.hangs |= outcome.engine_hangs();
        if only_tells && self.ui.is_broken() {
            // It was stopped for want of a listener; that is told, and is the reason.
            outcome.error = None;
        }
        Ok(outcome)
    }

    /// Asks a yes-or-no question. A signal ends the process at once meanwhile.
    pub(crate) fn ask(&mut self, question: &str) -> bool {
        let interrupt = self.machine.as_ref().map(|machine| &machine.interrupt);
        interrupt.inspect(|interrupt| interrupt.end_at_once(true));
        let asked = Instant::now();
        let agreed = self.ui.ask(question);
        // Nobody wants to know how long they thought about it.
        self.started += asked.elapsed();
        interrupt.inspect(|interrupt| interrupt.end_at_once(false));
        agreed
    }

    fn end(self, outcome: &Outcome) -> Exit {
        // Only now it is known what the work was found to need.
        let engine = self.machine.as_ref().map(|machine| machine.engine.describe());
        let engine = engine.unwrap_or_default();
        let filter = self.filter.filter(|_| outcome.error.is_none());
        let unmatched = filter.map(|filter| filter.unmatched()).unwrap_or_default();
        let ended = Ended {
            outcome,
            verb: self.telling.verb,
            engine: &engine,
            unmatched: &unmatched,
            notes: &self.notes,
            elapsed: self.started.elapsed(),
        };
        let exit = self.ui.end(&ended);
        if let Some(machine) = self.machine.filter(|machine| machine.hangs) {
            // Its workers wait for a disk that may never answer; the end of the process ends them.
            mem::forget(machine.engine);
        }
        exit
    }
}

impl Machine {
    fn start(options: EngineOptions) -> Result<Self, Error> {
        let interrupt =
            Interrupt::listen().map_err(|error| Error::io("listen to signals", b"", error))?;
        let engine = blit_engine::start(options.choice, options.workers)?.engine;
        Ok(Self { engine, interrupt, hangs: false })
    }
}

/// Shows the progress of a run beside it.
struct Watch<'a> {
    control: &'a Control,
    started: Instant,
    ended: AtomicBool,
}

impl Watch<'_> {
    /// Does `work` while a thread shows `line`.
    fn beside<T>(&self, line: Line, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let watcher = thread::Builder::new().spawn_scoped(scope, || self.until_the_end(line));
            // Where there can be no thread, nothing is shown; the work is what was asked for.
            let Ok(watcher) = watcher else { return work() };
            let _end = End { ended: &self.ended, watcher: watcher.thread() };
            work()
        })
    }

    fn until_the_end(&self, mut line: Line) {
        while !self.ended.load(Ordering::Acquire) {
            line.show(self.control.progress(), self.started.elapsed());
            thread::park_timeout(LOOK_EVERY);
        }
        line.clear();
    }
}

/// Ends the watch when the run ends, a panic included.
struct End<'a> {
    ended: &'a AtomicBool,
    watcher: &'a Thread,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.watcher.unpark();
    }
}

/// Short enough that the line moves, long enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
