//! `blit-bench engines`: the same tasks on each engine, in this process and without any session.
//!
//! What differs between two engines is theirs alone: who decides, in which order and with how much
//! queued is the same for all. Removals come after everything else, because what follows the
//! removal of many files is slow on some file systems.

mod course;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::EnginesArgs;
use crate::error::{Error, OnPath, Result};
use crate::filesystem::{self, Mount, Workspace};
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::measure::Spread;
use crate::peers;
use crate::report::float;
use crate::snapshot::Snapshot;
use crate::stage::say;
use crate::system;
use crate::trees::{self, Recipe};
use crate::verify::{self, Fidelity};

use course::{Contestant, Course, Exercise, Took};

/// All rounds of one exercise on one engine.
#[derive(Debug, Serialize)]
struct Line {
    exercise: Exercise,
    engine: &'static str,
    wall_seconds: Spread,
    /// The median over the rounds of this engine's time divided by that of the first one.
    ratio: f64,
    entries_per_second: f64,
    /// The median, of all threads of this process.
    cpu_seconds: f64,
    runs: Vec<Took>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Findings {
    machine: Machine,
    mount: Mount,
    /// What each engine says of itself, or why it is missing.
    engines: Vec<String>,
    files: u64,
    lines: Vec<Line>,
    /// What was wrong with a copy.
    faults: Vec<String>,
}

/// Whether every engine did everything right.
pub(crate) fn run(args: &EnginesArgs, interrupt: &Interrupt, out: &mut impl Write) -> Result<bool> {
    let recipe = Recipe::Small { files: args.files, file_size: args.file_size.0 };
    let workspace = Workspace::open(&args.work.clone().unwrap_or_else(env::temp_dir), false)?;
    let need = recipe.need(args.seed);
    filesystem::check_space(workspace.path(), need.bytes * u64::from(args.rounds) * 3)?;
    let source = workspace.path().join("source");
    trees::grow(recipe, args.seed, &source, interrupt)?;
    let snapshot = Snapshot::take(&source)?;
    verify::warm(&source, &snapshot, interrupt)?;

    let mut findings = Findings {
        machine: Machine::look(),
        mount: Mount::of(workspace.path()),
        engines: Vec::new(),
        files: args.files,
        lines: Vec::new(),
        faults: Vec::new(),
    };
    let contestants = contestants(&args.engines, &mut findings);
    let course = Course { source: &source, interrupt };
    let mut turns = Vec::new();
    for round in 0..args.rounds {
        for contestant in rotated(&contestants, round) {
            let name = contestant.name;
            say(&format!("round {} of {}: {name}", round + 1, args.rounds));
            let target = workspace.path().join(format!("{round}-{name}"));
            fs::create_dir(&target).on("create directory", &target)?;
            system::sync(&target);
            turns.extend(course.run(contestant, round, &target)?);
            let verdict = verify::compare(&source, &snapshot, &target, Fidelity::Data, interrupt)?;
            if !verdict.is_equal() {
                let example = verdict.examples.first().cloned().unwrap_or_default();
                findings.faults.push(format!("{name} in round {}: {example}", round + 1));
            }
        }
    }
    for round in 0..args.rounds {
        for contestant in rotated(&contestants, round) {
            let target = workspace.path().join(format!("{round}-{}", contestant.name));
            turns.push(course.remove(contestant, round, &target)?);
        }
    }
    // Which way an engine took it knows only after it had work.
    let described = contestants.iter().map(|one| format!("{}: {}", one.name, one.describe()));
    findings.engines.extend(described);
    findings.lines = lines(&contestants, &turns);
    findings.print(out).on("write", Path::new("standard output"))?;
    if let Some(path) = &args.json {
        write_json(&findings, path)?;
    }
    Ok(findings.faults.is_empty())
}

fn write_json(findings: &Findings, path: &PathBuf) -> Result<()> {
    let file = File::create(path).on("create", path)?;
    serde_json::to_writer_pretty(&file, findings).map_err(io::Error::from).on("write", path)
}

/// Those that can be started here; why the others cannot goes into the findings.
fn contestants(engines: &[peers::Engine], findings: &mut Findings) -> Vec<Contestant> {
    let mut found = Vec::new();
    for engine in engines {
        match Contestant::start(*engine) {
            Ok(contestant) => found.push(contestant),
            Err(error) => findings.engines.push(format!("{}: MISSING: {error}", engine.name())),
        }
    }
    found
}

/// Everyone is first equally often.
fn rotated(contestants: &[Contestant], round: u32) -> impl Iterator<Item = &Contestant> {
    let first = usize::try_from(round).unwrap_or(0) % contestants.len().max(1);
    contestants[first..].iter().chain(&contestants[..first])
}

fn lines(contestants: &[Contestant], turns: &[Took]) -> Vec<Line> {
    let mut lines = Vec::new();
    for exercise in Exercise::ALL {
        let of = |name: &'static str| {
            let is_one = move |took: &&Took| took.exercise == exercise && took.engine == name;
            turns.iter().filter(is_one)
        };
        for contestant in contestants {
            let runs: Vec<Took> = of(contestant.name).cloned().collect();
            let ratios = runs.iter().filter_map(|took| {
                let base = of(contestants.first()?.name).find(|base| base.round == took.round)?;
                Some(took.wall_seconds / base.wall_seconds)
            });
            let spreads = (
                Spread::of(runs.iter().map(|took| took.wall_seconds)),
                Spread::of(ratios),
                Spread::of(runs.iter().map(|took| took.cpu_seconds)),
                Spread::of(runs.iter().map(|took| float(took.entries))),
            );
            let (Some(wall_seconds), Some(ratio), Some(cpu), Some(entries)) = spreads else {
                continue;
            };
            lines.push(Line {
                exercise,
                engine: contestant.name,
                wall_seconds,
                ratio: ratio.median,
                entries_per_second: entries.median / wall_seconds.median,
                cpu_seconds: cpu.median,
                runs,
            });
        }
    }
    lines
}

impl Findings {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "on          {}", self.mount)?;
        for engine in &self.engines {
            writeln!(out, "engine      {engine}")?;
        }
        let base = self.lines.first().map_or("", |line| line.engine);
        writeln!(
            out,
            "{:<8} {:<12} {:>9} {:>9} {:>9} {:>12} {:>11} {:>8}",
            "task",
            "engine",
            "wall s",
            "min",
            "max",
            format!("x {base}"),
            "entries/s",
            "CPU s"
        )?;
        for line in &self.lines {
            writeln!(
                out,
                "{:<8} {:<12} {:>9.4} {:>9.4} {:>9.4} {:>12.2} {:>11.0} {:>8.3}",
                line.exercise.name(),
                line.engine,
                line.wall_seconds.median,
                line.wall_seconds.min,
                line.wall_seconds.max,
                line.ratio,
                line.entries_per_second,
                line.cpu_seconds
            )?;
        }
        for fault in &self.faults {
            writeln!(out, "FAILED: {fault}")?;
        }
        Ok(())
    }
}

impl From<blit_core::Error> for Error {
    fn from(error: blit_core::Error) -> Self {
        Self::Tool { command: "an engine".to_owned(), message: error.to_string() }
    }
}
