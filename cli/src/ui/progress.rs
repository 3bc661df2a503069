//! The progress line. It must not count anything itself: it shows what the run knows of itself.

use std::io::{self, IsTerminal};
use std::time::Duration;

use blit_core::event::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::json;
use super::quantity::{clock, count, size};
use crate::args::When;

/// Shows one line on standard error for as long as a run lasts.
#[derive(Debug)]
pub(crate) struct Line {
    shape: Shape,
    meter: Meter,
    shown_at: Option<Duration>,
}

/// Where the line goes.
#[derive(Debug)]
enum Shape {
    /// Nowhere.
    Hidden,
    /// A line of a terminal that is drawn over.
    Terminal(ProgressBar),
    /// A new line each time: a file or a pipe.
    Lines,
    /// The same for programs.
    Events,
}

impl Line {
    /// A line that shows itself when `when` says so.
    pub(crate) fn new(when: When) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let shape = match when {
            When::Never => Shape::Hidden,
            When::Json => Shape::Events,
            When::Auto | When::Always if is_terminal => Shape::Terminal(bar()),
            When::Auto => Shape::Hidden,
            When::Always => Shape::Lines,
        };
        Self { shape, meter: Meter::default(), shown_at: None }
    }

    /// Whether anything is ever shown.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self.shape, Shape::Hidden)
    }

    /// The bar of a terminal, for those who print around it.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        match &self.shape {
            Shape::Terminal(bar) => Some(bar.clone()),
            Shape::Hidden | Shape::Lines | Shape::Events => None,
        }
    }

    /// Shows how far the run is after `elapsed`, if it is time to.
    pub(crate) fn show(&mut self, progress: Progress, elapsed: Duration) {
        let due = match (&self.shape, self.shown_at) {
            (Shape::Hidden, _) => return,
            (_, None) => QUIET_AT_FIRST,
            (Shape::Terminal(_), Some(at)) => at + REDRAW_EVERY,
            (Shape::Lines | Shape::Events, Some(at)) => at + LINE_EVERY,
        };
        if elapsed < due {
            return;
        }
        self.shown_at = Some(elapsed);
        // What is sent again after a stream broke was counted before.
        let bytes = progress.bytes.min(progress.bytes_known);
        let progress =
            Progress { bytes, files: progress.files.min(progress.files_known), ..progress };
        if matches!(self.shape, Shape::Events) {
            return super::tell(&json::progress_event(progress, elapsed));
        }
        let text = self.meter.line(progress, elapsed);
        match &self.shape {
            Shape::Hidden | Shape::Events => {}
            Shape::Terminal(bar) => bar.set_message(text),
            Shape::Lines => super::tell(&format!("{text}\n")),
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if let Shape::Terminal(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("the template is valid");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

/// Turns counters into a line, and smooths the rate.
#[derive(Debug, Default)]
struct Meter {
    at: Duration,
    last: Progress,
    /// Bytes, and work, per second.
    bytes_rate: f64,
    work_rate: f64,
}

impl Meter {
    /// `42%  1.2 GiB of 2.9 GiB  310 of 800 entries  291.0 MiB/s  0:05 left`. A tilde marks what may still change because
    /// the scan goes on.
    fn line(&mut self, progress: Progress, elapsed: Duration) -> String {
        self.measure(progress, elapsed);
        let about = if progress.scanned { "" } else { "~" };
        let known = work(progress.files_known, progress.bytes_known);
        let done = work(progress.files, progress.bytes).min(known);
        let mut line = format!("{about}{}%", percent(done, known));
        line += &format!("  {} of {about}{}", size(progress.bytes), size(progress.bytes_known));
        let (files, files_known) = (count(progress.files), count(progress.files_known));
        line += &format!("  {files} of {about}{files_known} entries");
        line += &format!("  {}/s", size(whole(self.bytes_rate)));
        if !progress.scanned {
            // The scan is only a little ahead of the copy, so a time made of what is known would be far too short.
            line += "  still scanning";
        } else if self.work_rate >= 1.0 {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let left = (known - done) as f64 / self.work_rate;
            line += &format!("  {} left", clock(whole(left.ceil())));
        }
        line
    }

    /// Averages over about [`SMOOTHED_OVER`], so that the end does not jump about.
    fn measure(&mut self, progress: Progress, elapsed: Duration) {
        let span = elapsed.saturating_sub(self.at).as_secs_f64();
        if span <= 0.0 {
            return;
        }
        let weight = if self.at.is_zero() { 1.0 } else { (span / SMOOTHED_OVER).min(1.0) };
        let bytes = progress.bytes.saturating_sub(self.last.bytes);
        let files = progress.files.saturating_sub(self.last.files);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (bytes_rate, work_rate) = (bytes as f64 / span, work(files, bytes) as f64 / span);
        self.bytes_rate += (bytes_rate - self.bytes_rate) * weight;
        self.work_rate += (work_rate - self.work_rate) * weight;
        self.at = elapsed;
        self.last = progress;
    }
}

/// An entry and its content as one number, so that neither many small files nor one large one make the percentage lie.
fn work(files: u64, bytes: u64) -> u64 {
    files.saturating_mul(ENTRY_COSTS_BYTES).saturating_add(bytes)
}

fn percent(done: u64, known: u64) -> u64 {
    let percent = u128::from(done) * 100 / u128::from(known.max(1));
    // Only the summary says that all is done.
    u64::try_from(percent).unwrap_or(0).min(99)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and these are estimates that are never negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// A run that ends sooner is not worth a line.
const QUIET_AT_FIRST: Duration = Duration::from_millis(500);
/// As often as an eye can use.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// In a log each line stays.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Seconds: long enough to be read, short enough to follow the disk.
const SMOOTHED_OVER: f64 = 3.0;
/// Making a small file takes about as long as writing so many bytes of a large one: 30 us at 2 GB/s.
const ENTRY_COSTS_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(files: u64, bytes: u64, scanned: bool) -> Progress {
        Progress { files, bytes, files_known: 100, bytes_known: 100 << 20, scanned }
    }

    #[test]
    fn what_may_still_grow_is_marked() {
        let mut meter = Meter::default();
        let line = meter.line(progress(50, 50 << 20, false), Duration::from_secs(1));
        assert_eq!(
            line,
            "~50%  50.0 MiB of ~100.0 MiB  50 of ~100 entries  50.0 MiB/s  still scanning"
        );
        let line = meter.line(progress(50, 50 << 20, true), Duration::from_secs(1));
        assert_eq!(line, "50%  50.0 MiB of 100.0 MiB  50 of 100 entries  50.0 MiB/s  0:01 left");
    }

    #[test]
    fn never_more_than_99_percent_while_it_runs() {
        let mut meter = Meter::default();
        let line = meter.line(progress(200, 200 << 20, true), Duration::from_secs(1));
        assert!(line.starts_with("99%"), "{line}");
    }

    #[test]
    fn before_anything_is_known_there_is_no_end_in_sight() {
        let line = Meter::default().line(Progress::default(), Duration::from_secs(1));
        assert_eq!(line, "~0%  0 B of ~0 B  0 of ~0 entries  0 B/s  still scanning");
    }

    #[test]
    fn empty_files_count_as_work() {
        assert_eq!(percent(work(1, 0), work(2, 0)), 50);
    }
}
