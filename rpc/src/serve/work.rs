//! The thread of one session: finds out what the order means, waits for the client to begin, runs the session.
//! It must not know the control connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use blit_core::drive::Drive;
use blit_core::engine::Engine;
use blit_core::event::{Control, Port, Seat};
use blit_core::path::Name;
use blit_core::spec::TransferSpec;
use blit_core::stream::{End, Plane};
use blit_core::summary::{Change, Notice, Summary};
use blit_core::task::Root;
use blit_core::{Error, ErrorKind};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use super::order::{self, Answer, Order};
use super::{Caller, Shared, Workshop};
use crate::link::{Outbox, RemoteLink, Said};
use crate::local::Asker;

/// What a session's thread works on.
pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) module: String,
    /// What the module is called in messages.
    pub(super) shown: Vec<u8>,
    pub(super) order: Order,
    pub(super) spec: TransferSpec,
    pub(super) outbox: Outbox<Ended>,
    pub(super) notices: Sender<Change>,
    pub(super) closing: Arc<AtomicBool>,
    /// The client lets the session begin; gone, it never will.
    pub(super) begin: Receiver<Option<Name>>,
}

/// What the control connection needs of a session that can begin.
pub(super) struct Ready {
    pub(super) answer: Answer,
    pub(super) port: Port,
    /// The session's thread alone keeps it: to drop it waits for its threads.
    pub(super) engine: Weak<dyn Engine>,
    pub(super) plane: Arc<Plane>,
    pub(super) end: Option<End>,
    pub(super) numeric_ids: bool,
}

/// How a session ended.
pub(super) struct Ended {
    pub(super) summary: Summary,
    pub(super) error: Option<Error>,
    pub(super) matched: Vec<u32>,
    /// Dropped when the client knows: until then its data streams stay.
    pub(super) known: SyncSender<()>,
}

/// Runs a session from its preparation to its end.
pub(super) fn run(work: Work, ready: oneshot::Sender<Result<Ready, Error>>) {
    let workshop = match work.shared.host.workshop(&work.module, &work.shown, &work.caller) {
        Ok(workshop) => workshop,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let Workshop { engine, root, numeric_ids, guard } = workshop;
    let Work { order, mut spec, outbox, notices, closing, begin, shared, .. } = work;
    let stall = u32::try_from(shared.settings.stall_timeout.as_secs()).unwrap_or(u32::MAX).max(1);
    let control = Arc::new(Control::default().patient(Some(stall)));
    let asker = Asker { engine: &*engine, control: &control };
    let mut prepared = match order::prepare(order, &root, &mut spec, asker) {
        Ok(prepared) => prepared,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let mut drive = Drive::new(&*engine, &control);
    let plane = Plane::new();
    let offer = Ready {
        answer: std::mem::take(&mut prepared.answer),
        port: drive.port(Seat(0)),
        engine: Arc::downgrade(&engine),
        plane: Arc::clone(&plane),
        end: prepared.end,
        numeric_ids,
    };
    if ready.send(Ok(offer)).is_err() {
        return;
    }
    let Ok(new_name) = begin.recv_timeout(BEGIN_TIMEOUT) else { return control.cancel() };
    let session = prepared.session(new_name, (&spec, engine.limits()), &plane);
    drop(plane);
    drive.add(session, Box::new(RemoteLink { outbox: outbox.clone(), closing }));
    let stalled = run_drive(&mut drive, notices).err();
    let session = drive.session(Seat(0));
    let error = stalled.or_else(|| session.error().cloned());
    let matched = spec.filter.as_ref().map(|filter| filter.matched()).unwrap_or_default();
    let (known, told) = sync_channel(0);
    let summary = session.summary().clone();
    if outbox.say(Said::Ended(Ended { summary, error, matched, known })) {
        // Nothing is sent: it ends by being dropped, or by the time.
        told.recv_timeout(KNOWN_TIMEOUT).unwrap_or_default();
    }
    drop(guard);
    // What waits for a stream ends by that. What hangs in the system keeps this thread, which has nothing else to do.
    control.cancel();
    drop(engine);
}

/// Runs the loop. A panic in it is an error of this session alone.
fn run_drive(drive: &mut Drive<'_>, notices: Sender<Change>) -> Result<(), Error> {
    let observe = &mut |notice: Notice| {
        if let Notice::Change(change) = notice {
            // After the client has gone nobody wants to know.
            drop(notices.blocking_send(change));
        }
    };
    catch_unwind(AssertUnwindSafe(|| drive.run(observe))).unwrap_or_else(|_| {
        let why = "the session's own code failed";
        Err(Error::because(ErrorKind::Internal, "run session", b"", why))
    })
}

/// What a module is called in messages to a client that has no name for it.
pub(super) fn called(module: &str) -> Vec<u8> {
    format!("/{module}/").into_bytes()
}

/// The answer to a question about a module.
pub(super) fn question<T>(
    (shared, caller): (&Shared, &Caller),
    module: &str,
    ask: impl FnOnce(&Arc<Root>, Asker<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Workshop { engine, root, guard, .. } =
        shared.host.workshop(module, &called(module), caller)?;
    let control = Arc::new(Control::default());
    let answer = ask(&root, Asker { engine: &*engine, control: &control });
    drop(guard);
    answer
}

/// From the answer to an order to its begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// For the last answer of a client.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(10);
