//! Instructions of the sessions and of the layout of frames, against those that were checked in.
//!
//! They hardly depend on the machine and not on who else uses it, so a few percent more are a
//! change of the code or of the compiler, and no second try is needed.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::layer::{Counter, Shape, Work};
use crate::stage::say;

/// What is checked in for one work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Allowance {
    work: Work,
    instructions_per_file: f64,
    /// The limit is this many times as much.
    tolerance: f64,
}

/// What was counted now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    work: Work,
    per_file: f64,
}

/// None where nothing can be counted, which is said.
pub(super) fn measure(interrupt: &Interrupt) -> Result<Vec<Count>> {
    let counter = match Counter::find(&[]) {
        Ok(counter) => counter,
        Err(why) => {
            say(&format!("SKIPPED instructions: {why}"));
            return Ok(Vec::new());
        }
    };
    let count = |work| Ok(Count { work, per_file: counter.per_file(work, SHAPE, interrupt)? });
    Work::ALL.into_iter().map(count).collect()
}

pub(super) fn print(
    allowances: &[Allowance],
    counts: &[Count],
    out: &mut impl Write,
) -> io::Result<()> {
    if counts.is_empty() {
        return writeln!(out, "instructions: SKIPPED, see above");
    }
    writeln!(out, "instructions a file, in directories of {}", SHAPE.per_directory)?;
    for count in counts {
        let (name, now) = (count.work.name(), count.per_file);
        match count.allowed(allowances) {
            None => writeln!(out, "{name:<26} {now:.0}: not in the baseline, not judged")?,
            Some(allowed) => {
                let word = if count.is_beyond(allowances) { "CLEARLY MORE" } else { "ok" };
                let (base, limit) = (allowed.instructions_per_file, allowed.limit());
                writeln!(out, "{name:<26} {now:.0}, baseline {base:.0}, limit {limit:.0}: {word}")?;
            }
        }
    }
    Ok(())
}

impl Allowance {
    fn limit(&self) -> f64 {
        self.instructions_per_file * self.tolerance
    }
}

impl Count {
    pub(super) fn allowance(&self) -> Allowance {
        let instructions_per_file = self.per_file.round();
        Allowance { work: self.work, instructions_per_file, tolerance: TOLERANCE }
    }

    pub(super) fn is_beyond(&self, allowances: &[Allowance]) -> bool {
        self.allowed(allowances).is_some_and(|allowed| self.per_file > allowed.limit())
    }

    fn allowed<'a>(&self, allowances: &'a [Allowance]) -> Option<&'a Allowance> {
        allowances.iter().find(|allowed| allowed.work == self.work)
    }
}

/// Enough that what does not depend on the number of files is lost in it, and a few seconds.
const SHAPE: Shape = Shape { files: 20_000, per_directory: 100 };
/// Maps with random seeds differ by less than a percent from run to run.
const TOLERANCE: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_few_percent_are_beyond_and_what_is_new_is_not_judged() {
        let count = |work, per_file| Count { work, per_file };
        let allowances = [count(Work::Copy, 1000.0).allowance()];
        assert!(!count(Work::Copy, 1040.0).is_beyond(&allowances));
        assert!(count(Work::Copy, 1060.0).is_beyond(&allowances));
        assert!(!count(Work::Entries, 9e9).is_beyond(&allowances));
        let mut text = Vec::new();
        let counts = [count(Work::Copy, 1060.0), count(Work::Entries, 7.0)];
        print(&allowances, &counts, &mut text).expect("text");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("CLEARLY MORE") && text.contains("not judged"), "{text}");
    }
}
