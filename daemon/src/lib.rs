//! `blitd`: configuration, listening, admission, logs, metrics, life cycle.
//! Below [`wire`] alone the protocol is known: a [`service::Service`] answers connections.

pub mod admission;
pub mod args;
pub mod config;
pub mod escape;
pub mod life;
pub mod listen;
pub mod logs;
pub mod manual;
pub mod metrics;
pub mod options;
pub mod report;
pub mod service;
pub mod sessions;
pub mod state;
pub mod wire;
