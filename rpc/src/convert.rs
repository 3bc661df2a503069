//! Between the messages of the schema and the values of the core. Whatever a peer sends is checked here; what passes is
//! within the bounds of `schema/PROTOCOL.md`. It must not know how messages are carried.

pub(crate) mod frame;
pub(crate) mod job;
pub(crate) mod spec;
pub(crate) mod standing;
pub(crate) mod summary;
#[cfg(test)]
mod tests;
mod trial;

use blit_core::codec::{Decoder, Encoder, Malformed};
use blit_core::entry::FileId;
use blit_core::{Error, ErrorKind};
use blit_schema::session_capnp::file_id;
use capnp::struct_list;

pub use trial::{Trial, try_message};

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

/// Says which inode something is.
pub(crate) fn write_id(id: FileId, mut to: file_id::Builder<'_>) {
    to.set_dev(id.dev);
    to.set_ino(id.ino);
}

/// Says which inodes things are.
pub(crate) fn write_ids(ids: &[FileId], mut to: struct_list::Builder<'_, file_id::Owned>) {
    for (index, id) in (0..).zip(ids) {
        write_id(*id, to.reborrow().get(index));
    }
}

/// Which inode something is.
pub(crate) fn read_id(from: file_id::Reader<'_>) -> FileId {
    FileId { dev: from.get_dev(), ino: from.get_ino() }
}

/// Which inodes things are, at most as many as there are directories above one another.
pub(crate) fn read_ids(from: struct_list::Reader<'_, file_id::Owned>) -> Vec<FileId> {
    from.iter().take(IDS_MAX).map(read_id).collect()
}

/// A number that fits the protocol's 32 bits by the bounds of this program.
pub(crate) fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Directories above one another.
const IDS_MAX: usize = 4096;
