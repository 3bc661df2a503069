//! What a transfer is: sessions, their tasks and their frames.
//! It must not do I/O, read a clock, start a thread, or ask which platform it is on.

pub mod acl;
pub mod codec;
pub mod drive;
pub mod endpoint;
pub mod engine;
pub mod entry;
pub mod error;
pub mod event;
pub mod filter;
pub mod frame;
pub mod header;
pub mod link;
pub mod pace;
pub mod path;
pub mod session;
pub mod sim;
pub mod spec;
pub mod stall;
pub mod stream;
pub mod summary;
pub mod task;

pub use error::{Error, ErrorKind};
