//! Runs a transfer between endpoints, wherever they are. The only crate besides the schema that knows Cap'n Proto.

pub mod keep;
mod local;
pub mod look;
pub mod remove;
mod rename;
pub mod transfer;
