//! The options that say how entries are compared and transferred, and by what.
//! It must not decide which of them a verb has.

use clap::ValueEnum;

use crate::options::limit;

/// What makes two files equal.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparison (size and modification time by default)")]
pub(crate) struct EqualityArgs {
    /// Compare contents by their XXH3-128 digests; both sides are read
    #[arg(short = 'c', long, conflicts_with = "size_only")]
    pub(crate) checksum: bool,

    /// Files of equal size are equal
    #[arg(long)]
    pub(crate) size_only: bool,
}

/// Which files are transferred, by what stands at the destination.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparison (size and modification time by default)")]
pub(crate) struct SelectionArgs {
    /// Transfer every file, also those that look equal
    #[arg(short = 'I', long, conflicts_with_all = ["checksum", "size_only"])]
    pub(crate) ignore_times: bool,

    /// Leave files alone that are newer at the destination
    #[arg(short = 'u', long)]
    pub(crate) update: bool,

    /// Make nothing new; only bring up to date what is there
    #[arg(long)]
    pub(crate) existing: bool,

    /// Leave everything alone that is there
    #[arg(long, conflicts_with_all = ["existing", "update"])]
    pub(crate) ignore_existing: bool,
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

    /// Take each name of a hard-linked file for a file of its own
    #[arg(long)]
    pub(crate) no_hardlinks: bool,

    /// Leave out named pipes, sockets and devices
    #[arg(long)]
    pub(crate) no_specials: bool,

    /// All of these: names and contents only
    #[arg(long)]
    pub(crate) data_only: bool,
}

/// What hardly anyone needs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Advanced")]
pub(crate) struct EngineArgs {
    /// What makes the system calls; `auto` takes io_uring where the kernel lets it
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = EngineWord::Auto, env = "BLIT_ENGINE", hide_env_values = true)]
    pub(crate) engine: EngineWord,

    /// Use at most so many threads; blit picks a good number itself, so this is for sharing a busy machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS_MAX))]
    pub(crate) max_threads: Option<u16>,

    /// Give up when nothing has moved for so long: seconds, or with a unit (5, 5s, 2m); 0 waits forever
    #[arg(long, value_name = "TIME", default_value = STALL_TIMEOUT, value_parser = limit::seconds)]
    pub(crate) stall_timeout: u32,

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
const STALL_TIMEOUT: &str = "10";
/// More threads than any machine of today has cores.
const MAX_THREADS_MAX: i64 = 1024;
