//! What travels on a data stream: frames of a fixed header and a body of items. The format is in `schema/PROTOCOL.md`.
//! It must not know how a stream is carried, nor trust what it reads.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::entry::Meta;
use crate::error::Error;
use crate::stream::Ticket;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame belongs to. All frames of a ticket follow each other on one stream.
    pub ticket: Ticket,
    /// Bytes of the body as it travels; at most [`BODY_BYTES_MAX`].
    pub len: u32,
    /// Nothing of this ticket follows.
    pub last: bool,
    /// Bytes of the body before compression, where it is compressed (Zstandard, RFC 8878); at most [`BODY_BYTES_MAX`].
    pub unpacked_len: Option<u32>,
    /// The digest (XXH3-64) of the body as it travels, where the stream does not protect it.
    pub digest: Option<u64>,
}

impl Header {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        bytes[0] = MAGIC;
        bytes[1] = flag(self.last, LAST)
            | flag(self.unpacked_len.is_some(), PACKED)
            | flag(self.digest.is_some(), DIGEST);
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ticket.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.digest.unwrap_or_default().to_le_bytes());
        bytes[24..28].copy_from_slice(&self.unpacked_len.unwrap_or_default().to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// `Malformed` for anything that [`Header::encode`] does not write.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Malformed> {
        let [magic, flags, 0, 0, rest @ ..] = bytes else { return Err(Malformed) };
        let (rest, padding) = rest.split_at(24);
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let (ticket, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
        let (digest, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
        let unpacked = rest.first_chunk::<4>().ok_or(Malformed)?;
        let (len, unpacked) = (u32::from_le_bytes(*len), u32::from_le_bytes(*unpacked));
        let is_bounded = |len: u32| len as usize <= BODY_BYTES_MAX;
        let is_known = *magic == MAGIC && flags & !(LAST | PACKED | DIGEST) == 0;
        if !is_known || padding != [0; 4] || !is_bounded(len) || !is_bounded(unpacked) {
            return Err(Malformed);
        }
        Ok(Self {
            ticket: Ticket(u64::from_le_bytes(*ticket)),
            len,
            last: flags & LAST != 0,
            unpacked_len: (flags & PACKED != 0).then_some(unpacked),
            digest: (flags & DIGEST != 0).then_some(u64::from_le_bytes(*digest)),
        })
    }
}

/// One thing in the body of a frame. `index` is the place of a file in the list of picks of its ticket.
#[derive(Debug)]
pub enum Item<'a> {
    /// The file is not as it was listed; what follows is of the file as it is now. What has arrived of it is void.
    Renewed {
        /// Which file.
        index: u32,
        /// As it is now.
        meta: Meta,
    },
    /// The whole content of a file, proven unchanged.
    File {
        /// Which file.
        index: u32,
        /// The content.
        bytes: &'a [u8],
    },
    /// A piece of a file; what no piece brings is a hole.
    Piece {
        /// Which file.
        index: u32,
        /// Where it belongs, in bytes.
        offset: u64,
        /// The content.
        bytes: &'a [u8],
    },
    /// The destination has these bytes already.
    Same {
        /// Which file.
        index: u32,
        /// Where they are, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// No piece of the file follows; it was proven unchanged after the last one.
    End {
        /// Which file.
        index: u32,
    },
    /// The file cannot be sent; what has arrived of it is void.
    Failed {
        /// Which file.
        index: u32,
        /// Why.
        error: Error,
    },
}

/// Adds items to the body of a frame.
#[derive(Debug)]
pub struct Items<'a>(pub &'a mut Vec<u8>);

impl Items<'_> {
    /// Adds [`Item::Renewed`].
    pub fn renewed(&mut self, index: u32, meta: &Meta) {
        self.begin(RENEWED, index).meta(meta);
    }

    /// Adds the head of [`Item::File`]; `len` bytes of content must follow.
    pub fn file(&mut self, index: u32, len: usize) {
        self.begin(FILE, index).number(len as u64);
    }

    /// Adds the head of [`Item::Piece`]; `len` bytes of content must follow.
    pub fn piece(&mut self, index: u32, offset: u64, len: usize) {
        let mut encoder = self.begin(PIECE, index);
        encoder.number(offset);
        encoder.number(len as u64);
    }

    /// Adds [`Item::Same`].
    pub fn same(&mut self, index: u32, offset: u64, len: u64) {
        let mut encoder = self.begin(SAME, index);
        encoder.number(offset);
        encoder.number(len);
    }

    /// Adds [`Item::End`].
    pub fn end(&mut self, index: u32) {
        self.begin(END, index);
    }

    /// Adds [`Item::Failed`].
    pub fn failed(&mut self, index: u32, error: &Error) {
        self.begin(FAILED, index).error(error);
    }

    fn begin(&mut self, code: u8, index: u32) -> Encoder<'_> {
        let mut encoder = Encoder(&mut *self.0);
        encoder.byte(code);
        encoder.number(u64::from(index));
        encoder
    }
}

/// Reads the items of a body one by one; `None` at its end.
///
/// # Errors
/// `Malformed` where the bytes are not items.
pub fn next_item<'a>(body: &mut Decoder<'a>) -> Result<Option<Item<'a>>, Malformed> {
    if body.is_empty() {
        return Ok(None);
    }
    let code = body.byte()?;
    let index = body.small()?;
    Ok(Some(match code {
        RENEWED => Item::Renewed { index, meta: body.meta()? },
        FILE => Item::File { index, bytes: body.bytes()? },
        PIECE => Item::Piece { index, offset: offset(body)?, bytes: body.bytes()? },
        SAME => Item::Same { index, offset: offset(body)?, len: offset(body)? },
        END => Item::End { index },
        FAILED => Item::Failed { index, error: body.error()? },
        _ => return Err(Malformed),
    }))
}

fn offset(body: &mut Decoder<'_>) -> Result<u64, Malformed> {
    let offset = body.number()?;
    if i64::try_from(offset).is_ok() { Ok(offset) } else { Err(Malformed) }
}

/// Bytes of the header of a frame.
pub const HEADER_BYTES: usize = 32;
/// Bytes of the body of a frame, at most: what a receiver keeps for each stream.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of a block that both ends digest to find out whether it is equal. Small enough that one changed page costs little,
/// large enough that the digests are a ten-thousandth of the content.
pub const BLOCK_BYTES: u64 = 128 << 10;

/// The first byte of a frame, so that a stream that is out of step is noticed at once.
const MAGIC: u8 = 0xb1;
const LAST: u8 = 0x01;
const PACKED: u8 = 0x02;
const DIGEST: u8 = 0x04;

const RENEWED: u8 = 1;
const FILE: u8 = 2;
const PIECE: u8 = 3;
const SAME: u8 = 4;
const END: u8 = 5;
const FAILED: u8 = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_arrive_as_they_were(
            ticket in any::<u64>(),
            len in 0..=4_194_304_u32,
            last in any::<bool>(),
            unpacked_len in proptest::option::of(0..=4_194_304_u32),
            digest in proptest::option::of(any::<u64>()),
        ) {
            let header = Header { ticket: Ticket(ticket), len, last, unpacked_len, digest };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn any_bytes_are_a_header_or_refused(bytes in any::<[u8; HEADER_BYTES]>()) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert!(header.len as usize <= BODY_BYTES_MAX);
            }
        }

        #[test]
        fn any_bytes_are_items_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut body = Decoder(&bytes);
            while let Ok(Some(_)) = next_item(&mut body) {}
        }
    }

    #[test]
    fn items_arrive_in_order() {
        let mut body = Vec::new();
        Items(&mut body).file(3, 2);
        body.extend_from_slice(b"ab");
        Items(&mut body).piece(4, 1 << 40, 1);
        body.push(b'c');
        Items(&mut body).same(4, 0, 9);
        Items(&mut body).end(4);
        let mut decoder = Decoder(&body);
        let mut next = || next_item(&mut decoder).expect("well formed");
        assert!(matches!(next(), Some(Item::File { index: 3, bytes: b"ab" })));
        assert!(matches!(
            next(),
            Some(Item::Piece { index: 4, offset: 0x100_0000_0000, bytes: b"c" })
        ));
        assert!(matches!(next(), Some(Item::Same { index: 4, offset: 0, len: 9 })));
        assert!(matches!(next(), Some(Item::End { index: 4 })));
        assert!(next().is_none());
    }

    #[test]
    fn a_body_that_is_too_long_is_refused_by_its_header() {
        let header = Header {
            ticket: Ticket(1),
            len: u32::MAX,
            last: false,
            unpacked_len: None,
            digest: None,
        };
        assert_eq!(Header::decode(&header.encode()), Err(Malformed));
    }
}
