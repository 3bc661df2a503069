//! Sending and receiving tasks with the other end of each stream in the hands of the test, on both engines.
//! It must not know how sessions cut a transfer into tasks.
#![expect(clippy::panic, clippy::print_stdout, reason = "what a test may do, its rig may too")]

#[path = "plane/draft.rs"]
mod draft;
#[path = "plane/peer.rs"]
mod peer;
#[path = "plane/receive.rs"]
mod receive;
#[path = "plane/rig.rs"]
mod rig;
#[path = "plane/send.rs"]
mod send;
