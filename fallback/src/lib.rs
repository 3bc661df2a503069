//! The thread engine and every operating-system call.
//! It must not know sessions; below `sys` alone it asks which platform it is on.

mod ahead;
mod aside;
mod backlog;
mod confinement;
mod content;
pub mod copy;
pub mod destination;
pub mod dir;
pub mod draft;
mod frames;
pub mod hash;
pub mod host;
pub mod list;
mod made_up;
pub mod metadata;
mod pack;
pub mod place;
mod receive;
pub mod remove;
mod replace;
mod respell;
pub mod send;
pub mod space;
pub mod stream;
pub mod sys;
mod take;
mod threads;
mod turn;
mod waypoints;

pub use backlog::{Backlog, looks_ahead};
pub use confinement::Confinement;
pub use threads::{ThreadEngine, run};

#[cfg(test)]
mod sandbox;
