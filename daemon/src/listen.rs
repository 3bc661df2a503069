//! The addresses at which connections are accepted, and the threads that do it.
//! It must not know what a connection is for.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_engine::host;

use crate::admission::Seldom;
use crate::options::Options;
use crate::service::{Connection, Service};
use crate::state::State;

/// A socket that listens, and where.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: TcpListener,
    /// Its address, with the port that it really has.
    pub address: SocketAddr,
}

/// All sockets of a daemon.
#[derive(Debug)]
pub struct Sockets {
    /// Those that are served.
    pub service: Vec<Bound>,
    /// The one at which counters are told.
    pub metrics: Option<Bound>,
}

impl Sockets {
    /// Takes the sockets that a supervisor hands over, unless addresses were typed, or opens those that `options` name.
    /// Afterwards `options` name the addresses as they are.
    ///
    /// # Errors
    /// Which address cannot be had, and why.
    pub fn open(options: &mut Options) -> Result<Self, Error> {
        let taken = host::inherited_listeners();
        let taken = taken.map_err(|error| Error::io("take over sockets", b"LISTEN_FDS", error))?;
        let mut sockets = Self { service: Vec::new(), metrics: None };
        for (name, socket) in taken {
            let bound = Bound::of(socket)?;
            if name == METRICS_NAME {
                sockets.metrics = Some(bound);
            } else if options.typed_listen.is_empty() {
                sockets.service.push(bound);
            }
        }
        if sockets.service.is_empty() {
            let bound = options.config.listen.iter().map(|address| Bound::bind(*address));
            sockets.service = bound.collect::<Result<_, _>>()?;
        }
        if sockets.metrics.is_none() {
            sockets.metrics = options.config.metrics.map(Bound::bind).transpose()?;
        }
        options.config.listen = sockets.service.iter().map(|bound| bound.address).collect();
        options.check_reach()?;
        Ok(sockets)
    }

    /// Says on standard output where connections are accepted, one line each.
    ///
    /// # Errors
    /// Those of writing.
    pub fn announce(&self) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        let lines = self.service.iter().map(|bound| format!("listening on {}\n", bound.address));
        let text: String = lines.collect();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Error::io("write", b"standard output", error))
    }
}

impl Bound {
    /// Listens at `address`.
    ///
    /// # Errors
    /// Those of `bind(2)`, with the address.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let failed = |error| Error::io("listen on", address.to_string().as_bytes(), error);
        Self::of(TcpListener::bind(address).map_err(failed)?)
    }

    fn of(socket: TcpListener) -> Result<Self, Error> {
        let address = socket.local_addr();
        let address = address.map_err(|error| Error::io("listen on", b"socket", error))?;
        Ok(Self { socket, address })
    }
}

/// The threads that accept connections.
#[derive(Debug)]
pub struct Doors {
    closing: Arc<AtomicBool>,
    addresses: Vec<SocketAddr>,
    closed: Receiver<()>,
}

impl Doors {
    /// Accepts connections at each of `sockets` from now on.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn open(
        sockets: Vec<Bound>,
        state: &Arc<State>,
        service: &Arc<dyn Service>,
    ) -> Result<Self, Error> {
        let closing = Arc::<AtomicBool>::default();
        let addresses = sockets.iter().map(|bound| bound.address).collect();
        let (sender, closed) = channel();
        for Bound { socket, address } in sockets {
            let door = Door {
                socket,
                state: Arc::clone(state),
                service: Arc::clone(service),
                closing: Arc::clone(&closing),
                refusals: Seldom::new(REFUSALS_INTERVAL),
                failures: Seldom::new(REFUSALS_INTERVAL),
            };
            let sender: Sender<()> = sender.clone();
            let started = Builder::new().name("blitd-accept".to_owned()).spawn(move || {
                door.serve();
                // Its socket is closed before that is said.
                drop(door);
                drop(sender);
            });
            started
                .map_err(|error| Error::io("listen on", address.to_string().as_bytes(), error))?;
        }
        Ok(Self { closing, addresses, closed })
    }

    /// Accepts nothing any more and closes the sockets.
    pub fn close(self) {
        self.closing.store(true, Ordering::Release);
        for address in &self.addresses {
            // A thread that waits for a connection is woken by one. If that fails, somebody else's does it.
            drop(TcpStream::connect_timeout(&reachable(*address), CLOSE_MAX));
        }
        // It ends when the last thread has dropped its sender, and no message is ever sent.
        let _closed = self.closed.recv_timeout(CLOSE_MAX);
    }
}

/// An address at which this machine reaches what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

struct Door {
    socket: TcpListener,
    state: Arc<State>,
    service: Arc<dyn Service>,
    closing: Arc<AtomicBool>,
    refusals: Seldom,
    failures: Seldom,
}

impl Door {
    fn serve(&self) {
        loop {
            let accepted = self.socket.accept();
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => self.wait_out(&error),
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let slot = match self.state.admission.admit(peer.ip()) {
            Ok(slot) => slot,
            Err(full) => {
                // To be dropped is all that such a connection gets: an answer would cost more.
                drop(stream);
                if let Some(times) = self.refusals.count(Instant::now()) {
                    tracing::warn!(%peer, times, "refused connections: {}", full.words());
                }
                return;
            }
        };
        let Ok(local) = stream.local_addr() else { return };
        tracing::debug!(%peer, %local, "accepted");
        let connection = Connection { stream, peer, local, slot };
        let service = Arc::clone(&self.service);
        let serve = move || service.serve(connection);
        if let Err(error) = Builder::new().name("blitd-connection".to_owned()).spawn(serve) {
            self.wait_out(&error);
        }
    }

    /// What keeps one connection from being accepted, such as a lack of descriptors, would most likely keep the next
    /// one as well, for a while.
    fn wait_out(&self, error: &io::Error) {
        if let Some(times) = self.failures.count(Instant::now()) {
            tracing::error!(times, "accept connection: {error}");
        }
        if error.kind() != io::ErrorKind::ConnectionAborted {
            std::thread::sleep(FAILED_ACCEPT_WAIT);
        }
    }
}

/// The name under which a supervisor hands over the socket of the metrics.
const METRICS_NAME: &str = "metrics";
/// How often refusals are logged: seldom enough that a flood of connections does not become one of lines.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(5);
/// After a failed accept: long enough not to spin, short enough that nobody notices.
const FAILED_ACCEPT_WAIT: Duration = Duration::from_millis(100);
/// To close a socket of this machine takes a moment; a broken one must not keep the daemon.
const CLOSE_MAX: Duration = Duration::from_secs(1);
