//! `blitd`: the library beside it, offering what this build can serve.

use std::process::ExitCode;

use blit_daemon::args::Args;
use blit_daemon::life;
use blit_daemon::wire;
use clap::Parser;

fn main() -> ExitCode {
    life::run(&Args::parse(), &wire::OFFER).into()
}
