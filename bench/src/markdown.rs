//! `blit-bench report`: reports that were written with --json as tables in Markdown; it measures
//! nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use serde::Deserialize;

use crate::args::ReportArgs;
use crate::error::{OnPath, Result};

/// As much of a report as is shown.
#[derive(Debug, Deserialize)]
struct Read {
    verb: String,
    machine: ReadMachine,
    conditions: ReadConditions,
    arms: Vec<ReadArm>,
    trees: Vec<ReadTree>,
}

#[derive(Debug, Deserialize)]
struct ReadMachine {
    processor: String,
    cores: u64,
    kernel: String,
}

#[derive(Debug, Deserialize)]
struct ReadConditions {
    rounds: u32,
    cache: String,
    fresh: String,
}

#[derive(Debug, Deserialize)]
struct ReadArm {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct ReadTree {
    name: String,
    operation: String,
    census: ReadCensus,
    target_mount: ReadMount,
    rows: Vec<ReadRow>,
}

#[derive(Debug, Deserialize)]
struct ReadCensus {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ReadMount {
    format: String,
}

#[derive(Debug, Deserialize)]
struct ReadRow {
    arm: String,
    wall_seconds: ReadSpread,
    cpu_seconds: f64,
    ceiling_share: Option<f64>,
    is_verified: bool,
}

#[derive(Debug, Deserialize)]
struct ReadSpread {
    median: f64,
    min: f64,
    max: f64,
}

/// Prints all reports, one after the other.
pub(crate) fn run(args: &ReportArgs, out: &mut impl Write) -> Result<bool> {
    for path in &args.reports {
        let file = File::open(path).on("open", path)?;
        let report: Read = serde_json::from_reader(BufReader::new(file))
            .map_err(io::Error::from)
            .on("understand", path)?;
        report.print(args.cpu, out).on("write", Path::new("standard output"))?;
    }
    Ok(true)
}

impl Read {
    /// A row for each tree and operation, a column for each arm.
    fn print(&self, has_cpu: bool, out: &mut impl Write) -> io::Result<()> {
        let (machine, conditions) = (&self.machine, &self.conditions);
        let formats: BTreeMap<&str, ()> =
            self.trees.iter().map(|tree| (tree.target_mount.format.as_str(), ())).collect();
        let formats: Vec<&str> = formats.into_keys().collect();
        writeln!(
            out,
            "`blit-bench {}`: {}, {} cores, {}; {}; {} rounds, {} source, {}.\n",
            self.verb,
            cell(&machine.processor),
            machine.cores,
            cell(&machine.kernel),
            cell(&formats.join(", ")),
            conditions.rounds,
            cell(&conditions.cache),
            cell(&conditions.fresh)
        )?;
        let arms: Vec<&ReadArm> = self.arms.iter().filter(|arm| self.has_run(arm)).collect();
        write!(
            out,
            "| wall seconds, median (least to most){}",
            if has_cpu { "; CPU" } else { "" }
        )?;
        arms.iter().try_for_each(|arm| write!(out, " | {}", cell(&arm.name)))?;
        write!(out, " |\n|---")?;
        arms.iter().try_for_each(|_| write!(out, "|---:"))?;
        writeln!(out, "|")?;
        for tree in &self.trees {
            tree.print(&arms, has_cpu, out)?;
        }
        writeln!(out)?;
        for arm in arms {
            writeln!(out, "- {}: {}", cell(&arm.name), cell(&arm.version))?;
        }
        writeln!(out)
    }

    fn has_run(&self, arm: &ReadArm) -> bool {
        self.trees.iter().flat_map(|tree| &tree.rows).any(|row| row.arm == arm.name)
    }
}

impl ReadTree {
    fn print(&self, arms: &[&ReadArm], has_cpu: bool, out: &mut impl Write) -> io::Result<()> {
        let census = &self.census;
        write!(
            out,
            "| {}, {}: {} files, {} MiB",
            cell(&self.name),
            cell(&self.operation),
            census.files,
            census.bytes.div_ceil(1 << 20)
        )?;
        let found =
            |arm: &ReadArm| self.rows.iter().find(|row| row.arm == arm.name && row.is_verified);
        let medians = arms.iter().filter_map(|arm| Some(found(arm)?.wall_seconds.median));
        let best = medians.fold(f64::INFINITY, f64::min);
        for arm in arms {
            match self.rows.iter().find(|row| row.arm == arm.name) {
                None => write!(out, " | -")?,
                Some(row) => write!(out, " | {}", row.text(best, has_cpu))?,
            }
        }
        writeln!(out, " |")
    }
}

impl ReadRow {
    /// The fastest of a row is bold.
    fn text(&self, best: f64, has_cpu: bool) -> String {
        if !self.is_verified {
            return "FAILED".to_owned();
        }
        let wall = &self.wall_seconds;
        let mark = if wall.median <= best { "**" } else { "" };
        let (median, min, max) = (digits(wall.median), digits(wall.min), digits(wall.max));
        let mut text = format!("{mark}{median}{mark} ({min} to {max})");
        if has_cpu {
            text += &format!("; {}", digits(self.cpu_seconds));
        }
        if let Some(share) = self.ceiling_share {
            text += &format!(", {:.0}%", share * 100.0);
        }
        text
    }
}

/// Two that count, or hundredths.
fn digits(seconds: f64) -> String {
    if seconds < 0.1 { format!("{seconds:.3}") } else { format!("{seconds:.2}") }
}

/// What a report says must not end a cell or a line.
fn cell(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(clean).collect::<String>().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Read {
        let row = |arm: &str, median: f64, is_verified| ReadRow {
            arm: arm.to_owned(),
            wall_seconds: ReadSpread { median, min: median / 2.0, max: median * 2.0 },
            cpu_seconds: 3.0,
            ceiling_share: Some(0.5),
            is_verified,
        };
        let arm = |name: &str| ReadArm { name: name.to_owned(), version: "v|1".to_owned() };
        Read {
            verb: "local".to_owned(),
            machine: ReadMachine { processor: "p".to_owned(), cores: 2, kernel: "k".to_owned() },
            conditions: ReadConditions {
                rounds: 5,
                cache: "warm".to_owned(),
                fresh: "f".to_owned(),
            },
            arms: vec![arm("blit-auto"), arm("cp"), arm("cpz"), arm("absent")],
            trees: vec![ReadTree {
                name: "small".to_owned(),
                operation: "copy".to_owned(),
                census: ReadCensus { files: 7, bytes: 3 << 20 },
                target_mount: ReadMount { format: "ext4".to_owned() },
                rows: vec![
                    row("cp", 2.0, true),
                    row("cpz", 0.5, false),
                    row("blit-auto", 1.0, true),
                ],
            }],
        }
    }

    #[test]
    fn the_fastest_right_copy_is_bold_and_a_wrong_one_has_no_time() {
        let mut text = Vec::new();
        report().print(true, &mut text).expect("a table");
        let text = String::from_utf8(text).expect("text");
        let wanted = "| small, copy: 7 files, 3 MiB | **1.00** (0.50 to 2.00); 3.00, 50% | \
                      2.00 (1.00 to 4.00); 3.00, 50% | FAILED |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("- cp: v\\|1") && !text.contains("absent"), "{text}");
    }
}
