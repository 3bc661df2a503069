//! The summary for programs: docs/summary.schema.json. It must not know where it is printed.

use std::fmt::Write as _;
use std::io::{self, Write};

use blit_core::Error;
use serde::Serialize;

use super::{Ended, Telling};
use crate::report;

/// Writes `ended` as one object on one line.
pub(super) fn write(out: &mut impl Write, ended: &Ended<'_>, telling: &Telling) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Object::new(ended, telling))?;
    writeln!(out)
}

/// What the schema calls the object; it grows by new keys only, else `schema` is raised.
#[derive(Serialize)]
struct Object<'a> {
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
    dirs: u64,
    nodes: u64,
    links: u64,
    repaired: u64,
    same: u64,
    skipped: u64,
    leftovers: u64,
    vanished: u64,
    failed: u64,
    failures: Vec<Fault>,
    lost: Vec<Loss>,
    error: Option<Fault>,
}

impl<'a> Object<'a> {
    fn new(ended: &Ended<'a>, telling: &Telling) -> Self {
        let summary = &ended.outcome.summary;
        let lost = summary.lost.iter();
        Self {
            schema: SCHEMA,
            blit: env!("CARGO_PKG_VERSION"),
            verb: "copy",
            dry_run: telling.dry_run,
            status: ended.exit().word(),
            exit_code: ended.exit().code(),
            engine: ended.engine,
            seconds: ended.elapsed.as_secs_f64(),
            entries: summary.entries,
            files: summary.files,
            bytes: summary.bytes,
            bytes_cloned: summary.bytes_cloned,
            dirs: summary.dirs,
            nodes: summary.nodes,
            links: summary.links,
            repaired: summary.repaired,
            same: summary.same,
            skipped: summary.skipped,
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
            error: ended.outcome.error.as_ref().map(Fault::new),
        }
    }
}

/// One error.
#[derive(Serialize)]
struct Fault {
    kind: &'static str,
    op: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    reason: String,
}

impl Fault {
    fn new(error: &Error) -> Self {
        Self {
            kind: report::kind_word(error.kind),
            op: error.op,
            path: String::from_utf8_lossy(&error.path).into_owned(),
            path_hex: std::str::from_utf8(&error.path).is_err().then(|| hex(&error.path)),
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
}
