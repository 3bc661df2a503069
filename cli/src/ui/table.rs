//! The summary for people. It must not know where it is printed.

use std::io::{self, Write};
use std::time::Duration;

use blit_core::summary::Summary;
use blit_rpc::transfer::Carried;

use super::quantity::{count, counted, elapsed, rate, size};
use super::{Ended, Telling};
use crate::options::Verb;
use crate::report;

/// Writes what `ended` did: one line always, further ones only where there is something to say.
pub(super) fn write(out: &mut impl Write, ended: &Ended<'_>, telling: &Telling) -> io::Result<()> {
    writeln!(out, "{}", headline(ended, telling))?;
    for line in details(&ended.outcome.summary, telling) {
        writeln!(out, "{line}")?;
    }
    if let Some(line) = carried(&ended.outcome.carried) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn headline(ended: &Ended<'_>, telling: &Telling) -> String {
    let mut line = match &ended.outcome.error {
        Some(_) => format!("{}: ", ended.exit().word()),
        None => String::new(),
    };
    line += &match telling.verb {
        Verb::Check => compared(ended),
        Verb::Rm => removed(ended, telling),
        _ => transferred(ended, telling),
    };
    line
}

fn transferred(ended: &Ended<'_>, telling: &Telling) -> String {
    let summary = &ended.outcome.summary;
    let (done, would) = match telling.verb {
        Verb::Mirror => ("mirrored ", "would mirror "),
        Verb::Move => ("moved ", "would move "),
        _ => ("copied ", "would copy "),
    };
    let mut line = String::from(if telling.dry_run { would } else { done });
    if summary.files == 0 && summary.renamed > 0 {
        line += &format!("{} by renaming", counted(summary.renamed, "entry"));
    } else {
        line += &counted(summary.files, "file");
    }
    if summary.files > 0 {
        line += &format!(", {}", size(summary.bytes));
    }
    if !telling.dry_run {
        line += &format!(" in {}", elapsed(ended.elapsed));
        if summary.bytes > 0 && ended.elapsed >= RATE_COUNTS_FROM {
            line += &format!(" ({})", rate(summary.bytes, ended.elapsed));
        }
    }
    let renamed = if summary.files > 0 { summary.renamed } else { 0 };
    let removed = match (telling.verb, telling.dry_run) {
        (Verb::Move, false) => "removed from the source",
        (Verb::Move, true) => "would be removed from the source",
        (_, false) => "removed",
        (_, true) => "would be removed",
    };
    line + &parts(&[
        (renamed, "renamed"),
        (summary.same, "unchanged"),
        (summary.repaired, "metadata repaired"),
        (summary.removed, removed),
        (summary.failed, "failed"),
    ])
}

fn compared(ended: &Ended<'_>) -> String {
    let summary = &ended.outcome.summary;
    let differ = report::differences(summary);
    let word = match (differ, summary.failed) {
        (0, 0) => "the same",
        (0, _) => "no difference found",
        _ => "different",
    };
    let entries = counted(summary.entries, "entry");
    let mut line = format!("{word}: {entries} compared in {}", elapsed(ended.elapsed));
    line += &parts(&[
        (differ - summary.repaired - summary.removed, "missing or different"),
        (summary.repaired, "with other metadata"),
        (summary.removed, "only in B"),
        (summary.failed, "could not be compared"),
    ]);
    line
}

fn removed(ended: &Ended<'_>, telling: &Telling) -> String {
    let summary = &ended.outcome.summary;
    let entries = counted(summary.removed, "entry");
    let mut line = match telling.dry_run {
        true => format!("would remove {entries}"),
        false => format!("removed {entries} in {}", elapsed(ended.elapsed)),
    };
    line += &parts(&[(summary.failed, "failed")]);
    line
}

/// Which connections to another machine carried how much.
fn carried(carried: &Carried) -> Option<String> {
    let over = |bytes: u64, which: &str| format!("{} over {which}", size(bytes));
    let parts = [
        (carried.data, over(carried.data, "data connections")),
        (carried.control, over(carried.control, "the control connection")),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(bytes, _)| *bytes > 0).map(|(_, text)| text).collect();
    (!parts.is_empty()).then(|| format!("carried {}", parts.join(", ")))
}

fn parts(parts: &[(u64, &str)]) -> String {
    let told = parts.iter().filter(|(number, _)| *number > 0);
    told.map(|(number, word)| format!("; {} {word}", count(*number))).collect()
}

fn details(summary: &Summary, telling: &Telling) -> Vec<String> {
    let mut lines = Vec::new();
    let (create, remove) =
        if telling.dry_run { ("would create", "would remove") } else { ("created", "removed") };
    let made = made(summary);
    // A check counts these among the differences.
    if !made.is_empty() && telling.verb != Verb::Check {
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

/// What was made beside files.
fn made(summary: &Summary) -> Vec<String> {
    let nodes = match summary.nodes {
        1 => "1 symbolic link or special file".to_owned(),
        number => format!("{} symbolic links and special files", count(number)),
    };
    [
        (summary.dirs, counted(summary.dirs, "directory")),
        (summary.nodes, nodes),
        (summary.links, counted(summary.links, "hard link")),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(_, text)| text)
    .collect()
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
    use crate::options::{Changes, Ending};

    fn shown(summary: Summary, error: Option<ErrorKind>, dry_run: bool) -> String {
        told(Verb::Copy, summary, error, dry_run)
    }

    fn told(verb: Verb, summary: Summary, error: Option<ErrorKind>, dry_run: bool) -> String {
        let error = error.map(|kind| Error::new(kind, "write", b"a"));
        let outcome = Outcome { summary, error, ..Outcome::default() };
        let ended = Ended {
            outcome: &outcome,
            verb,
            engine: "",
            unmatched: &[],
            notes: &[],
            elapsed: Duration::from_millis(2100),
        };
        let telling = Telling {
            verb,
            ending: Ending::Text,
            changes: Changes::Hidden,
            dry_run,
            progress: When::Never,
            log_file: None,
        };
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
    #[test]
    fn each_verb_has_its_own_words() {
        let summary = Summary { entries: 9, renamed: 2, removed: 3, ..Summary::default() };
        for (verb, dry_run, text) in [
            (
                Verb::Move,
                false,
                "moved 2 entries by renaming in 2.1 s; 3 removed from the source\n",
            ),
            (Verb::Rm, false, "removed 3 entries in 2.1 s\n"),
            (Verb::Rm, true, "would remove 3 entries\n"),
            (
                Verb::Check,
                true,
                "different: 9 entries compared in 2.1 s; 2 missing or different; 3 only in B\n",
            ),
        ] {
            assert_eq!(told(verb, summary.clone(), None, dry_run), text);
        }
        let summary = Summary { files: 1, bytes: 5, removed: 3, ..Summary::default() };
        assert_eq!(
            told(Verb::Mirror, summary.clone(), None, true),
            "would mirror 1 file, 5 B; 3 would be removed\n"
        );
        assert_eq!(
            told(Verb::Move, summary, None, false),
            "moved 1 file, 5 B in 2.1 s (2 B/s); 3 removed from the source\n"
        );
    }
}
