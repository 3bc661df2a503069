//! `blit-bench ci`: whether blit is clearly slower than it was, judged beside its peers.
//!
//! Times of a busy machine repeat badly; ratios of times of the same minute repeat better. A cell
//! fails only if its ratio is beyond its limit in each of several tries, so that it takes more than
//! one unlucky moment. That finds what became twice as slow, not what became a tenth slower: see
//! `comparison` for that.

mod counts;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;

use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::args::{BenchArgs, CiArgs, LocalArgs, Verb};
use crate::error::{Error, OnPath, Result};
use crate::interrupt::Interrupt;
use crate::local;
use crate::report::Report;
use crate::stage::say;

use counts::{Allowance, Count};

/// What is checked in.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Baseline {
    cells: Vec<Cell>,
    /// What the sessions and the layout of frames cost a file.
    #[serde(default)]
    instructions: Vec<Allowance>,
}

/// The time of blit divided by that of a peer, for one operation on one tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cell {
    tree: String,
    operation: String,
    peer: String,
    ratio: f64,
    /// The limit is this many times the ratio.
    tolerance: f64,
}

type Key = (String, String, String);

/// The least ratio of each cell so far.
type Ratios = BTreeMap<Key, f64>;

/// Whether nothing is clearly slower. What it found goes to `out`.
pub(crate) fn run(args: &CiArgs, interrupt: &Interrupt, out: &mut impl Write) -> Result<bool> {
    let session = session(args)?;
    let baseline = if args.update { None } else { Some(read(&args.baseline)?) };
    let counts = counts::measure(interrupt)?;
    let mut best = Ratios::new();
    for attempt in 1..=TRIES {
        let report = local::run(&session, interrupt)?;
        if let Some(absent) = report.missing.iter().find(|absent| absent.name.starts_with("blit")) {
            return Err(Error::Usage(format!("no blit to measure: no {}", absent.looked_for)));
        }
        if !report.is_success() {
            report.print(out).on("write", Path::new("standard output"))?;
            return Ok(false);
        }
        merge(&mut best, &report);
        // A baseline is the best of all tries; a run that passes needs no second one.
        if baseline.as_ref().is_some_and(|baseline| baseline.failures(&best).is_empty()) {
            break;
        }
        say(&format!("try {attempt} of {TRIES} is over"));
    }
    let Some(baseline) = baseline else {
        return write(&args.baseline, &best, &counts).map(|()| true);
    };
    let screen = Path::new("standard output");
    baseline.print(&best, out).on("write", screen)?;
    counts::print(&baseline.instructions, &counts, out).on("write", screen)?;
    let is_lean = !counts.iter().any(|count| count.is_beyond(&baseline.instructions));
    Ok(is_lean && baseline.failures(&best).is_empty())
}

/// As if it had been typed.
fn session(args: &CiArgs) -> Result<LocalArgs> {
    let mut words: Vec<OsString> = SESSION.map(OsString::from).to_vec();
    let memory = Path::new(IN_MEMORY);
    let work = args.work.clone().or_else(|| memory.is_dir().then(|| memory.to_path_buf()));
    for (option, value) in [("--blit", &args.blit), ("--work", &work)] {
        if let Some(value) = value {
            words.extend([option.into(), value.clone().into_os_string()]);
        }
    }
    match BenchArgs::try_parse_from(words).map(|args| args.verb) {
        Ok(Verb::Local(local)) => Ok(*local),
        Ok(_) => Err(Error::Usage("the session is not local".to_owned())),
        Err(error) => Err(Error::Usage(error.to_string())),
    }
}

fn read(path: &Path) -> Result<Baseline> {
    let file = File::open(path).on("open", path)?;
    serde_json::from_reader(BufReader::new(file)).map_err(io::Error::from).on("understand", path)
}

fn write(path: &Path, ratios: &Ratios, counts: &[Count]) -> Result<()> {
    let cell = |((tree, operation, peer), ratio): (&Key, &f64)| Cell {
        tree: tree.clone(),
        operation: operation.clone(),
        peer: peer.clone(),
        // More digits would claim what nobody measured.
        ratio: (ratio * 100.0).round() / 100.0,
        tolerance: TOLERANCE,
    };
    let instructions = counts.iter().map(Count::allowance).collect();
    let baseline = Baseline { cells: ratios.iter().map(cell).collect(), instructions };
    let text = serde_json::to_string_pretty(&baseline).map_err(io::Error::from);
    fs::write(path, text.on("understand", path)? + "\n").on("write", path)
}

fn merge(best: &mut Ratios, report: &Report) {
    for tree in &report.trees {
        let ours = tree.rows.iter().any(|row| row.arm == row.ratio_to && row.arm == OURS);
        for row in tree.rows.iter().filter(|row| ours && row.arm != OURS && row.ratio > 0.0) {
            let key = (tree.name.clone(), tree.operation.clone(), row.arm.clone());
            let ratio = best.entry(key).or_insert(f64::INFINITY);
            *ratio = ratio.min(1.0 / row.ratio);
        }
    }
}

impl Cell {
    fn key(&self) -> Key {
        (self.tree.clone(), self.operation.clone(), self.peer.clone())
    }

    fn limit(&self) -> f64 {
        self.ratio * self.tolerance
    }
}

impl Baseline {
    fn failures(&self, best: &Ratios) -> Vec<&Cell> {
        let fails = |cell: &&Cell| best.get(&cell.key()).is_some_and(|ratio| *ratio > cell.limit());
        self.cells.iter().filter(fails).collect()
    }

    fn print(&self, best: &Ratios, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "time of blit divided by that of a peer; the limit is far from the baseline"
        )?;
        for cell in &self.cells {
            let title = format!("{}, {} / {}", cell.tree, cell.operation, cell.peer);
            let (ratio, limit) = (cell.ratio, cell.limit());
            match best.get(&cell.key()) {
                None => writeln!(out, "{title:<26} not measured: no {} here", cell.peer)?,
                Some(now) => {
                    let word = if *now > limit { "CLEARLY SLOWER" } else { "ok" };
                    writeln!(
                        out,
                        "{title:<26} {now:.2}, baseline {ratio:.2}, limit {limit:.2}: {word}"
                    )?;
                }
            }
        }
        for (tree, operation, peer) in best.keys() {
            let is_known =
                |cell: &Cell| cell.key() == (tree.clone(), operation.clone(), peer.clone());
            if !self.cells.iter().any(is_known) {
                writeln!(out, "{tree}, {operation} / {peer}: not in the baseline, not judged")?;
            }
        }
        Ok(())
    }
}

/// Where no disk, and nobody else's use of it, is measured too.
const IN_MEMORY: &str = "/dev/shm";
/// Each lasts about ten seconds.
const TRIES: u32 = 3;
/// Ratios on busy and on idle machines differ by up to a half.
const TOLERANCE: f64 = 2.0;
const OURS: &str = "blit-auto";
const SESSION: [&str; 8] = [
    "blit-bench",
    "local",
    "--trees=small,big",
    "--files=4000",
    "--big-size=128M",
    "--rounds=3",
    "--arms=blit,cp,rsync",
    "--no-ceilings",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Work;

    fn baseline() -> Baseline {
        let cell = |peer: &str, ratio| Cell {
            tree: "small".to_owned(),
            operation: "copy".to_owned(),
            peer: peer.to_owned(),
            ratio,
            tolerance: 2.0,
        };
        let cells = vec![cell("cp", 0.5), cell("rsync", 0.25)];
        Baseline { cells, instructions: Vec::new() }
    }

    fn ratios(cp: f64) -> Ratios {
        Ratios::from([(("small".to_owned(), "copy".to_owned(), "cp".to_owned()), cp)])
    }

    #[test]
    fn only_what_is_beyond_its_limit_fails_and_what_was_not_measured_is_named() {
        assert!(baseline().failures(&ratios(0.99)).is_empty());
        assert_eq!(baseline().failures(&ratios(1.01))[0].peer, "cp");
        let mut text = Vec::new();
        baseline().print(&ratios(1.01), &mut text).expect("text");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("CLEARLY SLOWER") && text.contains("no rsync here"), "{text}");
    }

    #[test]
    fn the_session_and_the_checked_in_baseline_can_be_read() {
        let nothing = CiArgs {
            baseline: "bench/baseline.json".into(),
            blit: None,
            work: None,
            update: false,
        };
        let session = session(&nothing).expect("a session");
        assert_eq!(session.session.rounds, 3);
        let text = include_str!("../baseline.json");
        let checked_in: Baseline = serde_json::from_str(text).expect("a baseline");
        assert!(checked_in.cells.iter().all(|cell| cell.ratio > 0.0 && cell.tolerance >= 1.5));
        assert!(!checked_in.cells.is_empty());
        assert_eq!(checked_in.instructions.len(), Work::ALL.len());
    }
}
