//! Runs a transfer between endpoints, wherever they are. The only crate besides the schema that knows Cap'n Proto.

mod carrier;
mod client;
pub mod connect;
pub mod convert;
mod data;
pub mod identity;
mod intake;
pub mod jobs;
pub mod keep;
pub mod known;
mod link;
mod local;
pub mod look;
pub mod owners;
mod preamble;
mod protocol;
mod remote;
pub mod remove;
mod rename;
pub mod serve;
mod shown;
mod socket;
pub mod stream;
mod streams;
pub mod tls;
pub mod token;
pub mod transfer;
