//! `blit-bench compare`: what became slower between two reports, and how sure that is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use serde::Deserialize;

use crate::args::CompareArgs;
use crate::error::{Error, OnPath, Result};
use crate::statistics::{Change, mann_whitney};

/// As much of a report as is compared.
#[derive(Debug, Deserialize)]
struct Read {
    machine: ReadMachine,
    #[serde(default)]
    conditions: ReadConditions,
    arms: Vec<ReadArm>,
    trees: Vec<ReadTree>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct ReadMachine {
    processor: String,
    cores: u64,
    kernel: String,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct ReadConditions {
    #[serde(default)]
    cache: String,
}

#[derive(Debug, Deserialize)]
struct ReadArm {
    name: String,
    version: String,
    /// Missing in reports of the first format.
    is_blit: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ReadTree {
    name: String,
    #[serde(default = "copy")]
    operation: String,
    census: ReadCensus,
    target_mount: ReadMount,
    runs: Vec<ReadRun>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct ReadCensus {
    files: u64,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct ReadMount {
    format: String,
}

#[derive(Debug, Deserialize)]
struct ReadRun {
    arm: String,
    wall_seconds: f64,
    is_verified: bool,
}

/// Reports from before there was more than one operation.
fn copy() -> String {
    "copy".to_owned()
}

/// One arm on one tree, in both reports.
#[derive(Debug)]
struct Cell {
    title: String,
    is_blit: bool,
    change: Change,
    /// Whether so few rounds could show any difference at all.
    is_decidable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Slower,
    Faster,
    Same,
    TooFewRounds,
}

/// What two reports say about each other.
#[derive(Debug)]
pub(crate) struct Comparison {
    cells: Vec<Cell>,
    notes: Vec<String>,
    alpha: f64,
    threshold: f64,
}

/// Reads both reports and compares all that both have.
pub(crate) fn run(args: &CompareArgs) -> Result<Comparison> {
    let shares = 0.0..1.0;
    if !shares.contains(&args.alpha) || !shares.contains(&args.threshold) {
        return Err(Error::Usage("--alpha and --threshold are shares between 0 and 1".to_owned()));
    }
    let (old, new) = (read(&args.old)?, read(&args.new)?);
    let comparison = Comparison::of(&old, &new, args.alpha, args.threshold);
    if comparison.cells.is_empty() {
        let text = "the reports have no arm and tree in common: nothing was compared";
        return Err(Error::Usage(text.to_owned()));
    }
    Ok(comparison)
}

fn read(path: &Path) -> Result<Read> {
    let file = File::open(path).on("open", path)?;
    serde_json::from_reader(BufReader::new(file)).map_err(io::Error::from).on("understand", path)
}

impl Comparison {
    fn of(old: &Read, new: &Read, alpha: f64, threshold: f64) -> Self {
        let mut notes = Vec::new();
        if old.machine != new.machine {
            notes.push(format!(
                "ATTENTION, not the same machine: {} with {} cores and {}, then {} with {} and {}",
                old.machine.processor,
                old.machine.cores,
                old.machine.kernel,
                new.machine.processor,
                new.machine.cores,
                new.machine.kernel
            ));
        }
        if old.conditions != new.conditions {
            let (before, now) = (&old.conditions.cache, &new.conditions.cache);
            notes.push(format!("ATTENTION, not the same caches: {before}, then {now}"));
        }
        for arm in &new.arms {
            let before = old.arms.iter().find(|before| before.name == arm.name);
            if let Some(before) = before.filter(|before| before.version != arm.version) {
                notes.push(format!("{}: {}, then {}", arm.name, before.version, arm.version));
            }
        }
        let mut cells = Vec::new();
        for tree in &new.trees {
            let title = format!("{}, {}", tree.name, tree.operation);
            let same =
                |other: &&ReadTree| other.name == tree.name && other.operation == tree.operation;
            let Some(before) = old.trees.iter().find(same) else {
                notes.push(format!("{title}: only in the new report"));
                continue;
            };
            if before.census != tree.census || before.target_mount != tree.target_mount {
                notes.push(format!("{title}: not compared: another tree, or another file system"));
                continue;
            }
            let failed = tree.runs.iter().filter(|run| !run.is_verified).count();
            if failed > 0 {
                notes
                    .push(format!("{title}: {failed} runs of the new report FAILED, not compared"));
            }
            cells.extend(cells_of(&title, before, tree, &new.arms, alpha));
        }
        Self { cells, notes, alpha, threshold }
    }

    /// Whether nothing of blit became slower.
    pub(crate) fn is_success(&self) -> bool {
        self.regressions().next().is_none()
    }

    fn regressions(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.is_blit && self.outcome(cell) == Outcome::Slower)
    }

    fn outcome(&self, cell: &Cell) -> Outcome {
        let Change { ratio, interval, p } = cell.change;
        if !cell.is_decidable {
            return Outcome::TooFewRounds;
        }
        if p < self.alpha && interval.0 > 1.0 && ratio > 1.0 + self.threshold {
            Outcome::Slower
        } else if p < self.alpha && interval.1 < 1.0 && ratio < 1.0 - self.threshold {
            Outcome::Faster
        } else {
            Outcome::Same
        }
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for note in &self.notes {
            writeln!(out, "{}", printable(note))?;
        }
        let width = self.cells.iter().map(|cell| cell.title.len()).max().unwrap_or(0);
        writeln!(out, "{:width$}  new / old  95 % interval      p", "")?;
        for cell in &self.cells {
            let Change { ratio, interval, p } = cell.change;
            let word = match (self.outcome(cell), cell.is_blit) {
                (Outcome::Slower, true) => "SLOWER",
                (Outcome::Slower, false) => "slower (not blit)",
                (Outcome::Faster, _) => "faster",
                (Outcome::Same, _) => "",
                (Outcome::TooFewRounds, _) => "too few rounds to tell",
            };
            let title = printable(&cell.title);
            let (low, high) = interval;
            writeln!(out, "{title:width$}  {ratio:>9.3}  {low:.3} to {high:.3}  {p:.4}  {word}")?;
        }
        let (count, expected) = (self.cells.len(), self.alpha * self.count());
        writeln!(
            out,
            "{count} comparisons, of which {expected:.1} would seem to differ by chance"
        )?;
        let others = self.cells.iter().filter(|cell| !cell.is_blit);
        if others.clone().any(|cell| self.outcome(cell) == Outcome::Slower) {
            writeln!(out, "other tools became slower too: the machine may have, and not blit")?;
        }
        match self.regressions().count() {
            0 => writeln!(out, "nothing of blit became slower, as far as these rounds can show"),
            number => writeln!(out, "SLOWER: {number} of blit's"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a report has few cells")]
    fn count(&self) -> f64 {
        self.cells.len() as f64
    }
}

/// Each arm that both have, in the order of the new report.
fn cells_of(
    title: &str,
    old: &ReadTree,
    new: &ReadTree,
    arms: &[ReadArm],
    alpha: f64,
) -> Vec<Cell> {
    let (old, new) = (series(old), series(new));
    let cell = |arm: &ReadArm| {
        let (old, new) = (old.get(arm.name.as_str())?, new.get(arm.name.as_str())?);
        Some(Cell {
            title: format!("{title}: {}", arm.name),
            is_blit: arm.is_blit.unwrap_or_else(|| arm.name.starts_with("blit")),
            change: Change::between(old, new)?,
            is_decidable: least_p(old.len(), new.len()) < alpha,
        })
    };
    arms.iter().filter_map(cell).collect()
}

/// The times of the runs that did what they should.
fn series(tree: &ReadTree) -> BTreeMap<&str, Vec<f64>> {
    let mut series: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in tree.runs.iter().filter(|run| run.is_verified) {
        series.entry(&run.arm).or_default().push(run.wall_seconds);
    }
    series
}

/// What the test says of series of these lengths that do not overlap at all.
fn least_p(old: usize, new: usize) -> f64 {
    mann_whitney(&vec![1.0; old.max(1)], &vec![2.0; new.max(1)])
}

/// Reports may come from elsewhere: what they say must not reach the terminal as it is.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(blit: &[f64], cp: &[f64]) -> Read {
        let runs = |arm: &str, times: &[f64]| -> Vec<serde_json::Value> {
            let run = |time: &f64| serde_json::json!({ "arm": arm, "wall_seconds": time, "is_verified": true });
            times.iter().map(run).collect()
        };
        let all = [runs("blit-auto", blit), runs("cp", cp)].concat();
        let value = serde_json::json!({
            "machine": { "processor": "a", "cores": 2, "kernel": "b" },
            "arms": [
                { "name": "blit-auto", "version": "1", "is_blit": true },
                { "name": "cp", "version": "1" },
            ],
            "trees": [{
                "name": "small",
                "operation": "push",
                "census": { "files": 1, "bytes": 1 },
                "target_mount": { "format": "ext4" },
                "runs": all,
            }],
        });
        serde_json::from_value(value).expect("a report")
    }

    fn compare(old: &Read, new: &Read) -> (bool, String) {
        let comparison = Comparison::of(old, new, 0.05, 0.05);
        let mut text = Vec::new();
        comparison.print(&mut text).expect("a table");
        (comparison.is_success(), String::from_utf8(text).expect("text"))
    }

    const STEADY: [f64; 5] = [1.0, 1.01, 0.99, 1.02, 0.98];
    const SLOWER: [f64; 5] = [1.2, 1.21, 1.19, 1.22, 1.18];
    const NOISY: [f64; 5] = [1.5, 0.9, 1.01, 0.7, 1.3];

    #[test]
    fn a_clear_loss_of_blit_is_named_and_fails() {
        let (is_success, text) = compare(&report(&STEADY, &STEADY), &report(&SLOWER, &STEADY));
        assert!(!is_success);
        assert!(text.contains("small, push: blit-auto"), "{text}");
        assert!(text.contains("SLOWER: 1 of blit's"), "{text}");
        let (is_success, text) = compare(&report(&SLOWER, &STEADY), &report(&STEADY, &STEADY));
        assert!(is_success && text.contains("faster"), "{text}");
    }

    #[test]
    fn noise_other_tools_and_small_changes_do_not_count() {
        let (is_success, text) = compare(&report(&STEADY, &STEADY), &report(&NOISY, &SLOWER));
        assert!(is_success, "{text}");
        assert!(text.contains("slower (not blit)"), "{text}");
        assert!(text.contains("the machine may have"), "{text}");
        let slightly = SLOWER.map(|time| time - 0.17);
        assert!(compare(&report(&STEADY, &STEADY), &report(&slightly, &STEADY)).0);
    }

    #[test]
    fn three_rounds_decide_nothing_and_say_so() {
        let (is_success, text) =
            compare(&report(&STEADY[..3], &STEADY), &report(&SLOWER[..3], &STEADY));
        assert!(is_success);
        assert!(text.contains("too few rounds to tell"), "{text}");
    }

    #[test]
    fn other_trees_are_not_compared_and_other_machines_are_named() {
        let (old, mut new) = (report(&STEADY, &STEADY), report(&SLOWER, &STEADY));
        new.machine.cores = 4;
        assert!(compare(&old, &new).1.contains("not the same machine"));
        new.conditions.cache = "cold".to_owned();
        assert!(compare(&old, &new).1.contains("not the same caches"));
        new.trees[0].runs[0].is_verified = false;
        assert!(compare(&old, &new).1.contains("1 runs of the new report FAILED"));
        new.trees[0].census.files = 2;
        let comparison = Comparison::of(&old, &new, 0.05, 0.05);
        assert!(comparison.cells.is_empty());
        assert!(comparison.notes.iter().any(|note| note.contains("not compared")));
    }
}
