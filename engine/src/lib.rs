//! Picks the engine that executes tasks.
//! It must not execute anything itself, nor know sessions: [`start`] is the platform decision and all there is to it.

mod start;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(not(target_os = "linux"))]
#[path = "absent.rs"]
mod uring;

pub use start::{Choice, Started, start};
