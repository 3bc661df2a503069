//! The data streams of a session at the client: dials them, and lets the control connection carry the bytes where none is to
//! be had. It must not know what is sent on them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blit_core::engine::Engine;
use blit_core::event::{Event, Port};
use blit_core::session::schedule::streams_wanted;
use blit_core::stream::{Attachment, End, Packing, Plane, Slot, Stream};
use blit_core::summary::Notice;
use blit_core::{Error, ErrorKind};

use crate::carrier::carrier;
use crate::client::Client;
use crate::connect::{Access, reach_data};
use crate::streams::Streams;
use crate::transfer::Carried;

/// The streams of one session.
pub(crate) struct Data {
    streams: Arc<Streams>,
    happenings: Mutex<Option<Receiver<Happening>>>,
    tell: Sender<Happening>,
    /// The session is about to end: streams that end need no others.
    closing: Arc<AtomicBool>,
}

enum Happening {
    Ended(Slot),
    Stop,
}

/// What streams are made with.
pub(crate) struct Lines<'a> {
    pub(crate) client: &'a Client,
    pub(crate) access: &'a Access,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) plane: Arc<Plane>,
    pub(crate) end: End,
    pub(crate) port: Port,
}

impl Data {
    pub(crate) fn new(closing: Arc<AtomicBool>, packing: Packing) -> Self {
        let (tell, happenings) = channel();
        let told = tell.clone();
        // After the session nobody wants to know.
        let streams = Streams::new(packing, move |slot| drop(told.send(Happening::Ended(slot))));
        Self { streams, happenings: Mutex::new(Some(happenings)), tell, closing }
    }

    pub(crate) fn streams(&self) -> Arc<Streams> {
        Arc::clone(&self.streams)
    }

    /// The session has ended.
    pub(crate) fn stop(&self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.tell.send(Happening::Stop));
    }

    pub(crate) fn carried(&self) -> Carried {
        let (data, control) = self.streams.carried();
        Carried { data, control }
    }

    /// Keeps the session in streams until it has ended.
    pub(crate) fn keep(&self, lines: &Lines<'_>, patience: Duration) {
        let taken = self.happenings.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(happenings) = taken else { return };
        let mut living = 0_usize;
        let mut why = None;
        if !lines.access.force_rpc_data {
            for slot in 0..streams_wanted(lines.engine.limits()) {
                if self.closing.load(Ordering::Relaxed) {
                    return;
                }
                match self.dial(lines, Slot(slot), patience) {
                    Ok(()) => living += 1,
                    Err(error) => {
                        why = Some(error);
                        break;
                    }
                }
            }
        }
        let mut carried = false;
        loop {
            if living == 0 && !carried && !self.closing.load(Ordering::Relaxed) {
                carried = true;
                if let Err(error) = self.carry(lines, why.take()) {
                    return lines.port.post(Event::Cut(error));
                }
            }
            match happenings.recv() {
                Ok(Happening::Ended(Slot::CONTROL)) if !self.closing.load(Ordering::Relaxed) => {
                    let shown = lines.client.place.shown();
                    let why = "the data that the control connection carried was cut off";
                    let error =
                        Error::because(ErrorKind::Disconnected, "talk to", shown.as_bytes(), why);
                    return lines.port.post(Event::Cut(error));
                }
                Ok(Happening::Ended(slot)) => {
                    living = living.saturating_sub(1);
                    if !self.closing.load(Ordering::Relaxed) {
                        lines.client.lost(slot);
                        why = Some(io::Error::other("all of them broke"));
                    }
                }
                Ok(Happening::Stop) | Err(_) => return,
            }
        }
    }

    /// Opens a data connection and gives it to the engine.
    fn dial(&self, lines: &Lines<'_>, slot: Slot, patience: Duration) -> io::Result<()> {
        let control = lines.port.control();
        let token = lines.client.token(slot, control).map_err(io::Error::other)?;
        let stream = reach_data(&lines.client.place, token, lines.access, Some(patience))?;
        self.attach(lines, slot, stream);
        Ok(())
    }

    /// Lets the control connection carry what data connections would.
    fn carry(&self, lines: &Lines<'_>, why: Option<io::Error>) -> Result<(), Error> {
        let (stream, arriving, leaving) = carrier(lines.client.place.is_sealed());
        lines.client.carry((arriving, leaving), lines.port.control())?;
        self.attach(lines, Slot::CONTROL, Box::new(stream));
        if let Some(why) = why {
            let text = format!(
                "data connections to {} cannot be used ({why}); the control connection carries the data, more slowly",
                lines.client.place.shown()
            );
            lines.port.post(Event::Told(Notice::Warning(text)));
        }
        Ok(())
    }

    fn attach(&self, lines: &Lines<'_>, slot: Slot, stream: Box<dyn Stream>) {
        // A slot is used once, so it is free.
        let Some(stream) = self.streams.add(slot, stream) else { return };
        let Lines { engine, plane, end, port, .. } = lines;
        let (plane, port) = (Arc::clone(plane), port.clone());
        engine.attach(Attachment { plane, slot, stream, end: *end, port });
    }
}
