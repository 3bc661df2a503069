//! Numbers that look random and follow from a seed; nothing here knows what they are for.

use crate::snapshot::Mtime;

/// SplitMix64: small, seekable by its seed, and good enough to defeat compression.
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one entry, so that no entry depends on those before it.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let len = from.len() as u64;
        &from[usize::try_from(self.below(len)).expect("an index of a slice")]
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// The octave is twice a binomial of twelve coins and one more coin: like a log-normal with a
    /// median near 8 KiB, a mean near 130 KiB, and now and then a file of up to 64 MiB.
    pub(crate) fn size(&mut self) -> u64 {
        let coins = self.next();
        let octave = 2 * u64::from((coins & 0xfff).count_ones()) + (coins >> 12 & 1);
        (1 << octave) + self.below(1 << octave)
    }

    pub(crate) fn mtime(&mut self) -> Mtime {
        let seconds = i64::try_from(self.below(700_000_000)).expect("below a billion");
        let nanoseconds = i64::try_from(self.below(1_000_000_000)).expect("below a billion");
        Mtime { seconds: 1_000_000_000 + seconds, nanoseconds }
    }
}
