//! The seam between the daemon and what it serves.
//! It must not know the wire.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use blit_core::Error;

use crate::admission::Slot;
use crate::config::Config;
use crate::state::State;

/// Answers connections.
pub trait Service: Send + Sync {
    /// Serves one connection, in a thread of its own. It may also hand the connection to others and return: the
    /// connection counts for as long as its `slot` lives.
    fn serve(&self, connection: Connection);

    /// The daemon is to end: sessions that run go on, nothing new begins, and idle connections are closed.
    fn drain(&self);

    /// The time for that is over: whatever runs is ended.
    fn end(&self);
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Connection {
    /// The socket, blocking and without timeouts.
    pub stream: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// The daemon's own end.
    pub local: SocketAddr,
    /// Its place among the connections.
    pub slot: Slot,
}

/// Makes the service, once the configuration and the addresses are known and before anything is accepted.
pub type Start = fn(&Arc<State>) -> Result<Arc<dyn Service>, Error>;

/// Tells the text of the daemon's key, which is made if there is none.
pub type ShowKey = fn(&Config) -> Result<String, Error>;

/// What the daemon is made to serve.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Makes the service.
    pub start: Start,
    /// Tells the key.
    pub show_key: ShowKey,
}
