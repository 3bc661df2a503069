//! The frames of a task on their way to the stream. It must not know what a task's files are.

use std::time::Instant;

use blit_core::event::Control;
use blit_core::header::{HEADER_BYTES, Header, Items};
use blit_core::stream::Stream;
use blit_core::task::Send;
use xxhash_rust::xxh3::xxh3_64;

use crate::pack::Packer;
use crate::turn;

/// A stream that is sent on.
pub(super) struct Lane<'a> {
    pub(super) stream: &'a mut dyn Stream,
    /// How many there are.
    pub(super) streams: usize,
    pub(super) packer: Packer,
    pub(super) body: Vec<u8>,
}

/// The stream broke.
pub(super) struct Broken;

/// The frame that is being filled: room for the header, then the body.
pub(super) struct Outgoing<'a, 'b> {
    pub(super) task: &'a Send,
    pub(super) lane: &'a mut Lane<'b>,
    pub(super) carried: u64,
    pub(super) settled: u64,
    pub(super) control: &'a Control,
}

impl Outgoing<'_, '_> {
    pub(super) fn items(&mut self) -> Items<'_> {
        if self.lane.body.is_empty() {
            self.lane.body.resize(HEADER_BYTES, 0);
        }
        Items(&mut self.lane.body)
    }

    /// Sends what there is, if it is enough for a frame or nothing follows.
    pub(super) fn flush(&mut self, last: bool) -> Result<(), Broken> {
        if self.lane.body.len() < FRAME_BYTES && !last {
            return Ok(());
        }
        self.items();
        let Lane { stream, streams, packer, body } = &mut *self.lane;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a frame is bounded");
        let content = &body[HEADER_BYTES..];
        let (frame, unpacked_len) = match packer.pack((stream.packing(), *streams), content) {
            Some(frame) => (frame, Some(length(content))),
            None => (&mut body[..], None),
        };
        if let Some(pace) = self.control.pace() {
            turn::wait_for_all(pace, frame.len(), self.control).map_err(|_| Broken)?;
        }
        let (head, content) = frame.split_at_mut(HEADER_BYTES);
        let digest = (!stream.is_sealed()).then(|| xxh3_64(content));
        let (ticket, len) = (self.task.ticket, length(content));
        head.copy_from_slice(&Header { ticket, len, last, unpacked_len, digest }.encode());
        let (begun, bytes) = (Instant::now(), frame.len());
        stream.send(frame).map_err(|_| Broken)?;
        packer.count(bytes, begun);
        self.carried += bytes as u64;
        body.clear();
        Ok(())
    }

    pub(super) fn settle(&mut self, bytes: u64) {
        self.settled += bytes;
        self.control.settle(0, bytes);
    }
}

/// Bytes from which a frame is sent: large enough that the cost of sending is spread, small enough that the receiver begins early.
pub(super) const FRAME_BYTES: usize = 256 << 10;
