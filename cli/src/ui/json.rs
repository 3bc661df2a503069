//! What programs read: the object of docs/summary.schema.json, and the events of --progress=json.
//! It must not know where these are printed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use blit_core::Error;
use blit_core::entry::{Kind, Meta};
use blit_core::event::Progress;
use blit_core::path::Escaped;
use blit_core::summary::Change;
use blit_core::task::SpaceFacts;
use blit_rpc::jobs::Job;
use blit_rpc::look::ModuleInfo;
use serde::Serialize;

use super::{Ended, Telling};
use crate::commands::Sum;
use crate::report;

/// The one object, written piece by piece, since its rows may be many.
#[derive(Debug, Default)]
pub(super) struct Object {
    rows: u64,
}

impl Object {
    /// Writes one more row.
    pub(super) fn row(&mut self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        out.write_all(if self.rows == 0 { b"{\"rows\":[" } else { b"," })?;
        self.rows += 1;
        Ok(serde_json::to_writer(out, row)?)
    }

    /// Writes the rest, and the end of the line.
    pub(super) fn end(
        &self,
        out: &mut impl Write,
        ended: &Ended<'_>,
        telling: &Telling,
    ) -> io::Result<()> {
        if self.rows == 0 {
            out.write_all(b"{\"rows\":[")?;
        }
        let rest = serde_json::to_string(&Rest::new(ended, telling))?;
        // The rest is an object of its own; without its brace it goes on where the rows end.
        writeln!(out, "],{}", rest.trim_start_matches('{'))
    }
}

/// What the schema calls the object, without its rows; it grows by new keys only, else `schema` is raised.
#[derive(Serialize)]
struct Rest<'a> {
    schema: u32,
    blit: &'static str,
    verb: &'static str,
    dry_run: bool,
    status: &'static str,
    exit_code: i32,
    engine: &'a str,
    seconds: f64,
    entries: u64,
    files: u64,
    bytes: u64,
    bytes_cloned: u64,
    bytes_over_data: u64,
    bytes_over_control: u64,
    dirs: u64,
    nodes: u64,
    links: u64,
    repaired: u64,
    same: u64,
    skipped: u64,
    standing: u64,
    renamed: u64,
    removed: u64,
    leftovers: u64,
    vanished: u64,
    failed: u64,
    failures: Vec<Fault>,
    lost: Vec<Loss>,
    unmatched: &'a [String],
    error: Option<Fault>,
}

impl<'a> Rest<'a> {
    fn new(ended: &Ended<'a>, telling: &Telling) -> Self {
        let summary = &ended.outcome.summary;
        let lost = summary.lost.iter();
        Self {
            schema: SCHEMA,
            blit: env!("CARGO_PKG_VERSION"),
            verb: telling.verb.word(),
            dry_run: telling.dry_run,
            status: ended.exit().word(),
            exit_code: ended.exit().code(),
            engine: ended.engine,
            seconds: ended.elapsed.as_secs_f64(),
            entries: summary.entries,
            files: summary.files,
            bytes: summary.bytes,
            bytes_cloned: summary.bytes_cloned,
            bytes_over_data: ended.outcome.carried.data,
            bytes_over_control: ended.outcome.carried.control,
            dirs: summary.dirs,
            nodes: summary.nodes,
            links: summary.links,
            repaired: summary.repaired,
            same: summary.same,
            skipped: summary.skipped,
            standing: summary.standing,
            renamed: summary.renamed,
            removed: summary.removed,
            leftovers: summary.leftovers,
            vanished: summary.vanished,
            failed: summary.failed,
            failures: summary.failures.iter().map(Fault::new).collect(),
            lost: lost
                .map(|(lost, entries)| Loss {
                    what: report::lost_words(*lost).0,
                    entries: *entries,
                })
                .collect(),
            unmatched: ended.unmatched,
            error: ended.outcome.error.as_ref().map(Fault::new),
        }
    }
}

/// One line of a table: an entry, a change, a sum or a file system. What it does not have is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    path: Path,
    #[serde(flatten)]
    what: What,
}

/// What a row tells of its path.
#[derive(Debug, Default, Serialize)]
#[serde(untagged)]
enum What {
    #[default]
    Nothing,
    Change {
        action: &'static str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        metadata: Vec<&'static str>,
    },
    Entry {
        kind: &'static str,
        mode: String,
        uid: u32,
        gid: u32,
        links: u32,
        bytes: u64,
        allocated: u64,
        modified: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    Sum {
        entries: u64,
        bytes: u64,
        allocated: u64,
    },
    Space {
        total: u64,
        available: u64,
    },
    Module {
        comment: String,
        read_only: bool,
    },
    Job(Box<JobRow>),
}

/// What a row tells of a job.
#[derive(Debug, Serialize)]
struct JobRow {
    job: u64,
    state: &'static str,
    order: &'static str,
    verb: &'static str,
    dry_run: bool,
    address: String,
    key: String,
    started: String,
    seconds: f64,
    entries: u64,
    bytes: u64,
    entries_known: u64,
    bytes_known: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

impl Row {
    /// What was done to an entry.
    pub(super) fn change(change: &Change) -> Self {
        let action = report::action_code(change.action).1;
        let metadata = report::metadata_words(change.metadata);
        Self { path: Path::new(&change.path), what: What::Change { action, metadata } }
    }

    /// An entry.
    pub(super) fn entry(path: &[u8], meta: &Meta) -> Self {
        let target = meta.target.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let what = What::Entry {
            kind: kind_word(meta.kind),
            mode: format!("{:04o}", meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            links: meta.nlink,
            bytes: meta.size,
            allocated: meta.allocated,
            modified: super::quantity::timestamp(meta.mtime),
            target,
        };
        Self { path: Path::new(path), what }
    }

    /// What is below a directory.
    pub(super) fn sum(sum: &Sum) -> Self {
        let Sum { entries, bytes, allocated, .. } = *sum;
        Self { path: Path::new(&sum.path), what: What::Sum { entries, bytes, allocated } }
    }

    /// A module of a daemon.
    pub(super) fn module(module: &ModuleInfo) -> Self {
        let comment = Escaped(module.comment.as_bytes()).to_string();
        let what = What::Module { comment, read_only: module.read_only };
        Self { path: Path::new(module.name.as_bytes()), what }
    }

    /// A job; its path is the module.
    pub(super) fn job(job: &Job) -> Self {
        let shown = |text: &str| Escaped(text.as_bytes()).to_string();
        let row = JobRow {
            job: job.id,
            state: report::job_state(job),
            order: job.order.word(),
            verb: report::verb_word(job.verb),
            dry_run: job.dry_run,
            address: shown(&job.address),
            key: shown(&job.key),
            started: super::quantity::timestamp(job.started),
            seconds: job.took.as_secs_f64(),
            entries: job.progress.files,
            bytes: job.progress.bytes,
            entries_known: job.progress.files_known,
            bytes_known: job.progress.bytes_known,
            failed: job.end.as_ref().map_or(0, |end| end.failed),
            error: job.end.as_ref().and_then(|end| end.error.as_ref()).map(Fault::new),
        };
        Self { path: Path::new(job.module.as_bytes()), what: What::Job(Box::new(row)) }
    }

    /// How much room there is.
    pub(super) fn space(path: &[u8], facts: &SpaceFacts) -> Self {
        let what = What::Space { total: facts.total, available: facts.available };
        Self { path: Path::new(path), what }
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "dir",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "char_device",
        Kind::BlockDevice => "block_device",
    }
}

/// A path as text, and exactly where it is none.
#[derive(Debug, Default, Serialize)]
struct Path {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl Path {
    fn new(bytes: &[u8]) -> Self {
        Self {
            path: String::from_utf8_lossy(bytes).into_owned(),
            path_hex: std::str::from_utf8(bytes).is_err().then(|| hex(bytes)),
        }
    }
}

/// One error.
#[derive(Debug, Serialize)]
struct Fault {
    kind: &'static str,
    op: Cow<'static, str>,
    #[serde(flatten)]
    path: Path,
    reason: String,
}

impl Fault {
    fn new(error: &Error) -> Self {
        Self {
            kind: report::kind_word(error.kind),
            op: error.op.clone(),
            path: Path::new(&error.path),
            reason: error.reason(),
        }
    }
}

/// Metadata that the destination could not hold.
#[derive(Serialize)]
struct Loss {
    what: &'static str,
    entries: u64,
}

/// What happens during a run.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Progress {
        seconds: f64,
        entries: u64,
        bytes: u64,
        entries_known: u64,
        bytes_known: u64,
        scanned: bool,
    },
    Change {
        #[serde(flatten)]
        row: Row,
    },
    Failure {
        #[serde(flatten)]
        fault: Fault,
    },
    Error {
        #[serde(flatten)]
        fault: Fault,
    },
    Note {
        text: String,
    },
    Warning {
        text: String,
    },
    End {
        seconds: f64,
        status: &'static str,
        exit_code: i32,
    },
}

/// How far a run is, as an event.
pub(super) fn progress_event(progress: Progress, elapsed: Duration) -> String {
    line(&Event::Progress {
        seconds: elapsed.as_secs_f64(),
        entries: progress.files,
        bytes: progress.bytes,
        entries_known: progress.files_known,
        bytes_known: progress.bytes_known,
        scanned: progress.scanned,
    })
}

/// One change, as an event.
pub(super) fn change_event(change: &Change) -> String {
    line(&Event::Change { row: Row::change(change) })
}

/// Something that is no result, as an event.
pub(super) fn aside_event(kind: &str, text: &str) -> String {
    let text = text.to_owned();
    line(&if kind == "warning" { Event::Warning { text } } else { Event::Note { text } })
}

/// The errors and the end of a run, as events.
pub(super) fn end_events(ended: &Ended<'_>) -> String {
    let fault = |error: &Error| Fault::new(error);
    let failures = ended.outcome.summary.failures.iter();
    let mut text: String =
        failures.map(|error| line(&Event::Failure { fault: fault(error) })).collect();
    if let Some(error) = &ended.outcome.error {
        text += &line(&Event::Error { fault: fault(error) });
    }
    text += &line(&Event::End {
        seconds: ended.elapsed.as_secs_f64(),
        status: ended.exit().word(),
        exit_code: ended.exit().code(),
    });
    text
}

fn line(event: &Event) -> String {
    let mut text = serde_json::to_string(event).expect("events are made of text and numbers");
    text.push('\n');
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// The version of docs/summary.schema.json.
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use blit_core::ErrorKind;
    use blit_core::summary::Action;

    use super::*;

    #[test]
    fn a_path_that_is_not_text_is_given_exactly_too() {
        let text = |path: &[u8]| {
            let fault = Fault::new(&Error::new(ErrorKind::Io, "read", path));
            serde_json::to_string(&fault).expect("serializable")
        };
        assert_eq!(
            text(b"a\n\xff"),
            r#"{"kind":"io","op":"read","path":"a\n�","path_hex":"610aff","reason":"input/output error"}"#
        );
        assert!(!text("ä".as_bytes()).contains("path_hex"));
    }

    #[test]
    fn an_event_is_one_line() {
        let change = Change::new(Action::Copied, b"a\nb".to_vec());
        assert_eq!(
            change_event(&change),
            "{\"event\":\"change\",\"path\":\"a\\nb\",\"action\":\"copied\"}\n"
        );
        assert_eq!(
            progress_event(Progress::default(), Duration::ZERO),
            "{\"event\":\"progress\",\"seconds\":0.0,\"entries\":0,\"bytes\":0,\"entries_known\":0,\
             \"bytes_known\":0,\"scanned\":false}\n"
        );
    }
}
