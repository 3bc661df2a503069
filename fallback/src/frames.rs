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
        if !self.fill_head(&mut head)? {
            return if ticket.is_none() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let header = Header::decode(&head).map_err(malformed)?;
        let is_protected = self.stream.is_sealed() || header.digest.is_some();
        if !is_protected || ticket.is_some_and(|ticket| ticket != header.ticket) {
            return Err(malformed(Malformed));
        }
        let len = usize::try_from(header.len).map_err(|_| malformed(Malformed))?;
        self.body.resize(len, 0);
        let mut done = 0;
        while done < len {
            match self.stream.receive(&mut self.body[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        if header.digest.is_some_and(|digest| digest != xxh3_64(&self.body)) {
            return Err(io::Error::other("a frame was changed on its way"));
        }
        if let Some(len) = header.unpacked_len {
            self.unpacker.unpack(&*self.stream, (&mut self.body, len))?;
        }
        Ok(Some(header))
    }

    /// Reads a header; false where the stream ends before its first byte.
    fn fill_head(&mut self, head: &mut [u8; HEADER_BYTES]) -> io::Result<bool> {
        let mut done = 0;
        while done < HEADER_BYTES {
            match self.stream.receive(&mut head[done..])? {
                0 if done == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(true)
    }
}

pub(crate) fn malformed(_: Malformed) -> io::Error {
    io::Error::other("the peer sent bytes that are not of this protocol")
}

/// The next frame of a ticket that has begun.
pub(crate) fn next_of(frames: &mut Frames<'_>, ticket: Ticket) -> io::Result<Header> {
    frames.next(Some(ticket))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
