//! What the typed words mean, checked: from `args` to what can be run.
//! It must not print, and it must not start anything.

pub(crate) mod access;
pub(crate) mod limit;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use blit_core::endpoint::Endpoint;
use blit_core::spec::{
    self, Deletion, Equality, Follow, Preserve, Reflink, Selection, TransferSpec,
};
use blit_core::{Error, ErrorKind};
use blit_engine::Choice;
use blit_rpc::keep;
use blit_rpc::transfer::Request;

use crate::args::{
    self, CheckArgs, CopyArgs, EngineArgs, EqualityArgs, LeaveOut, MirrorArgs, OutputArgs, RmArgs,
    SelectionArgs, TransferArgs, When, WritingArgs,
};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `blit copy`.
    Copy,
    /// `blit mirror`.
    Mirror,
    /// `blit move`.
    Move,
    /// `blit check`.
    Check,
    /// `blit list`.
    List,
    /// `blit find`.
    Find,
    /// `blit du`.
    Du,
    /// `blit df`.
    Df,
    /// `blit rm`.
    Rm,
    /// `blit modules`.
    Modules,
    /// `blit jobs`.
    Jobs,
    /// `blit diagnostics`.
    Diagnostics,
}

impl Verb {
    /// As it is typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Mirror => "mirror",
            Self::Move => "move",
            Self::Check => "check",
            Self::List => "list",
            Self::Find => "find",
            Self::Du => "du",
            Self::Df => "df",
            Self::Rm => "rm",
            Self::Modules => "modules",
            Self::Jobs => "jobs",
            Self::Diagnostics => "diagnostics",
        }
    }

    /// It only prints what is there, to whoever listens.
    pub(crate) fn looks(self) -> bool {
        !matches!(self, Self::Copy | Self::Mirror | Self::Move | Self::Check | Self::Rm)
    }
}

/// How a run is told to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Telling {
    /// What was asked for.
    pub(crate) verb: Verb,
    /// What standard output gets at the end.
    pub(crate) ending: Ending,
    /// Whether and how each change is told on standard output.
    pub(crate) changes: Changes,
    /// Nothing was done: the words say "would".
    pub(crate) dry_run: bool,
    /// When a progress line is shown.
    pub(crate) progress: When,
    /// Where everything is written to as well.
    pub(crate) log_file: Option<PathBuf>,
}

impl Telling {
    /// Somebody wants to know each change.
    pub(crate) fn itemises(&self) -> bool {
        self.changes != Changes::Hidden || self.progress == When::Json || self.log_file.is_some()
    }
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

/// How a change is told on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Not at all.
    Hidden,
    /// With a word.
    Words,
    /// With a letter.
    Letters,
    /// As a row of the JSON object.
    Rows,
}

/// Which engine runs a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Which one.
    pub(crate) choice: Choice,
    /// How many workers at most, where the user sets it.
    pub(crate) workers: Option<usize>,
    /// The run ends when nothing has moved for so many seconds; `None` never.
    pub(crate) stall_timeout_s: Option<u32>,
}

/// Reads how a verb that changes something wants to be told.
pub(crate) fn telling(verb: Verb, output: &OutputArgs, dry_run: bool) -> Telling {
    let OutputArgs { verbose, itemize, quiet, json, progress, ref log_file } = *output;
    let ending = ending(json, quiet);
    // The point of a check and of a dry run is what it tells.
    let told = verbose || ((dry_run || verb == Verb::Check) && ending == Ending::Text);
    let changes = match (itemize, json) {
        (true, true) => Changes::Rows,
        (true, false) => Changes::Letters,
        (false, true) if verb == Verb::Check => Changes::Rows,
        (false, _) if told => Changes::Words,
        (false, _) => Changes::Hidden,
    };
    let progress = if quiet && progress == When::Auto { When::Never } else { progress };
    Telling { verb, ending, changes, dry_run, progress, log_file: log_file.clone() }
}

/// How a verb that only looks is told.
pub(crate) fn looking(verb: Verb, json: bool) -> Telling {
    Telling {
        verb,
        ending: ending(json, false),
        changes: Changes::Hidden,
        dry_run: false,
        progress: When::Never,
        log_file: None,
    }
}

fn ending(json: bool, quiet: bool) -> Ending {
    match (json, quiet) {
        (true, _) => Ending::Json,
        (false, true) => Ending::Quiet,
        (false, false) => Ending::Text,
    }
}

/// For what needs none: nothing is started before there is work.
pub(crate) const NO_ENGINE: EngineOptions =
    EngineOptions { choice: Choice::Auto, workers: None, stall_timeout_s: None };

/// Reads which engine `args` want.
pub(crate) fn engine(args: &EngineArgs) -> EngineOptions {
    let choice = match args.engine {
        args::EngineWord::Auto => Choice::Auto,
        args::EngineWord::Uring => Choice::Uring,
        args::EngineWord::Threads => Choice::Threads,
    };
    let stall_timeout_s = Some(args.stall_timeout).filter(|seconds| *seconds > 0);
    EngineOptions { choice, workers: args.max_threads.map(usize::from), stall_timeout_s }
}

/// Reads what is to be copied or moved; the filter is still to be read.
///
/// # Errors
/// `Usage` when a path is not a valid endpoint.
pub(crate) fn request(
    verb: spec::Verb,
    paths: &[OsString],
    args: &TransferArgs,
    telling: &Telling,
) -> Result<Request, Error> {
    let (destination, sources) = paths
        .split_last()
        .ok_or_else(|| Error::because(ErrorKind::Usage, "copy", b"", "there is nothing to copy"))?;
    let spec = TransferSpec {
        preserve: preserve(&args.leave_out),
        reflink: match args.reflink {
            args::Reflink::Auto => Reflink::Auto,
            args::Reflink::Always => Reflink::Always,
            args::Reflink::Never => Reflink::Never,
        },
        fsync: args.fsync,
        dry_run: args.dry_run,
        itemise: telling.itemises(),
        equality: equality(&args.equality, args.selection.ignore_times),
        selection: selection(&args.selection),
        one_file_system: args.filter.one_file_system,
        delta: !args.carriage.no_delta,
        ..TransferSpec::new(verb)
    };
    let (sources, destination) = (endpoints(sources)?, endpoint(destination)?);
    let places = sources.iter().chain([&destination]);
    Ok(Request {
        access: access::if_remote(places, &args.network, &args.carriage)?,
        sources,
        destination,
        spec,
        retries: args.carriage.retry,
    })
}

/// Reads what is to be copied.
///
/// # Errors
/// Those of [`request`].
pub(crate) fn copy(args: &CopyArgs, telling: &Telling) -> Result<Request, Error> {
    let mut request = request(spec::Verb::Copy, &args.paths, &args.transfer, telling)?;
    write(&mut request, &args.writing)?;
    Ok(request)
}

/// Reads how entries come to the destination.
fn write(request: &mut Request, args: &WritingArgs) -> Result<(), Error> {
    let Request { spec, destination, .. } = request;
    let beside = |dir: &Option<OsString>| {
        dir.as_deref().map(|dir| keep::beside(dir, destination)).transpose()
    };
    spec.follow = args.copy_links.then(Follow::default);
    spec.in_place = args.inplace;
    (spec.backup, spec.reference) = (beside(&args.backup_dir)?, beside(&args.link_dest)?);
    Ok(())
}

/// Reads what is to be mirrored.
///
/// # Errors
/// Those of [`request`].
pub(crate) fn mirror(args: &MirrorArgs, telling: &Telling) -> Result<Request, Error> {
    let paths = [args.src.clone(), args.dst.clone()];
    let mut request = request(spec::Verb::Mirror, &paths, &args.transfer, telling)?;
    request.spec.deletion = Deletion {
        excluded: args.delete_excluded,
        from_empty_source: args.allow_empty_source,
        entries_max: None,
    };
    write(&mut request, &args.writing)?;
    Ok(request)
}

/// Reads what is to be compared: a mirror that is never made.
///
/// # Errors
/// Those of [`request`].
pub(crate) fn check(args: &CheckArgs, telling: &Telling) -> Result<Request, Error> {
    let spec = TransferSpec {
        preserve: preserve(&args.leave_out),
        dry_run: true,
        itemise: telling.itemises(),
        equality: equality(&args.equality, false),
        deletion: Deletion { from_empty_source: true, ..Deletion::default() },
        follow: args.copy_links.then(Follow::default),
        one_file_system: args.filter.one_file_system,
        ..TransferSpec::new(spec::Verb::Mirror)
    };
    let (sources, destination) = (vec![endpoint(&args.a)?], endpoint(&args.b)?);
    let places = sources.iter().chain([&destination]);
    Ok(Request {
        access: access::without_contents(places, &args.network)?,
        sources,
        destination,
        spec,
        retries: 0,
    })
}

/// Reads how entries are removed.
pub(crate) fn removal(args: &RmArgs, telling: &Telling) -> TransferSpec {
    TransferSpec {
        dry_run: args.dry_run,
        itemise: telling.itemises(),
        recursive: args.recursive,
        ..TransferSpec::new(spec::Verb::Mirror)
    }
}

/// Reads where something is.
///
/// # Errors
/// `Usage` when the text is not a valid endpoint.
pub(crate) fn endpoint(text: &OsStr) -> Result<Endpoint, Error> {
    Endpoint::parse(text, |text| Path::new(text).symlink_metadata().is_ok())
}

/// The same for several.
///
/// # Errors
/// Those of [`endpoint`].
pub(crate) fn endpoints(texts: &[OsString]) -> Result<Vec<Endpoint>, Error> {
    texts.iter().map(|text| endpoint(text)).collect()
}

fn equality(args: &EqualityArgs, ignore_times: bool) -> Equality {
    match (args.checksum, args.size_only, ignore_times) {
        (true, _, _) => Equality::Checksum,
        (_, true, _) => Equality::Size,
        (_, _, true) => Equality::Never,
        (false, false, false) => Equality::Times,
    }
}

fn selection(args: &SelectionArgs) -> Selection {
    Selection {
        update: args.update,
        existing: args.existing,
        ignore_existing: args.ignore_existing,
    }
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
    use crate::args::CopyArgs;

    fn typed(words: &[&str]) -> CopyArgs {
        let words = ["blit", "copy"].iter().chain(words).chain(&["from", "to"]);
        match args::Args::try_parse_from(words).expect("valid words").command {
            args::Command::Copy(copy) => copy,
            other => panic!("not a copy: {other:?}"),
        }
    }

    fn told(words: &[&str]) -> Telling {
        let args = typed(words).transfer;
        telling(Verb::Copy, &args.output, args.dry_run)
    }

    fn spec_of(words: &[&str]) -> TransferSpec {
        let args = typed(words);
        let request = request(spec::Verb::Copy, &args.paths, &args.transfer, &told(words));
        request.expect("valid request").spec
    }

    #[test]
    fn everything_is_kept_unless_it_is_left_out() {
        let preserved = |words: &[&str]| spec_of(words).preserve;
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
            (&["-n"][..], Changes::Words),
            (&["-n", "-q"], Changes::Hidden),
            (&["-n", "--json"], Changes::Hidden),
            (&["-n", "-i"], Changes::Letters),
            (&["-i", "--json"], Changes::Rows),
            (&[], Changes::Hidden),
            (&["-v"], Changes::Words),
        ] {
            assert_eq!(told(words).changes, changes, "{words:?}");
        }
    }

    #[test]
    fn quiet_shows_no_progress_unless_it_is_asked_for() {
        assert_eq!(told(&["-q"]).progress, When::Never);
        assert_eq!(told(&["-q", "--progress", "always"]).progress, When::Always);
        assert_eq!(told(&[]).progress, When::Auto);
    }

    #[test]
    fn each_change_is_asked_for_where_somebody_wants_to_know_it() {
        for (words, itemise) in [
            (&[][..], false),
            (&["-v"], true),
            (&["--progress=json"], true),
            (&["--log-file", "log"], true),
            (&["--json"], false),
        ] {
            assert_eq!(spec_of(words).itemise, itemise, "{words:?}");
        }
    }
}
