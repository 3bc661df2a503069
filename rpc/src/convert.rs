//! Between the messages of the schema and the values of the core. Whatever a peer sends is checked here; what passes is
//! within the bounds of `schema/PROTOCOL.md`. It must not know how messages are carried.

pub(crate) mod frame;
pub(crate) mod spec;
pub(crate) mod summary;
#[cfg(test)]
mod tests;

use blit_core::codec::{Decoder, Encoder, Malformed};
use blit_core::{Error, ErrorKind};

/// The bytes of an error.
pub(crate) fn error_bytes(error: &Error) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder(&mut bytes).error(error);
    bytes
}

/// What stands in the field `error` of an answer: nothing is no error.
pub(crate) fn read_error(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() { Ok(()) } else { Err(told_error(bytes)?) }
}

/// An error that the peer tells.
pub(crate) fn told_error(bytes: &[u8]) -> Result<Error, Error> {
    let mut decoder = Decoder(bytes);
    let error = decoder.error()?;
    if decoder.is_empty() { Ok(error) } else { Err(Malformed.into()) }
}

/// Words for what a peer sends against the protocol.
pub(crate) fn protocol(why: &str) -> Error {
    Error::because(ErrorKind::Protocol, "receive", b"", why)
}

/// Why a message could not be read.
pub(crate) fn unreadable(_: impl std::error::Error) -> Error {
    protocol("the peer sent a message that cannot be read")
}

/// A text from the peer.
pub(crate) fn text(reader: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, Error> {
    reader.and_then(|text| Ok(text.to_string()?)).map_err(unreadable)
}

/// A number that fits the protocol's 32 bits by the bounds of this program.
pub(crate) fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
