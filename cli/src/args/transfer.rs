//! The verbs that compare two places: copy, mirror, move and check.

use std::ffi::OsString;

use clap::ValueHint;

use super::examples;
use super::{
    CarriageArgs, EngineArgs, EqualityArgs, FilterArgs, LeaveOut, NetworkArgs, OutputArgs, Reflink,
    SelectionArgs, WritingArgs,
};
use crate::options::limit::{self, Share};

/// Copies what is missing or different; never deletes anything
///
/// Copies files and directories, with their permissions, owners, times, links, holes, extended attributes and ACLs.
/// What is already equal at the destination (same size and modification time) is left alone, so that the same command
/// run again only finishes what is missing. Nothing at the destination is ever deleted.
///
/// A file appears under its name only when it is complete: however blit is stopped, each file at the destination is
/// the whole old one or the whole new one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::COPY)]
#[command(after_help = "The slash rule, examples and exit codes: blit copy --help")]
#[command(override_usage = "blit copy [OPTIONS] SRC... DST")]
pub(crate) struct CopyArgs {
    /// The sources, then the destination
    ///
    /// SRC is a file, a directory, or with a trailing slash the contents of a directory. DST is a directory, or for a
    /// single SRC also a new name.
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    #[command(flatten)]
    pub(crate) writing: WritingArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
}

/// Makes the destination equal to the source; deletes what the source does not have
///
/// Copies as `blit copy` does; then removes from the destination what is not in the source. What is removed is removed
/// last, only below directories whose source could be read completely, and never because the source is missing or
/// empty.
///
/// On a terminal, blit counts first and asks before it removes anything. Elsewhere it needs --yes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::MIRROR)]
#[command(after_help = "The slash rule, examples and exit codes: blit mirror --help")]
pub(crate) struct MirrorArgs {
    /// A directory, or with a trailing slash its contents
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) src: OsString,

    /// The directory that is to be equal to it, or that holds the one that is
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) dst: OsString,

    /// Remove without asking
    #[arg(short = 'y', long, help_heading = DELETION)]
    pub(crate) yes: bool,

    /// Do nothing at all if more than N entries, or P% of those at the destination, would be removed
    #[arg(long, value_name = "N|P%", value_parser = limit::share, help_heading = DELETION)]
    pub(crate) max_delete: Option<Share>,

    /// Also remove what the filters leave out
    #[arg(long, help_heading = DELETION)]
    pub(crate) delete_excluded: bool,

    /// Mirror an empty source too, which removes everything
    #[arg(long, help_heading = DELETION)]
    pub(crate) allow_empty_source: bool,

    #[command(flatten)]
    pub(crate) writing: WritingArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
}

/// Moves files and directories; removes from the source only what has arrived
///
/// What stays on its file system is renamed. Everything else is copied as `blit copy` does, made durable, and only then
/// removed from the source, entry by entry: what failed, or changed while it was copied, stays where it was. So does a
/// directory that is not empty then.
///
/// A file that seems to be at the destination already is read on both sides before it leaves the source: neither its
/// size nor its time would prove that it is the same.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::MOVE)]
#[command(after_help = "The slash rule, examples and exit codes: blit move --help")]
#[command(override_usage = "blit move [OPTIONS] SRC... DST")]
pub(crate) struct MoveArgs {
    /// The sources, then the destination
    ///
    /// SRC is a file, a directory, or with a trailing slash the contents of a directory. DST is a directory, or for a
    /// single file also a new name.
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
}

/// Tells whether two trees are the same, and where they differ
///
/// Compares as `blit mirror A B` would, changes nothing, and tells each difference: what is only in A, what is only in
/// B, and what differs in content or in metadata. Contents count as equal if size and modification time are; with
/// --checksum they are read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = examples::CHECK)]
#[command(after_help = "Examples and exit codes: blit check --help")]
pub(crate) struct CheckArgs {
    /// A directory, or with a trailing slash its contents
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) a: OsString,

    /// What it is compared with; without a slash after A, B holds the directory that is
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) b: OsString,

    /// Follow the links in A, and compare what they lead to
    #[arg(short = 'L', long)]
    pub(crate) copy_links: bool,

    #[command(flatten)]
    pub(crate) equality: EqualityArgs,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) leave_out: LeaveOut,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// What copy, mirror and move have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct TransferArgs {
    /// Only tell what would be done; change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Make every file and its directory durable before it counts as copied; move always does
    #[arg(long)]
    pub(crate) fsync: bool,

    /// Share the contents with the source instead of copying them, where the file system can
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Reflink::Auto)]
    pub(crate) reflink: Reflink,

    /// Copy at most so many bytes per second: a number, or with K, M, G as 1024, 1024 * 1024 and so on
    #[arg(long, value_name = "RATE", value_parser = limit::rate)]
    pub(crate) bwlimit: Option<u64>,

    #[command(flatten)]
    pub(crate) equality: EqualityArgs,

    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) leave_out: LeaveOut,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) carriage: CarriageArgs,
}

const DELETION: &str = "Deletion";
