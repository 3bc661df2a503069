//! The thread engine and every operating-system call.
//! It must not know sessions; below `sys` alone it asks which platform it is on.

mod ahead;
mod aside;
mod content;
pub mod copy;
pub mod destination;
pub mod dir;
pub mod hash;
pub mod list;
pub mod metadata;
pub mod place;
pub mod remove;
mod replace;
pub mod space;
pub mod sys;
mod take;
mod threads;
mod turn;

pub use threads::{ThreadEngine, run};

#[cfg(test)]
mod sandbox;
