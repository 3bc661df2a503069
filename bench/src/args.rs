//! The command line, as typed; it knows nothing of what the options lead to.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::filesystem::Format;
use crate::peers::{Engine, Peer};
use crate::routes::Route;

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
    Compare(CompareArgs),
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
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["blit", "cp", "rsync", "cpz", "xcp"])]
    pub(crate) arms: Vec<Peer>,

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

    /// The daemon of blit [default: the one beside the measured blit]
    #[arg(long, value_name = "PATH")]
    pub(crate) blitd: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// What `local` and `remote` have in common.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Which trees to copy [default: local: all, remote: all but mixed; none if --tree is given]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) trees: Vec<TreeChoice>,

    /// Your own directory as a further tree. It is only read
    #[arg(long, value_name = "PATH")]
    pub(crate) tree: Option<PathBuf>,

    /// Number of files in the small and the mixed tree [default: 100000 and 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) files: Option<u64>,

    /// Size of each file in the small tree
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fresh {
    /// A new directory in the work directory, all of them deleted at the end
    Dir,
    /// A new file system on a loop-mounted image for each round (needs root): repeats best
    Loop,
}

/// Bytes, written as 512, 4K, 256MiB or 1G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "K" | "k" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            _ => return Err(format!("unknown unit {unit:?}; use K, M, G or T, as in 4K or 1G")),
        };
        let number: u64 = number.parse().map_err(|_| "a size is a number, as in 4K or 1G")?;
        let bytes = number.checked_mul(1 << shift);
        bytes.map(Self).ok_or_else(|| "larger than any disk".to_owned())
    }
}

const LOCAL_EXAMPLES: &str = "\
Examples:
  A first look, in a minute or so:
    blit-bench local --files 10000 --big-size 256M --rounds 2

  Your own data, on the disk it lies on:
    blit-bench local --tree ~/projects --work ~/bench-tmp

  Only small files, blit's engines against each other and against cp, raw results kept:
    blit-bench local --trees small --arms blit,cp --engines auto,threads,uring --json runs.json

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

    fn size(text: &str) -> Option<u64> {
        text.parse::<Size>().ok().map(|size| size.0)
    }

    #[test]
    fn sizes_take_binary_suffixes() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("4K"), Some(4096));
        assert_eq!(size("256MiB"), Some(256 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("2T"), Some(2 << 40));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "-1", "1.5G", "4KB", "4 K", "99999999999999999999", "18000000T"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        BenchArgs::command().debug_assert();
    }
}
