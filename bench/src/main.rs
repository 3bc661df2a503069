//! `blit-bench`: flags in, a report out; everything between lives in the modules below.

mod args;
mod cache;
mod ceilings;
mod choice;
mod comparison;
mod engines;
mod error;
mod filesystem;
mod gate;
mod interrupt;
mod layer;
mod local;
mod machine;
mod markdown;
mod measure;
mod page;
mod peers;
mod random;
mod remote;
mod report;
mod routes;
mod services;
mod session;
mod snapshot;
mod stage;
mod statistics;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "elsewhere.rs")]
mod system;
mod table;
mod trees;
mod verify;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::{BenchArgs, CeilingsArgs, SessionArgs, Verb};
use ceilings::Extent;
use error::{Error, OnPath, Result};
use filesystem::{Mount, Workspace};
use interrupt::Interrupt;
use machine::Machine;
use report::Report;

fn main() -> ExitCode {
    // A runner must stay small and never parse a copier's options as its own: see `measure`.
    let mut words = env::args_os().skip(1);
    match words.next() {
        Some(word) if word == measure::RUNNER => {
            return measure::runner(&words.collect::<Vec<OsString>>());
        }
        Some(word) if word == layer::WORKER => {
            return layer::worker(&words.collect::<Vec<OsString>>());
        }
        Some(word) if word == measure::KEEPER => {
            return measure::keeper(&words.collect::<Vec<OsString>>());
        }
        _ => {}
    }
    match run(&BenchArgs::parse().verb) {
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
fn run(verb: &Verb) -> Result<bool> {
    let screen = Path::new("standard output");
    let mut out = io::stdout().lock();
    if let Verb::Compare(args) = verb {
        let comparison = comparison::run(args)?;
        comparison.print(&mut out).on("write", screen)?;
        return Ok(comparison.is_success());
    }
    if let Verb::Report(args) = verb {
        return markdown::run(args, &mut out);
    }
    if !system::is_supported() {
        return Err(Error::Usage("the harness needs a Unix system".to_owned()));
    }
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    system::on_interrupt(move || raised.raise()).on("watch", Path::new("signals"))?;
    let (report, args) = match verb {
        Verb::Local(args) => (local::run(args, &interrupt)?, &args.session),
        Verb::Remote(args) => (remote::run(args, &interrupt)?, &args.session),
        Verb::Ceilings(args) => return run_ceilings(args, &interrupt, &mut out),
        Verb::Engines(args) => return engines::run(args, &interrupt, &mut out),
        Verb::Session(args) => return layer::run(args, &interrupt, &mut out),
        Verb::Ci(args) => return gate::run(args, &interrupt, &mut out),
        Verb::Compare(_) | Verb::Report(_) => return Ok(true),
    };
    report.print(&mut out).on("write", screen)?;
    write_files(&report, args)?;
    Ok(report.is_success())
}

fn run_ceilings(args: &CeilingsArgs, interrupt: &Interrupt, out: &mut impl Write) -> Result<bool> {
    let workspace = Workspace::open(&args.work.clone().unwrap_or_else(env::temp_dir), false)?;
    let file_bytes = args.file_size.0;
    let extent = Extent { bytes: args.bytes.0, files: args.files, file_bytes };
    filesystem::check_space(workspace.path(), extent.need().bytes)?;
    let (machine, mount) = (Machine::look(), Mount::of(workspace.path()));
    let ceilings = ceilings::measure(workspace.path(), extent, interrupt)?;
    let screen = Path::new("standard output");
    writeln!(out, "on          {mount}").on("write", screen)?;
    ceilings.print(out).on("write", screen)?;
    if let Some(path) = &args.json {
        let whole = serde_json::json!({ "machine": machine, "mount": mount, "ceilings": ceilings });
        write_json(&whole, path)?;
    }
    Ok(true)
}

fn write_files(report: &Report, args: &SessionArgs) -> Result<()> {
    if let Some(path) = &args.json {
        write_json(report, path)?;
    }
    if let Some(path) = &args.html {
        fs::write(path, report.page()).on("write", path)?;
    }
    Ok(())
}

fn write_json(value: &impl serde::Serialize, path: &Path) -> Result<()> {
    let file = File::create(path).on("create", path)?;
    serde_json::to_writer_pretty(&file, value).map_err(io::Error::from).on("write", path)
}
