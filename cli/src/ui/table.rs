//! The summary for people. It must not know where it is printed.

use std::io::{self, Write};
use std::time::Duration;

use blit_core::summary::Summary;

use super::quantity::{count, counted, elapsed, rate, size};
use super::{Ended, Telling};
use crate::report;

/// Writes what `ended` did: one line always, further ones only where there is something to say.
pub(super) fn write(out: &mut impl Write, ended: &Ended<'_>, telling: &Telling) -> io::Result<()> {
    writeln!(out, "{}", headline(ended, telling))?;
    for line in details(&ended.outcome.summary, telling) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn headline(ended: &Ended<'_>, telling: &Telling) -> String {
    let summary = &ended.outcome.summary;
    let mut line = match &ended.outcome.error {
        Some(_) => format!("{}: ", ended.exit().word()),
        None => String::new(),
    };
    line += if telling.dry_run { "would copy " } else { "copied " };
    line += &counted(summary.files, "file");
    if summary.files > 0 {
        line += &format!(", {}", size(summary.bytes));
    }
    if !telling.dry_run {
        line += &format!(" in {}", elapsed(ended.elapsed));
        if summary.bytes > 0 && ended.elapsed >= RATE_COUNTS_FROM {
            line += &format!(" ({})", rate(summary.bytes, ended.elapsed));
        }
    }
    for (number, word) in [
        (summary.same, "unchanged"),
        (summary.repaired, "metadata repaired"),
        (summary.failed, "failed"),
    ] {
        if number > 0 {
            line += &format!("; {} {word}", count(number));
        }
    }
    line
}

fn details(summary: &Summary, telling: &Telling) -> Vec<String> {
    let mut lines = Vec::new();
    let made: Vec<String> = [
        (summary.dirs, "directory"),
        (summary.nodes, "symbolic link or special file"),
        (summary.links, "hard link"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, noun)| match noun {
        "symbolic link or special file" if number > 1 => {
            format!("{} symbolic links and special files", count(number))
        }
        _ => counted(number, noun),
    })
    .collect();
    let (create, remove) =
        if telling.dry_run { ("would create", "would remove") } else { ("created", "removed") };
    if !made.is_empty() {
        lines.push(format!("{create} {}", made.join(", ")));
    }
    if summary.bytes_cloned > 0 {
        lines.push(format!("{} share their storage with the source", size(summary.bytes_cloned)));
    }
    if summary.leftovers > 0 {
        let leftovers = counted(summary.leftovers, "leftover");
        lines.push(format!("{remove} {leftovers} of an interrupted run"));
    }
    if summary.skipped > 0 {
        lines.push(format!("note: {} left out as asked", counted(summary.skipped, "entry")));
    }
    if summary.vanished > 0 {
        let vanished = counted(summary.vanished, "source entry");
        lines.push(format!("note: {vanished} vanished before the copy"));
    }
    for (lost, number) in &summary.lost {
        let (_, what) = report::lost_words(*lost);
        let entries = counted(*number, "entry");
        lines.push(format!("note: the destination cannot hold {what}; left out of {entries}"));
    }
    lines
}

/// In a shorter run, the start of the process is most of what would be measured.
const RATE_COUNTS_FROM: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {

    use blit_core::task::Lost;
    use blit_core::{Error, ErrorKind};
    use blit_rpc::transfer::Outcome;

    use super::*;
    use crate::args::When;
    use crate::options::Ending;

    fn shown(summary: Summary, error: Option<ErrorKind>, dry_run: bool) -> String {
        let error = error.map(|kind| Error::new(kind, "write", b"a"));
        let outcome = Outcome { summary, error };
        let ended = Ended { outcome: &outcome, engine: "", elapsed: Duration::from_millis(2100) };
        let telling =
            Telling { ending: Ending::Text, changes: false, dry_run, progress: When::Never };
        let mut out = Vec::new();
        write(&mut out, &ended, &telling).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn one_line_says_what_was_done() {
        let summary = Summary {
            files: 53212,
            bytes: 642_000_000,
            same: 12,
            repaired: 3,
            ..Summary::default()
        };
        assert_eq!(
            shown(summary.clone(), None, false),
            "copied 53 212 files, 612.3 MiB in 2.1 s (291.6 MiB/s); 12 unchanged; 3 metadata repaired\n"
        );
        assert_eq!(
            shown(summary, None, true),
            "would copy 53 212 files, 612.3 MiB; 12 unchanged; 3 metadata repaired\n"
        );
        assert_eq!(shown(Summary::default(), None, false), "copied 0 files in 2.1 s\n");
    }

    #[test]
    fn further_lines_come_only_where_there_is_something_to_say() {
        let summary = Summary {
            dirs: 1,
            nodes: 2,
            links: 1,
            leftovers: 1,
            vanished: 2,
            lost: vec![(Lost::Acls, 1)],
            ..Summary::default()
        };
        assert_eq!(
            shown(summary, None, false),
            "copied 0 files in 2.1 s\n\
             created 1 directory, 2 symbolic links and special files, 1 hard link\n\
             removed 1 leftover of an interrupted run\n\
             note: 2 source entries vanished before the copy\n\
             note: the destination cannot hold access control lists; left out of 1 entry\n"
        );
    }

    #[test]
    fn a_run_that_ended_early_says_so_first() {
        let summary = Summary { files: 1, bytes: 10, ..Summary::default() };
        assert_eq!(
            shown(summary, Some(ErrorKind::Interrupted), false),
            "interrupted: copied 1 file, 10 B in 2.1 s (4 B/s)\n"
        );
    }
}
