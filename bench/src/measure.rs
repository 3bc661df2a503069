//! One measured run of a command, and what a series of them comes to; it does not know copiers.
//!
//! The command is started by a small process of its own: this program again, as a runner. What
//! the kernel then counts for the runner's children is the command and all its children, and
//! nothing else. It also keeps peak memory honest: until its exec a child carries the peak of the
//! process that started it, which for a harness with a whole tree in memory would be large.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::system;

/// What one run took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) wall_seconds: f64,
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    /// Of the largest process, not of all together; never less than the runner's own few MiB.
    pub(crate) peak_bytes: u64,
    pub(crate) end: End,
    /// The end of what it wrote to its standard error.
    #[serde(default)]
    pub(crate) complaint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Exited(i32),
    Signalled(i32),
    NotStarted(String),
    TimedOut,
}

impl Run {
    pub(crate) fn is_success(&self) -> bool {
        self.end == End::Exited(0)
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    fn without_result(wall: Duration, end: End) -> Self {
        Self {
            wall_seconds: wall.as_secs_f64(),
            user_seconds: 0.0,
            system_seconds: 0.0,
            peak_bytes: 0,
            end,
            complaint: String::new(),
        }
    }
}

/// Runs commands one at a time.
pub(crate) struct Meter {
    /// The program that becomes the runner: this one.
    pub(crate) runner: PathBuf,
    /// A run that takes longer is killed and counts as failed.
    pub(crate) limit: Duration,
    /// Where the command's standard error goes.
    pub(crate) complaints: PathBuf,
    /// What every command finds in its environment beside ours.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) interrupt: Interrupt,
}

/// A command that runs beside others until it is asked to end. Dropping it ends it.
pub(crate) struct Kept {
    runner: Child,
    /// When this is closed, the runner ends the command.
    leash: Option<ChildStdin>,
}

impl Meter {
    pub(crate) fn run(&self, command: &[OsString]) -> Result<Run> {
        let complaints = File::create(&self.complaints).on("create", &self.complaints)?;
        let mut runner = Command::new(&self.runner);
        runner.arg(RUNNER).args(command).stdin(Stdio::null()).stdout(Stdio::piped());
        runner.stderr(complaints).envs(self.environment.iter().cloned());
        system::lead_group(&mut runner);
        let started = Instant::now();
        let child = self.interrupt.start_group(|| runner.spawn())?;
        let mut child = child.on("start", &self.runner)?;
        let (sender, receiver) = mpsc::channel();
        if let Some(mut pipe) = child.stdout.take() {
            thread::spawn(move || {
                let mut text = String::new();
                // Nothing readable is no result, and that is reported below.
                drop(pipe.read_to_string(&mut text));
                drop(sender.send(text));
            });
        }
        let (text, is_late) = match receiver.recv_timeout(self.limit) {
            Ok(text) => (text, false),
            Err(RecvTimeoutError::Disconnected) => (String::new(), false),
            Err(RecvTimeoutError::Timeout) => {
                self.interrupt.kill_group();
                (receiver.recv().unwrap_or_default(), true)
            }
        };
        self.interrupt.release_group();
        let status = child.wait().on("wait for", &self.runner)?;
        self.interrupt.check()?;
        let mut run = match serde_json::from_str(&text) {
            Ok(run) if !is_late => run,
            _ if is_late => Run::without_result(started.elapsed(), End::TimedOut),
            _ => {
                let end = system::signal(status).map_or_else(
                    || End::NotStarted(format!("the runner ended with {status}")),
                    End::Signalled,
                );
                Run::without_result(started.elapsed(), end)
            }
        };
        run.complaint = self.complaint()?;
        Ok(run)
    }

    /// Starts a command that goes on until `Kept::stop`; all that it says goes to the file `said`.
    pub(crate) fn keep(&self, command: &[OsString], said: &Path) -> Result<Kept> {
        self.interrupt.check()?;
        let file = File::create(said).on("create", said)?;
        let mut runner = Command::new(&self.runner);
        runner.arg(KEEPER).args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        runner.envs(self.environment.iter().cloned());
        system::lead_group(&mut runner);
        let mut runner = runner.spawn().on("start", &self.runner)?;
        let leash = runner.stdin.take();
        Ok(Kept { runner, leash })
    }

    fn complaint(&self) -> Result<String> {
        let bytes = fs::read(&self.complaints).on("read", &self.complaints)?;
        let tail = &bytes[bytes.len().saturating_sub(COMPLAINT_BYTES_MAX)..];
        Ok(String::from_utf8_lossy(tail).trim().to_owned())
    }
}

impl Kept {
    pub(crate) fn is_over(&mut self) -> bool {
        !matches!(self.runner.try_wait(), Ok(None))
    }

    /// Ends the command, and says what it took. That a signal ended it is as it should be.
    pub(crate) fn stop(mut self) -> Result<Run> {
        drop(self.leash.take());
        let mut text = String::new();
        if let Some(pipe) = &mut self.runner.stdout {
            pipe.read_to_string(&mut text).on("read", Path::new("the runner's result"))?;
        }
        serde_json::from_str(&text)
            .map_err(io::Error::from)
            .on("understand", Path::new("the runner's result"))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.leash.take());
        // It was ours to start, and nobody is left to be told.
        drop(self.runner.wait());
    }
}

/// The runner's whole life: starts the command, waits for it, prints a `Run` as JSON.
pub(crate) fn runner(command: &[OsString]) -> ExitCode {
    print(measure(command))
}

/// The same for a command that goes on until our standard input ends.
pub(crate) fn keeper(command: &[OsString]) -> ExitCode {
    print(measure_until_asked(command))
}

fn print(run: io::Result<Run>) -> ExitCode {
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            Run::without_result(Duration::ZERO, End::NotStarted(format!("start: {error}")))
        }
    };
    let printed = serde_json::to_string(&run)
        .map_err(io::Error::other)
        .and_then(|text| io::stdout().write_all(text.as_bytes()));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(command: &[OsString]) -> io::Result<Run> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| io::Error::other("no command"))?;
    // The harness blocks signals and children inherit that: a copier must be able to die of them.
    system::accept_signals()?;
    let mut copier = Command::new(program);
    copier.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = copier.spawn()?.wait()?;
    finish(started.elapsed(), status)
}

fn measure_until_asked(command: &[OsString]) -> io::Result<Run> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| io::Error::other("no command"))?;
    system::accept_signals()?;
    let mut service = Command::new(program);
    service.args(arguments).stdin(Stdio::null()).stdout(io::stderr());
    let started = Instant::now();
    let mut service = service.spawn()?;
    let (sender, leash) = mpsc::channel::<()>();
    thread::spawn(move || {
        // Its end is what counts, however it comes about.
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        drop(sender);
    });
    let mut asked: Option<Instant> = None;
    let status = loop {
        if let Some(status) = service.try_wait()? {
            break status;
        }
        match asked {
            None if leash.recv_timeout(LEASH_STEP) == Err(RecvTimeoutError::Disconnected) => {
                // What its children took is known only once it has waited for them.
                let asked_at = Instant::now();
                while has_children(service.id()) && asked_at.elapsed() < CHILDREN_TIME {
                    thread::sleep(GRACE_STEP);
                }
                // Nobody has waited for it, so its number cannot be another's.
                drop(system::terminate(service.id()));
                asked = Some(Instant::now());
            }
            None => {}
            Some(asked) => {
                if asked.elapsed() > GRACE {
                    service.kill()?;
                }
                thread::sleep(GRACE_STEP);
            }
        }
    };
    finish(started.elapsed(), status)
}

/// Where the system does not tell, it has none.
fn has_children(process: u32) -> bool {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    list.is_ok_and(|list| !list.trim().is_empty())
}

fn finish(wall: Duration, status: ExitStatus) -> io::Result<Run> {
    let usage = system::children_usage()?;
    let end = match (status.code(), system::signal(status)) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or(0)),
    };
    Ok(Run {
        user_seconds: usage.user_seconds,
        system_seconds: usage.system_seconds,
        peak_bytes: usage.peak_bytes,
        ..Run::without_result(wall, end)
    })
}

/// The middle and the ends of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None for an empty series.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }

    /// From the least to the most, as a share of the median.
    pub(crate) fn width(&self) -> f64 {
        if self.median > 0.0 { (self.max - self.min) / self.median } else { 0.0 }
    }
}

/// The hidden first argument that makes this program a runner.
pub(crate) const RUNNER: &str = "run-one-command";
/// The same for a runner of a command that goes on until it is asked to end.
pub(crate) const KEEPER: &str = "keep-one-command";
/// How long a daemon's children may take to end after the client did.
const CHILDREN_TIME: Duration = Duration::from_secs(2);
/// How long a command that was asked to end may take for it.
const GRACE: Duration = Duration::from_secs(10);
/// Rare enough to disturb nothing that is measured meanwhile.
const LEASH_STEP: Duration = Duration::from_millis(50);
const GRACE_STEP: Duration = Duration::from_millis(2);
/// Enough for the last few lines of a complaint.
const COMPLAINT_BYTES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn median(values: &[f64]) -> f64 {
        Spread::of(values.iter().copied()).expect("a series").median
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5f64.to_bits());
        assert_eq!(median(&[7.0]).to_bits(), 7f64.to_bits());
    }

    #[test]
    fn a_spread_has_both_ends_and_their_distance() {
        let spread = Spread::of([2.0, 1.0, 3.0]).expect("a series");
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread.width().to_bits(), 1f64.to_bits());
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([0.0]).expect("a series").width().to_bits(), 0f64.to_bits());
    }

    #[test]
    fn a_run_survives_the_way_through_json() {
        let run = Run {
            wall_seconds: 1.5,
            user_seconds: 0.25,
            system_seconds: 0.5,
            peak_bytes: 4096,
            end: End::Signalled(9),
            complaint: String::new(),
        };
        let text = serde_json::to_string(&run).expect("JSON");
        assert_eq!(serde_json::from_str::<Run>(&text).expect("a run"), run);
        assert!(!run.is_success());
    }
}
