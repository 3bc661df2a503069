//! The two roles of a transfer as state machines without I/O.

pub mod schedule;
