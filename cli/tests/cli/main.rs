//! Runs the built `blit`. One binary for all verbs; each verb's tests are in the file that is named like it.
//! Nothing here may reach into the command's code.
#![cfg(target_os = "linux")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod copy;
mod help;
mod privileged;
mod support;
