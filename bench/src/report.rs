//! What came out: the data that goes to JSON, and the tables for people; it measures nothing.

use std::io::{self, Write};

use serde::Serialize;

use crate::filesystem::Mount;
use crate::machine::Machine;
use crate::measure::{End, Run, Spread};
use crate::peers::{Arm, Missing};
use crate::snapshot::Census;
use crate::verify::Fidelity;

/// One session.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Changes when a reader of the JSON would have to.
    pub(crate) format: u32,
    pub(crate) version: &'static str,
    pub(crate) machine: Machine,
    pub(crate) conditions: Conditions,
    pub(crate) arms: Vec<Arm>,
    pub(crate) missing: Vec<Missing>,
    /// What starting a command that does nothing costs here, in time and in peak memory.
    pub(crate) floor: Run,
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

#[derive(Debug, Serialize)]
pub(crate) struct TreeReport {
    pub(crate) name: String,
    pub(crate) census: Census,
    pub(crate) source_mount: Mount,
    pub(crate) target_mount: Mount,
    /// Whether copies may share their blocks with the source here, as most tools then let them.
    pub(crate) can_reflink: bool,
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) runs: Vec<RunRecord>,
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
    /// Processor seconds of everything else during the run: other processes and kernel threads.
    pub(crate) others_cpu_seconds: Option<f64>,
    /// What writing everything back took afterwards; not part of the wall time.
    pub(crate) sync_seconds: f64,
    pub(crate) is_verified: bool,
    pub(crate) differences: u64,
    pub(crate) examples: Vec<String>,
}

/// All runs of one arm on one tree.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) arm: String,
    pub(crate) fidelity: Fidelity,
    pub(crate) durability: &'static str,
    pub(crate) wall_seconds: Spread,
    /// The median over the rounds of this arm's wall time divided by that of the arm `ratio_to`.
    pub(crate) ratio: f64,
    pub(crate) ratio_to: String,
    pub(crate) files_per_second: f64,
    pub(crate) megabytes_per_second: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) is_verified: bool,
}

impl Report {
    pub(crate) fn is_success(&self) -> bool {
        self.trees.iter().flat_map(|tree| &tree.rows).all(|row| row.is_verified)
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.print_header(out)?;
        for tree in &self.trees {
            tree.print(out)?;
        }
        writeln!(out)?;
        for line in LEGEND {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn print_header(&self, out: &mut impl Write) -> io::Result<()> {
        let machine = &self.machine;
        writeln!(
            out,
            "machine     {}, {} cores, {:.1} GiB; load {} at the start",
            machine.processor,
            machine.cores,
            bytes_in(machine.memory_bytes, 30),
            machine.load
        )?;
        writeln!(out, "system      {}, {}", machine.kernel, machine.distribution)?;
        writeln!(
            out,
            "conditions  {} rounds, seed {}, {} source; target: {}",
            self.conditions.rounds,
            self.conditions.seed,
            self.conditions.cache,
            self.conditions.fresh
        )?;
        writeln!(
            out,
            "floor       a command that does nothing takes {:.4} s and {:.1} MiB",
            self.floor.wall_seconds,
            bytes_in(self.floor.peak_bytes, 20)
        )?;
        if !machine.is_root {
            writeln!(out, "note        not root: nobody's copy is held to owners")?;
        }
        for arm in &self.arms {
            writeln!(out, "{:<11} {}   ({})", arm.name, arm.command_line(), arm.version)?;
        }
        for missing in &self.missing {
            writeln!(out, "{:<11} MISSING: no {}", missing.name, missing.looked_for)?;
        }
        Ok(())
    }
}

impl TreeReport {
    /// Adds the rows that follow from the runs.
    pub(crate) fn summarize(&mut self, arms: &[Arm]) {
        let Some(base) = arms.iter().find(|arm| arm.is_blit).or(arms.first()) else { return };
        self.rows = arms.iter().filter_map(|arm| self.row(arm, &base.name)).collect();
    }

    /// The share of one processor that everything but the arms used while they ran.
    fn others(&self) -> Option<f64> {
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
        Some(Row {
            arm: arm.name.clone(),
            fidelity: arm.fidelity,
            durability: arm.durability,
            wall_seconds,
            ratio: Spread::of(ratios)?.median,
            ratio_to: base.to_owned(),
            files_per_second: pace(float(self.census.files)),
            megabytes_per_second: pace(float(self.census.bytes) / 1e6),
            cpu_seconds: Spread::of(runs.iter().map(|record| record.run.cpu_seconds()))?.median,
            peak_bytes: runs.iter().map(|record| record.run.peak_bytes).max()?,
            is_verified: runs.iter().all(|record| record.is_verified),
        })
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let census = &self.census;
        writeln!(
            out,
            "\n{}: {} files, {} directories, {} symlinks, {} others; {:.1} MiB ({:.1} MiB on disk)",
            self.name,
            census.files,
            census.directories,
            census.symlinks,
            census.others,
            bytes_in(census.bytes, 20),
            bytes_in(census.allocated_bytes, 20)
        )?;
        writeln!(
            out,
            "  on {}{}",
            self.target_mount,
            if self.can_reflink { "; copies may share blocks (reflink)" } else { "; no reflinks" }
        )?;
        if self.source_mount != self.target_mount {
            writeln!(out, "  from {}: ANOTHER FILE SYSTEM", self.source_mount)?;
        }
        for note in &self.notes {
            writeln!(out, "  {note}")?;
        }
        print_table(out, &self.rows)?;
        if let Some(others) = self.others() {
            let verdict = if others > OTHERS_MAX { "ATTENTION, NOT A QUIET MACHINE: " } else { "" };
            let percent = others * 100.0;
            writeln!(out, "  {verdict}everything else used {percent:.0}% of one core meanwhile")?;
        }
        for record in self.runs.iter().filter(|record| !record.is_verified) {
            record.print_failure(out)?;
        }
        Ok(())
    }
}

impl RunRecord {
    fn print_failure(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "  FAILED: {} in round {}: ", self.arm, self.round)?;
        match &self.run.end {
            End::Exited(0) => writeln!(out, "{} differences", self.differences)?,
            End::Exited(code) => writeln!(out, "exit status {code}")?,
            End::Signalled(signal) => writeln!(out, "killed by signal {signal}")?,
            End::NotStarted(why) => writeln!(out, "{why}")?,
            End::TimedOut => writeln!(out, "killed after the time limit")?,
        }
        for line in self.run.complaint.lines().take(4) {
            writeln!(out, "    it says: {}", line.escape_debug())?;
        }
        for example in &self.examples {
            writeln!(out, "    {example}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}), {} at {}", self.format, self.options, self.device, self.point)
    }
}

fn print_table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let mut table = vec![
        ["arm", "class", "durable", "wall s", "min", "max", "spread", "ratio", "files/s", "MB/s"]
            .map(str::to_owned)
            .to_vec(),
    ];
    table[0].extend(["CPU s", "peak MiB", "verified"].map(str::to_owned));
    table[0][7] = format!("x {}", first.ratio_to);
    table.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..table[0].len())
        .map(|column| table.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    for row in &table {
        write!(out, " ")?;
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            if index < 3 {
                write!(out, " {cell:<width$} ")?;
            } else {
                write!(out, " {cell:>width$} ")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn cells(row: &Row) -> Vec<String> {
    let fidelity = match row.fidelity {
        Fidelity::Data => "data",
        Fidelity::ModeTimes => "mode+times",
        Fidelity::Full => "full",
    };
    vec![
        row.arm.clone(),
        fidelity.to_owned(),
        row.durability.to_owned(),
        seconds(row.wall_seconds.median),
        seconds(row.wall_seconds.min),
        seconds(row.wall_seconds.max),
        format!("{:.0}%", row.wall_seconds.width() * 100.0),
        format!("{:.2}", row.ratio),
        format!("{:.0}", row.files_per_second),
        format!("{:.0}", row.megabytes_per_second),
        format!("{:.2}", row.cpu_seconds),
        format!("{:.1}", bytes_in(row.peak_bytes, 20)),
        if row.is_verified { "yes" } else { "FAILED" }.to_owned(),
    ]
}

/// With as many digits as mean something.
fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{seconds:.4}") } else { format!("{seconds:.3}") }
}

fn bytes_in(bytes: u64, shift: u32) -> f64 {
    float(bytes) / float(1 << shift)
}

#[expect(clippy::cast_precision_loss, reason = "for people and for ratios, 53 bits are plenty")]
fn float(number: u64) -> f64 {
    number as f64
}

/// The kernel's write-back alone is below this; a compiler in another window is above.
const OTHERS_MAX: f64 = 0.5;

const LEGEND: [&str; 7] = [
    "class: what the copy was checked for. data: names, contents, symlinks. mode+times: also modes and",
    "times of files. full: also those of directories and symlinks, owners, hard links, attributes, holes.",
    "wall s: the median, with the least, the most, and their distance as a share of the median (spread).",
    "x: the median over the rounds of this arm's time divided by the named arm's; above 1 is slower.",
    "MB/s: 1e6 bytes of file contents, holes in full, hard links once. CPU s: median of user and system",
    "time of the command and its children; not of kernel threads. peak: its largest process, in any round.",
    "durable: none means that the command returned before the data was on the disk.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str, is_blit: bool) -> Arm {
        Arm {
            name: name.to_owned(),
            program: name.into(),
            version: "1".to_owned(),
            fidelity: Fidelity::Full,
            durability: "none",
            arguments: vec!["SOURCE", "TARGET"],
            is_blit,
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
            others_cpu_seconds: Some(0.0),
            sync_seconds: 0.0,
            is_verified: true,
            differences: 0,
            examples: Vec::new(),
        }
    }

    fn tree(runs: Vec<RunRecord>) -> TreeReport {
        let mount = Mount {
            device: "/dev/a".to_owned(),
            point: "/".to_owned(),
            format: "ext4".to_owned(),
            options: "rw".to_owned(),
        };
        TreeReport {
            name: "small".to_owned(),
            census: Census { files: 10, bytes: 4_000_000, ..Census::default() },
            source_mount: mount.clone(),
            target_mount: mount,
            can_reflink: false,
            notes: Vec::new(),
            rows: Vec::new(),
            runs,
        }
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
}
