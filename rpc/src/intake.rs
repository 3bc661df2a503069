//! What stands between a socket and the reader of messages, which makes room for a whole message when it has read how
//! long that says it is: nothing is handed on before it is known to be allowed and, if it is long, to be there.
//! It must not know what messages mean.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::io::AsyncRead;

/// How many words of 8 bytes the peer's messages may have; it may change while messages come.
pub(crate) type Allowance = Rc<Cell<usize>>;

/// Messages that are allowed, of what can be read from another reader.
pub(crate) struct Intake<R> {
    from: R,
    words_max: Allowance,
    /// The segment table of the next message; of one that is long, all that has come of it.
    gathered: Vec<u8>,
    phase: Phase,
}

/// Where it stands in a message.
enum Phase {
    /// The segment table is not whole: from the end of a message, to [`Phase::Gathering`] or [`Phase::Giving`].
    Table,
    /// A long message has not come in whole: so many bytes with its table. To [`Phase::Giving`].
    Gathering(usize),
    /// What was gathered is given away from this byte on; so many follow that need not be gathered. To [`Phase::Passing`].
    Giving(usize, usize),
    /// The rest of a short message. To [`Phase::Table`].
    Passing(usize),
}

impl<R: AsyncRead + Unpin> Intake<R> {
    pub(crate) fn new(from: R, words_max: Allowance) -> Self {
        Self { from, words_max, gathered: Vec::new(), phase: Phase::Table }
    }

    /// Gathers up to `len` bytes in all. Whether the peer has ended instead.
    fn gather(&mut self, len: usize, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.gathered.len() < len {
            let had = self.gathered.len();
            // Room is made for what comes and not for what is announced.
            self.gathered.resize(had + (len - had).min(GATHER_BYTES), 0);
            let read = Pin::new(&mut self.from).poll_read(context, &mut self.gathered[had..]);
            let came = if let Poll::Ready(Ok(came)) = &read { *came } else { 0 };
            self.gathered.truncate(had + came);
            match ready!(read)? {
                0 if had == 0 => return Poll::Ready(Ok(true)),
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
        Poll::Ready(Ok(false))
    }

    /// A number of the segment table, which must have come.
    fn number(&self, at: usize) -> io::Result<usize> {
        let word = self.gathered[at..].first_chunk().map(|word| u32::from_le_bytes(*word));
        word.and_then(|word| usize::try_from(word).ok()).ok_or_else(too_long)
    }

    fn segments(&self) -> io::Result<usize> {
        let more = self.number(0)?;
        if more < SEGMENTS_MAX { Ok(more + 1) } else { Err(too_long()) }
    }

    /// What follows when the beginning of the segment table is there: more of it, or the message.
    fn weigh(&self) -> io::Result<Option<Phase>> {
        let segments = self.segments()?;
        let table = table_bytes(segments);
        if self.gathered.len() < table {
            return Ok(None);
        }
        let mut words = 0_usize;
        for segment in 1..=segments {
            words = words.checked_add(self.number(segment * 4)?).ok_or_else(too_long)?;
        }
        if words > self.words_max.get() {
            return Err(too_long());
        }
        let bytes = words * WORD_BYTES;
        Ok(Some(match bytes > PASSED_BYTES_MAX {
            true => Phase::Gathering(table + bytes),
            false => Phase::Giving(0, bytes),
        }))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Intake<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            match this.phase {
                Phase::Table => {
                    // The first word says how long the table is, and is checked before more of it is read.
                    let wanted = match this.gathered.len() < WORD_BYTES {
                        true => WORD_BYTES,
                        false => table_bytes(this.segments()?),
                    };
                    if ready!(this.gather(wanted, context))? {
                        return Poll::Ready(Ok(0));
                    }
                    if let Some(next) = this.weigh()? {
                        this.phase = next;
                    }
                }
                Phase::Gathering(len) => {
                    ready!(this.gather(len, context))?;
                    this.phase = Phase::Giving(0, 0);
                }
                Phase::Giving(at, rest) if at == this.gathered.len() => {
                    // Most messages are short: a long one does not keep its room.
                    this.gathered = Vec::new();
                    this.phase = Phase::Passing(rest);
                }
                Phase::Giving(at, rest) => {
                    let len = into.len().min(this.gathered.len() - at);
                    into[..len].copy_from_slice(&this.gathered[at..at + len]);
                    this.phase = Phase::Giving(at + len, rest);
                    return Poll::Ready(Ok(len));
                }
                Phase::Passing(0) => this.phase = Phase::Table,
                Phase::Passing(rest) => {
                    let max = rest.min(into.len());
                    let read = Pin::new(&mut this.from).poll_read(context, &mut into[..max]);
                    let came = ready!(read)?;
                    this.phase = Phase::Passing(rest - came);
                    return Poll::Ready(Ok(came));
                }
            }
        }
    }
}

/// A table is one number for how many segments follow the first, and one for the length of each, up to a whole word.
fn table_bytes(segments: usize) -> usize {
    (4 + segments * 4).next_multiple_of(WORD_BYTES)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message that is longer than it may be")
}

const WORD_BYTES: usize = 8;
/// As many as the reader of messages takes.
const SEGMENTS_MAX: usize = 511;
/// Messages up to this size are not gathered: to make room for one costs no more than the connection itself.
const PASSED_BYTES_MAX: usize = 64 << 10;
/// How much is gathered at once.
const GATHER_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    /// Gives the parts one by one and says between two of them that nothing has come.
    struct Parts(Vec<Vec<u8>>, bool);

    impl AsyncRead for Parts {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.1 = !self.1;
            if self.1 {
                return Poll::Pending;
            }
            let Some(part) = self.0.first_mut() else { return Poll::Ready(Ok(0)) };
            let len = part.len().min(into.len());
            into[..len].copy_from_slice(&part[..len]);
            part.drain(..len);
            if part.is_empty() {
                self.0.remove(0);
            }
            Poll::Ready(Ok(len))
        }
    }

    /// A message with segments of so many words.
    fn message(segments: &[u32]) -> Vec<u8> {
        let more = u32::try_from(segments.len() - 1).expect("a few");
        let mut bytes = more.to_le_bytes().to_vec();
        bytes.extend(segments.iter().flat_map(|words| words.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(WORD_BYTES), 0);
        let words: u32 = segments.iter().sum();
        bytes.extend((0..words).flat_map(|word| u64::from(word).to_le_bytes()));
        bytes
    }

    /// All that is handed on of `bytes`, which come in parts of so many, and how it ends.
    fn takes(bytes: &[u8], part: usize, words_max: usize) -> (Vec<u8>, io::Result<()>, usize) {
        let parts = bytes.chunks(part).map(<[u8]>::to_vec).collect();
        let mut intake = Intake::new(Parts(parts, false), Rc::new(Cell::new(words_max)));
        let (mut taken, mut space, mut held_max) = (Vec::new(), [0; 1000], 0);
        let mut context = Context::from_waker(noop_waker_ref());
        loop {
            let read = Pin::new(&mut intake).poll_read(&mut context, &mut space);
            held_max = held_max.max(intake.gathered.capacity());
            match read {
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => return (taken, Ok(()), held_max),
                Poll::Ready(Ok(len)) => taken.extend_from_slice(&space[..len]),
                Poll::Ready(Err(error)) => return (taken, Err(error), held_max),
            }
        }
    }

    #[test]
    fn messages_of_every_size_are_handed_on_as_they_came() {
        let sizes: [&[u32]; 7] = [&[0], &[1], &[5, 0, 3], &[2, 2], &[8192], &[8193, 1], &[100_000]];
        let bytes: Vec<u8> = sizes.iter().flat_map(|segments| message(segments)).collect();
        for part in [61, 4096, 1 << 20] {
            let (taken, end, _) = takes(&bytes, part, 1 << 20);
            assert!(taken == bytes && end.is_ok(), "in parts of {part}: {} bytes", taken.len());
        }
    }

    #[test]
    fn room_is_made_for_what_came_and_not_for_what_was_announced() {
        let mut bytes = message(&[1 << 20]);
        bytes.truncate(1000);
        let (taken, end, held_max) = takes(&bytes, 100, 1 << 20);
        assert_eq!(taken.len(), 0, "nothing is handed on before it is there");
        assert_eq!(end.expect_err("cut short").kind(), io::ErrorKind::UnexpectedEof);
        assert!(held_max <= 3 * GATHER_BYTES, "{held_max}");
    }

    #[test]
    fn more_than_is_allowed_is_an_error_at_once() {
        for segments in [&[11_u32][..], &[5, 6], &[u32::MAX, u32::MAX]] {
            let mut table = message(&[0; 2][..segments.len()]);
            for (at, words) in segments.iter().enumerate() {
                table[4 + 4 * at..8 + 4 * at].copy_from_slice(&words.to_le_bytes());
            }
            let (taken, end, _) = takes(&table, 3, 10);
            assert!(taken.is_empty() && end.is_err(), "{segments:?}");
        }
        for count in [511_u32, 0xffff_fffe, u32::MAX] {
            let mut bytes = count.to_le_bytes().to_vec();
            bytes.resize(16, 0);
            assert!(takes(&bytes, 16, usize::MAX).1.is_err(), "{count}");
        }
        assert!(takes(&message(&[4, 6]), 3, 10).1.is_ok());
    }
}
