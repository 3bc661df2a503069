//! One more run of each arm of blit that tells how far it is; its time is not taken.

use std::fs;

use serde::Deserialize;

use super::{Dress, Session, Turn, folder_of, is_fit};
use crate::error::{OnPath, Result};
use crate::report::{Moment, Timeline, TreeReport};
use crate::stage::{Stage, say};

/// As much of blit's events as is drawn.
#[derive(Debug, Deserialize)]
struct Told {
    event: String,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    entries: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    bytes_known: u64,
}

impl Session<'_> {
    pub(super) fn record_timelines(&self, stage: &Stage, reports: &mut [TreeReport]) -> Result<()> {
        let complaints = &self.staging.meter.complaints;
        // Every second report is of runs with nothing to do.
        for report in reports.iter_mut().step_by(2) {
            let operation = report.transfer;
            let arms = self.plan.arms.iter();
            for arm in arms.filter(|arm| arm.is_blit && is_fit(arm, operation, stage)) {
                say(&format!("{}: timeline of {}", report.title(), arm.name));
                let turn = Turn { arm, operation, round: TIMELINE_ROUND, position: 0 };
                let folder = folder_of(stage, turn)?;
                self.prepare(stage, turn, &folder)?;
                let dress = Dress { option: Some("--progress=json"), ..Dress::default() };
                let launched = self.launch(stage, turn, &folder, &dress)?;
                let told = fs::read_to_string(complaints).on("read", complaints)?;
                if launched.run.is_success() {
                    let moments = moments(&told);
                    report.timelines.push(Timeline { arm: arm.name.clone(), moments });
                }
                self.staging.clear(stage, &folder)?;
            }
        }
        Ok(())
    }
}

/// From the start on; the end has the time, and the amounts of the last event before it.
fn moments(told: &str) -> Vec<Moment> {
    let mut moments = vec![Moment::default()];
    for line in told.lines() {
        let Ok(told) = serde_json::from_str::<Told>(line) else { continue };
        match told.event.as_str() {
            "progress" => moments.push(Moment {
                seconds: told.seconds,
                entries: told.entries,
                bytes: told.bytes,
                bytes_known: told.bytes_known,
            }),
            "end" => {
                let last = moments.last().copied().unwrap_or_default();
                moments.push(Moment { seconds: told.seconds, ..last });
            }
            _ => {}
        }
    }
    moments
}

/// Its folder needs a name of its own.
const TIMELINE_ROUND: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_moments_and_everything_else_is_passed_over() {
        let told = "{\"event\":\"progress\",\"seconds\":1.5,\"entries\":7,\"bytes\":9,\"bytes_known\":12}\n\
                    no event\n{\"event\":\"note\",\"text\":\"x\"}\n\
                    {\"event\":\"end\",\"seconds\":2.0,\"status\":\"done\",\"exit_code\":0}\n";
        let found = moments(told);
        let seconds: Vec<f64> = found.iter().map(|moment| moment.seconds).collect();
        assert_eq!(seconds, [0.0, 1.5, 2.0]);
        assert_eq!((found[2].bytes, found[1].bytes_known), (9, 12));
    }
}
