//! The verbs that look at one place, and the one that removes: list, find, du, df and rm.

use std::ffi::OsString;

use clap::{ValueEnum, ValueHint};

use super::{EngineArgs, FilterArgs, NetworkArgs, OutputArgs};

/// Lists a directory, or with -d the entries that are named
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit list photos                       what is in photos, with modes, sizes and times
    blit list --json photos | jq -r '.rows[].path'
    blit list -d photos notes.txt          these two themselves")]
pub(crate) struct ListArgs {
    /// A directory, or a single entry
    #[arg(default_value = ".", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    /// The entries that are named, also of directories, and not what is in them
    #[arg(short = 'd', long)]
    pub(crate) directory: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Prints the paths below a directory that the filters admit
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit find photos --type f --exclude '*' --include '*/' --include '*.raw'
    blit find . --newer-than 1d --min-size 1G         what has filled the disk since yesterday
    blit find . --type l --print0 | xargs -0 rm --")]
pub(crate) struct FindArgs {
    /// Where to look
    #[arg(default_value = ".", value_hint = ValueHint::AnyPath)]
    pub(crate) path: OsString,

    /// Only entries of this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub(crate) kind: Option<TypeWord>,

    /// End each path with a NUL byte, so that no name can be misread
    #[arg(long, conflicts_with = "json")]
    pub(crate) print0: bool,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// `find --type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypeWord {
    /// Regular files
    #[value(name = "f")]
    File,
    /// Directories
    #[value(name = "d")]
    Dir,
    /// Symbolic links
    #[value(name = "l")]
    Link,
}

/// Sums up how much is below directories
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A file with several names counts once. SIZE is what is in the files, DISK what is allocated for them.

Examples:
    blit du photos --depth 1       photos and each directory in it")]
pub(crate) struct DuArgs {
    /// Where to sum up
    #[arg(default_value = ".", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    /// Also tell the sum of each directory down to so many levels below PATH
    #[arg(short = 'd', long, value_name = "N", default_value_t = 0)]
    pub(crate) depth: u32,

    /// Do not enter directories that are on another file system
    #[arg(short = 'x', long)]
    pub(crate) one_file_system: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Tells how much room the file systems have
#[derive(Debug, clap::Args)]
pub(crate) struct DfArgs {
    /// A path on the file system
    #[arg(default_value = ".", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Removes files, and with -r directories with all that is in them
///
/// Links are removed, never followed. The root of a file system is refused. On a terminal, blit counts first and asks;
/// elsewhere it needs --yes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit rm -n -r old       tell what would be removed
    blit rm -r --yes old
    blit rm --yes --files-from list store:/backup/     what list names, below backup")]
pub(crate) struct RmArgs {
    /// What is removed
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,

    /// Remove the paths that FILE lists, one a line, below PATH; `-` reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files_from: Option<OsString>,

    /// The paths of --files-from end in a NUL byte instead of a line end
    #[arg(short = '0', long, requires = "files_from")]
    pub(crate) from0: bool,

    /// Remove directories with all that is in them
    #[arg(short = 'r', long)]
    pub(crate) recursive: bool,

    /// Only tell what would be removed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Remove without asking
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}
