//! `blitd`: will export directories to blit. This build serves nothing and says so.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// The daemon that exports directories to blit. This build serves nothing yet.
#[derive(Debug, Parser)]
#[command(name = "blitd", version)]
struct Args {}

fn main() -> ExitCode {
    let Args {} = Args::parse();
    let text = b"error: this build of blitd serves nothing yet; blit copies between local paths\n";
    // If standard error cannot be written, the exit code still says it.
    drop(io::stderr().lock().write_all(text));
    ExitCode::from(NOT_USABLE)
}

/// The exit code of a usage error, as in blit.
const NOT_USABLE: u8 = 2;
