//! The daemon as a process: what it is told by signals, sockets, files and its supervisor, and what it says.
//! What it serves here only echoes, and tells which modules there are.
#![cfg(unix)]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod commands;
mod handover;
mod life;
mod limits;
mod metrics;
mod rig;

use std::process::exit;

use blit_daemon::args::Args;
use clap::Parser;

/// Not a test of its own: the others start this very binary again, with arguments for the daemon in its environment.
#[test]
#[expect(clippy::exit, reason = "the process is the daemon's, and so is its exit code")]
fn a_daemon_that_other_tests_start() {
    let Ok(words) = std::env::var(rig::ARGS) else { return };
    let args = Args::parse_from(["blitd"].into_iter().chain(words.lines()));
    exit(blit_daemon::life::run(&args, &rig::ECHO).code().into());
}
