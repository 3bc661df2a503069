//! What carries frames between the two sessions of a transfer.
//! It must not know what frames mean.

use crate::event::{Event, Port};
use crate::frame::Frame;

/// A reliable, ordered pipe of frames. What the peer sends arrives as `Event::Frame`.
pub trait Link: Send {
    /// Never blocks: the session bounds what may be outstanding.
    fn send(&mut self, frame: Frame);
}

/// A link whose two ends are in one process.
#[derive(Debug)]
pub struct LocalLink {
    peer: Port,
}

impl Link for LocalLink {
    fn send(&mut self, frame: Frame) {
        self.peer.post(Event::Frame(frame));
    }
}

/// The two ends of a link between the sessions behind two ports; each end is for the session of its own port.
pub fn pair(first: &Port, second: &Port) -> (LocalLink, LocalLink) {
    (LocalLink { peer: second.clone() }, LocalLink { peer: first.clone() })
}
