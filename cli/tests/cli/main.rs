//! Runs the built `blit`. One binary for all verbs; each verb's tests are in the file that is named like it.
//! Nothing here may reach into the command's code.
#![cfg(target_os = "linux")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod check;
mod completions;
mod copy;
mod df;
mod du;
mod filter;
mod find;
mod help;
mod jobs;
mod list;
mod man;
mod mirror;
mod r#move;
mod output;
mod privileged;
mod race;
mod remote;
mod rm;
mod scale;
mod support;
mod switches;

use blit_daemon::args::Args;
use blit_daemon::{life, wire};
use clap::Parser as _;

/// Not a test of its own: others start this very binary again, with arguments for the daemon in its environment.
#[test]
#[expect(clippy::exit, reason = "the process is the daemon's, and so is its exit code")]
fn a_daemon_that_other_tests_start() {
    let Ok(words) = std::env::var(support::daemon::ARGS) else { return };
    let args = Args::parse_from(["blitd"].into_iter().chain(words.lines()));
    std::process::exit(life::run(&args, &wire::OFFER).code().into());
}
