//! Sessions whose other role is at a daemon. It must not know engines' insides, sockets or messages.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use blit_core::drive::Drive;
use blit_core::endpoint::{Local, Remote};
use blit_core::entry::Kind;
use blit_core::event::Seat;
use blit_core::path::{Name, RelPath};
use blit_core::session::Session;
use blit_core::spec::{Counterpart, SourceItem, Target, TransferSpec};
use blit_core::stream::{End, Plane};
use blit_core::summary::{Notice, Summary};
use blit_core::task::{Dir, SpaceFacts};
use blit_core::{Error, ErrorKind};

use crate::client::{Beside, Client, Found as FarFound, Joint, Opened, Order, Word};
use crate::connect::Access;
use crate::data::Data;
use crate::keep;
use crate::link::{self, Outbox, RemoteLink};
use crate::local::{self, Asker, Found};
use crate::shown::Shown;
use crate::transfer::{Carried, Outcome};

/// What a run with a daemon needs beside its paths.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) asker: Asker<'a>,
    pub(crate) access: &'a Access,
    pub(crate) spec: &'a TransferSpec,
}

/// Local sources go to a daemon.
pub(crate) fn push(
    sources: &[&Local],
    to: &Remote,
    reach: Reach<'_>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Outcome, Error> {
    let mut found = local::find_sources(sources, reach.asker, reach.spec.follow.is_some())?;
    let one_file = local::is_one_file(&found);
    let mut joined = Joined::connect(to, reach, Some(End::Source), observe)?;
    let way = |counterpart: &Option<Counterpart>| {
        counterpart.as_ref().map(|counterpart| RelPath::clone(&counterpart.dir.path))
    };
    let beside = Beside { backup: way(&reach.spec.backup), reference: way(&reach.spec.reference) };
    let order = Order::Push { path: to.path.clone(), contents: to.contents, one_file, beside };
    let is_here = joined.client.place.is_here;
    let opened = joined.open(order, None, !is_here)?;
    if let (Some(new_name), [Found { item: SourceItem::Entry { target_name, .. }, .. }]) =
        (&opened.new_name, &mut found[..])
    {
        *target_name = new_name.clone();
    }
    if is_here {
        for found in &found {
            check_push_overlap(found, &opened, reach.asker)?;
        }
        joined.begin(None)?;
    }
    let is_dir = |found: &Found| {
        let meta = found.meta.as_ref();
        matches!(found.item, SourceItem::Entry { .. })
            && meta.is_some_and(|meta| meta.kind == Kind::Dir)
    };
    let into_new_dir = opened.absent && matches!(&found[..], [only] if is_dir(only));
    let items = found.into_iter().map(|found| found.item).collect();
    let session = Session::source(items, reach.spec.clone(), reach.asker.engine.limits());
    Ok(Outcome { into_new_dir, ..joined.run(session, observe) })
}

/// What a daemon has comes here.
pub(crate) fn pull(
    from: &[&Remote],
    to: &Local,
    reach: Reach<'_>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Outcome, Error> {
    let first = one_module(from)?;
    let mut joined = Joined::connect(first, reach, Some(End::Destination), observe)?;
    let paths = from.iter().map(|remote| (remote.path.clone(), is_contents(remote)));
    let opened = joined.open(Order::Pull(paths.collect()), None, false)?;
    let one_file = matches!(&opened.found[..], [found] if found.exists && !found.is_dir)
        && !from.iter().any(|remote| is_contents(remote));
    let (target, facts, new_name) = local::find_target(to, reach.asker, one_file)?;
    if joined.client.place.is_here {
        let at = (&target, &facts, new_name.as_ref());
        for (remote, found) in from.iter().zip(&opened.found) {
            check_pull_overlap(remote, found, at, reach.asker)?;
        }
    }
    let is_dir =
        matches!(from, [only] if !is_contents(only)) && opened.found.iter().all(|it| it.is_dir);
    let into_new_dir = target.absent && is_dir;
    let mut spec = reach.spec.clone();
    keep::complete(&mut spec, (&target, &facts), &[], reach.asker)?;
    joined.begin(new_name.as_ref())?;
    let limits = reach.asker.engine.limits();
    let session = Session::destination(target, &facts, spec, limits);
    Ok(Outcome { into_new_dir, ..joined.run(session, observe) })
}

/// Someone looks at what a daemon has.
pub(crate) fn look(
    at: &Remote,
    reach: Reach<'_>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Outcome, Error> {
    let mut joined = Joined::connect(at, reach, None, observe)?;
    let shown = Shown::new(at, at.path.clone());
    joined.open(Order::Look(at.path.clone(), is_contents(at)), Some(shown), true)?;
    Ok(joined.run(Session::viewer(), observe))
}

/// Entries of a module are removed: `paths` of the one that all of `at` are in.
pub(crate) fn remove(
    at: &[&Remote],
    paths: Vec<RelPath>,
    reach: Reach<'_>,
    observe: &mut dyn FnMut(Notice),
) -> Result<Outcome, Error> {
    let first = one_module(at)?;
    let mut joined = Joined::connect(first, reach, None, observe)?;
    joined.open(Order::Remove(paths), None, true)?;
    // Nothing is listed for this viewer: it is told what was removed, and when all was.
    Ok(joined.run(Session::viewer(), observe))
}

/// The root of a module is its contents, however it was typed.
fn is_contents(remote: &Remote) -> bool {
    remote.contents || remote.path.is_root()
}

/// The first of several places, if all are in its module.
pub(crate) fn one_module<'a>(places: &[&'a Remote]) -> Result<&'a Remote, Error> {
    let key = |remote: &Remote| (remote.host.clone(), remote.port, remote.module.clone());
    match places {
        [first, rest @ ..] if rest.iter().all(|other| key(other) == key(first)) => Ok(first),
        places => {
            let host = places.first().map(|remote| remote.host.as_bytes()).unwrap_or_default();
            let why = "all remote paths of one run are in one module of one daemon";
            Err(Error::because(ErrorKind::Usage, "connect to", host, why))
        }
    }
}

fn overlap(remote: &Remote, why: &str) -> Error {
    let place = crate::shown::place(remote, &remote.path.to_bytes());
    Error::because(ErrorKind::Overlap, "copy", place.as_bytes(), why)
}

/// Refuses a source on this very machine that is its own destination, or is in it, or the other way round.
fn check_push_overlap(found: &Found, opened: &Opened, asker: Asker<'_>) -> Result<(), Error> {
    let (dir, name) = match &found.item {
        SourceItem::Contents(dir) => (dir, None),
        SourceItem::Entry { parent, name, .. } => (parent, Some(name)),
    };
    let refuse = |why: &str| Err(Error::because(ErrorKind::Overlap, "copy", &dir.shown(name), why));
    let Some(meta) = &found.meta else { return Ok(()) };
    let target = opened.ids.first().filter(|_| !opened.absent);
    if let SourceItem::Entry { name, target_name, .. } = &found.item
        && found.dir.as_ref().is_some_and(|dir| Some(&dir.id) == target)
        && name == target_name
    {
        return refuse("the source is its own destination");
    }
    if meta.kind != Kind::Dir {
        return Ok(());
    }
    if opened.ids.contains(&meta.id) {
        return refuse("the destination is the source or inside it");
    }
    let above = asker.examine(dir.clone(), false)?.ancestors;
    let is_contents = matches!(found.item, SourceItem::Contents(_));
    if is_contents && target.is_some_and(|target| above.contains(target)) {
        return refuse("the source is inside its destination");
    }
    Ok(())
}

/// Refuses a source at a daemon on this very machine that is its own destination, or is in it, or the other way round.
fn check_pull_overlap(
    remote: &Remote,
    found: &FarFound,
    (target, facts, new_name): (&Target, &SpaceFacts, Option<&Name>),
    asker: Asker<'_>,
) -> Result<(), Error> {
    if !found.exists {
        return Ok(());
    }
    if found.is_dir && (facts.ancestors.contains(&found.id) || facts.dir.id == found.id) {
        return Err(overlap(remote, "the destination is the source or inside it"));
    }
    if target.absent {
        return Ok(());
    }
    let name = remote.path.split_last().map(|(_, name)| name);
    let standing = match new_name.or(name.as_ref()).filter(|_| !is_contents(remote)) {
        Some(name) => asker.look(Dir::new(&target.root, target.path.clone()), name)?,
        None => Some(facts.dir.clone()),
    };
    match standing.map(|standing| standing.id) {
        Some(id) if id == found.id => Err(overlap(remote, "the source is its own destination")),
        Some(id) if found.above.contains(&id) => {
            Err(overlap(remote, "the source is inside its destination"))
        }
        _ => Ok(()),
    }
}

/// A session at this end, its connection, and what both need of each other.
struct Joined<'a> {
    reach: Reach<'a>,
    remote: &'a Remote,
    client: Client,
    drive: Drive<'a>,
    /// What data streams are for, where there are any.
    end: Option<End>,
    plane: Arc<Plane>,
    data: Data,
    words: Receiver<Word>,
    outbox: Outbox<Infallible>,
    closing: Arc<AtomicBool>,
    /// What is taken by the control connection when the session is opened.
    joint: Option<Joint>,
    /// The daemon's role has no other.
    lone: bool,
}

impl<'a> Joined<'a> {
    fn connect(
        remote: &'a Remote,
        reach: Reach<'a>,
        end: Option<End>,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Self, Error> {
        let (client, notes) = Client::connect(&remote.host, remote.port, reach.access)?;
        notes.into_iter().for_each(observe);
        let drive = Drive::new(reach.asker.engine, reach.asker.control);
        let (outbox, said) = link::outbox();
        let (tell, words) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let data = Data::new(Arc::clone(&closing));
        if end.is_some() {
            data.begin(&client.place, reach.access, reach.patience());
        }
        let plane = Plane::new();
        let joint = Joint {
            port: drive.port(Seat(0)),
            plane: Arc::clone(&plane),
            outbox: said,
            words: tell,
            streams: end.map(|_| data.streams()),
            closing: Arc::clone(&closing),
            shown: None,
            lone: false,
            silence: reach.silence(),
            grant: data.first(),
            begins: false,
        };
        let (joint, lone) = (Some(joint), false);
        Ok(Self {
            reach,
            remote,
            client,
            drive,
            end,
            plane,
            data,
            words,
            outbox,
            closing,
            joint,
            lone,
        })
    }

    /// Opens the session. It begins at once where nothing has to be decided here before.
    fn open(&mut self, order: Order, shown: Option<Shown>, begins: bool) -> Result<Opened, Error> {
        let Reach { access, spec, asker, .. } = self.reach;
        let joint = self.joint.take();
        let joint = joint.ok_or_else(|| Error::new(ErrorKind::Internal, "open session", b""))?;
        self.lone = matches!(order, Order::Remove(_));
        let joint = Joint { shown, lone: self.lone, begins, ..joint };
        self.client.open((self.remote, order), (spec, access), joint, asker.control)
    }

    fn begin(&self, new_name: Option<&Name>) -> Result<(), Error> {
        self.client.begin(new_name, self.reach.silence(), self.reach.asker.control)
    }

    /// Runs the session to its end, and waits for the end of the daemon's role.
    fn run(mut self, session: Session, observe: &mut dyn FnMut(Notice)) -> Outcome {
        let Reach { asker, access, .. } = self.reach;
        let session = if self.end.is_some() { session.over(&self.plane) } else { session };
        let link = RemoteLink { outbox: self.outbox.clone(), closing: Arc::clone(&self.closing) };
        self.drive.add(session, Box::new(link));
        let (drive, data, client) = (&mut self.drive, &self.data, &self.client);
        let port = drive.port(Seat(0));
        let stalled = thread::scope(|scope| {
            if let Some(end) = self.end {
                let plane = Arc::clone(&self.plane);
                let (engine, patience) = (asker.engine, self.reach.patience());
                let lines =
                    crate::data::Lines { client, access, engine, plane, end, port, patience };
                scope.spawn(move || data.keep(&lines));
            }
            let stalled = drive.run(observe).err();
            if stalled.is_some() || drive.session(Seat(0)).error().is_some() {
                // Whoever asks the daemon for something need not wait for it any more.
                asker.control.cancel();
            }
            data.stop();
            stalled
        });
        let failed =
            stalled.as_ref().or(self.drive.session(Seat(0)).error()).map(|error| error.kind);
        let last = self.last_word(failed, observe);
        // What the daemon did last is told on its own way, which the last frame may have overtaken.
        self.drive.hear_out(observe);
        let carried = self.data.carried();
        self.outcome(stalled, last, carried)
    }

    /// Waits for what the daemon says at last. After a failure here not for long, and where it was waited for in vain already
    /// hardly at all. What it still tells is passed on.
    fn last_word(
        &mut self,
        failed: Option<ErrorKind>,
        observe: &mut dyn FnMut(Notice),
    ) -> Option<Word> {
        let control = self.reach.asker.control;
        let patience = match failed {
            Some(ErrorKind::Stalled | ErrorKind::Disconnected) => GONE_TIMEOUT,
            _ => FAREWELL_TIMEOUT,
        };
        let begun = Instant::now();
        loop {
            let word = self.words.recv_timeout(BEAT);
            while self.drive.step(observe) {}
            match word {
                Ok(word) => return Some(word),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            let is_early = failed.is_some() || control.is_cancelled();
            if is_early && begun.elapsed() >= patience {
                return None;
            }
        }
    }

    /// What both roles have done.
    fn outcome(&self, stalled: Option<Error>, last: Option<Word>, carried: Carried) -> Outcome {
        let session = self.drive.session(Seat(0));
        let mut summary = session.summary().clone();
        let mut errors = vec![stalled, session.error().cloned()];
        match last {
            Some(Word::Ended { error, summary: far, matched }) => {
                if let Some(filter) = &self.reach.spec.filter {
                    filter.add_matched(&matched);
                }
                summary = self.sum(*far, summary);
                errors.push(error);
            }
            Some(Word::Cut(error, finished)) => match finished {
                Some(far) => summary = self.sum(far, summary),
                None => errors.push(Some(error)),
            },
            None => {
                let why = "the daemon has not said how it ended";
                let name = self.client.place.shown();
                let error =
                    Error::because(ErrorKind::Disconnected, "wait for", name.as_bytes(), why);
                errors.push(Some(error));
            }
        }
        let known = || errors.iter().flatten();
        let error = known()
            .find(|error| error.kind != ErrorKind::Interrupted)
            .or_else(|| known().next())
            .cloned();
        Outcome { summary, error, carried, ..Outcome::default() }
    }

    /// The destination counts what was transferred, the source what has left it.
    fn sum(&self, far: Summary, near: Summary) -> Summary {
        let (mut all, other) = match self.end {
            Some(End::Destination) => (near, far),
            Some(End::Source) => (far, near),
            None if self.lone => return far,
            None => return near,
        };
        all.add(&other);
        all
    }
}

impl Reach<'_> {
    /// How long the daemon may say nothing.
    fn silence(&self) -> Duration {
        let silence = self.asker.control.stall_timeout_s().unwrap_or(SILENCE_S);
        Duration::from_secs(u64::from(silence.max(1)))
    }

    /// How long a data connection may not take what is sent: less than a session may stand still.
    fn patience(&self) -> Duration {
        self.silence() * 2 / 3
    }
}

/// How often who waits for the daemon's last word looks whether the run is cancelled.
const BEAT: Duration = Duration::from_millis(100);
/// How long the daemon may take to end after this end has failed.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);
/// The same of one that has said nothing for long, or whose connection is gone: its end may be on the way.
const GONE_TIMEOUT: Duration = Duration::from_millis(500);
/// Where no limit is set on standing still, a daemon that says nothing is gone after so many seconds.
const SILENCE_S: u32 = 60;
