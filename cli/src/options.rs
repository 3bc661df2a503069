//! What the typed words mean, checked: from `args` to a request that can be run.
//! It must not print, and it must not start anything.

use std::ffi::OsStr;
use std::path::Path;

use blit_core::endpoint::Endpoint;
use blit_core::spec::{Preserve, Reflink, TransferSpec, Verb};
use blit_core::{Error, ErrorKind};
use blit_engine::Choice;
use blit_rpc::transfer::Request;

use crate::args::{self, CopyArgs, LeaveOut, OutputArgs, When};

/// How a run is told to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Telling {
    /// What standard output gets at the end.
    pub(crate) ending: Ending,
    /// Each change is told as it is made.
    pub(crate) changes: bool,
    /// Nothing was done: the words say "would".
    pub(crate) dry_run: bool,
    /// When a progress line is shown.
    pub(crate) progress: When,
}

/// What standard output gets at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A summary for people.
    Text,
    /// Nothing.
    Quiet,
    /// One JSON object.
    Json,
}

/// Which engine runs a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Which one.
    pub(crate) choice: Choice,
    /// How many workers at most, where the user sets it.
    pub(crate) workers: Option<usize>,
}

/// Reads how `args` want to be told.
pub(crate) fn telling(args: &CopyArgs) -> Telling {
    let OutputArgs { verbose, quiet, json, progress } = args.output;
    let ending = match (json, quiet) {
        (true, _) => Ending::Json,
        (false, true) => Ending::Quiet,
        (false, false) => Ending::Text,
    };
    let progress = if quiet && progress == When::Auto { When::Never } else { progress };
    Telling {
        ending,
        // The point of a dry run is what it tells.
        changes: verbose || (args.dry_run && ending == Ending::Text),
        dry_run: args.dry_run,
        progress,
    }
}

/// Reads which engine `args` want.
pub(crate) fn engine(args: &CopyArgs) -> EngineOptions {
    let choice = match args.advanced.engine {
        args::EngineWord::Auto => Choice::Auto,
        args::EngineWord::Uring => Choice::Uring,
        args::EngineWord::Threads => Choice::Threads,
    };
    EngineOptions { choice, workers: args.advanced.max_threads.map(usize::from) }
}

/// Reads what `args` want to have copied.
///
/// # Errors
/// `Usage` when a path is not a valid endpoint.
pub(crate) fn request(args: &CopyArgs, telling: &Telling) -> Result<Request, Error> {
    let (destination, sources) = args
        .paths
        .split_last()
        .ok_or_else(|| Error::because(ErrorKind::Usage, "copy", b"", "there is nothing to copy"))?;
    let sources = sources.iter().map(|text| endpoint(text)).collect::<Result<_, _>>()?;
    let spec = TransferSpec {
        verb: Verb::Copy,
        preserve: preserve(&args.leave_out),
        reflink: match args.reflink {
            args::Reflink::Auto => Reflink::Auto,
            args::Reflink::Always => Reflink::Always,
            args::Reflink::Never => Reflink::Never,
        },
        fsync: args.fsync,
        dry_run: args.dry_run,
        itemise: telling.changes,
    };
    let destination = endpoint(destination)?;
    let stall_timeout_s = Some(args.advanced.stall_timeout).filter(|seconds| *seconds > 0);
    Ok(Request { sources, destination, spec, stall_timeout_s })
}

fn endpoint(text: &OsStr) -> Result<Endpoint, Error> {
    Endpoint::parse(text, |text| Path::new(text).symlink_metadata().is_ok())
}

fn preserve(leave_out: &LeaveOut) -> Preserve {
    let none = leave_out.data_only;
    Preserve {
        mode: !(none || leave_out.no_perms),
        owner: !(none || leave_out.no_owner),
        times: !(none || leave_out.no_times),
        xattrs: !(none || leave_out.no_xattrs),
        acls: !(none || leave_out.no_acls),
        hard_links: !(none || leave_out.no_hardlinks),
        specials: !(none || leave_out.no_specials),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn typed(words: &[&str]) -> CopyArgs {
        let words = ["blit", "copy"].iter().chain(words).chain(&["from", "to"]);
        let args::Command::Copy(copy) =
            args::Args::try_parse_from(words).expect("valid words").command;
        copy
    }

    fn preserved(words: &[&str]) -> Preserve {
        let args = typed(words);
        request(&args, &telling(&args)).expect("valid request").spec.preserve
    }

    #[test]
    fn everything_is_kept_unless_it_is_left_out() {
        assert_eq!(preserved(&[]), Preserve::ALL);
        assert_eq!(preserved(&["--no-owner"]), Preserve { owner: false, ..Preserve::ALL });
        assert_eq!(preserved(&["--no-perms"]), Preserve { mode: false, ..Preserve::ALL });
        let each = [
            "--no-xattrs",
            "--no-acls",
            "--no-owner",
            "--no-perms",
            "--no-times",
            "--no-hardlinks",
            "--no-specials",
        ];
        assert_eq!(preserved(&each), preserved(&["--data-only"]));
    }

    #[test]
    fn a_dry_run_tells_its_changes_unless_it_is_to_be_quiet() {
        for (words, changes) in [
            (&["-n"][..], true),
            (&["-n", "-q"], false),
            (&["-n", "--json"], false),
            (&[], false),
            (&["-v"], true),
        ] {
            assert_eq!(telling(&typed(words)).changes, changes, "{words:?}");
        }
    }

    #[test]
    fn quiet_shows_no_progress_unless_it_is_asked_for() {
        assert_eq!(telling(&typed(&["-q"])).progress, When::Never);
        assert_eq!(telling(&typed(&["-q", "--progress", "always"])).progress, When::Always);
        assert_eq!(telling(&typed(&[])).progress, When::Auto);
    }
}
