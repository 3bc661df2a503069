//! Picks the engine that executes tasks.
//! It must not execute anything itself, nor know sessions: [`start`] is the platform decision and all there is to it.

pub mod files;
mod start;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(not(target_os = "linux"))]
#[path = "absent.rs"]
mod uring;

pub use blit_fallback::sys::{Enforced, Memory, Owner, Reach};
pub use blit_fallback::{Confinement, host};
pub use start::{Choice, Started, start, start_confined};
