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
mod list;
mod man;
mod mirror;
mod r#move;
mod output;
mod privileged;
mod race;
mod rm;
mod scale;
mod support;
mod switches;
