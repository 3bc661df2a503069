//! Runs one transfer: turns endpoints into sessions and links. It must not know how a task is executed or printed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_core::drive::Drive;
use blit_core::endpoint::{Endpoint, Local, Remote};
use blit_core::engine::Engine;
use blit_core::event::{Control, Seat};
use blit_core::link::pair;
use blit_core::session::Session;
use blit_core::spec::{Follow, TransferSpec, Verb};
use blit_core::summary::{Notice, Summary};
use blit_core::task::Dir;
use blit_core::{Error, ErrorKind};

use crate::connect::Access;
use crate::keep;
use crate::local::{self, Asker, Resolved, Way};
use crate::remote::{self, Reach};
use crate::rename;

/// A transfer as the user asked for it.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is copied; at least one.
    pub sources: Vec<Endpoint>,
    /// Where to.
    pub destination: Endpoint,
    /// How.
    pub spec: TransferSpec,
    /// How daemons are reached; where there is none, only local paths can be used.
    pub access: Option<Access>,
    /// How often a run that a daemon or the network has cut off is begun again.
    pub retries: u32,
}

/// How a transfer ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done up to the end.
    pub summary: Summary,
    /// Why it ended early, where it did.
    pub error: Option<Error>,
    /// How many bytes went to a daemon or came from it, on which connections.
    pub carried: Carried,
    /// The only source is a directory, and the destination that it went into was not there before.
    pub into_new_dir: bool,
}

/// How many bytes of contents went over the network, with what frames them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Over data connections.
    pub data: u64,
    /// Over the control connection.
    pub control: u64,
}

impl Outcome {
    pub(crate) fn failed(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Whether tasks hang in the engine, so that waiting for it would hang too.
    pub fn engine_hangs(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Stalled)
    }
}

/// Runs `request` on `engine` until it is done, fails or is cancelled through `control`. `observe` is told each change
/// when the spec asks for it.
pub fn run(
    request: &Request,
    engine: &dyn Engine,
    control: &Arc<Control>,
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let mut attempt = 0;
    loop {
        let outcome = run_once(request, engine, control, observe);
        let Some(error) = outcome.error.as_ref().filter(|error| is_transient(error.kind)) else {
            return outcome;
        };
        if attempt >= request.retries || outcome.engine_hangs() || control.is_stopped() {
            return outcome;
        }
        attempt += 1;
        let wait = pause(attempt);
        let text = format!(
            "{error}; trying again in {} s ({attempt} of {})",
            wait.as_secs(),
            request.retries
        );
        observe(Notice::Note(text));
        if !rest(wait, control) {
            return outcome;
        }
        control.renew();
    }
}

fn run_once(
    request: &Request,
    engine: &dyn Engine,
    control: &Arc<Control>,
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let asker = Asker { engine, control };
    let Request { sources, destination, spec, access, .. } = request;
    let (near, far) = sides(sources);
    let reach = |remote: &Remote| {
        let access = access.as_ref().ok_or_else(|| no_access(remote))?;
        Ok(Reach { asker, access, spec })
    };
    if let (Some(_), [first, ..]) = (&spec.follow, &far[..]) {
        return Outcome::failed(follows_nothing(first));
    }
    let ran = match (&near[..], &far[..], destination) {
        (_, [], Endpoint::Local(destination)) => {
            let follows = spec.follow.is_some();
            let way = Way { sources: &near, destination, asker, follows };
            Ok(run_local(request, &way, observe))
        }
        (_, [], Endpoint::Remote(to)) => {
            reach(to).and_then(|reach| remote::push(&near, to, reach, observe))
        }
        ([], [first, ..], Endpoint::Local(to)) => {
            reach(first).and_then(|reach| remote::pull(&far, to, reach, observe))
        }
        (_, [first, ..], _) => Err(two_sides(first)),
    };
    ran.unwrap_or_else(Outcome::failed)
}

/// Local and remote places.
pub(crate) fn sides(endpoints: &[Endpoint]) -> (Vec<&Local>, Vec<&Remote>) {
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        match endpoint {
            Endpoint::Local(local) => near.push(local),
            Endpoint::Remote(remote) => far.push(remote),
        }
    }
    (near, far)
}

fn two_sides(remote: &Remote) -> Error {
    let why = "one side of a run is on this machine: copy to a local directory first, or run blit at the other end";
    Error::because(ErrorKind::Usage, "connect to", remote.host.as_bytes(), why)
}

fn follows_nothing(remote: &Remote) -> Error {
    let why = "a daemon follows no links in its modules, since they could lead out of them; without --copy-links they are copied as links";
    let place = crate::shown::place(remote, &remote.path.to_bytes());
    Error::because(ErrorKind::Usage, "follow links in", place.as_bytes(), why)
}

pub(crate) fn no_access(remote: &Remote) -> Error {
    let why = "daemons cannot be reached from here";
    Error::because(ErrorKind::Usage, "connect to", remote.host.as_bytes(), why)
}

/// Whether the same may succeed a moment later.
fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Stalled)
}

/// How long to wait before an attempt: twice as long each time, and each time by another fraction, so that many clients of
/// a daemon that has come back do not come at once.
fn pause(attempt: u32) -> Duration {
    let longest = RETRY_FIRST.saturating_mul(1 << attempt.min(16)).min(RETRY_LONGEST);
    let fraction = RandomState::new().hash_one(attempt) % 500;
    let permille = 500 + u32::try_from(fraction).unwrap_or(0);
    (longest * permille / 1000).max(RETRY_FIRST)
}

/// Waits, unless the run is cancelled.
fn rest(time: Duration, control: &Control) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if control.is_stopped() {
            return false;
        }
        std::thread::sleep(RETRY_BEAT);
    }
    true
}

/// Both roles in this process.
fn run_local(request: &Request, way: &Way<'_>, observe: &mut dyn FnMut(Notice)) -> Outcome {
    let mut resolved = match local::resolve(way) {
        Ok(resolved) => resolved,
        Err(error) => return Outcome::failed(error),
    };
    let mut spec = request.spec.clone();
    if let Some(follow) = &mut spec.follow {
        *follow = match kept_out(way, &mut resolved, request.spec.dry_run) {
            Ok(follow) => follow,
            Err(error) => return Outcome::failed(error),
        };
    }
    let sources = resolved.items.iter().zip(resolved.metas.iter().map(Option::as_ref));
    let sources: Vec<_> = sources.collect();
    let at = (&resolved.target, &resolved.facts);
    if let Err(error) = keep::complete(&mut spec, at, &sources, way.asker) {
        return Outcome::failed(error);
    }
    let spec = &spec;
    let into_new_dir = resolved.is_dir_into_new();
    let mut done = Summary::default();
    if spec.verb == Verb::Move {
        done = rename::rename(way, &mut resolved, spec, observe);
        if resolved.items.is_empty() {
            return Outcome { summary: done, into_new_dir, ..Outcome::default() };
        }
    }
    let limits = way.asker.engine.limits();
    let source = Session::source(resolved.items, spec.clone(), limits);
    let destination = Session::destination(resolved.target, &resolved.facts, spec.clone(), limits);
    let mut outcome = run_pair(&way.asker, (source, destination), observe);
    outcome.into_new_dir = into_new_dir;
    outcome.summary.renamed += done.renamed;
    outcome.summary.add(&done);
    outcome
}

/// Where links that are followed must not lead. A destination that does not exist is made, so that it can be told from
/// everything else by what it is, whatever way leads to it.
fn kept_out(way: &Way<'_>, resolved: &mut Resolved, dry_run: bool) -> Result<Follow, Error> {
    let target = &resolved.target;
    let name = target.path.split_last().map(|(_, name)| name).filter(|_| target.absent);
    if name.is_none() || dry_run || !rename::make_target(way, resolved) {
        return Ok(Follow { dir: resolved.facts.dir.id, name });
    }
    let made = Dir::new(&resolved.target.root, resolved.target.path.clone());
    Ok(Follow { dir: way.asker.examine(made, false)?.dir.id, name: None })
}

/// Runs two sessions in this process.
pub(crate) fn run_pair(
    asker: &Asker<'_>,
    (source, destination): (Session, Session),
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let mut drive = Drive::new(asker.engine, asker.control);
    let (at_source, at_destination) = pair(&drive.port(SOURCE), &drive.port(DESTINATION));
    drive.add(source, Box::new(at_source));
    drive.add(destination, Box::new(at_destination));
    let stalled = drive.run(observe).err();
    let [source, destination] = [drive.session(SOURCE), drive.session(DESTINATION)];
    let errors = [stalled.as_ref(), destination.error(), source.error()];
    let mut summary = destination.summary().clone();
    summary.add(source.summary());
    Outcome { summary, error: cause(errors), ..Outcome::default() }
}

/// The error that explains the others: what was interrupted because of it says only that.
fn cause(errors: [Option<&Error>; 3]) -> Option<Error> {
    let known = || errors.iter().copied().flatten();
    known().find(|error| error.kind != ErrorKind::Interrupted).or_else(|| known().next()).cloned()
}

/// The first wait before another attempt.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const RETRY_LONGEST: Duration = Duration::from_secs(60);
/// How often who waits looks whether the run is cancelled.
const RETRY_BEAT: Duration = Duration::from_millis(100);

const SOURCE: Seat = Seat(0);
const DESTINATION: Seat = Seat(1);
