//! Runs a transfer between endpoints, wherever they are. The only crate besides the schema that knows Cap'n Proto.

mod local;
pub mod transfer;
