//! The options that say what is told, and the verbs that tell about blit itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};
use clap_complete::Shell;

/// What is told.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Tell each change on standard output
    #[arg(short = 'v', long, conflicts_with_all = ["quiet", "json"])]
    pub(crate) verbose: bool,

    /// The same with a letter for what was done, for programs; with --json in its `rows`
    #[arg(short = 'i', long, conflicts_with_all = ["quiet", "verbose"])]
    pub(crate) itemize: bool,

    /// Tell nothing but errors
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Print one JSON object on standard output at the end, instead of text for people
    #[arg(long)]
    pub(crate) json: bool,

    /// Show how far the run is, on standard error; `auto` only on a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub(crate) progress: When,

    /// Append each change, each error and the end of the run to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log_file: Option<PathBuf>,
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
    /// As JSON, one event a line: progress, changes, errors and the end
    Json,
}

/// Prints the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit completions bash > ~/.local/share/bash-completion/completions/blit
    blit completions zsh > \"${fpath[1]}/_blit\"
    blit completions fish > ~/.config/fish/completions/blit.fish")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Prints what a path at a daemon could become
#[derive(Debug, clap::Args)]
pub(crate) struct CompleteArgs {
    /// What was typed of it
    pub(crate) path: OsString,
}

/// Writes the manual pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    blit man ~/.local/share/man/man1     then: man blit-copy")]
pub(crate) struct ManArgs {
    /// A directory that exists
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}
