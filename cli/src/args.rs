//! What can be typed: clap's definitions and their help.
//! It must not decide what any of it means; options.rs does.

use std::ffi::OsString;

use blit_core::path::Escaped;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

/// Copies files and directories with everything that belongs to them, and never shows a half-written file.
///
/// `blit VERB --help` explains a verb with examples.
#[derive(Debug, Parser)]
#[command(name = "blit", version, arg_required_else_help = true, subcommand_value_name = "VERB")]
#[command(subcommand_help_heading = "Verbs", disable_help_subcommand = true)]
#[command(after_help = TOP_EXAMPLES)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Reads the words of this process.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::try_parse()?.checked()
    }

    /// What clap's definitions cannot say. A definition of SRC and DST apart would refuse options between them.
    fn checked(self) -> Result<Self, clap::Error> {
        let Command::Copy(copy) = &self.command;
        if let [lonely] = &copy.paths[..] {
            let lonely = Escaped(lonely.as_encoded_bytes());
            let text = format!("the destination is missing: blit copy {lonely} DST\n");
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, text));
        }
        Ok(self)
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Copy(CopyArgs),
}

/// Copies what is missing or different; never deletes anything
///
/// Copies files and directories, with their permissions, owners, times, links, holes, extended attributes and ACLs.
/// What is already equal at the destination (same size and modification time) is left alone, so that the same command
/// run again only finishes what is missing. Nothing at the destination is ever deleted.
///
/// A file appears under its name only when it is complete: however blit is stopped, each file at the destination is
/// the whole old one or the whole new one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = COPY_EXAMPLES)]
#[command(after_help = "The slash rule, examples and exit codes: blit copy --help")]
#[command(override_usage = "blit copy [OPTIONS] SRC... DST")]
pub(crate) struct CopyArgs {
    /// The sources, then the destination
    ///
    /// SRC is a file, a directory, or with a trailing slash the contents of a directory. DST is a directory, or for a
    /// single SRC also a new name.
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    /// Only tell what would be done; change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Make every file and its directory durable before it counts as copied
    #[arg(long)]
    pub(crate) fsync: bool,

    /// Share the contents with the source instead of copying them, where the file system can
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Reflink::Auto)]
    pub(crate) reflink: Reflink,

    #[command(flatten)]
    pub(crate) leave_out: LeaveOut,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) advanced: Advanced,
}

/// Kinds of metadata that are not to be kept.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Leaving things out (all is kept by default)")]
pub(crate) struct LeaveOut {
    /// Leave out extended attributes
    #[arg(long)]
    pub(crate) no_xattrs: bool,

    /// Leave out access control lists
    #[arg(long)]
    pub(crate) no_acls: bool,

    /// Leave out owner and group
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// Leave out permissions
    #[arg(long)]
    pub(crate) no_perms: bool,

    /// Leave out modification times; then files whose sizes agree are taken for equal only if their times happen to agree
    #[arg(long)]
    pub(crate) no_times: bool,

    /// Copy each name of a hard-linked file as a file of its own
    #[arg(long)]
    pub(crate) no_hardlinks: bool,

    /// Leave out named pipes, sockets and devices
    #[arg(long)]
    pub(crate) no_specials: bool,

    /// All of these: names and contents only
    #[arg(long)]
    pub(crate) data_only: bool,
}

/// What is told.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Tell each change on standard output
    #[arg(short = 'v', long, conflicts_with_all = ["quiet", "json"])]
    pub(crate) verbose: bool,

    /// Tell nothing but errors
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Print one JSON object on standard output at the end, instead of text for people
    #[arg(long)]
    pub(crate) json: bool,

    /// Show how far the run is, on standard error; `auto` only on a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub(crate) progress: When,
}

/// What hardly anyone needs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Advanced")]
pub(crate) struct Advanced {
    /// What makes the system calls; `auto` takes io_uring where the kernel lets it
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = EngineWord::Auto, env = "BLIT_ENGINE", hide_env_values = true)]
    pub(crate) engine: EngineWord,

    /// Give up when nothing has moved for so many seconds; 0 waits forever
    #[arg(long, value_name = "SECONDS", default_value_t = STALL_TIMEOUT_S)]
    pub(crate) stall_timeout: u32,

    /// Use at most so many threads; blit picks a good number itself, so this is for sharing a busy machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS_MAX))]
    pub(crate) max_threads: Option<u16>,

    /// Accepted and ignored: blit always goes as fast as it can
    #[arg(long, hide = true)]
    pub(crate) ludicrous_speed: bool,
}

/// `--reflink`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reflink {
    /// Share where possible, otherwise copy
    Auto,
    /// Share or fail
    Always,
    /// Always copy the bytes
    Never,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Also where standard error is a file or a pipe
    Always,
    /// Not at all
    Never,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineWord {
    /// io_uring where the kernel lets it, otherwise threads
    Auto,
    /// io_uring, or an error
    Uring,
    /// Threads
    Threads,
}

/// Longer than any healthy disk needs for one operation, its spin-up included.
const STALL_TIMEOUT_S: u32 = 10;

/// More threads than any machine of today has cores.
const MAX_THREADS_MAX: i64 = 1024;

const TOP_EXAMPLES: &str = "\
Examples:
  blit copy notes.txt /backup/      copy one file into the directory /backup
  blit copy photos /backup/         copy the directory photos to /backup/photos
  blit copy -n photos /backup/      only tell what that would do";

const COPY_EXAMPLES: &str = "\
The trailing slash:
  A directory without a trailing slash is copied as itself; with a slash, its contents are copied.

    blit copy photos  /backup         makes /backup/photos/a.jpg
    blit copy photos/ /backup         makes /backup/a.jpg

  It makes no difference whether /backup exists already.

  A slash after DST changes nothing if DST is a directory. For a single file it decides what is meant:

    blit copy a.txt b.txt             makes (or replaces) the file b.txt
    blit copy a.txt b                 makes b/a.txt if b is a directory, otherwise the file b
    blit copy a.txt b/                always makes b/a.txt

Examples:
    blit copy a.txt b.txt photos /backup/     several sources go into one directory
    blit copy -n -v photos /backup/           tell each change that would be made; make none
    blit copy --no-owner /mnt/usb/ ~/usb      keep everything but the owners
    blit copy --fsync ledger/ /safe/ledger    survive a power cut from the moment it is done
    blit copy --json a/ b/ | jq .bytes        a program reads the result

  Run the same command again after an error or an interruption: it goes on where it stopped.

Exit codes:
    0    everything is copied
    1    some entries failed, all others are copied
    2    the request cannot be carried out as it stands; nothing was done
    3    the other machine cannot be reached or refused
    4    the run failed before its end
    130  interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<CopyArgs, clap::Error> {
        let words = ["blit", "copy"].iter().chain(words);
        let Command::Copy(copy) = Args::try_parse_from(words)?.checked()?.command;
        Ok(copy)
    }

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_may_stand_anywhere() {
        for words in [["a", "b", "-n", "c"], ["-n", "a", "b", "c"], ["a", "b", "c", "-n"]] {
            let copy = read(&words).expect("valid");
            assert_eq!(
                (&copy.paths[..], copy.dry_run),
                (&["a", "b", "c"].map(OsString::from)[..], true)
            );
        }
        let copy = read(&["--", "-n", "-q"]).expect("after -- all are paths");
        assert_eq!(copy.paths, ["-n", "-q"]);
    }

    #[test]
    fn a_source_alone_is_not_enough() {
        let error = read(&["a"]).expect_err("no destination");
        assert!(
            error.to_string().contains("the destination is missing: blit copy a DST"),
            "{error}"
        );
        assert!(read(&[]).is_err());
    }

    #[test]
    fn ludicrous_speed_is_accepted() {
        assert!(read(&["--ludicrous-speed", "a", "b"]).expect("valid").advanced.ludicrous_speed);
    }
}
