//! Reads the filter that the options describe, with the files that they name.
//! It must not know what a rule means; the core does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use blit_core::entry::{Kind, Meta};
use blit_core::filter::{self, Filter, Separator};
use blit_core::path::RelPath;
use blit_core::{Error, ErrorKind};
use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::{FilterArgs, Rule};
use crate::options;
use crate::run::Run;

/// The filter of `args`; none where they admit everything.
///
/// # Errors
/// `Usage` for a rule that is not valid or a file that is not to be trusted, and those of reading the files.
pub(crate) fn read(args: &FilterArgs, run: &mut Run) -> Result<Option<Arc<Filter>>, Error> {
    let FilterArgs { rules, files_from, from0, min_size, max_size, newer_than, older_than, .. } =
        args;
    let limits =
        min_size.is_some() || max_size.is_some() || newer_than.is_some() || older_than.is_some();
    if rules.0.is_empty() && files_from.is_none() && !limits {
        return Ok(None);
    }
    let mut builder = Filter::builder();
    for rule in &rules.0 {
        builder = match rule {
            Rule::Exclude(glob) => builder.exclude(glob),
            Rule::Include(glob) => builder.include(glob),
            Rule::File(path) => {
                let name = path.to_string_lossy();
                builder.file_lines(&name, &trusted(path, run)?)
            }
        };
    }
    if let Some(from) = files_from {
        builder = builder.files_from(&listed(from)?, separator(*from0));
    }
    if let Some(size) = min_size {
        builder = builder.min_size(*size);
    }
    if let Some(size) = max_size {
        builder = builder.max_size(*size);
    }
    if let Some(time) = newer_than {
        builder = builder.newer_than(*time);
    }
    if let Some(time) = older_than {
        builder = builder.older_than(*time);
    }
    let filter = Some(Arc::new(builder.build()?));
    run.watch_filter(&filter);
    Ok(filter)
}

/// The paths of `--files-from` that are not below another one.
///
/// # Errors
/// `Usage` for one that is not below anything, and those of reading the list.
pub(crate) fn paths(from: &OsStr, from0: bool) -> Result<Vec<RelPath>, Error> {
    filter::listed(&listed(from)?, separator(from0))
}

fn separator(from0: bool) -> Separator {
    if from0 { Separator::Nul } else { Separator::Newline }
}

/// The text of `--files-from`.
fn listed(from: &OsStr) -> Result<Vec<u8>, Error> {
    if from == "-" {
        return bounded((io::stdin().lock(), 0), b"standard input");
    }
    bounded(open(Path::new(from), "read")?, from.as_encoded_bytes())
}

/// A file and how many bytes it says it has.
fn open(path: &Path, op: &'static str) -> Result<(File, u64), Error> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let failed = |error| Error::io(op, path.as_os_str().as_encoded_bytes(), error);
    opened.map(|(len, file)| (file, len)).map_err(failed)
}

/// All that `from` has, unless that is more than anybody means to hand over.
fn bounded((from, len): (impl Read, u64), shown: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    if len <= LIST_BYTES_MAX {
        let read = from.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::io("read", shown, error))?;
    }
    if len.max(bytes.len() as u64) > LIST_BYTES_MAX {
        let why = format!("it has more than {} MiB; give it in parts", LIST_BYTES_MAX >> 20);
        return Err(Error::because(ErrorKind::Usage, "read", shown, why));
    }
    Ok(bytes)
}

/// The text of a file of rules. A rule of somebody else could decide what is removed, so the file must be the user's own
/// or root's, and the same before and after it is read.
fn trusted(path: &Path, run: &mut Run) -> Result<String, Error> {
    let shown = path.as_os_str().as_encoded_bytes();
    let refuse = |why: &str| Err(Error::because(ErrorKind::Usage, "read rules from", shown, why));
    let before = examine(path, run)?;
    if before.kind != Kind::File {
        return refuse("it is not a regular file");
    }
    let own = own_uid(path, run)?;
    if before.uid != own && before.uid != ROOT {
        return refuse("it belongs to another user, whose rules would decide what is done");
    }
    let text = bounded(open(path, "read rules from")?, shown)?;
    if !examine(path, run)?.is_unchanged_since(&before) {
        return refuse("it changed while it was read");
    }
    let Ok(text) = String::from_utf8(text) else { return refuse("it is not UTF-8") };
    Ok(text)
}

fn examine(path: &Path, run: &mut Run) -> Result<Meta, Error> {
    let endpoint = options::endpoint(path.as_os_str())?;
    let mut found = Err(Error::new(ErrorKind::Internal, "examine", b""));
    run.tell(|hands, observe| {
        found = look::stat(&[endpoint], hands, None, observe);
        Outcome::default()
    })?;
    found?.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "examine", b"")))
}

fn own_uid(path: &Path, run: &mut Run) -> Result<u32, Error> {
    let endpoint = options::endpoint(path.as_os_str())?;
    let mut space = None;
    run.tell(|hands, observe| {
        space = Some(look::space(&endpoint, hands, None, observe));
        Outcome::default()
    })?;
    match space {
        Some(facts) => facts.map(|facts| facts.own_uid),
        None => Err(Error::new(ErrorKind::Internal, "examine", b"")),
    }
}

const ROOT: u32 = 0;
/// Bytes of a list of paths or rules: some ten million lines, and what any machine has room for.
const LIST_BYTES_MAX: u64 = 512 << 20;
