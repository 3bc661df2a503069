//! The options that say how other machines are reached, and the verbs about keys and daemons.
//! It must not decide what is trusted.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Subcommand, ValueHint};

/// How other machines are reached.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(
    next_help_heading = "Other machines (host:/module/path, host:port:/module/path, host://path)"
)]
pub(crate) struct NetworkArgs {
    /// Refuse a daemon whose key is not known yet
    #[arg(long)]
    pub(crate) require_known: bool,

    /// Trust the daemons that have a certificate of these authorities (PEM), in place of known keys
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,

    /// Show this certificate (PEM) to daemons, in place of this user's key: for those that ask for one of an authority
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "ca_file", requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,

    /// The private key (PEM) of that certificate; nobody else may be able to read it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,

    /// Open no data connections: everything goes over the control connection
    #[arg(long, alias = "force-grpc-data", env = "BLIT_FORCE_RPC_DATA", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) force_rpc_data: bool,
}

/// What only transfers between machines have.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(
    next_help_heading = "Other machines (host:/module/path, host:port:/module/path, host://path)"
)]
pub(crate) struct CarriageArgs {
    /// Do not encrypt contents, where the daemon allows that; whether they arrive unchanged is still checked
    #[arg(long)]
    pub(crate) plaintext_data: bool,

    /// Compress contents on their way: where a slow network makes that pay, always (with zstd), or never
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) compress: Compress,

    /// Send large files whole, also where the destination has parts of them
    #[arg(long)]
    pub(crate) no_delta: bool,

    /// Keep owners by number; otherwise by name where both machines know it
    #[arg(long)]
    pub(crate) numeric_ids: bool,

    /// Connect again up to N times, after growing pauses, when the other machine cannot be reached or falls silent
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retry: u32,
}

/// `--compress`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum Compress {
    /// Where the network is slow and the contents become clearly smaller; not within one machine
    #[default]
    Auto,
    /// Whatever becomes smaller
    Zstd,
    /// Nothing
    None,
}

/// Shows or forgets keys
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

/// `blit key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Prints this user's key, for the allow list of a daemon's module; makes it if there is none
    Show,
    /// Forgets the key of a daemon, so that its new one is trusted at the next contact
    Forget {
        /// The daemon
        #[arg(value_name = "HOST[:PORT]")]
        host: String,
    },
}

/// Lists the modules that a daemon offers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit modules store
    blit modules store:9032 --json | jq -r '.rows[].path'")]
pub(crate) struct ModulesArgs {
    /// The daemon
    #[arg(value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname)]
    pub(crate) host: String,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Lists, watches and ends the runs that you have started at a daemon
///
/// These are the runs of your key: those that go on, and the last ones that have ended. Each has a number.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit jobs store                what goes on there and what has ended lately
    blit jobs store --watch 17     a line each time that this run has moved, until it has ended
    blit jobs store --cancel 17    end it, as an interrupt where it was started would")]
pub(crate) struct JobsArgs {
    /// The daemon
    #[arg(value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname)]
    pub(crate) host: String,

    /// Tell each time how far the run of this number is, or without a number all that go on, until they have ended
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "0", hide_default_value = true)]
    pub(crate) watch: Option<u64>,

    /// End the run of this number
    #[arg(long, value_name = "ID", conflicts_with = "watch")]
    pub(crate) cancel: Option<u64>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Tells how blit understands what it is given
#[derive(Debug, clap::Args)]
pub(crate) struct DiagnosticsArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: DiagnosticsCommand,
}

/// `blit diagnostics`.
#[derive(Debug, Subcommand)]
pub(crate) enum DiagnosticsCommand {
    /// Tells how two endpoints are understood, what is there, and what the daemons say of themselves
    Dump {
        /// The source
        #[arg(value_hint = ValueHint::AnyPath)]
        a: OsString,
        /// The destination
        #[arg(value_hint = ValueHint::AnyPath)]
        b: OsString,

        #[command(flatten)]
        network: NetworkArgs,

        #[command(flatten)]
        engine: super::EngineArgs,
    },
}
