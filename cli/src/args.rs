//! What can be typed: clap's definitions and their help.
//! It must not decide what any of it means; options.rs does.

mod examples;
mod filter;
mod look;
mod manner;
mod network;
mod output;
mod transfer;
mod writing;

use std::ffi::OsString;

use blit_core::path::Escaped;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use filter::{FilterArgs, Rule};
pub(crate) use look::{DfArgs, DuArgs, FindArgs, ListArgs, RmArgs, TypeWord};
pub(crate) use manner::{EngineArgs, EngineWord, EqualityArgs, LeaveOut, Reflink, SelectionArgs};
pub(crate) use network::{
    CarriageArgs, Compress, DiagnosticsArgs, DiagnosticsCommand, JobsArgs, KeyArgs, KeyCommand,
    ModulesArgs, NetworkArgs,
};
pub(crate) use output::{CompleteArgs, CompletionsArgs, ManArgs, OutputArgs, When};
pub(crate) use transfer::{CheckArgs, CopyArgs, MirrorArgs, MoveArgs, TransferArgs};
pub(crate) use writing::WritingArgs;

/// Copies files and directories with everything that belongs to them, and never shows a half-written file.
///
/// `blit VERB --help` explains a verb with examples.
#[derive(Debug, Parser)]
#[command(name = "blit", version, arg_required_else_help = true, subcommand_value_name = "VERB")]
#[command(subcommand_help_heading = "Verbs", disable_help_subcommand = true)]
#[command(after_help = examples::TOP)]
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
        match &self.command {
            Command::Copy(copy) => check_paths("copy", &copy.paths)?,
            Command::Move(moved) => check_paths("move", &moved.paths)?,
            Command::List(list) if !list.directory => {
                check_only(
                    "list",
                    &list.paths,
                    "one directory is listed; -d lists several entries",
                )?;
            }
            Command::Rm(removal) if removal.files_from.is_some() => {
                check_only("rm", &removal.paths, "the paths of --files-from are below one PATH")?;
            }
            _ => {}
        }
        Ok(self)
    }
}

fn check_paths(verb: &str, paths: &[OsString]) -> Result<(), clap::Error> {
    let [lonely] = paths else { return Ok(()) };
    let lonely = Escaped(lonely.as_encoded_bytes());
    let text = format!("the destination is missing: blit {verb} {lonely} DST\n");
    Err(Args::command().error(ErrorKind::MissingRequiredArgument, text))
}

fn check_only(verb: &str, paths: &[OsString], why: &str) -> Result<(), clap::Error> {
    let [_, second, ..] = paths else { return Ok(()) };
    let second = Escaped(second.as_encoded_bytes());
    let text = format!("{why}: blit {verb} has no use for {second}\n");
    Err(Args::command().error(ErrorKind::TooManyValues, text))
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Copy(CopyArgs),
    Mirror(MirrorArgs),
    Move(MoveArgs),
    Check(CheckArgs),
    #[command(visible_alias = "ls")]
    List(ListArgs),
    Find(FindArgs),
    Du(DuArgs),
    Df(DfArgs),
    Rm(RmArgs),
    Modules(ModulesArgs),
    Jobs(JobsArgs),
    Key(KeyArgs),
    Diagnostics(DiagnosticsArgs),
    #[command(hide = true)]
    Complete(CompleteArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<CopyArgs, clap::Error> {
        let words = ["blit", "copy"].iter().chain(words);
        match Args::try_parse_from(words)?.checked()?.command {
            Command::Copy(copy) => Ok(copy),
            other => panic!("not a copy: {other:?}"),
        }
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
                (&copy.paths[..], copy.transfer.dry_run),
                (&["a", "b", "c"].map(OsString::from)[..], true)
            );
        }
        let copy = read(&["--", "-n", "-q"]).expect("after -- all are paths");
        assert_eq!(copy.paths, ["-n", "-q"]);
        assert!(Args::try_parse_from(["blit", "mirror", "a", "-n", "b", "--yes"]).is_ok());
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
        let copy = read(&["--ludicrous-speed", "a", "b"]).expect("valid");
        assert!(copy.transfer.engine.ludicrous_speed);
    }

    #[test]
    fn rules_keep_the_order_in_which_they_were_typed() {
        let copy = read(&[
            "--include",
            "a",
            "--exclude=b",
            "x",
            "--filter-file",
            "f",
            "--include",
            "c",
            "y",
        ]);
        let rules = copy.expect("valid").transfer.filter.rules.0;
        let shown: Vec<String> = rules.iter().map(|rule| format!("{rule:?}")).collect();
        assert_eq!(
            shown,
            [r#"Include("a")"#, r#"Exclude("b")"#, r#"File("f")"#, r#"Include("c")"#]
        );
    }
}
