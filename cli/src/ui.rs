//! The only printers. It must not decide what anything is called; report.rs does.

pub(crate) mod progress;

mod collapse;
mod json;
mod listing;
mod log;
mod quantity;
mod table;

use std::io::{self, BufRead, BufWriter, IsTerminal, Stdout, Write};
use std::time::{Duration, Instant};

use blit_core::entry::{Entry, Meta};
use blit_core::path::Escaped;
use blit_core::summary::{Action, Change};
use blit_core::task::SpaceFacts;
use blit_core::{Error, ErrorKind};
use blit_rpc::jobs::Job;
use blit_rpc::look::{ModuleInfo, Welcome};
use blit_rpc::transfer::Outcome;
use clap::error::{ContextKind, ContextValue};
use indicatif::ProgressBar;

use crate::args::When;
use crate::commands::Sum;
use crate::options::{Changes, Ending, Telling, Verb};
use crate::report::{self, Exit};

pub(crate) use collapse::{end_without_memory, has_told_panic, tell_panics_plainly};
use json::{Object, Row};
use log::Log;

/// A run that has ended, with what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// What it did and why it ended.
    pub(crate) outcome: &'a Outcome,
    /// What was asked for.
    pub(crate) verb: Verb,
    /// Which engine ran it and why; empty where none was started.
    pub(crate) engine: &'a str,
    /// Rules of the filter that were of no use.
    pub(crate) unmatched: &'a [String],
    /// What else is worth knowing.
    pub(crate) notes: &'a [String],
    /// How long it took, questions left out.
    pub(crate) elapsed: Duration,
}

impl Ended<'_> {
    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of(self.outcome, self.verb)
    }

    /// Refused before anything was looked at: a summary would only hide the error.
    fn is_nothing_but_an_error(&self) -> bool {
        let summary = &self.outcome.summary;
        self.outcome.error.is_some() && summary.entries == 0 && summary.removed == 0
    }
}

/// Standard output and standard error during one run.
#[derive(Debug)]
pub(crate) struct Ui {
    telling: Telling,
    out: BufWriter<Stdout>,
    is_terminal: bool,
    flushed: Instant,
    object: Object,
    bar: Option<ProgressBar>,
    log: Option<Log>,
    broken: Option<io::Error>,
}

impl Ui {
    /// Tells as `telling` says.
    pub(crate) fn new(telling: Telling) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let out = BufWriter::with_capacity(OUT_BUFFER_BYTES, stdout);
        Self {
            telling,
            out,
            is_terminal,
            flushed: Instant::now(),
            object: Object::default(),
            bar: None,
            log: None,
            broken: None,
        }
    }

    /// Opens the log file, where there is to be one.
    ///
    /// # Errors
    /// Those of opening it.
    pub(crate) fn open_log(&mut self) -> Result<(), Error> {
        if let Some(path) = &self.telling.log_file {
            let mut log = Log::open(path)?;
            let dry_run = if self.telling.dry_run { " (dry run)" } else { "" };
            log.line(&format!("begin blit {}{dry_run}", self.telling.verb.word()));
            log.line(&format!("typed {}", typed()));
            self.log = Some(log);
        }
        Ok(())
    }

    /// From now on, prints around this progress line.
    pub(crate) fn print_around(&mut self, bar: Option<ProgressBar>) {
        self.bar = bar;
    }

    /// Tells something on standard error that is no result: `kind` says whether it matters.
    pub(crate) fn aside(&mut self, kind: &str, text: &str) {
        if self.telling.ending == Ending::Quiet && kind == "note" {
            return;
        }
        let line = match self.telling.progress {
            When::Json => json::aside_event(kind, text),
            _ => format!("{kind}: {text}\n"),
        };
        if let Some(log) = &mut self.log {
            log.line(&format!("{kind}: {text}"));
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(&line)),
            None => tell(&line),
        }
    }

    /// Tells one change.
    pub(crate) fn change(&mut self, change: &Change) {
        if let Some(log) = &mut self.log {
            log.entry(change_word(change.action, &self.telling), shown_path(&change.path));
        }
        if self.telling.progress == When::Json {
            tell(&json::change_event(change));
        }
        match self.telling.changes {
            Changes::Hidden => {}
            Changes::Rows => self.row(&Row::change(change)),
            Changes::Words | Changes::Letters => {
                let line = change_line(change, &self.telling);
                self.print_line(line.as_bytes(), b'\n');
            }
        }
    }

    /// Tells entries: how each is called, and what it is.
    pub(crate) fn entries(&mut self, entries: &[(Vec<u8>, Meta)]) {
        if self.telling.ending == Ending::Json {
            entries.iter().for_each(|(name, meta)| self.row(&Row::entry(name, meta)));
        } else {
            self.lines(&listing::entries(entries));
        }
    }

    /// Tells a path that was looked for. Off a terminal its bytes are printed as they are, for another program.
    pub(crate) fn found(&mut self, path: &[u8], entry: &Entry, ends_in_nul: bool) {
        if self.telling.ending == Ending::Json {
            self.row(&Row::entry(path, &entry.meta));
        } else if ends_in_nul {
            self.print_line(path, 0);
        } else if self.is_terminal {
            self.print_line(Escaped(path).to_string().as_bytes(), b'\n');
        } else {
            self.print_line(path, b'\n');
        }
    }

    /// Tells how much is where.
    pub(crate) fn sums(&mut self, sums: &[Sum]) {
        if self.telling.ending == Ending::Json {
            sums.iter().for_each(|sum| self.row(&Row::sum(sum)));
        } else {
            self.lines(&listing::sums(sums));
        }
    }

    /// Tells how much room there is.
    pub(crate) fn spaces(&mut self, spaces: &[(Vec<u8>, SpaceFacts)]) {
        if self.telling.ending == Ending::Json {
            spaces.iter().for_each(|(path, facts)| self.row(&Row::space(path, facts)));
        } else if !spaces.is_empty() {
            self.lines(&listing::spaces(spaces));
        }
    }

    /// Tells what a daemon offers.
    pub(crate) fn modules(&mut self, welcome: &Welcome, modules: &[ModuleInfo]) {
        if self.telling.ending == Ending::Json {
            modules.iter().for_each(|module| self.row(&Row::module(module)));
            return;
        }
        let motd = welcome.motd.lines().map(|line| Escaped(line.as_bytes()).to_string());
        let motd: Vec<String> = motd.collect();
        self.lines(&motd);
        self.lines(&listing::modules(modules));
    }

    /// Tells of jobs; in a table, with a header where it `begins`.
    pub(crate) fn jobs(&mut self, jobs: &[Job], begins: bool) {
        if self.telling.ending == Ending::Json {
            jobs.iter().for_each(|job| self.row(&Row::job(job)));
        } else {
            self.lines(&listing::jobs(jobs, begins));
        }
        // Whoever watches is not to wait until a buffer is full.
        self.write(|out, _| out.flush());
    }

    /// Tells lines as they are.
    pub(crate) fn told(&mut self, lines: &[String]) {
        self.lines(lines);
    }

    /// Asks on standard error; only a clear yes is one.
    pub(crate) fn ask(&mut self, question: &str) -> bool {
        tell(question);
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes" | "YES")
    }

    /// Standard output cannot be written, so what is told is lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Tells how the run ended, and gives the exit code with standard output and the log taken into account.
    pub(crate) fn end(mut self, ended: &Ended<'_>) -> Exit {
        let result = match self.broken.take() {
            Some(error) => Err(error),
            None => self.write_ending(ended),
        };
        if self.telling.progress == When::Json {
            tell(&json::end_events(ended));
        } else {
            tell_errors(ended);
        }
        let exit = ended.exit();
        let lost = self.log.take().and_then(|log| close_log(log, ended));
        if let Some(error) = &lost {
            tell(&format!("error: {error}\n"));
        }
        let is_lost = match result {
            Ok(()) => lost.is_some(),
            // Whoever reads a listing may stop when it has seen enough.
            Err(error)
                if self.telling.verb.looks() && error.kind() == io::ErrorKind::BrokenPipe =>
            {
                return if exit == Exit::Failed { exit } else { Exit::Done };
            }
            Err(error) => {
                tell_broken_output(&error);
                true
            }
        };
        let is_fine = matches!(exit, Exit::Done | Exit::Incomplete | Exit::Different);
        if is_lost && is_fine { Exit::Failed } else { exit }
    }

    fn row(&mut self, row: &Row) {
        self.write(|out, object| object.row(out, row));
    }

    fn lines(&mut self, lines: &[String]) {
        lines.iter().for_each(|line| self.print_line(line.as_bytes(), b'\n'));
    }

    fn print_line(&mut self, line: &[u8], end: u8) {
        self.write(|out, _| {
            out.write_all(line)?;
            out.write_all(&[end])
        });
    }

    /// Writes to standard output, unless that has failed before.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Stdout>, &mut Object) -> io::Result<()>) {
        if self.broken.is_some() {
            return;
        }
        let bar = self.bar.take();
        let told = || {
            write(&mut self.out, &mut self.object)?;
            if self.is_terminal || self.flushed.elapsed() > FLUSH_EVERY {
                self.out.flush()?;
                self.flushed = Instant::now();
            }
            Ok(())
        };
        let result = match &bar {
            Some(bar) => bar.suspend(told),
            None => told(),
        };
        self.broken = result.err();
        self.bar = bar;
    }

    fn write_ending(&mut self, ended: &Ended<'_>) -> io::Result<()> {
        match self.telling.ending {
            Ending::Quiet => {}
            Ending::Json => self.object.end(&mut self.out, ended, &self.telling)?,
            Ending::Text if ended.is_nothing_but_an_error() || self.telling.verb.looks() => {}
            Ending::Text => table::write(&mut self.out, ended, &self.telling)?,
        }
        self.out.flush()
    }
}

/// Whether somebody sits there who can be asked.
pub(crate) fn can_ask(progress: When) -> bool {
    progress != When::Json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Writes `bytes` to standard output, as a verb that does nothing else.
pub(crate) fn print(bytes: &[u8]) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tell_broken_output(&error);
            Exit::Failed
        }
    }
}

/// Tells an error that ends a verb which has no run; `verb` is the word that was typed.
pub(crate) fn tell_error(error: &Error, verb: &str) -> Exit {
    let mut text = format!("error: {error}\n");
    for hint in report::hints(std::iter::once(error), verb) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    tell(&text);
    Exit::of_error(error.kind)
}

/// One change as a line: the words of all actions are equally wide, so that the paths stand below each other.
fn change_line(change: &Change, telling: &Telling) -> String {
    let (word, width) = match telling.changes {
        Changes::Letters => (String::from(report::action_code(change.action).0), 1),
        _ => {
            let width = match telling.verb {
                Verb::Check => 14,
                _ if telling.dry_run => 13,
                _ => 8,
            };
            (change_word(change.action, telling).to_owned(), width)
        }
    };
    let slash = if change.action == Action::MadeDir { "/" } else { "" };
    let metadata = report::metadata_words(change.metadata).join(", ");
    let which = if metadata.is_empty() { String::new() } else { format!(" ({metadata})") };
    format!("{word:width$}  {}{slash}{which}", Escaped(shown_path(&change.path)))
}

fn change_word(action: Action, telling: &Telling) -> &'static str {
    let (done, would) = report::action_words(action);
    match telling.verb {
        Verb::Check => report::difference_word(action),
        _ if telling.dry_run => would,
        _ => done,
    }
}

fn shown_path(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// The words of this process and where it was started, on one line whatever is in them.
fn typed() -> String {
    let word = |word: &[u8]| match Escaped(word).to_string() {
        word if word.is_empty() || word.contains([' ', '\'', '"']) => {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
        word => word,
    };
    let words = std::env::args_os().skip(1).map(|typed| word(typed.as_encoded_bytes()));
    let words: Vec<String> = std::iter::once("blit".to_owned()).chain(words).collect();
    let dir = std::env::current_dir().unwrap_or_default();
    format!("{} in {}", words.join(" "), word(dir.as_os_str().as_encoded_bytes()))
}

/// Appends the errors and the end of a run.
fn close_log(mut log: Log, ended: &Ended<'_>) -> Option<Error> {
    for error in failures(ended).chain(&ended.outcome.error) {
        log.line(&format!("error: {error}"));
    }
    let exit = ended.exit();
    log.line(&format!("end {} (exit code {})", exit.word(), exit.code()));
    log.close()
}

/// The failed entries, without the one that ended the run: that is told by itself.
fn failures<'a>(ended: &Ended<'a>) -> impl Iterator<Item = &'a Error> {
    let end = ended.outcome.error.as_ref().map(ToString::to_string);
    let failures = ended.outcome.summary.failures.iter();
    failures.filter(move |failure| end.as_ref().is_none_or(|end| failure.to_string() != *end))
}

/// Lists the failures on standard error, the error that ended the run, and a hint for each kind; then notes.
fn tell_errors(ended: &Ended<'_>) {
    let outcome = ended.outcome;
    let summary = &outcome.summary;
    let mut text = String::new();
    for failure in failures(ended).take(FAILURES_SHOWN_MAX) {
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
    for hint in report::hints(summary.failures.iter().chain(&outcome.error), ended.verb.word()) {
        text += &format!("hint: {hint}\n");
    }
    for note in ended.notes {
        text += &format!("note: {note}\n");
    }
    for rule in ended.unmatched {
        text += &format!("note: nothing matched {rule}\n");
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
        // Whoever reads help may stop when it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            tell_broken_output(&error);
            Exit::Failed
        }
    }
}

fn tell_broken_output(error: &io::Error) {
    tell(&format!("error: write standard output: {error}\n"));
}

/// Writes to standard error. If that fails, there is nobody left to tell.
fn tell(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// A screen of errors; more would push the summary out of sight.
const FAILURES_SHOWN_MAX: usize = 20;
/// What a pipe takes at once.
const OUT_BUFFER_BYTES: usize = 64 << 10;
/// Whoever reads along through a pipe sees changes as they come, without a system call for each.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(verb: Verb, changes: Changes, dry_run: bool) -> Telling {
        let ending = Ending::Text;
        Telling { verb, ending, changes, dry_run, progress: When::Never, log_file: None }
    }

    #[test]
    fn changes_are_lines_whatever_the_name() {
        let line = |action, path: &[u8], dry_run| {
            let telling = telling(Verb::Copy, Changes::Words, dry_run);
            change_line(&Change::new(action, path.into()), &telling)
        };
        assert_eq!(line(Action::Copied, b"a\nb", false), "copied    a\\nb");
        assert_eq!(line(Action::MadeDir, b"d", false), "created   d/");
        assert_eq!(line(Action::MadeDir, b"", true), "would create   ./");
        assert_eq!(line(Action::Replaced, b"a", true), "would replace  a");
    }

    #[test]
    fn itemised_changes_begin_with_their_letter() {
        let telling = telling(Verb::Mirror, Changes::Letters, true);
        let change = Change::new(Action::Removed, b"a".to_vec());
        assert_eq!(change_line(&change, &telling), "X  a");
    }

    #[test]
    fn a_check_says_what_differs() {
        let telling = telling(Verb::Check, Changes::Words, true);
        let change = Change::new(Action::Repaired, b"a".to_vec());
        assert_eq!(change_line(&change, &telling), "metadata        a");
    }
}
