//! Windows: what a process that keeps running can have here.
//! It must not know what the process serves.
//!
//! There are no accounts with numbers, no signals and no supervisor that hands over sockets: Ctrl-C ends the process.

use std::io;
use std::net::TcpListener;

use crate::sys::{Account, Signal};

/// The account of that name; there is none that files could be given to.
///
/// # Errors
/// Always.
pub fn account(_name: &str) -> io::Result<Option<Account>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no accounts with numbers"))
}

/// The number of the group of that name; as [`account`].
///
/// # Errors
/// Always.
pub fn group_id(_name: &str) -> io::Result<Option<u32>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no groups with numbers"))
}

/// The name of a user; numbers have none here.
pub fn user_name(_uid: u32) -> Option<String> {
    None
}

/// The name of a group; as [`user_name`].
pub fn group_name(_gid: u32) -> Option<String> {
    None
}

/// The number of a user; names have none here.
pub fn user_number(_name: &str) -> Option<u32> {
    None
}

/// The number of a group; as [`user_number`].
pub fn group_number(_name: &str) -> Option<u32> {
    None
}

/// The listening sockets that whoever started this process opened for it: none.
///
/// # Errors
/// Never.
pub fn inherited_listeners() -> io::Result<Vec<(String, TcpListener)>> {
    Ok(Vec::new())
}

/// Tells the supervisor that started this process; there is none.
///
/// # Errors
/// Never.
pub fn notify(_state: &str) -> io::Result<bool> {
    Ok(false)
}

/// As [`notify`].
///
/// # Errors
/// Never.
pub fn notify_reloading() -> io::Result<bool> {
    Ok(false)
}

/// What this process is told by signals: nothing.
#[derive(Debug)]
pub struct Signals(());

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// Never.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Waits for the next one, which never comes.
    ///
    /// # Errors
    /// Never.
    pub fn wait(&mut self) -> io::Result<Signal> {
        loop {
            std::thread::park();
        }
    }
}
