//! Simulated data streams: what is sent for a ticket is where the receiver finds the files, on the one simulated disk.
//! It must not copy anything itself: a receiving task is a copying one that waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::copy::Copying;
use super::work::{Work, World};
use crate::error::{Error, ErrorKind};
use crate::stream::{Plane, Slot, Ticket};
use crate::task::{Copy, Output, Receive, ReceiveInto, Send, Sent};

/// What was sent and not yet received.
type Parcels = Mutex<HashMap<Ticket, Send>>;

fn sent_on(plane: &Plane) -> &Parcels {
    let held = plane.held.get_or_init(|| Box::new(Parcels::default()));
    held.downcast_ref().expect("the simulator alone uses its planes")
}

/// A sending in work.
pub(super) struct Sending(pub(super) Send);

impl Work for Sending {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let bytes = 0;
        if world.rng.chance(world.faults.stream_breaks) {
            return Some(Ok(Output::Sent(Sent { slot: None, bytes, bytes_carried: 0 })));
        }
        let mut sent = sent_on(&self.0.plane).lock().unwrap_or_else(PoisonError::into_inner);
        sent.insert(self.0.ticket, self.0.clone());
        Some(Ok(Output::Sent(Sent { slot: Some(Slot(0)), bytes, bytes_carried: 0 })))
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        Err(super::interrupted("send", &self.0.from.shown(None)))
    }
}

/// A receiving in work: it waits, then copies.
pub(super) struct Receiving {
    task: Receive,
    copying: Option<Copying>,
}

impl Receiving {
    pub(super) fn new(task: Receive) -> Self {
        Self { task, copying: None }
    }

    fn begin(&self, send: Send) -> Result<Copying, Error> {
        let ReceiveInto::Dir(into) = self.task.into else {
            let path = self.task.to.shown(None);
            return Err(Error::new(ErrorKind::Unsupported, "receive", &path));
        };
        Ok(Copying::new(Copy {
            from: send.from,
            to: self.task.to.clone(),
            into,
            page: Arc::clone(&send.page),
            picks: self.task.picks.clone(),
            source_name: send.source_name,
            manner: self.task.manner.clone(),
        }))
    }
}

impl Work for Receiving {
    fn is_ready(&self) -> bool {
        let sent = sent_on(&self.task.plane).lock().unwrap_or_else(PoisonError::into_inner);
        self.copying.is_some() || sent.contains_key(&self.task.ticket)
    }

    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        if self.copying.is_none() {
            let sent = sent_on(&self.task.plane);
            let sent =
                sent.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task.ticket);
            match self.begin(sent?) {
                Ok(copying) => self.copying = Some(copying),
                Err(error) => return Some(Err(error)),
            }
        }
        let copying = self.copying.as_mut()?;
        copying.advance(world)
    }

    fn abandon(&mut self, world: &mut World<'_>) -> Result<Output, Error> {
        match &mut self.copying {
            Some(copying) => copying.abandon(world),
            None => Err(super::interrupted("receive", &self.task.to.shown(None))),
        }
    }
}
