//! The tables for people; they only show what the report holds.

use std::io::{self, Write};

use crate::filesystem::Mount;
use crate::measure::End;
use crate::report::{Report, Row, RunRecord, TreeReport, float};
use crate::verify::Fidelity;

impl Report {
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
        if let Some(ceilings) = &self.ceilings {
            ceilings.print(out)?;
        }
        let width = self.arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0).max(11);
        for arm in &self.arms {
            for (index, line) in arm.command_lines().enumerate() {
                let name = if index == 0 { arm.name.as_str() } else { "" };
                writeln!(out, "{name:<width$} {line}   ({})", arm.version)?;
            }
            if let Some(service) = &arm.service {
                writeln!(
                    out,
                    "{:<width$} against {} ({})",
                    "",
                    service.program.display(),
                    service.version
                )?;
            }
        }
        for missing in &self.missing {
            writeln!(out, "{:<11} MISSING: no {}", missing.name, missing.looked_for)?;
        }
        Ok(())
    }
}

impl TreeReport {
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let census = &self.census;
        writeln!(
            out,
            "\n{}: {} files, {} directories, {} symlinks, {} others; {:.1} MiB ({:.1} MiB on disk)",
            self.title(),
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
        if let Some(bound) = &self.bound {
            writeln!(out, "  ceiling: {} s, for {}", seconds(bound.seconds), bound.by)?;
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

/// The columns that say something about these rows, each with its title first.
pub(crate) fn columns(rows: &[Row]) -> Vec<Vec<String>> {
    let mut columns: Vec<Vec<String>> = COLUMNS
        .iter()
        .map(|(title, cell)| {
            let cells = rows.iter().map(cell);
            [(*title).to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    columns.retain(|column| column[1..].iter().any(|cell| !cell.is_empty()));
    for cell in columns.iter_mut().flatten().filter(|cell| cell.is_empty()) {
        "-".clone_into(cell);
    }
    for column in columns.iter_mut().filter(|column| column[0] == RATIO) {
        column[0] = format!("{RATIO} {}", rows.first().map_or("", |row| &row.ratio_to));
    }
    columns
}

fn print_table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let columns = columns(rows);
    let lines = if rows.is_empty() { 0 } else { rows.len() + 1 };
    for line in 0..lines {
        write!(out, " ")?;
        for column in &columns {
            let width = column.iter().map(String::len).max().unwrap_or(0);
            let cell = &column[line];
            // Words to the left, numbers to the right.
            if WORDS.contains(&column[0].as_str()) {
                write!(out, " {cell:<width$} ")?;
            } else {
                write!(out, " {cell:>width$} ")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: [Column; 18] = [
    ("arm", |row| row.arm.clone()),
    ("class", |row| class(row.fidelity).to_owned()),
    ("durable", |row| row.durability.to_owned()),
    ("encrypted", |row| {
        row.service_peak_bytes.map_or(String::new(), |_| row.encryption.to_owned())
    }),
    ("wall s", |row| seconds(row.wall_seconds.median)),
    ("min", |row| seconds(row.wall_seconds.min)),
    ("max", |row| seconds(row.wall_seconds.max)),
    ("spread", |row| format!("{:.0}%", row.wall_seconds.width() * 100.0)),
    (RATIO, |row| format!("{:.2}", row.ratio)),
    ("files/s", |row| format!("{:.0}", row.files_per_second)),
    ("MB/s", |row| format!("{:.0}", row.megabytes_per_second)),
    ("ceiling", |row| percent(row.ceiling_share)),
    ("CPU s", |row| format!("{:.2}", row.cpu_seconds)),
    ("peak MiB", |row| mebibytes(row.peak_bytes)),
    ("far MiB", |row| row.service_peak_bytes.map_or(String::new(), mebibytes)),
    ("wire MB", |row| row.wire_bytes.map_or(String::new(), |wire| format!("{:.1}", wire / 1e6))),
    ("calls/entry", |row| row.calls_per_entry.map_or(String::new(), |calls| format!("{calls:.1}"))),
    ("verified", |row| if row.is_verified { "yes" } else { "FAILED" }.to_owned()),
];

const RATIO: &str = "x";
const WORDS: [&str; 4] = ["arm", "class", "durable", "encrypted"];

/// As the command line and the legend call it.
pub(crate) fn class(fidelity: Fidelity) -> &'static str {
    match fidelity {
        Fidelity::Data => "data",
        Fidelity::ModeTimes => "mode+times",
        Fidelity::Full => "full",
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or(String::new(), |share| format!("{:.0}%", share * 100.0))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes_in(bytes, 20))
}

/// With as many digits as mean something.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{seconds:.4}") } else { format!("{seconds:.3}") }
}

pub(crate) fn bytes_in(bytes: u64, shift: u32) -> f64 {
    float(bytes) / float(1 << shift)
}

/// The kernel's write-back alone is below this; a compiler in another window is above.
const OTHERS_MAX: f64 = 0.5;

/// What the columns mean.
pub(crate) const LEGEND: [&str; 13] = [
    "class: what the copy was checked for. data: names, contents, symlinks. mode+times: also modes and",
    "times of files. full: also those of directories and symlinks, owners, hard links, attributes, holes.",
    "durable: none means that the command returned before the data was on the disk.",
    "wall s: the median, with the least, the most, and their distance as a share of the median (spread).",
    "x: the median over the rounds of this arm's time divided by the named arm's; above 1 is slower.",
    "MB/s: 1e6 bytes of file contents, holes in full, hard links once. ceiling: the time that the slowest",
    "of plain writing, creating and sending needs here, as a share of this arm's; shared blocks beat it.",
    "CPU s: median of user and system time of the command, its daemon and all their children; not of kernel",
    "threads. The daemon's is of its whole life, start and end included.",
    "peak: the largest process, in any round; far: of the daemon. wire: what the loopback device carried",
    "meanwhile, for anybody on this machine. calls: system calls of both ends in one run under strace.",
    "no-op: the same command once more; it is verified that the copy stayed as it was.",
    "The median of few rounds is not a measurement of small differences: see blit-bench compare.",
];
