//! What a process that keeps running asks of its host: accounts, operator's files, signals, its supervisor.
//! It must not know what the process serves.

pub use crate::sys::{
    Account, Signal, Signals, account, group_id, group_name, group_number, inherited_listeners,
    notify, notify_reloading, user_name, user_number,
};
