//! What came out: the data that goes to JSON, and what follows from the single runs; it neither
//! measures nor prints.

use serde::Serialize;

use crate::ceilings::{Bound, Ceilings};
use crate::filesystem::Mount;
use crate::machine::Machine;
use crate::measure::{Run, Spread};
use crate::peers::{Arm, Missing, Operation};
use crate::snapshot::Census;
use crate::verify::{Fidelity, Verdict};

/// One session.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Changes when a reader of the JSON would have to.
    pub(crate) format: u32,
    pub(crate) version: &'static str,
    pub(crate) verb: &'static str,
    pub(crate) machine: Machine,
    pub(crate) conditions: Conditions,
    pub(crate) arms: Vec<Arm>,
    pub(crate) missing: Vec<Missing>,
    /// What starting a command that does nothing costs here, in time and in peak memory.
    pub(crate) floor: Run,
    pub(crate) ceilings: Option<Ceilings>,
    pub(crate) trees: Vec<TreeReport>,
}

/// What holds for all runs of a session.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    pub(crate) cache: &'static str,
    pub(crate) fresh: String,
}

/// All runs of one operation on one tree.
#[derive(Debug, Serialize)]
pub(crate) struct TreeReport {
    pub(crate) name: String,
    /// In words: `copy`, `push`, `pull`, or one of these with `no-op` when nothing is left to do.
    pub(crate) operation: String,
    #[serde(skip)]
    pub(crate) transfer: Operation,
    pub(crate) census: Census,
    pub(crate) source_mount: Mount,
    pub(crate) target_mount: Mount,
    /// Whether copies may share their blocks with the source here, as most tools then let them.
    pub(crate) can_reflink: bool,
    /// What no copier can be expected to beat.
    pub(crate) bound: Option<Bound>,
    /// The same for one that encrypts what it sends.
    pub(crate) sealed_bound: Option<Bound>,
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) runs: Vec<RunRecord>,
    pub(crate) calls: Vec<Calls>,
    pub(crate) timelines: Vec<Timeline>,
}

/// One run of one arm.
#[derive(Debug, Serialize)]
pub(crate) struct RunRecord {
    pub(crate) arm: String,
    pub(crate) round: u32,
    /// How many arms ran before it in this round.
    pub(crate) position: usize,
    #[serde(flatten)]
    pub(crate) run: Run,
    /// What the daemon took from its start to its end.
    pub(crate) service: Option<Run>,
    /// What the loopback device carried during the run, for anybody.
    pub(crate) wire_bytes: Option<u64>,
    /// Processor seconds of everything else during the run: other processes and kernel threads.
    pub(crate) others_cpu_seconds: Option<f64>,
    /// What writing everything back took afterwards; not part of the wall time.
    pub(crate) sync_seconds: f64,
    pub(crate) is_verified: bool,
    pub(crate) differences: u64,
    pub(crate) examples: Vec<String>,
}

/// The system calls of one run of one arm.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Calls {
    pub(crate) arm: String,
    /// None where they could not be counted.
    pub(crate) command: Option<u64>,
    pub(crate) service: Option<u64>,
}

/// How far one run of one arm was, and when.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timeline {
    pub(crate) arm: String,
    pub(crate) moments: Vec<Moment>,
}

/// What had been done by then.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Moment {
    pub(crate) seconds: f64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// How many there were to do, as far as was known then.
    pub(crate) bytes_known: u64,
}

/// All runs of one arm on one tree.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) arm: String,
    pub(crate) fidelity: Fidelity,
    pub(crate) durability: &'static str,
    pub(crate) encryption: &'static str,
    pub(crate) wall_seconds: Spread,
    /// The median over the rounds of this arm's wall time divided by that of the arm `ratio_to`.
    pub(crate) ratio: f64,
    pub(crate) ratio_to: String,
    pub(crate) files_per_second: f64,
    pub(crate) megabytes_per_second: f64,
    /// The time of the bound divided by the median: 1 is as fast as plain loops are here.
    pub(crate) ceiling_share: Option<f64>,
    /// Of the command and its daemon together.
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) service_peak_bytes: Option<u64>,
    pub(crate) wire_bytes: Option<f64>,
    pub(crate) calls_per_entry: Option<f64>,
    pub(crate) is_verified: bool,
}

impl Report {
    pub(crate) fn is_success(&self) -> bool {
        self.trees.iter().flat_map(|tree| &tree.rows).all(|row| row.is_verified)
    }
}

impl RunRecord {
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.run.cpu_seconds() + self.service.as_ref().map_or(0.0, Run::cpu_seconds)
    }

    /// Takes over what the comparison found.
    pub(crate) fn judge(&mut self, verdict: &Verdict) {
        self.is_verified &= verdict.is_equal();
        self.differences = verdict.differences;
        self.examples.clone_from(&verdict.examples);
    }
}

impl TreeReport {
    /// Without any run yet.
    pub(crate) fn new(name: &str, transfer: Operation, is_noop: bool) -> Self {
        let noop = if is_noop { " no-op" } else { "" };
        Self {
            name: name.to_owned(),
            operation: format!("{}{noop}", transfer.name()),
            transfer,
            census: Census::default(),
            source_mount: Mount::default(),
            target_mount: Mount::default(),
            can_reflink: false,
            bound: None,
            sealed_bound: None,
            notes: Vec::new(),
            rows: Vec::new(),
            runs: Vec::new(),
            calls: Vec::new(),
            timelines: Vec::new(),
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{}, {}", self.name, self.operation)
    }

    /// Adds the rows that follow from the runs.
    pub(crate) fn summarize(&mut self, arms: &[Arm]) {
        let has_run = |arm: &&Arm| self.runs.iter().any(|run| run.arm == arm.name);
        let runners: Vec<&Arm> = arms.iter().filter(has_run).collect();
        let base = runners.iter().find(|arm| arm.is_blit).or(runners.first());
        let Some(base) = base else { return };
        self.rows = runners.iter().filter_map(|arm| self.row(arm, &base.name)).collect();
    }

    /// The share of one processor that everything but the arms used while they ran.
    pub(crate) fn others(&self) -> Option<f64> {
        let sum =
            |part: fn(&RunRecord) -> Option<f64>| self.runs.iter().filter_map(part).sum::<f64>();
        let wall = sum(|record| record.others_cpu_seconds.map(|_| record.run.wall_seconds));
        (wall > 0.0).then(|| sum(|record| record.others_cpu_seconds) / wall)
    }

    fn row(&self, arm: &Arm, base: &str) -> Option<Row> {
        let runs: Vec<&RunRecord> = self.runs.iter().filter(|run| run.arm == arm.name).collect();
        let wall_seconds = Spread::of(runs.iter().map(|record| record.run.wall_seconds))?;
        let ratios = runs.iter().filter_map(|record| {
            let same = |other: &&RunRecord| other.round == record.round && other.arm == base;
            let other = self.runs.iter().find(same)?;
            Some(record.run.wall_seconds / other.run.wall_seconds)
        });
        let pace = |amount: f64| {
            if wall_seconds.median > 0.0 { amount / wall_seconds.median } else { 0.0 }
        };
        let wire = Spread::of(runs.iter().filter_map(|record| record.wire_bytes).map(float));
        let is_sealed = arm.service.is_some() && arm.encryption != "none";
        let bound = if is_sealed { self.sealed_bound } else { self.bound };
        let services = runs.iter().filter_map(|record| record.service.as_ref());
        Some(Row {
            arm: arm.name.clone(),
            fidelity: arm.fidelity,
            durability: arm.durability,
            encryption: arm.encryption,
            wall_seconds,
            ratio: Spread::of(ratios)?.median,
            ratio_to: base.to_owned(),
            files_per_second: pace(float(self.census.files)),
            megabytes_per_second: pace(float(self.census.bytes) / 1e6),
            ceiling_share: bound.map(|bound| pace(bound.seconds)),
            cpu_seconds: Spread::of(runs.iter().map(|record| record.cpu_seconds()))?.median,
            peak_bytes: runs.iter().map(|record| record.run.peak_bytes).max()?,
            service_peak_bytes: services.map(|run| run.peak_bytes).max(),
            wire_bytes: wire.map(|wire| wire.median),
            calls_per_entry: self.calls_per_entry(&arm.name),
            is_verified: runs.iter().all(|record| record.is_verified),
        })
    }

    fn calls_per_entry(&self, arm: &str) -> Option<f64> {
        let calls = self.calls.iter().find(|calls| calls.arm == arm)?;
        let census = &self.census;
        let entries = census.files + census.directories + census.symlinks + census.others;
        Some(float(calls.command? + calls.service.unwrap_or(0)) / float(entries.max(1)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people and for ratios, 53 bits are plenty")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::End;

    fn arm(name: &str, is_blit: bool) -> Arm {
        Arm {
            name: name.to_owned(),
            program: name.into(),
            version: "1".to_owned(),
            fidelity: Fidelity::Full,
            durability: "none",
            encryption: "none",
            calls: Vec::new(),
            service: None,
            has_noop: true,
            is_for_few_plain_files: false,
            is_blit,
            streams: None,
        }
    }

    fn record(arm: &str, round: u32, wall_seconds: f64) -> RunRecord {
        RunRecord {
            arm: arm.to_owned(),
            round,
            position: 0,
            run: Run {
                wall_seconds,
                user_seconds: wall_seconds,
                system_seconds: 0.0,
                peak_bytes: 1 << 20,
                end: End::Exited(0),
                complaint: String::new(),
            },
            service: None,
            wire_bytes: None,
            others_cpu_seconds: Some(0.0),
            sync_seconds: 0.0,
            is_verified: true,
            differences: 0,
            examples: Vec::new(),
        }
    }

    fn tree(runs: Vec<RunRecord>) -> TreeReport {
        let mut tree = TreeReport::new("small", Operation::Copy, false);
        tree.census = Census { files: 10, bytes: 4_000_000, ..Census::default() };
        tree.runs = runs;
        tree
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_against_the_first_blit() {
        // Round 2 was slow for both: the ratio of medians would say 1.5.
        let mut tree = tree(vec![
            record("cp", 1, 2.0),
            record("blit-auto", 1, 1.0),
            record("cp", 2, 20.0),
            record("blit-auto", 2, 10.0),
            record("cp", 3, 3.0),
            record("blit-auto", 3, 2.0),
        ]);
        tree.summarize(&[arm("cp", false), arm("blit-auto", true)]);
        let cp = &tree.rows[0];
        assert_eq!(cp.ratio_to, "blit-auto");
        assert_eq!(cp.ratio.to_bits(), 2f64.to_bits());
        assert_eq!(tree.rows[1].megabytes_per_second.to_bits(), 2f64.to_bits());
        assert_eq!(tree.rows[1].files_per_second.to_bits(), 5f64.to_bits());
    }

    #[test]
    fn one_failed_run_marks_its_row_and_is_explained() {
        let mut failed = record("cp", 1, 1.0);
        failed.is_verified = false;
        failed.run.end = End::Exited(3);
        failed.run.complaint = "cp: \x1b[31mno".to_owned();
        let mut tree = tree(vec![failed, record("cp", 2, 1.0)]);
        tree.summarize(&[arm("cp", false)]);
        assert!(!tree.rows[0].is_verified);
        let mut text = Vec::new();
        tree.print(&mut text).expect("a table");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("x cp"), "{text}");
        assert!(text.contains("FAILED: cp in round 1: exit status 3"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn what_a_daemon_took_counts_and_has_its_own_peak() {
        let mut pushed = record("blit-auto", 1, 2.0);
        pushed.service = Some(Run { peak_bytes: 7 << 20, ..pushed.run.clone() });
        pushed.wire_bytes = Some(5);
        let mut tree = tree(vec![pushed]);
        tree.bound = Some(Bound { seconds: 1.0, by: "sending" });
        tree.calls.push(Calls {
            arm: "blit-auto".to_owned(),
            command: Some(30),
            service: Some(70),
        });
        tree.summarize(&[arm("blit-auto", true), arm("absent", false)]);
        assert_eq!(tree.rows.len(), 1);
        let row = &tree.rows[0];
        assert_eq!(row.cpu_seconds.to_bits(), 4f64.to_bits());
        assert_eq!(row.service_peak_bytes, Some(7 << 20));
        assert_eq!(row.ceiling_share.expect("a bound").to_bits(), 0.5f64.to_bits());
        assert_eq!(row.calls_per_entry.expect("a count").to_bits(), 10f64.to_bits());
        let mut text = Vec::new();
        tree.print(&mut text).expect("a table");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("far MiB") && text.contains("50%"), "{text}");
    }
}
