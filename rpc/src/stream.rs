//! An encrypted stream over a socket, for the bytes of files; it blocks.
//! It must not know what the bytes mean, nor whether the peer may send them.

mod handshake;
mod record;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};

use crate::connect::left;
use crate::identity::PublicKey;
use handshake::{Agreed, Keys, Timed, shake};
use record::{
    ALERT, APPLICATION, ARRIVING_BYTES_MAX, HANDSHAKE, HEADER_BYTES, Key, PLAIN_BYTES_MAX,
    RECORD_BYTES_MAX, TAG_BYTES, body_len, invalid,
};

/// A connection of the data channel, encrypted, with a peer that proved its key if it has one.
///
/// Waits end with `TimedOut` after the time set by [`Secure::set_timeout`]. Reading may then be tried again; a write that
/// failed cannot be repeated, and all later ones fail.
pub struct Secure {
    socket: TcpStream,
    peer_key: Option<PublicKey>,
    keys: Keys,
    records_max: u64,
    sending: Sending,
    receiving: Receiving,
}

struct Sending {
    key: Key,
    wire: Vec<u8>,
    /// The peer wants this side to change its key before it sends more.
    must_update: bool,
    is_broken: bool,
}

struct Receiving {
    key: Key,
    /// What has arrived and is not opened: `wire[start..end]`.
    wire: Vec<u8>,
    start: usize,
    end: usize,
    /// Content that was opened and not yet taken: `plain[taken..]`.
    plain: Vec<u8>,
    taken: usize,
    /// Records in a row that had no content.
    empty: u32,
    /// When all waiting ends, however much has arrived by then.
    deadline: Option<Instant>,
    has_ended: bool,
    /// What came after is not trusted any more.
    is_broken: bool,
}

/// Ends a stream from another thread: whoever waits in it is woken with an error.
#[derive(Debug)]
pub struct Closer(TcpStream);

impl Closer {
    /// Ends the stream; more than once is as good as once.
    pub fn close(&self) {
        // It may be closed already, which is what is wanted.
        self.0.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

impl Secure {
    /// Does the handshake as the client, until `deadline` at most. `config` is one of [`crate::tls::client`] for data.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` when the peer is refused or breaks the rules; those of the socket.
    pub fn connect(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let side = UnbufferedClientConnection::new(Arc::clone(config), name);
        let side = side.map_err(io::Error::other)?;
        let agreed = shake(side, Timed { socket: &socket, deadline }, Vec::new());
        Self::new(agreed.map_err(name_timeout)?, socket)
    }

    /// Does the handshake as the server, until `deadline` at most, after `received` was read from the socket already.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` when the peer is refused or breaks the rules; those of the socket.
    pub fn accept(
        socket: TcpStream,
        config: &Arc<ServerConfig>,
        received: &[u8],
        deadline: Instant,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let side = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let agreed = shake(side, Timed { socket: &socket, deadline }, received.to_vec());
        Self::new(agreed.map_err(name_timeout)?, socket)
    }

    fn new(agreed: Agreed, socket: TcpStream) -> io::Result<Self> {
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        let Agreed { secrets, keys, peer_key, plain, mut wire } = agreed;
        let end = wire.len();
        wire.resize(RECEIVE_BYTES.max(end), 0);
        let receiving = Receiving {
            key: Key::new(secrets.rx.0, secrets.rx.1)?,
            wire,
            start: 0,
            end,
            plain,
            taken: 0,
            empty: 0,
            deadline: None,
            has_ended: false,
            is_broken: false,
        };
        let sending = Sending {
            key: Key::new(secrets.tx.0, secrets.tx.1)?,
            wire: vec![0; SEND_RECORDS * RECORD_BYTES_MAX],
            must_update: false,
            is_broken: false,
        };
        let records_max = keys.records_max();
        Ok(Self { socket, peer_key, keys, records_max, sending, receiving })
    }

    /// The key that the peer proved.
    pub fn peer_key(&self) -> Option<PublicKey> {
        self.peer_key
    }

    /// The socket, for its addresses and options. What is read from it or written to it is lost to the stream.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// How long one wait for the peer may last, in either direction; for ever with none.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)?;
        self.socket.set_write_timeout(timeout)
    }

    /// When all waits for what the peer sends end, whatever has arrived by then: a peer that sends a byte now and then is
    /// as bad as a silent one. In place of what [`Secure::set_timeout`] says of that; with none, they last for ever again.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        self.receiving.deadline = deadline;
        if deadline.is_none() { self.socket.set_read_timeout(None) } else { Ok(()) }
    }

    /// What ends the stream from another thread.
    ///
    /// # Errors
    /// Those of the socket, when no more files can be open.
    pub fn closer(&self) -> io::Result<Closer> {
        self.socket.try_clone().map(Closer)
    }

    /// Tells the peer that all is said; it then reads an end, not an error. Reading stays possible.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn finish(&mut self) -> io::Result<()> {
        self.send_control(ALERT, &CLOSE_NOTIFY)?;
        self.socket.shutdown(Shutdown::Write)
    }

    fn send_control(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let sending = &mut self.sending;
        let len = sending.key.seal(kind, content, &mut sending.wire)?;
        sending.send(&self.socket, len)
    }

    /// Changes the key for sending, at the peer's request or because it was used often enough.
    fn update_key(&mut self) -> io::Result<()> {
        self.sending.must_update = false;
        self.send_control(HANDSHAKE, &KEY_UPDATE)?;
        // The peer expects the next key now: without it, nothing can be said any more.
        let next = self.keys.next_to_send().and_then(|(used, secrets)| Key::new(used, secrets));
        self.sending.is_broken |= next.is_err();
        self.sending.key = next?;
        Ok(())
    }

    /// Opens the next record, into `into` if it has room for it. How many bytes of content went there.
    fn open_next(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let receiving = &mut self.receiving;
        let (header, len) = receiving.fill(&self.socket)?;
        let body_at = receiving.start + HEADER_BYTES;
        receiving.start = body_at + len;
        let body = &mut receiving.wire[body_at..body_at + len];
        let opened_len = len - TAG_BYTES;
        let direct = into.len() >= opened_len;
        let (kind, content_len) = if direct {
            receiving.key.open_apart(header, body, &mut into[..opened_len])?
        } else {
            receiving.key.open_in_place(header, body)?
        };
        match kind {
            APPLICATION if direct => Ok(content_len),
            APPLICATION => {
                let now = content_len.min(into.len());
                into[..now].copy_from_slice(&body[..now]);
                receiving.plain.clear();
                receiving.plain.extend_from_slice(&body[now..content_len]);
                receiving.taken = 0;
                Ok(now)
            }
            _ => {
                let content = if direct { &into[..content_len] } else { &body[..content_len] };
                let told = Told::read(kind, content)?;
                self.obey(told)?;
                Ok(0)
            }
        }
    }

    fn obey(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::End => self.receiving.has_ended = true,
            Told::Nothing => {}
            Told::NewKey { and_ours } => {
                let (used, secrets) = self.keys.next_to_receive()?;
                self.receiving.key = Key::new(used, secrets)?;
                self.sending.must_update |= and_ours;
            }
        }
        Ok(())
    }
}

impl Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.receiving.is_broken {
            return Err(invalid("the stream failed before"));
        }
        let mut filled = self.receiving.take(into);
        // Goes on with what is here already, so that one call fills a large buffer; waits only while it has nothing.
        while filled < into.len() && !self.receiving.has_ended {
            if filled > 0 && !self.receiving.has_record() {
                break;
            }
            let len = self.open_next(&mut into[filled..]).map_err(name_timeout);
            filled += self.receiving.judge(len)?;
        }
        Ok(filled)
    }
}

impl Write for Secure {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let is_used_up = self.sending.key.used().saturating_add(SEND_MARGIN) >= self.records_max;
        if self.sending.must_update || is_used_up {
            self.update_key()?;
        }
        let sending = &mut self.sending;
        let (mut len, mut taken) = (0, 0);
        for plain in from.chunks(PLAIN_BYTES_MAX).take(SEND_RECORDS) {
            len += sending.key.seal(APPLICATION, plain, &mut sending.wire[len..])?;
            taken += plain.len();
        }
        sending.send(&self.socket, len)?;
        Ok(taken)
    }

    /// Nothing is held back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("socket", &self.socket)
            .field("peer_key", &self.peer_key)
            .finish_non_exhaustive()
    }
}

impl Sending {
    fn send(&mut self, mut socket: &TcpStream, len: usize) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        socket.write_all(&self.wire[..len]).map_err(|error| {
            self.is_broken = true;
            name_timeout(error)
        })
    }
}

impl Receiving {
    /// Content that was opened before.
    fn take(&mut self, into: &mut [u8]) -> usize {
        let rest = &self.plain[self.taken..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        len
    }

    /// Counts what a record brought. After an error other than a wait that was too long, nothing is read any more; and
    /// a peer that keeps sending nothing is as bad as one that is silent, but no timeout ends it.
    fn judge(&mut self, len: io::Result<usize>) -> io::Result<usize> {
        let len = len.and_then(|len| {
            self.empty = if len == 0 { self.empty + 1 } else { 0 };
            if self.empty > EMPTY_RECORDS_MAX {
                return Err(invalid("too many records without content"));
            }
            Ok(len)
        });
        self.is_broken |= len.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::TimedOut);
        len
    }

    fn header(&self) -> Option<[u8; HEADER_BYTES]> {
        self.wire[self.start..self.end].first_chunk().copied()
    }

    /// Whether the next record has arrived in whole, or is none.
    fn has_record(&self) -> bool {
        self.header().is_some_and(|header| {
            body_len(header).is_ok_and(|len| self.end - self.start >= HEADER_BYTES + len)
        })
    }

    /// Waits until a whole record has arrived; its header and the length of its body.
    fn fill(&mut self, mut socket: &TcpStream) -> io::Result<([u8; HEADER_BYTES], usize)> {
        loop {
            if let Some(header) = self.header() {
                let len = body_len(header)?;
                if self.end - self.start >= HEADER_BYTES + len {
                    return Ok((header, len));
                }
            }
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            } else if self.wire.len() - self.start < ARRIVING_BYTES_MAX {
                self.wire.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if let Some(deadline) = self.deadline {
                socket.set_read_timeout(Some(left(deadline)?))?;
            }
            match socket.read(&mut self.wire[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a record that carries no content says.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// All is said.
    End,
    /// What the peer sends next is sealed with its next key; it may ask for the same.
    NewKey {
        and_ours: bool,
    },
    Nothing,
}

impl Told {
    fn read(kind: u8, content: &[u8]) -> io::Result<Self> {
        match (kind, content) {
            (ALERT, [_, CLOSED]) => Ok(Self::End),
            // Says that an end follows, nothing else.
            (ALERT, [_, CANCELLED]) => Ok(Self::Nothing),
            (ALERT, [_, code]) => Err(invalid(&format!("the peer gave up with TLS alert {code}"))),
            (HANDSHAKE, messages) => Self::read_messages(messages),
            _ => Err(unexpected()),
        }
    }

    /// Whole messages alone; after a change of keys nothing more can be in a record.
    fn read_messages(mut messages: &[u8]) -> io::Result<Self> {
        loop {
            messages = match messages {
                [24, 0, 0, 1, and_ours @ (0 | 1)] => {
                    return Ok(Self::NewKey { and_ours: *and_ours == 1 });
                }
                // A ticket to resume with, which is not wanted here.
                [4, high, middle, low, rest @ ..] => {
                    let len = u32::from_be_bytes([0, *high, *middle, *low]);
                    let len = usize::try_from(len).map_err(|_| unexpected())?;
                    rest.get(len..).ok_or_else(unexpected)?
                }
                _ => return Err(unexpected()),
            };
            if messages.is_empty() {
                return Ok(Self::Nothing);
            }
        }
    }
}

fn unexpected() -> io::Error {
    invalid("a record that is not expected here")
}

/// The system calls an expired timeout by two names.
fn name_timeout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the peer is silent"),
        _ => error,
    }
}

/// How many records go out in one call: 256 KiB, which stay in the second-level cache until the system has them.
const SEND_RECORDS: usize = 16;
/// How much is received in one call, for the same reason.
const RECEIVE_BYTES: usize = 256 * 1024;
/// How many records before its last a key is replaced: those of one call and those that end the stream.
const SEND_MARGIN: u64 = 2 * SEND_RECORDS as u64;

/// How many records without content may come in a row; an honest peer sends one or two when it changes its key.
const EMPTY_RECORDS_MAX: u32 = 32;

/// The alerts that are no failures.
const CLOSED: u8 = 0;
const CANCELLED: u8 = 90;
const CLOSE_NOTIFY: [u8; 2] = [1, CLOSED];
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

#[cfg(test)]
mod tests;
