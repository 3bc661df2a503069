//! Reaches a daemon: dials it, agrees on encryption, checks its key. It must not know what is said on the connection.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::stream::{Packing, Stream};
use blit_core::summary::Notice;
use blit_core::{Error, ErrorKind};
use rustls::{CertificateError, ClientConnection, Connection};

use crate::identity::{Files, Identity, PublicKey};
use crate::known::{Known, KnownHosts};
use crate::owners::Names;
use crate::preamble::{self, Preamble};
use crate::shown::address;
use crate::stream::Secure;
use crate::streams::{Plain, Sealed};
use crate::tls::{self, Channel, Credentials, Daemons};
use crate::token::Token;

/// How daemons are reached and trusted.
#[derive(Clone)]
pub struct Access {
    /// Which daemons are talked to.
    pub trust: Trust,
    /// Data connections are not encrypted, where the daemon allows that.
    pub plaintext_data: bool,
    /// Contents are compressed, where the daemon can do that too.
    pub packing: Packing,
    /// There are no data connections: everything goes over the control connection.
    pub force_rpc_data: bool,
    /// How owners are mapped; [`Names::NUMERIC`] maps none.
    pub names: Names,
}

/// Which daemons are talked to.
#[derive(Clone)]
pub enum Trust {
    /// Whoever answers, without encryption: for loopback addresses.
    Plaintext,
    /// Those whose key is known, or not known yet.
    Keys {
        /// This user's key.
        identity: Arc<Identity>,
        /// The keys of daemons.
        known: Arc<KnownHosts>,
        /// A daemon whose key is not known is refused.
        require_known: bool,
    },
    /// Those whose certificate comes from an authority.
    Authority {
        /// This user's key, where no certificate is configured.
        identity: Arc<Identity>,
        /// The authorities.
        ca_file: PathBuf,
        /// This user's certificate and its key.
        certificate: Option<(PathBuf, PathBuf)>,
        /// How files are opened.
        files: Files,
    },
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("plaintext_data", &self.plaintext_data)
            .finish_non_exhaustive()
    }
}

/// A connection that a daemon has accepted.
pub(crate) struct Reached {
    pub(crate) socket: TcpStream,
    pub(crate) seal: Option<Box<Connection>>,
    pub(crate) place: Place,
    /// What the user should know of it.
    pub(crate) notes: Vec<Notice>,
}

/// Where a daemon is, and what further connections to it need.
#[derive(Clone)]
pub(crate) struct Place {
    /// As it was typed.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What answered.
    address: SocketAddr,
    /// It is on this machine.
    pub(crate) is_here: bool,
    /// The key that it has proven.
    key: Option<PublicKey>,
    /// What names the control connection.
    binding: Option<[u8; 32]>,
}

impl Place {
    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        address(&self.host, self.port)
    }

    /// Whether the control connection is encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.binding.is_some()
    }
}

/// Dials the control connection.
///
/// # Errors
/// `Unreachable`, and `Refused` where the daemon's key is not the one that is known.
pub(crate) fn reach(host: &str, port: u16, access: &Access) -> Result<Reached, Error> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let name = address(host, port);
    let socket = dial(&name, &addresses((host, port), &name, deadline)?, deadline)?;
    let failed = |error: io::Error| shake_failed(&name, &error);
    let address = socket.peer_addr().map_err(failed)?;
    let is_here = socket.local_addr().is_ok_and(|local| local.ip() == address.ip());
    let mut place =
        Place { host: host.to_owned(), port, address, is_here, key: None, binding: None };
    if let Trust::Plaintext = access.trust {
        preamble::send(&socket, &Preamble::Control, deadline).map_err(failed)?;
        return Ok(Reached { socket, seal: None, place, notes: Vec::new() });
    }
    let config = config(Channel::Control, &access.trust, None)?;
    let connection = ClientConnection::new(config, tls::server_name(host));
    let connection = connection.map_err(|error| failed(io::Error::other(error)))?;
    let mut connection = Connection::Client(connection);
    shake(&mut connection, &socket, deadline).map_err(|error| match unverified(&error) {
        Some(why) => distrusted(&access.trust, &name, why),
        None => failed(error),
    })?;
    if Channel::of(&connection) != Some(Channel::Control) {
        return Err(not_a_daemon(&name));
    }
    place.binding = Some(tls::channel_binding(&connection)?);
    place.key = tls::peer_key(&connection);
    let notes = match (&access.trust, place.key) {
        (Trust::Keys { known, require_known, .. }, Some(key)) => {
            check_key(known, (host, port), &key, *require_known)?
        }
        (Trust::Keys { .. }, None) => return Err(not_a_daemon(&name)),
        (Trust::Plaintext | Trust::Authority { .. }, _) => Vec::new(),
    };
    Ok(Reached { socket, seal: Some(Box::new(connection)), place, notes })
}

/// A data connection that has not shown its token.
pub(crate) enum Dialled {
    Plain(TcpStream),
    Sealed(Box<Secure>),
}

impl Dialled {
    /// Dials and agrees on encryption. No token is needed for that, so that it can be on its way meanwhile.
    ///
    /// # Errors
    /// Those of the socket; `TimedOut`.
    pub(crate) fn reach(place: &Place, access: &Access, deadline: Instant) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&place.address, left(deadline)?)?;
        socket.set_nodelay(true)?;
        if !place.is_sealed() || access.plaintext_data {
            return Ok(Self::Plain(socket));
        }
        let config = config(Channel::Data, &access.trust, place.key).map_err(io::Error::other)?;
        let stream = Secure::connect(socket, &config, tls::server_name(&place.host), deadline)?;
        Ok(Self::Sealed(Box::new(stream)))
    }

    /// Shows the token, after which the daemon takes the connection.
    ///
    /// # Errors
    /// Those of the socket; `TimedOut`; `UnexpectedEof` when the daemon does not take it.
    pub(crate) fn present(
        self,
        place: &Place,
        token: Token,
        deadline: Instant,
        patience: Option<Duration>,
    ) -> io::Result<Box<dyn Stream>> {
        let preamble = Preamble::Data { token, binding: place.binding };
        match self {
            Self::Plain(socket) => {
                preamble::send(&socket, &preamble, deadline)?;
                preamble::receive_welcome(&mut preamble::Timed { socket: &socket, deadline })?;
                Ok(Box::new(Plain::new(socket, patience)?))
            }
            Self::Sealed(mut stream) => {
                stream.set_timeout(Some(left(deadline)?))?;
                stream.write_all(&preamble.body())?;
                stream.set_deadline(Some(deadline))?;
                preamble::receive_welcome(&mut *stream)?;
                stream.set_deadline(None)?;
                Ok(Box::new(Sealed::new(*stream, patience)?))
            }
        }
    }
}

fn config(
    channel: Channel,
    trust: &Trust,
    expected: Option<PublicKey>,
) -> Result<Arc<rustls::ClientConfig>, Error> {
    match trust {
        Trust::Plaintext => {
            Err(Error::because(ErrorKind::Internal, "connect", b"", "there is no encryption"))
        }
        Trust::Keys { identity, .. } => {
            // The key of the control connection is judged when it is proven; data connections must have the same one.
            let accept = move |key: &PublicKey| expected.is_none_or(|expected| expected == *key);
            let daemons = Daemons::Keys(Arc::new(accept));
            tls::client(channel, daemons, Credentials::Key(identity))
        }
        Trust::Authority { identity, ca_file, certificate, files } => {
            let daemons = Daemons::Authority(ca_file, *files);
            let credentials = match certificate {
                Some((cert, key)) => Credentials::Files { cert, key, files: *files },
                None => Credentials::Key(identity),
            };
            tls::client(channel, daemons, credentials)
        }
    }
}

/// Compares a proven key with the one that is known.
fn check_key(
    known: &KnownHosts,
    (host, port): (&str, u16),
    key: &PublicKey,
    require_known: bool,
) -> Result<Vec<Notice>, Error> {
    let name = address(host, port);
    let refuse =
        |why: String| Err(Error::because(ErrorKind::Refused, "trust", name.as_bytes(), why));
    let mut found = known.check(host, port, key)?;
    if matches!(found, Known::New) {
        if require_known {
            return refuse(format!("its key {key} is not known, and --require-known is given"));
        }
        found = known.pin(host, port, key)?;
        if !matches!(found, Known::Changed { .. }) {
            let note = format!("the key of {name} is new and is trusted from now on: {key}");
            return Ok(vec![Notice::Note(note)]);
        }
    }
    match found {
        Known::Changed { old } => refuse(format!(
            "its key has changed: it was {} and is {}, {key}; if that is right, blit key forget {host}:{port}",
            old.fingerprint(),
            key.fingerprint()
        )),
        Known::Same | Known::New => Ok(Vec::new()),
    }
}

/// Looks a name up. The system may take minutes over that and cannot be stopped, so it is asked in a thread that nobody waits for
/// after the deadline.
fn addresses(
    (host, port): (&str, u16),
    name: &str,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Error> {
    let failed = |error: io::Error| {
        Error::io("look up", name.as_bytes(), error).with_kind(ErrorKind::Unreachable)
    };
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = sync_channel(1);
    let host = host.to_owned();
    let look_up = move || {
        let found = (&*host, port).to_socket_addrs().map(|found| found.collect::<Vec<_>>());
        // Whoever asked has given up.
        drop(tell.send(found));
    };
    Builder::new().name("blit-lookup".to_owned()).spawn(look_up).map_err(failed)?;
    let found = told.recv_timeout(left(deadline).map_err(failed)?);
    let addresses = match found {
        Ok(found) => found.map_err(failed)?,
        Err(_) => {
            let why = "the name was not found in time";
            return Err(Error::because(ErrorKind::Unreachable, "look up", name.as_bytes(), why));
        }
    };
    if addresses.is_empty() {
        let why = "the name has no address";
        return Err(Error::because(ErrorKind::Unreachable, "look up", name.as_bytes(), why));
    }
    Ok(addresses)
}

/// Tries all addresses of a name, each for its part of the time that is left.
fn dial(name: &str, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Error> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (address, left_to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = u32::try_from(left_to_try).unwrap_or(u32::MAX);
        let Ok(time) = left(deadline) else { break };
        match TcpStream::connect_timeout(address, (time / share).max(Duration::from_millis(1))) {
            Ok(socket) => {
                // Small messages must not wait for the answer to the one before.
                socket.set_nodelay(true).unwrap_or_default();
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(Error::io("connect to", name.as_bytes(), last).with_kind(ErrorKind::Unreachable))
}

/// Does the handshake on a socket that blocks.
pub(crate) fn shake(
    connection: &mut Connection,
    socket: &TcpStream,
    deadline: Instant,
) -> io::Result<()> {
    let mut timed = preamble::Timed { socket, deadline };
    while connection.is_handshaking() || connection.wants_write() {
        connection.complete_io(&mut timed)?;
    }
    Ok(())
}

fn shake_failed(name: &str, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => {
            "it closed the connection before it said what it is".to_owned()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "it did not answer in time".to_owned()
        }
        _ if speaks_no_tls(error) => return not_a_daemon(name),
        _ => error.to_string(),
    };
    Error::because(ErrorKind::Unreachable, "connect to", name.as_bytes(), why)
}

/// What is wrong with the certificate that a daemon has shown, where that ended the handshake.
fn unverified(error: &io::Error) -> Option<&CertificateError> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match inner {
        rustls::Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}

fn distrusted(trust: &Trust, name: &str, why: &CertificateError) -> Error {
    let why = match why {
        _ if matches!(trust, Trust::Keys { .. }) => {
            "it shows a certificate in place of a key; --ca-file trusts its authority".to_owned()
        }
        CertificateError::UnknownIssuer => "no authority in --ca-file has signed it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; see that the clock is right".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for a host of this name".to_owned()
        }
        other => other.to_string(),
    };
    Error::because(ErrorKind::Refused, "verify certificate of", name.as_bytes(), why)
}

/// What came was no record at all; the alerts of a daemon are.
fn speaks_no_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}

fn not_a_daemon(name: &str) -> Error {
    let why = "what answers there is not a blit daemon";
    Error::because(ErrorKind::Unreachable, "connect to", name.as_bytes(), why)
}

/// What is left of the time.
pub(crate) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A token as the daemon gave it.
pub(crate) fn token(bytes: &[u8]) -> Result<Token, Error> {
    bytes.try_into().map_err(|_| crate::convert::protocol("the daemon sent what is not a token"))
}

/// From dialling to the end of the handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a data connection: without it there is another way, which is to be taken before anything has stalled.
pub(crate) const DATA_TIMEOUT: Duration = Duration::from_secs(4);
