//! Reads frames from a data stream, proven and unpacked. It must not know what is in them.

use std::io;

use blit_core::codec::Malformed;
use blit_core::header::{HEADER_BYTES, Header};
use blit_core::stream::{Stream, Ticket};
use xxhash_rust::xxh3::xxh3_64;

use crate::pack::Unpacker;

/// Frames of one stream.
pub(crate) struct Frames<'a> {
    stream: &'a mut dyn Stream,
    pub(crate) body: Vec<u8>,
    unpacker: Unpacker,
}

impl<'a> Frames<'a> {
    /// Those that `stream` brings.
    pub(crate) fn of(stream: &'a mut dyn Stream) -> Self {
        Self { stream, body: Vec::new(), unpacker: Unpacker::default() }
    }

    /// The next frame, its body in `self.body`; `None` where the stream ends between two. Of `ticket`, where one is given.
    pub(crate) fn next(&mut self, ticket: Option<Ticket>) -> io::Result<Option<Header>> {
        let mut head = [0; HEADER_BYTES];
        match fill(self.stream, &mut head)? {
            HEADER_BYTES => {}
            0 if ticket.is_none() => return Ok(None),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let header = Header::decode(&head).map_err(malformed)?;
        let is_protected = self.stream.is_sealed() || header.digest.is_some();
        if !is_protected || ticket.is_some_and(|ticket| ticket != header.ticket) {
            return Err(malformed(Malformed));
        }
        let len = usize::try_from(header.len).map_err(|_| malformed(Malformed))?;
        self.body.resize(len, 0);
        if fill(self.stream, &mut self.body)? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if header.digest.is_some_and(|digest| digest != xxh3_64(&self.body)) {
            return Err(io::Error::other("a frame was changed on its way"));
        }
        if let Some(len) = header.unpacked_len {
            self.unpacker.unpack(&*self.stream, (&mut self.body, len))?;
        }
        Ok(Some(header))
    }
}

/// Fills `space` and returns how far that went: less only where the stream ends.
fn fill(stream: &mut dyn Stream, space: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < space.len() {
        match stream.receive(&mut space[done..])? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

pub(crate) fn malformed(_: Malformed) -> io::Error {
    io::Error::other("the peer sent bytes that are not of this protocol")
}

/// The next frame of a ticket that has begun.
pub(crate) fn next_of(frames: &mut Frames<'_>, ticket: Ticket) -> io::Result<Header> {
    frames.next(Some(ticket))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
