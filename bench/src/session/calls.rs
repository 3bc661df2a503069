//! One more run of each arm under strace, for the number of its system calls; its time is not
//! taken, because counting costs many times what is counted.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::{Dress, Session, Turn, folder_of, is_fit};
use crate::error::Result;
use crate::peers::find_program;
use crate::report::{Calls, TreeReport};
use crate::stage::{Stage, say};

impl Session<'_> {
    pub(super) fn count_calls(&self, stage: &Stage, reports: &mut [TreeReport]) -> Result<()> {
        let Some(strace) = find_program("strace", &self.staging.args.peer_paths) else {
            reports[0].notes.push("system calls were not counted: no strace here".to_owned());
            return Ok(());
        };
        for pair in reports.chunks_mut(2) {
            let operation = pair[0].transfer;
            for arm in self.plan.arms.iter().filter(|arm| is_fit(arm, operation, stage)) {
                let turn = Turn { arm, operation, round: 0, position: 0 };
                let folder = folder_of(stage, turn)?;
                let repeats = 1 + usize::from(self.repeats(turn));
                self.prepare(stage, turn, &folder)?;
                for report in pair.iter_mut().take(repeats) {
                    say(&format!("{}: system calls of {}", report.title(), arm.name));
                    report.calls.push(self.calls(&strace, stage, turn, &folder)?);
                }
                self.staging.clear(stage, &folder)?;
            }
        }
        Ok(())
    }

    fn calls(&self, strace: &Path, stage: &Stage, turn: Turn<'_>, folder: &Path) -> Result<Calls> {
        let near = self.staging.workspace.path().join("calls");
        let far = self.staging.workspace.path().join("calls-of-service");
        let dress =
            Dress { near: counting(strace, &near), far: counting(strace, &far), option: None };
        let launched = self.launch(stage, turn, folder, &dress)?;
        let read = |path: &Path| fs::read_to_string(path).ok().and_then(|text| total(&text));
        Ok(Calls {
            arm: turn.arm.name.clone(),
            command: read(&near).filter(|_| launched.run.is_success()),
            service: read(&far).filter(|_| launched.service.is_some()),
        })
    }
}

/// The words that make strace count; it ends when it is asked to, and writes its table then.
fn counting(strace: &Path, to: &Path) -> Vec<OsString> {
    let mut words = vec![strace.as_os_str().to_os_string()];
    words.extend(["-f", "-c", "-I", "2", "-o"].map(OsString::from));
    words.push(to.as_os_str().to_os_string());
    words
}

/// The number of calls in strace's closing line, whether or not it counts errors too.
fn total(table: &str) -> Option<u64> {
    let line = table.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    let numbers: Vec<&str> = line.split_whitespace().collect();
    // Share of time, seconds, microseconds a call, calls, and errors if there were any.
    numbers.get(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_table_is_its_fourth_number() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ------\n\
                      50.00    0.000100           1       100           read\n\
                     100.00    0.000200           1       203         4 total\n";
        assert_eq!(total(table), Some(203));
        let table = table.replace("203         4 total", "203           total");
        assert_eq!(total(&table), Some(203));
        assert_eq!(total("nothing was counted"), None);
    }
}
