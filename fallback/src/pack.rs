//! Compresses the bodies of frames, where that pays, and takes them apart again. Packed bodies come from a peer that is not to be
//! trusted: what does not give exactly the length that its header says is refused, and no more is ever written.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use blit_core::header::{BODY_BYTES_MAX, HEADER_BYTES};
use blit_core::stream::{Packing, Stream};
use zstd::bulk::{Compressor, Decompressor};

/// What packs the frames of one stream: it measures how fast the stream takes them.
#[derive(Default)]
pub(crate) struct Packer {
    compressor: Option<Compressor<'static>>,
    frame: Vec<u8>,
    sent: u64,
    busy: Duration,
}

impl Packer {
    /// A frame whose body is `content`, packed, with room for its header; `None` where it is better sent as it is. `streams` share
    /// the way.
    pub(crate) fn pack(
        &mut self,
        (packing, streams): (Packing, usize),
        content: &[u8],
    ) -> Option<&mut [u8]> {
        let is_tried = match packing {
            Packing::Never => false,
            Packing::WherePays => self.is_slow(streams) && self.shrinks(sample(content)),
            Packing::Always => true,
        };
        if !is_tried || content.len() < CONTENT_BYTES_MIN {
            return None;
        }
        let len = self.squeeze(content, content.len() - 1)?;
        Some(&mut self.frame[..HEADER_BYTES + len])
    }

    /// Takes note that the stream took `bytes` since `begun`.
    pub(crate) fn count(&mut self, bytes: usize, begun: Instant) {
        self.sent += bytes as u64;
        self.busy += begun.elapsed();
        if self.sent > MEMORY_BYTES {
            (self.sent, self.busy) = (self.sent / 2, self.busy / 2);
        }
    }

    /// Whether the way is what the source waits for, if all its streams do as this one does.
    fn is_slow(&self, streams: usize) -> bool {
        self.sent >= MEASURED_BYTES_MIN
            && u128::from(self.sent) * streams.max(1) as u128 * 1_000_000
                < self.busy.as_micros() * u128::from(FAST_BYTES_PER_SECOND)
    }

    fn shrinks(&mut self, sample: &[u8]) -> bool {
        self.squeeze(sample, sample.len() - sample.len() / 10).is_some()
    }

    /// How long `content` is packed, if not above `limit`.
    fn squeeze(&mut self, content: &[u8], limit: usize) -> Option<usize> {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        let compressor = self.compressor.as_mut()?;
        if self.frame.len() < HEADER_BYTES + limit {
            self.frame.resize(HEADER_BYTES + limit, 0);
        }
        // What does not fit is no smaller for being packed.
        let space = &mut self.frame[HEADER_BYTES..HEADER_BYTES + limit];
        compressor.compress_to_buffer(content, space).ok()
    }
}

/// The middle of `content`: its beginning is often unlike the rest.
fn sample(content: &[u8]) -> &[u8] {
    let len = content.len().min(SAMPLE_BYTES);
    let start = (content.len() - len) / 2;
    &content[start..start + len]
}

/// What takes the bodies of one stream apart.
#[derive(Default)]
pub(crate) struct Unpacker {
    decompressor: Option<Decompressor<'static>>,
    space: Vec<u8>,
}

impl Unpacker {
    /// Puts in the place of `body` what it was before it was packed, which is of exactly `len` bytes.
    pub(crate) fn unpack(
        &mut self,
        stream: &dyn Stream,
        (body, len): (&mut Vec<u8>, u32),
    ) -> io::Result<()> {
        if stream.packing() == Packing::Never {
            return Err(io::Error::other("a frame is compressed, which was not agreed on"));
        }
        let len = usize::try_from(len).ok().filter(|len| *len <= BODY_BYTES_MAX);
        let len = len.ok_or_else(|| io::Error::other("a compressed frame is too long"))?;
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        self.space.resize(len, 0);
        let found = decompressor.decompress_to_buffer(body, &mut self.space[..])?;
        if found != len {
            return Err(io::Error::other("a compressed frame has not the length that it says"));
        }
        std::mem::swap(body, &mut self.space);
        Ok(())
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// The fastest: packing must not be what the stream waits for.
const LEVEL: i32 = 1;
/// Bodies below this are not worth the call.
const CONTENT_BYTES_MIN: usize = 256;
/// Tells compressible content from other at a small part of the cost of packing it.
const SAMPLE_BYTES: usize = 16 << 10;
/// What a socket takes without waiting says nothing of the way.
const MEASURED_BYTES_MIN: u64 = 1 << 20;
/// What was longer ago counts half, so that a way that becomes faster or slower is noticed.
const MEMORY_BYTES: u64 = 8 << 20;
/// Ways that take more than this are not packed for: a core packs a few times as much, and has other work.
const FAST_BYTES_PER_SECOND: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use blit_core::stream::Closer;

    use super::*;

    struct Agreed(Packing);

    impl Stream for Agreed {
        fn send(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }

        fn is_sealed(&self) -> bool {
            true
        }

        fn closer(&self) -> Closer {
            Box::new(|| ())
        }

        fn packing(&self) -> Packing {
            self.0
        }
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut packer = Packer::default();
        let frame = packer.pack((Packing::Always, 1), content).expect("it shrinks");
        frame[HEADER_BYTES..].to_vec()
    }

    fn unpack(packing: Packing, body: &[u8], len: usize) -> io::Result<Vec<u8>> {
        let mut body = body.to_vec();
        let len = u32::try_from(len).expect("small");
        Unpacker::default().unpack(&Agreed(packing), (&mut body, len)).map(|()| body)
    }

    /// Bytes that no compressor makes shorter.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn a_packed_body_arrives_as_it_was_and_is_smaller() {
        let content = b"again and ".repeat(10_000);
        let body = packed(&content);
        assert!(body.len() < content.len() / 10, "{} bytes", body.len());
        let unpacked = unpack(Packing::Always, &body, content.len()).expect("well formed");
        assert_eq!(unpacked, content);
    }

    #[test]
    fn a_packed_body_of_another_length_than_it_says_is_refused() {
        let content = vec![7; 100_000];
        let body = packed(&content);
        for len in [0, 1, 99_999, 100_001, BODY_BYTES_MAX, BODY_BYTES_MAX + 1] {
            assert!(unpack(Packing::Always, &body, len).is_err(), "{len}");
        }
    }

    #[test]
    fn a_packed_body_that_gives_more_than_a_frame_holds_is_refused() {
        let bomb = packed(&vec![0; 16 * BODY_BYTES_MAX]);
        assert!(bomb.len() < BODY_BYTES_MAX / 100, "{} bytes", bomb.len());
        assert!(unpack(Packing::Always, &bomb, BODY_BYTES_MAX).is_err());
        assert!(unpack(Packing::Always, &bomb, 16 * BODY_BYTES_MAX).is_err());
    }

    #[test]
    fn a_packed_body_that_is_cut_or_followed_by_more_is_refused() {
        let content = b"again and ".repeat(1000);
        let body = packed(&content);
        for cut in 0..body.len() {
            assert!(unpack(Packing::Always, &body[..cut], content.len()).is_err(), "{cut}");
        }
        let longer = [&body[..], b"more"].concat();
        assert!(unpack(Packing::Always, &longer, content.len()).is_err());
        assert!(unpack(Packing::Always, &noise(1000), content.len()).is_err());
    }

    #[test]
    fn a_packed_body_is_refused_where_it_was_not_agreed_on() {
        let content = vec![7; 1000];
        assert!(unpack(Packing::Never, &packed(&content), content.len()).is_err());
        assert!(unpack(Packing::WherePays, &packed(&content), content.len()).is_ok());
    }

    #[test]
    fn what_does_not_shrink_is_sent_as_it_is() {
        let mut packer = Packer::default();
        assert!(packer.pack((Packing::Always, 1), &noise(100_000)).is_none());
        assert!(packer.pack((Packing::Always, 1), b"").is_none());
    }

    #[test]
    fn only_a_slow_stream_is_packed_for_where_that_is_measured() {
        let content = vec![7; 100_000];
        let mut packer = Packer::default();
        assert!(packer.pack((Packing::WherePays, 1), &content).is_none(), "nothing is known yet");
        (packer.sent, packer.busy) = (1 << 30, Duration::from_secs(1));
        assert!(packer.pack((Packing::WherePays, 1), &content).is_none(), "1 GiB/s");
        (packer.sent, packer.busy) = (10 << 20, Duration::from_secs(1));
        assert!(packer.pack((Packing::WherePays, 1), &content).is_some(), "10 MiB/s");
        assert!(packer.pack((Packing::WherePays, 16), &content).is_none(), "16 times 10 MiB/s");
        assert!(packer.pack((Packing::WherePays, 1), &noise(100_000)).is_none(), "noise");
        assert!(packer.pack((Packing::Never, 1), &content).is_none(), "not agreed on");
    }
}
