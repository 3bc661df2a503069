//! The data streams of a session at this end: who may send on them, and what waits for what they bring.
//! It must not know what travels on them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::event::{Control, Event, Port};
use blit_core::session::schedule::STREAM_IDLE;
use blit_core::stream::{Attachment, Closer, End, Plane, Slot, Ticket};
use blit_core::task::{Output, Receive, Task, TaskId};
use blit_core::{Error, ErrorKind};

use crate::{Confinement, receive, send};

/// Takes over a stream, in a thread that enters `confinement` first: to send on it, or to receive what tasks wait for.
pub fn attach(attachment: Attachment, confinement: Option<Confinement>) {
    let Attachment { plane, slot, stream, end, port } = attachment;
    let lanes = of(&plane);
    let closer = Arc::new(stream.closer());
    let mut state = lanes.lock();
    if state.closed {
        drop(state);
        closer();
        return port.post(Event::Lost(slot));
    }
    state.closers.push((slot, Arc::clone(&closer)));
    lanes.keep(&mut state, port.control());
    drop(state);
    let (told, name) = (port.clone(), format!("blit-stream-{}", slot.0));
    let work = move || {
        let (mut stream, failed) = (stream, port.clone());
        let entered = confinement.as_ref().is_none_or(|confinement| confinement.enter().is_ok());
        let worked = AssertUnwindSafe(|| match end {
            End::Source => send::send_all(&lanes, (slot, &mut *stream)),
            End::Destination => receive::receive_all(&lanes, &mut *stream),
        });
        if entered && catch_unwind(worked).is_err() {
            failed.control().cancel();
        }
        lanes.forget(slot);
        port.post(Event::Lost(slot));
    };
    if Builder::new().name(name).spawn(work).is_err() {
        closer();
        told.post(Event::Lost(slot));
    }
}

/// Takes a task that waits for a stream; any other is given back.
pub fn divert(id: TaskId, task: Task, port: &Port) -> Option<(TaskId, Task)> {
    let lanes = match &task {
        Task::Receive(receive) => of(&receive.plane),
        Task::Send(send) => of(&send.plane),
        _ => return Some((id, task)),
    };
    let mut state = lanes.lock();
    if state.closed || port.control().is_cancelled() {
        drop(state);
        let error = interrupted(&task);
        drop(task);
        port.done(id, Err(error));
        return None;
    }
    let port_of = port.clone();
    match task {
        Task::Receive(task) => {
            let (ticket, begun) = (task.ticket, Begun::default());
            let awaited = Awaited { id, task, is_begun: false, begun, port: port_of };
            state.waiting.insert(ticket, awaited);
        }
        task => state.sends.push_back(Sending { id, task, port: port_of }),
    }
    lanes.tell_demand(&state);
    lanes.keep(&mut state, port.control());
    drop(state);
    lanes.changed.notify_all();
    None
}

/// A task that waits for a stream to send on.
pub(crate) struct Sending {
    id: TaskId,
    pub(crate) task: Task,
    port: Port,
}

impl Sending {
    /// The counters of its run.
    pub(crate) fn control(&self) -> &Arc<Control> {
        self.port.control()
    }

    /// Tells what became of it.
    pub(crate) fn done(self, result: Result<Output, Error>) {
        let Self { id, task, port } = self;
        // Whoever hears of the end may rely on it that nothing the task named is held any more.
        drop(task);
        port.done(id, result);
    }
}

/// A task that waits for its ticket.
pub(crate) struct Awaited {
    id: TaskId,
    pub(crate) task: Receive,
    /// A stream has begun to bring it and broke.
    pub(crate) is_begun: bool,
    /// What stays of it all the same.
    pub(crate) begun: Begun,
    port: Port,
}

/// What a stream that broke has brought of a task and cannot be taken back.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// The files that stand under their final names, by their place in the picks.
    pub(crate) published: Vec<usize>,
    /// Files and bytes that were counted as progress.
    pub(crate) settled: (u64, u64),
}

impl Awaited {
    /// The counters of its run.
    pub(crate) fn control(&self) -> &Arc<Control> {
        self.port.control()
    }

    /// Tells what became of it.
    pub(crate) fn done(self, result: Result<Output, Error>) {
        let Self { id, task, port, .. } = self;
        // Whoever hears of the end may rely on it that nothing the task named is held any more.
        drop(task);
        port.done(id, result);
    }
}

/// All streams of a session.
#[derive(Default)]
pub(crate) struct Lanes {
    demand: Arc<AtomicUsize>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Tasks that wait for a stream to send on.
    sends: VecDeque<Sending>,
    /// Streams that have not ended, and how to end them.
    closers: Vec<(Slot, Arc<Closer>)>,
    waiting: HashMap<Ticket, Awaited>,
    /// Tickets whose tasks are in work.
    receiving: HashSet<Ticket>,
    /// A thread looks after it.
    kept: bool,
    /// No stream is taken over any more.
    closed: bool,
}

/// What a plane holds. Dropped with it, it ends all streams.
struct Hold(Arc<Lanes>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The streams of a plane.
pub(crate) fn of(plane: &Plane) -> Arc<Lanes> {
    let begin = || Lanes { demand: Arc::clone(&plane.waiting), ..Lanes::default() };
    let held = plane.held.get_or_init(|| Box::new(Hold(Arc::new(begin()))));
    let hold = held.downcast_ref::<Hold>();
    Arc::clone(&hold.expect("one engine alone uses a plane").0)
}

impl Lanes {
    /// Waits for a task that sends, on the stream of `slot`. `None` when no task can come any more, and when none has come for so
    /// long that the stream is not needed: then it is forgotten, unless it is the last one.
    pub(crate) fn next_to_send(&self, slot: Slot) -> Option<Sending> {
        let mut state = self.lock();
        let begun = Instant::now();
        loop {
            if state.closed {
                return None;
            }
            if let Some(sending) = state.sends.pop_front() {
                self.tell_demand(&state);
                return Some(sending);
            }
            if begun.elapsed() >= STREAM_IDLE && state.closers.len() > 1 {
                state.closers.retain(|(known, _)| *known != slot);
                return None;
            }
            let waited = self.changed.wait_timeout(state, STREAM_IDLE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many streams there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().closers.len()
    }

    /// Tells whoever dials how many tasks wait for a stream.
    fn tell_demand(&self, state: &State) {
        self.demand.store(state.sends.len() + state.waiting.len(), Ordering::Relaxed);
    }

    /// The task that waits for a ticket. One that another stream has begun to bring is waited for: that stream has broken and
    /// its reader is about to see it. `None` if none was asked for.
    pub(crate) fn awaited(&self, ticket: Ticket) -> Option<Awaited> {
        let mut state = self.lock();
        loop {
            if let Some(awaited) = state.waiting.remove(&ticket) {
                state.receiving.insert(ticket);
                self.tell_demand(&state);
                return Some(awaited);
            }
            if state.closed || !state.receiving.contains(&ticket) {
                return None;
            }
            let waited = self.changed.wait_timeout(state, BEAT);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A task has all that it waited for.
    pub(crate) fn received(&self, ticket: Ticket) {
        self.lock().receiving.remove(&ticket);
    }

    /// A task goes on waiting: what had come of it is void but for what has `begun`.
    pub(crate) fn wait_again(&self, mut awaited: Awaited, begun: Option<Begun>) {
        awaited.is_begun = true;
        awaited.begun = begun.unwrap_or(awaited.begun);
        let mut state = self.lock();
        state.receiving.remove(&awaited.task.ticket);
        if state.closed || awaited.control().is_cancelled() {
            drop(state);
            let error = interrupted_receive(&awaited.task);
            return awaited.done(Err(error));
        }
        state.waiting.insert(awaited.task.ticket, awaited);
        self.tell_demand(&state);
        drop(state);
        self.changed.notify_all();
    }

    fn forget(&self, slot: Slot) {
        let mut state = self.lock();
        let closers: Vec<_> = state.closers.extract_if(.., |(known, _)| *known == slot).collect();
        drop(state);
        closers.iter().for_each(|(_, closer)| closer());
    }

    /// Starts the thread that ends everything when the run is cancelled: who waits for the peer cannot look for that itself.
    fn keep(self: &Arc<Self>, state: &mut State, control: &Arc<Control>) {
        if state.kept {
            return;
        }
        let (lanes, control) = (Arc::downgrade(self), Arc::clone(control));
        let watch = move || {
            while let Some(lanes) = lanes.upgrade() {
                let state = lanes.lock();
                if state.closed {
                    return;
                }
                if control.is_cancelled() {
                    drop(state);
                    return lanes.close();
                }
                drop(lanes.changed.wait_timeout(state, BEAT));
            }
        };
        state.kept = Builder::new().name("blit-streams".to_owned()).spawn(watch).is_ok();
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let closers = std::mem::take(&mut state.closers);
        let waiting = std::mem::take(&mut state.waiting);
        let sends = std::mem::take(&mut state.sends);
        drop(state);
        self.changed.notify_all();
        closers.iter().for_each(|(_, closer)| closer());
        for awaited in waiting.into_values() {
            let error = interrupted_receive(&awaited.task);
            awaited.done(Err(error));
        }
        for sending in sends {
            let error = interrupted(&sending.task);
            sending.done(Err(error));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interrupted(task: &Task) -> Error {
    Error::new(ErrorKind::Interrupted, task.op(), &task.dir().shown(None))
}

fn interrupted_receive(task: &Receive) -> Error {
    Error::new(ErrorKind::Interrupted, "receive", &task.to.shown(None))
}

/// How often who waits looks whether the run is cancelled.
const BEAT: Duration = Duration::from_millis(100);
