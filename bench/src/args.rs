//! The command line, as typed; it knows nothing of what the options lead to.

mod quantity;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::filesystem::Format;
use crate::layer::Work;
use crate::peers::{Engine, Peer};
use crate::routes::Route;

pub(crate) use quantity::{Count, Size};

/// Measures blit against other copiers, on your own machine and, if you like, your own data.
///
/// Every result is verified: a copier that loses something is shown as FAILED.
#[derive(Debug, Parser)]
#[command(name = "blit-bench", version)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Local(Box<LocalArgs>),
    Remote(Box<RemoteArgs>),
    Ceilings(CeilingsArgs),
    Engines(EnginesArgs),
    Session(LayerArgs),
    Compare(CompareArgs),
    Report(ReportArgs),
    Ci(CiArgs),
}

/// Copies trees on this machine with blit and with cp, rsync, cpz and xcp, and compares.
///
/// In each round every copier ("arm") makes one copy, in a rotated order, to a target that never
/// existed before; its time, processor time and peak memory are taken, then the copy is compared
/// with the source outside of the measured time. Then the arms for which that makes sense run once
/// more and find nothing to do. The source is in memory (warm) when an arm starts. Copiers that
/// are not installed are reported as missing.
///
/// The default session makes trees of 0.4, 4, 0.4 and up to 0.8 GB, and five copies of each by each
/// arm: that needs about 50 GB, or 10 with --fresh loop. For a quick look use --files, --big-size
/// and --rounds.
#[derive(Debug, Args)]
#[command(after_help = LOCAL_EXAMPLES, after_long_help = LOCAL_EXAMPLES)]
pub(crate) struct LocalArgs {
    /// Which copiers take part
    #[arg(long, value_enum, value_delimiter = ',',
          default_values = ["blit", "cp", "rsync", "cpz", "xcp", "rm", "rmz"])]
    pub(crate) arms: Vec<Peer>,

    /// What they do: copy a tree, or remove a copy of it
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["copy"])]
    pub(crate) operations: Vec<LocalOperation>,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// Sends trees to a daemon on this machine and fetches them, with blit, rsync and rclone.
///
/// Each run starts a daemon of its own on a free port of 127.0.0.1; processor time, memory and the
/// bytes on the loopback device are those of both ends. The rest is as for `local`.
#[derive(Debug, Args)]
#[command(after_help = REMOTE_EXAMPLES, after_long_help = REMOTE_EXAMPLES)]
pub(crate) struct RemoteArgs {
    /// Which pairs of client and daemon take part
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["blit", "blit-clear", "rsyncd", "rclone"])]
    pub(crate) arms: Vec<Route>,

    /// Whether the trees go to the daemon or come from it
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["push", "pull"])]
    pub(crate) directions: Vec<Direction>,

    /// Arms of blit with so many data streams each (at most 4), and as many threads at both ends
    #[arg(long, value_name = "N", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=4))]
    pub(crate) streams: Vec<u32>,

    /// The daemon of blit [default: the one beside the measured blit]
    #[arg(long, value_name = "PATH")]
    pub(crate) blitd: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// What `local` and `remote` have in common.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Which trees to copy [default: small, big, mixed and real; none if --tree or --scale is given]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) trees: Vec<TreeChoice>,

    /// Your own directory as a further tree. It is only read
    #[arg(long, value_name = "PATH")]
    pub(crate) tree: Option<PathBuf>,

    /// Small trees of so many files each, as 10k,100k,1M: how does the time grow?
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) scale: Vec<Count>,

    /// Number of files in the trees of many files [default: see --trees; mixed: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) files: Option<u64>,

    /// Size of each file in the trees of small files
    #[arg(long, value_name = "SIZE", default_value = "4K")]
    pub(crate) file_size: Size,

    /// Size of the one file in the big tree
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) big_size: Size,

    /// The same seed makes the same trees, byte for byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many copies each arm makes of each tree; medians are shown
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Do not run the arms once more with nothing to do
    #[arg(long)]
    pub(crate) no_noop: bool,

    /// Do not measure what this machine could do at best
    #[arg(long)]
    pub(crate) no_ceilings: bool,

    /// Whether what a run reads is in memory when it starts; for cold runs (as root) the system drops
    /// all that it has cached, before each run, and it is verified that it did
    #[arg(long, value_enum, default_value = "warm")]
    pub(crate) cache: Cache,

    /// Record how far blit is while it runs, in one more run of each of its arms that is not timed
    #[arg(long)]
    pub(crate) timeline: bool,

    /// Count system calls too, with strace, in one more run of each arm that is not timed
    #[arg(long)]
    pub(crate) syscalls: bool,

    /// Which engines of blit take part, each as an arm of its own
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["auto"])]
    pub(crate) engines: Vec<Engine>,

    /// The blit to measure [default: the one beside blit-bench]
    #[arg(long, value_name = "PATH")]
    pub(crate) blit: Option<PathBuf>,

    /// Where else to look for the other copiers, before PATH; may be repeated
    #[arg(long = "peer-path", value_name = "DIR")]
    pub(crate) peer_paths: Vec<PathBuf>,

    /// Where sources and targets are made [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// How each run gets a fresh target: deleting and reusing one would slow down what follows
    #[arg(long, value_enum, default_value = "dir")]
    pub(crate) fresh: Fresh,

    /// The file system of --fresh loop
    #[arg(long, value_enum, default_value = "ext4")]
    pub(crate) fs: Format,

    /// A copy that takes longer is killed and counts as failed
    #[arg(long, value_name = "SECONDS", default_value_t = 900,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,

    /// Write everything, each single run included, to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write a page with plots to FILE, which needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Leave the last sources and targets in place and say where they are
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Measures what this machine can do at best: sockets, writing, creating files.
///
/// Plain loops without any copier, as the measure for what copiers reach.
#[derive(Debug, Args)]
pub(crate) struct CeilingsArgs {
    /// Where to write [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// How many bytes to send and to write
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub(crate) bytes: Size,

    /// How many files to create
    #[arg(long, value_name = "N", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) files: u64,

    /// Size of each created file
    #[arg(long, value_name = "SIZE", default_value = "4K")]
    pub(crate) file_size: Size,

    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Runs the same tasks on blit's engines, in this process: list, copy, place, hash, remove.
///
/// No session takes part, so what differs is the engines' alone. Each copy is compared with its
/// source.
#[derive(Debug, Args)]
pub(crate) struct EnginesArgs {
    /// Which engines take part
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["threads", "uring"])]
    pub(crate) engines: Vec<Engine>,

    /// Number of files, in 100 directories
    #[arg(long, value_name = "N", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) files: u64,

    /// Size of each file
    #[arg(long, value_name = "SIZE", default_value = "4K")]
    pub(crate) file_size: Size,

    /// The same seed makes the same tree
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How often each engine does everything; medians are shown
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// Where to copy [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// Write everything to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Measures what the sessions and the layout of frames cost a file, without any file or socket.
///
/// The two sessions of a transfer run over an engine that does nothing. Where valgrind is installed,
/// instructions are counted too, of up to 50 000 files: they repeat to a percent, on any machine.
#[derive(Debug, Args)]
pub(crate) struct LayerArgs {
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',',
          default_values = ["copy", "no-op", "streams", "entries", "frames"])]
    pub(crate) works: Vec<Work>,

    /// How many files
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) files: u64,

    /// How many of them are in one directory, each an own measurement
    #[arg(long, value_name = "M", value_delimiter = ',', default_values = ["10", "1000"],
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) per_directory: Vec<u64>,

    /// Where else to look for valgrind, before PATH; may be repeated
    #[arg(long = "peer-path", value_name = "DIR")]
    pub(crate) peer_paths: Vec<PathBuf>,

    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Compares two reports written with --json, and names what became slower.
///
/// A change counts when the rounds of both reports differ (Mann-Whitney U, two-sided), when the
/// interval of the ratio of medians (bootstrap, 95 %) leaves out 1, and when it is large enough to
/// matter. The machine and the other tools may have changed too: that is shown, and does not count.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_STATUS)]
pub(crate) struct CompareArgs {
    /// The report to compare with
    pub(crate) old: PathBuf,

    /// The report to judge
    pub(crate) new: PathBuf,

    /// How improbable a difference must be by chance alone to count
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    pub(crate) alpha: f64,

    /// Which change matters, as a share of the old time
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub(crate) threshold: f64,
}

/// Prints reports written with --json as tables in Markdown.
///
/// One row for each tree and operation, one column for each arm: the median, the least and the most,
/// and, where ceilings were measured, the share of what plain loops reach. The fastest is bold.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The only form there is so far
    #[arg(long, required = true)]
    pub(crate) markdown: bool,

    /// Show processor seconds too
    #[arg(long)]
    pub(crate) cpu: bool,

    /// What to print
    #[arg(required = true, value_name = "REPORT")]
    pub(crate) reports: Vec<PathBuf>,
}

/// The short form for continuous integration: is blit clearly slower than it was, beside its peers?
///
/// Measures the ratio of blit's time to that of cp -a and rsync in the same rounds, up to three
/// times, and fails only when one ratio is beyond its limit each time.
#[derive(Debug, Args)]
#[command(after_help = CI_STATUS)]
pub(crate) struct CiArgs {
    /// The ratios to compare with
    #[arg(long, value_name = "FILE", default_value = "bench/baseline.json")]
    pub(crate) baseline: PathBuf,

    /// The blit to measure [default: the one beside blit-bench]
    #[arg(long, value_name = "PATH")]
    pub(crate) blit: Option<PathBuf>,

    /// Where to copy [default: /dev/shm, or else the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// Write the ratios of this run to the baseline instead of judging them
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocalOperation {
    /// To a target that does not exist
    Copy,
    /// A copy that stands there: a mirror of an empty directory, or rm
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// From here to the daemon
    Push,
    /// From the daemon to here
    Pull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TreeChoice {
    /// 100 000 files of 4 KiB in 100 directories
    Small,
    /// One file of 4 GiB
    Big,
    /// Files of all sizes, links, holes, attributes and odd names
    Mixed,
    /// The Rust documentation of this machine's toolchain, or else /usr/share/doc
    Real,
    /// 20 000 small files in chains of 64 directories
    Deep,
    /// 100 000 small files in one directory
    Wide,
    /// 100 files of 16 MiB that are mostly holes
    Sparse,
    /// 20 000 names of 5 000 small files
    Linked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// The source was read before
    Warm,
    /// Nothing of any file is in memory, neither contents nor names
    Cold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fresh {
    /// A new directory in the work directory, all of them deleted at the end
    Dir,
    /// A new file system on a loop-mounted image for each round (needs root): repeats best
    Loop,
}

const LOCAL_EXAMPLES: &str = "\
Examples:
  A first look, in a minute or so:
    blit-bench local --files 10000 --big-size 256M --rounds 2

  Your own data, on the disk it lies on:
    blit-bench local --tree ~/projects --work ~/bench-tmp

  Only small files, blit's engines against each other and against cp, raw results kept:
    blit-bench local --trees small --arms blit,cp --engines auto,threads,uring --json runs.json

  Deleting, beside rm and rmz, and copying with nothing in memory (as root):
    blit-bench local --trees small --operations delete --fresh loop
    blit-bench local --trees small --cache cold --fresh loop

  How the time grows with the number of files, as a plot:
    blit-bench local --scale 10k,100k,1M --rounds 3 --html scale.html

  The figures that repeat best, on a new file system a round (as root), with a page of plots:
    blit-bench local --fresh loop --fs xfs --html runs.html

Exit status: 0 all copies were right; 1 some were not, or some run failed; 2 usage;
4 the harness itself failed; 130 interrupted.";

const REMOTE_EXAMPLES: &str = "\
Examples:
  A first look, in a minute or so:
    blit-bench remote --files 10000 --big-size 256M --rounds 2

  Only pushing small files, encrypted and not, against rsync's daemon:
    blit-bench remote --trees small --directions push --arms blit,blit-clear,rsyncd

  One large file over 1, 2 and 4 data streams, as a plot:
    blit-bench remote --trees big --arms blit,blit-clear --streams 1,2,4 --html streams.html

Exit status: 0 all copies were right; 1 some were not, or some run failed; 2 usage;
4 the harness itself failed; 130 interrupted.";

const COMPARE_STATUS: &str = "\
Exit status: 0 nothing of blit became slower; 1 something did; 2 usage; 4 a report cannot be read.";

const CI_STATUS: &str = "\
Exit status: 0 no ratio is beyond its limit; 1 one is, three times in a row, or a copy was wrong;
2 usage; 4 the harness itself failed; 130 interrupted.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        BenchArgs::command().debug_assert();
    }
}
