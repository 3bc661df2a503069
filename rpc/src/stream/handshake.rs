//! The handshake over a socket, within one deadline, up to the keys.
//! It must not know what is sent afterwards.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, ConnectionTrafficSecrets, ExtractedSecrets, SupportedCipherSuite};

use super::record::invalid;
use crate::identity::PublicKey;
use crate::tls::{self, Channel};

/// What a handshake leaves behind.
pub(super) struct Agreed {
    pub(super) secrets: ExtractedSecrets,
    pub(super) keys: Keys,
    pub(super) peer_key: Option<PublicKey>,
    /// Content that arrived with the end of the handshake.
    pub(super) plain: Vec<u8>,
    /// Bytes after it that are not opened yet.
    pub(super) wire: Vec<u8>,
}

/// What makes the next keys of a connection.
pub(super) enum Keys {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Keys {
    pub(super) fn next_to_send(&mut self) -> io::Result<(u64, ConnectionTrafficSecrets)> {
        match self {
            Self::Client(keys) => keys.update_tx_secret(),
            Self::Server(keys) => keys.update_tx_secret(),
        }
        .map_err(io::Error::other)
    }

    pub(super) fn next_to_receive(&mut self) -> io::Result<(u64, ConnectionTrafficSecrets)> {
        match self {
            Self::Client(keys) => keys.update_rx_secret(),
            Self::Server(keys) => keys.update_rx_secret(),
        }
        .map_err(io::Error::other)
    }

    /// After how many records a key must be replaced.
    pub(super) fn records_max(&self) -> u64 {
        let suite = match self {
            Self::Client(keys) => keys.negotiated_cipher_suite(),
            Self::Server(keys) => keys.negotiated_cipher_suite(),
        };
        let SupportedCipherSuite::Tls13(suite) = suite;
        suite.common.confidentiality_limit
    }
}

/// One side's connection as the handshake needs it.
pub(super) trait Side: Sized {
    type Data;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn state(&self) -> &CommonState;
    fn into_keys(self) -> Result<(ExtractedSecrets, Keys), rustls::Error>;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }

    fn state(&self) -> &CommonState {
        self
    }

    fn into_keys(self) -> Result<(ExtractedSecrets, Keys), rustls::Error> {
        let (secrets, keys) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Keys::Client(keys)))
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }

    fn state(&self) -> &CommonState {
        self
    }

    fn into_keys(self) -> Result<(ExtractedSecrets, Keys), rustls::Error> {
        let (secrets, keys) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Keys::Server(keys)))
    }
}

/// A socket whose every wait ends at the deadline.
pub(super) struct Timed<'a> {
    pub(super) socket: &'a TcpStream,
    pub(super) deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Appends what arrives to `wire`.
    fn read(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        let used = wire.len();
        if used >= WIRE_BYTES_MAX {
            return Err(invalid("a handshake that is too long"));
        }
        wire.resize(used + READ_BYTES, 0);
        self.socket.set_read_timeout(Some(self.left()?))?;
        let read = self.socket.read(&mut wire[used..]);
        wire.truncate(used + read.as_ref().map_or(0, |len| *len));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn write_all(&mut self, mut wire: &[u8]) -> io::Result<()> {
        while !wire.is_empty() {
            self.socket.set_write_timeout(Some(self.left()?))?;
            match self.socket.write(wire) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => wire = &wire[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Does the handshake; `wire` is what has arrived already.
pub(super) fn shake<S: Side>(
    mut side: S,
    mut timed: Timed<'_>,
    mut wire: Vec<u8>,
) -> io::Result<Agreed> {
    let mut plain = Vec::new();
    let mut outgoing = Vec::new();
    loop {
        let UnbufferedStatus { discard, state } = side.process(&mut wire);
        let next = match state {
            Ok(state) => step(state, &mut timed, &mut outgoing, &mut plain)?,
            Err(error) => {
                wire.drain(..discard);
                send_alert(&mut side, &mut wire, &mut timed);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
        wire.drain(..discard);
        match next {
            Next::Process => {}
            Next::Read => timed.read(&mut wire)?,
            Next::Done => break,
        }
    }
    if Channel::of(side.state()) != Some(Channel::Data) {
        return Err(invalid("the peer did not ask for a data connection"));
    }
    let peer_key = tls::peer_key(side.state());
    let (secrets, keys) = side.into_keys().map_err(io::Error::other)?;
    Ok(Agreed { secrets, keys, peer_key, plain, wire })
}

enum Next {
    Process,
    Read,
    Done,
}

fn step<Data>(
    state: ConnectionState<'_, '_, Data>,
    timed: &mut Timed<'_>,
    outgoing: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> io::Result<Next> {
    match state {
        ConnectionState::EncodeTlsData(mut data) => {
            let used = outgoing.len();
            if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                outgoing.resize(used + size.required_size, 0);
            }
            data.encode(&mut outgoing[used..]).map_err(io::Error::other)?;
        }
        ConnectionState::TransmitTlsData(data) => {
            timed.write_all(outgoing)?;
            outgoing.clear();
            data.done();
        }
        ConnectionState::ReadTraffic(mut data) => {
            while let Some(record) = data.next_record() {
                plain.extend(record.map_err(io::Error::other)?.payload);
            }
        }
        ConnectionState::BlockedHandshake => return Ok(Next::Read),
        ConnectionState::WriteTraffic(_) => return Ok(Next::Done),
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    Ok(Next::Process)
}

/// Tells the peer why it was refused, as far as that can be said. That it fails changes nothing.
fn send_alert<S: Side>(side: &mut S, wire: &mut [u8], timed: &mut Timed<'_>) {
    let mut outgoing = Vec::new();
    if let Ok(ConnectionState::EncodeTlsData(data)) = side.process(wire).state {
        let state = ConnectionState::EncodeTlsData(data);
        if step(state, timed, &mut outgoing, &mut Vec::new()).is_ok() {
            timed.write_all(&outgoing).unwrap_or_default();
        }
    }
}

/// How much is read at once; a whole flight of blit's handshake is smaller.
const READ_BYTES: usize = 8 * 1024;
/// More than any handshake with a sensible chain of certificates.
const WIRE_BYTES_MAX: usize = 128 * 1024;
