//! The one loop: takes events, lets the sessions decide, hands out their tasks and frames.
//! It must not know what a session is for, nor which engine and links it serves.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::event::{Control, Event, Port, Seat};
use crate::link::Link;
use crate::session::{Actions, Session};
use crate::stall::{BEAT, Stall};
use crate::summary::Notice;

/// Sessions of one process, their engine and their links.
pub struct Drive<'a> {
    engine: &'a dyn Engine,
    control: Arc<Control>,
    sender: Sender<(Seat, Event)>,
    inbox: Receiver<(Seat, Event)>,
    seats: Vec<Seated>,
}

struct Seated {
    session: Session,
    link: Box<dyn Link>,
    port: Port,
    actions: Actions,
}

impl<'a> Drive<'a> {
    /// A loop without sessions.
    pub fn new(engine: &'a dyn Engine, control: &Arc<Control>) -> Self {
        let (sender, inbox) = channel();
        let control = Arc::clone(control);
        Self { engine, control, sender, inbox, seats: Vec::new() }
    }

    /// The way to the session that will sit at `seat`.
    pub fn port(&self, seat: Seat) -> Port {
        Port::new(seat, self.sender.clone(), Arc::clone(&self.control))
    }

    /// Where events for the sessions are sent to.
    pub fn sender(&self) -> Sender<(Seat, Event)> {
        self.sender.clone()
    }

    /// Adds a session with its link; seats are given in order from 0.
    pub fn add(&mut self, session: Session, link: Box<dyn Link>) {
        let port = self.port(Seat(self.seats.len()));
        self.seats.push(Seated { session, link, port, actions: Actions::default() });
    }

    /// The session at `seat`.
    ///
    /// # Panics
    /// When no session was added there.
    pub fn session(&self, seat: Seat) -> &Session {
        &self.seats[seat.0].session
    }

    /// Lets every session begin.
    pub fn start(&mut self, observe: &mut dyn FnMut(Notice)) {
        for index in 0..self.seats.len() {
            let seated = &mut self.seats[index];
            seated.session.start(&mut seated.actions);
        }
        self.act(observe);
    }

    /// Hands the next event over, if one has come; says whether one had.
    pub fn step(&mut self, observe: &mut dyn FnMut(Notice)) -> bool {
        match self.inbox.try_recv() {
            Ok((seat, event)) => {
                self.hand_over(seat, event, observe);
                self.act(observe);
                true
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
        }
    }

    /// Ends every session for `error` as soon as its running tasks have ended.
    pub fn abort(&mut self, error: &Error, observe: &mut dyn FnMut(Notice)) {
        for seated in &mut self.seats {
            seated.session.abort(error.clone(), &mut seated.actions);
        }
        self.act(observe);
    }

    /// Whether every session has ended.
    pub fn is_ended(&self) -> bool {
        self.seats.iter().all(|seated| seated.session.is_ended())
    }

    /// Runs until every session has ended, or nothing moves any more.
    ///
    /// # Errors
    /// `Stalled`, with the operation and the path that hang: then tasks are still running.
    pub fn run(&mut self, observe: &mut dyn FnMut(Notice)) -> Result<(), Error> {
        self.start(observe);
        let mut stall = Stall::default();
        while !self.is_ended() {
            match self.inbox.recv_timeout(BEAT) {
                Ok((seat, event)) => {
                    self.hand_over(seat, event, observe);
                    while let Ok((seat, event)) = self.inbox.try_recv() {
                        self.hand_over(seat, event, observe);
                    }
                    stall = Stall::default();
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if stall.beat(&self.control) {
                        let mut seats = self.seats.iter();
                        let oldest = seats.find_map(|seated| seated.session.oldest_task());
                        return Err(stall.error(oldest));
                    }
                }
            }
            self.act(observe);
            if self.control.is_cancelled() && !self.has_failed() {
                self.abort(&Error::new(ErrorKind::Interrupted, "copy", b""), observe);
            }
        }
        Ok(())
    }

    /// Tells what a peer has said after its last frame. To be called when it has said that this was all.
    pub fn hear_out(&mut self, observe: &mut dyn FnMut(Notice)) {
        while let Ok((_, event)) = self.inbox.try_recv() {
            if let Event::Told(notice) = event {
                observe(notice);
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.seats.iter().any(|seated| seated.session.error().is_some())
    }

    fn hand_over(&mut self, seat: Seat, event: Event, observe: &mut dyn FnMut(Notice)) {
        match event {
            Event::Told(notice) => observe(notice),
            Event::Mark(mark) => drop(mark),
            event => {
                if let Some(seated) = self.seats.get_mut(seat.0) {
                    seated.session.handle(event, &mut seated.actions);
                }
            }
        }
    }

    /// Does what the sessions want done.
    fn act(&mut self, observe: &mut dyn FnMut(Notice)) {
        for seated in &mut self.seats {
            let actions = std::mem::take(&mut seated.actions);
            self.control.settle(actions.settled.0, actions.settled.1);
            self.control.learn(actions.learned.0, actions.learned.1);
            if actions.scanned {
                self.control.finish_scan();
            }
            actions.changes.into_iter().map(Notice::Change).for_each(&mut *observe);
            actions.listings.into_iter().map(Notice::Listing).for_each(&mut *observe);
            if !actions.tasks.is_empty() {
                self.engine.submit(actions.tasks, &seated.port);
            }
            // After the tasks: what a frame asks the peer for finds the task that waits for it.
            for frame in actions.frames {
                seated.link.send(frame);
            }
            // What still runs would only be thrown away.
            if seated.session.error().is_some() {
                self.control.cancel();
            }
        }
    }
}
