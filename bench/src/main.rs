//! `blit-bench`: flags in, a report out; everything between lives in the modules below.

mod args;
mod error;
mod filesystem;
mod interrupt;
mod local;
mod machine;
mod measure;
mod peers;
mod report;
mod snapshot;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "elsewhere.rs")]
mod system;
mod trees;
mod verify;

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::{BenchArgs, LocalArgs, Verb};
use error::{Error, OnPath, Result};
use report::Report;

fn main() -> ExitCode {
    // A runner must stay small and never parse a copier's options as its own: see `measure`.
    let mut words = env::args_os().skip(1);
    if words.next().is_some_and(|word| word == measure::RUNNER) {
        return measure::runner(&words.collect::<Vec<OsString>>());
    }
    let Verb::Local(args) = BenchArgs::parse().verb;
    match run_local(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // Where even this cannot be written, the exit code still tells.
            drop(writeln!(io::stderr(), "blit-bench: {error}"));
            ExitCode::from(match error {
                Error::Usage(_) => 2,
                Error::Io { .. } | Error::Tool { .. } => 4,
                Error::Interrupted => 130,
            })
        }
    }
}

/// Whether all went well.
fn run_local(args: &LocalArgs) -> Result<bool> {
    if !system::is_supported() {
        return Err(Error::Usage("the harness needs a Unix system".to_owned()));
    }
    let report = local::run(args)?;
    report.print(&mut io::stdout().lock()).on("write", Path::new("standard output"))?;
    if let Some(path) = &args.json {
        write_json(&report, path)?;
    }
    Ok(report.is_success())
}

fn write_json(report: &Report, path: &Path) -> Result<()> {
    let file = File::create(path).on("create", path)?;
    serde_json::to_writer_pretty(&file, report).map_err(io::Error::from).on("write", path)
}
