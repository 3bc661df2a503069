//! The first bytes of a connection: what it is for, and of a data connection the token.
//! It must not know tokens' insides, nor what follows.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::connect::left;
use crate::token::{TOKEN_BYTES, Token};

/// What a connection says it is for.
pub(crate) enum Preamble {
    /// Remote procedure calls.
    Control,
    /// The bytes of files.
    Data {
        /// What the daemon gave for it.
        token: Token,
        /// What names the control connection, where that is encrypted.
        binding: Option<[u8; 32]>,
    },
}

impl Preamble {
    /// What is sent on an encrypted connection, where the handshake has said what it is for.
    pub(crate) fn body(&self) -> Vec<u8> {
        match self {
            Self::Control => Vec::new(),
            Self::Data { token, binding } => {
                let mut bytes = token.to_vec();
                bytes.extend_from_slice(&binding.unwrap_or_default());
                bytes
            }
        }
    }
}

/// Sends what a connection without encryption begins with.
pub(crate) fn send(socket: &TcpStream, preamble: &Preamble, deadline: Instant) -> io::Result<()> {
    let magic = match preamble {
        Preamble::Control => CONTROL_MAGIC,
        Preamble::Data { .. } => DATA_MAGIC,
    };
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&preamble.body());
    Timed { socket, deadline }.write_all(&bytes)
}

/// Reads the token and the binding of a data connection.
pub(crate) fn receive_token(from: &mut impl Read) -> io::Result<(Token, Option<[u8; 32]>)> {
    let mut token = [0; TOKEN_BYTES];
    let mut binding = [0; 32];
    from.read_exact(&mut token)?;
    from.read_exact(&mut binding)?;
    Ok((token, Some(binding).filter(|binding| *binding != [0; 32])))
}

/// Waits for the daemon to take a data connection.
pub(crate) fn receive_welcome(from: &mut impl Read) -> io::Result<()> {
    let mut welcome = [0];
    from.read_exact(&mut welcome).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(io::ErrorKind::PermissionDenied, "closed before the daemon took it")
        }
        _ => error,
    })?;
    if welcome == WELCOME { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A socket whose every wait ends at the deadline.
pub(crate) struct Timed<'a> {
    pub(crate) socket: &'a TcpStream,
    pub(crate) deadline: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        let mut socket = self.socket;
        socket.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        let mut socket = self.socket;
        socket.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a control connection without encryption begins with.
pub(crate) const CONTROL_MAGIC: [u8; MAGIC_BYTES] = *b"BLITCTL1";
/// What a data connection without encryption begins with.
pub(crate) const DATA_MAGIC: [u8; MAGIC_BYTES] = *b"BLITDAT1";
/// Bytes of either.
pub(crate) const MAGIC_BYTES: usize = 8;
/// What the daemon answers to a data connection that it takes.
pub(crate) const WELCOME: [u8; 1] = [1];
