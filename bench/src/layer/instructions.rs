//! How many instructions a work takes, as callgrind counts them: this program again, under it.
//!
//! What is made beforehand is counted in a run of its own and taken off, so that the figure holds
//! neither the start of the process nor the pages that the null engine gives away.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::{env, hint};

use clap::ValueEnum;

use super::{Shape, Work};
use crate::error::{Error, OnPath, Result};
use crate::interrupt::Interrupt;
use crate::peers::find_program;

/// What counts.
pub(crate) struct Counter {
    valgrind: PathBuf,
    program: PathBuf,
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Preparation,
    Whole,
}

impl Counter {
    /// Or why there can be none.
    pub(crate) fn find(peer_paths: &[PathBuf]) -> std::result::Result<Self, String> {
        let valgrind = find_program("valgrind", peer_paths);
        let valgrind = valgrind.ok_or("no valgrind in --peer-path and PATH")?;
        if cfg!(debug_assertions) {
            return Err("built without optimisation".to_owned());
        }
        let program = env::current_exe().map_err(|error| error.to_string())?;
        Ok(Self { valgrind, program })
    }

    /// Instructions of `work` in a tree of this shape, divided by its files.
    pub(crate) fn per_file(&self, work: Work, shape: Shape, interrupt: &Interrupt) -> Result<f64> {
        let before = self.count(work, shape, Extent::Preparation, interrupt)?;
        let whole = self.count(work, shape, Extent::Whole, interrupt)?;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty for a ratio")]
        let ratio = whole.saturating_sub(before) as f64 / shape.files.max(1) as f64;
        Ok(ratio)
    }

    fn count(
        &self,
        work: Work,
        shape: Shape,
        extent: Extent,
        interrupt: &Interrupt,
    ) -> Result<u64> {
        interrupt.check()?;
        let file = format!("blit-bench-{}-{}.callgrind", std::process::id(), work.name());
        let file = env::temp_dir().join(file);
        let mut option = OsString::from("--callgrind-out-file=");
        option.push(&file);
        let mut valgrind = Command::new(&self.valgrind);
        valgrind.arg("--tool=callgrind").arg(option).arg(&self.program).arg(WORKER);
        valgrind.args([work.name(), extent.name()]);
        valgrind.args([shape.files.to_string(), shape.per_directory.to_string()]);
        let output = valgrind.stdin(Stdio::null()).output().on("start", &self.valgrind)?;
        let text = fs::read_to_string(&file).unwrap_or_default();
        // It may never have been made.
        drop(fs::remove_file(&file));
        match total(&text) {
            Some(count) if output.status.success() => Ok(count),
            _ => Err(Error::Tool {
                command: self.valgrind.display().to_string(),
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            }),
        }
    }
}

impl Extent {
    fn name(self) -> &'static str {
        match self {
            Self::Preparation => "preparation",
            Self::Whole => "whole",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Preparation, Self::Whole].into_iter().find(|extent| extent.name() == name)
    }
}

/// The whole life of the process that is counted.
pub(crate) fn worker(words: &[OsString]) -> ExitCode {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let [work, extent, files, per_directory] = words[..] else { return ExitCode::FAILURE };
    let (Ok(work), Some(extent), Ok(files), Ok(per_directory)) = (
        Work::from_str(work, false),
        Extent::from_name(extent),
        files.parse(),
        per_directory.parse(),
    ) else {
        return ExitCode::FAILURE;
    };
    let prepared = hint::black_box(work.prepare(Shape { files, per_directory }));
    if extent == Extent::Whole && prepared.run().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The sum in what callgrind has written.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The hidden first argument that makes this program the one that is counted.
pub(crate) const WORKER: &str = "do-one-work";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_under_either_name() {
        assert_eq!(total("events: Ir\nsummary: 12\nfn=(1) x\n"), Some(12));
        assert_eq!(total("fn=(1) x\n1 2\n\ntotals: 345\n"), Some(345));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn a_worker_that_is_called_wrongly_fails() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let code = |text: &str| format!("{:?}", worker(&words(text)));
        let success = format!("{:?}", ExitCode::SUCCESS);
        assert_eq!(code("no-op whole 10 5"), success);
        assert_eq!(code("copy preparation 10 5"), success);
        for wrong in ["copy", "copy half 10 5", "paint whole 10 5", "copy whole ten 5"] {
            assert_ne!(code(wrong), success, "{wrong}");
        }
    }

    #[test]
    fn works_are_typed_as_they_are_written() {
        for work in Work::ALL {
            assert_eq!(Work::from_str(work.name(), false), Ok(work));
        }
    }
}
