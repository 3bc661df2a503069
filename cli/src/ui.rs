//! The only printers. It must not decide what anything is called; report.rs does.

pub(crate) mod progress;

mod json;
mod quantity;
mod table;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use blit_core::ErrorKind;
use blit_core::path::Escaped;
use blit_core::summary::{Action, Change};
use blit_rpc::transfer::Outcome;
use clap::error::{ContextKind, ContextValue};
use indicatif::ProgressBar;

use crate::options::{Ending, Telling};
use crate::report::{self, Exit};

/// A run that has ended, with what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// What it did and why it ended.
    pub(crate) outcome: &'a Outcome,
    /// Which engine ran it and why; empty where none was started.
    pub(crate) engine: &'a str,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl Ended<'_> {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of(self.outcome)
    }

    /// Refused before anything was looked at: a summary would only hide the error.
    fn is_nothing_but_an_error(&self) -> bool {
        self.outcome.error.is_some() && self.outcome.summary.entries == 0
    }
}

/// Standard output and standard error during one run.
#[derive(Debug)]
pub(crate) struct Ui {
    telling: Telling,
    out: BufWriter<Stdout>,
    is_terminal: bool,
    flushed: Instant,
    bar: Option<ProgressBar>,
    broken: Option<io::Error>,
}

impl Ui {
    /// Tells as `telling` says; `bar` is the progress line to print around.
    pub(crate) fn new(telling: Telling, bar: Option<ProgressBar>) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let out = BufWriter::with_capacity(OUT_BUFFER_BYTES, stdout);
        Self { telling, out, is_terminal, flushed: Instant::now(), bar, broken: None }
    }

    /// Tells one change.
    pub(crate) fn change(&mut self, change: &Change) {
        if self.broken.is_some() {
            return;
        }
        let line = change_line(change, self.telling.dry_run);
        let result = match self.bar.take() {
            Some(bar) => {
                let result = bar.suspend(|| self.write_change(&line));
                self.bar = Some(bar);
                result
            }
            None => self.write_change(&line),
        };
        self.broken = result.err();
    }

    /// Standard output cannot be written, so what is told is lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Tells how the run ended, and gives the exit code with standard output taken into account.
    pub(crate) fn end(mut self, ended: &Ended<'_>) -> Exit {
        let result = match self.broken.take() {
            Some(error) => Err(error),
            None => self.write_ending(ended),
        };
        tell_errors(ended.outcome);
        let exit = ended.exit();
        match (result, exit) {
            (Ok(()), _) => exit,
            (Err(error), _) => {
                tell_broken_output(&error);
                if matches!(exit, Exit::Done | Exit::Incomplete) { Exit::Failed } else { exit }
            }
        }
    }

    fn write_change(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        if self.is_terminal || self.flushed.elapsed() > FLUSH_EVERY {
            self.out.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    fn write_ending(&mut self, ended: &Ended<'_>) -> io::Result<()> {
        match self.telling.ending {
            Ending::Quiet => {}
            Ending::Json => json::write(&mut self.out, ended, &self.telling)?,
            Ending::Text if ended.is_nothing_but_an_error() => {}
            Ending::Text => table::write(&mut self.out, ended, &self.telling)?,
        }
        self.out.flush()
    }
}

/// One change as a line: the words of all actions are equally wide, so that the paths stand below each other.
fn change_line(change: &Change, dry_run: bool) -> String {
    let (done, would) = report::action_words(change.action);
    let (word, width) = if dry_run { (would, 13) } else { (done, 8) };
    let path = if change.path.is_empty() { &b"."[..] } else { &change.path };
    let slash = if change.action == Action::MadeDir { "/" } else { "" };
    format!("{word:width$}  {}{slash}", Escaped(path))
}

/// Lists the failures on standard error, the error that ended the run, and a hint for each kind.
fn tell_errors(outcome: &Outcome) {
    let summary = &outcome.summary;
    let mut text = String::new();
    for failure in summary.failures.iter().take(FAILURES_SHOWN_MAX) {
        text += &format!("error: {failure}\n");
    }
    let shown = summary.failures.len().min(FAILURES_SHOWN_MAX) as u64;
    if summary.failed > shown {
        let kept = summary.failures.len() as u64;
        let which = if summary.failed > kept { format!("the first {kept}") } else { "all".into() };
        text += &format!("error: and {} more; {which} are in --json\n", summary.failed - shown);
    }
    if let Some(error) = &outcome.error {
        text += &if error.kind == ErrorKind::Interrupted {
            "interrupted\n".to_owned()
        } else {
            format!("error: {error}\n")
        };
    }
    for kind in report::kinds(summary.failures.iter().chain(&outcome.error)) {
        if let Some(hint) = report::hint(kind) {
            text += &format!("hint: {hint}\n");
        }
    }
    tell(&text);
}

/// Answers what was typed where that is not a run: help, the version, or what is wrong with it.
pub(crate) fn answer_to_words(error: &clap::Error) -> Exit {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
        let word = Escaped(word.as_bytes()).to_string();
        let meant = match error.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::Strings(verbs)) => verbs.first().map(String::as_str),
            _ => None,
        };
        tell(&format!("error: {}\n", report::not_a_verb(&word, meant)));
        return Exit::Usage;
    }
    let result = error.print().and_then(|()| io::stdout().flush());
    match result {
        _ if error.use_stderr() => Exit::Usage,
        Ok(()) => Exit::Done,
        Err(error) => {
            tell_broken_output(&error);
            Exit::Failed
        }
    }
}

/// Makes a panic one line for the user instead of a trace.
pub(crate) fn tell_panics_plainly() {
    panic::set_hook(Box::new(|info| {
        PANICKED.store(true, Ordering::Relaxed);
        tell(&panic_line(info));
    }));
}

/// Whether any thread has panicked.
pub(crate) fn has_told_panic() -> bool {
    PANICKED.load(Ordering::Relaxed)
}

fn panic_line(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    format!(
        "internal error: {}{place}; please report this with the command that you ran\n",
        Escaped(what.as_bytes())
    )
}

fn tell_broken_output(error: &io::Error) {
    tell(&format!("error: write standard output: {error}\n"));
}

/// Writes to standard error. If that fails, there is nobody left to tell.
fn tell(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

static PANICKED: AtomicBool = AtomicBool::new(false);

/// A screen of errors; more would push the summary out of sight.
const FAILURES_SHOWN_MAX: usize = 20;
/// What a pipe takes at once.
const OUT_BUFFER_BYTES: usize = 64 << 10;
/// Whoever reads along through a pipe sees changes as they come, without a system call for each.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_lines_whatever_the_name() {
        let line = |action, path: &[u8], dry_run| {
            change_line(&Change { action, path: path.into() }, dry_run)
        };
        assert_eq!(line(Action::Copied, b"a\nb", false), "copied    a\\nb");
        assert_eq!(line(Action::MadeDir, b"d", false), "created   d/");
        assert_eq!(line(Action::MadeDir, b"", true), "would create   ./");
        assert_eq!(line(Action::Replaced, b"a", true), "would replace  a");
    }
}
