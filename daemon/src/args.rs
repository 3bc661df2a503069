//! What is typed.
//! It must not know what it means: `options` does.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The daemon that exports directories to blit.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "blitd",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  blitd --root /srv/data               export one directory to this machine, to be written too\n  blitd --config /etc/blitd.toml       export what the file lists\n  blitd check-config /etc/blitd.toml   say what the file allows, and do nothing\n\nExit codes: 0 ended as asked, 2 usage or configuration, 4 failed."
)]
pub struct Args {
    #[command(flatten)]
    /// How to serve.
    pub serve: Serve,
    #[command(subcommand)]
    /// Something else than serving.
    pub command: Option<Command>,
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Export DIR as the default root, with writing allowed
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub root: Option<PathBuf>,
    /// Forbid to write in DIR
    #[arg(long, conflicts_with = "config")]
    pub read_only: bool,
    /// Export the modules of a configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where connections are accepted, in place of what is configured.
    #[arg(
        long,
        value_name = "ADDR",
        help = "Accept connections at ADDR, like 127.0.0.1:9031 or [::1]:9031, in place of what is configured (repeatable)"
    )]
    pub listen: Vec<String>,
    /// Let whoever connects from another machine use what lists no keys
    #[arg(long)]
    pub insecure_anonymous: bool,
    /// What executes file work: auto, uring or threads
    #[arg(long, env = "BLIT_ENGINE", value_name = "ENGINE", default_value = "auto")]
    pub engine: String,
    /// Use at most N threads for the file work of a session; a speed knob that is not needed
    #[arg(long, value_name = "N")]
    pub max_threads: Option<usize>,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: the level and all above it
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
}

/// Something else than serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Say what a configuration file allows, or what is wrong with it
    CheckConfig {
        /// The file
        file: PathBuf,
    },
    /// Show the key by which clients know this daemon
    Key {
        #[command(subcommand)]
        /// What to do with it.
        command: KeyCommand,
    },
    /// Write the manual pages into a directory
    Man {
        /// A directory that exists
        dir: PathBuf,
    },
}

/// What to do with the daemon's key.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Print it
    Show {
        /// The configuration that says where the key is kept
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed
    Error,
    /// What may be wrong
    Warn,
    /// What happens
    Info,
    /// Each connection
    Debug,
    /// Everything
    Trace,
}
