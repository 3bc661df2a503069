//! Runs one transfer: turns endpoints into sessions and links. It must not know how a task is executed or printed.

use std::sync::Arc;

use blit_core::drive::Drive;
use blit_core::endpoint::{Endpoint, Local};
use blit_core::engine::Engine;
use blit_core::event::{Control, Seat};
use blit_core::link::pair;
use blit_core::session::Session;
use blit_core::spec::{Follow, TransferSpec, Verb};
use blit_core::summary::{Notice, Summary};
use blit_core::task::Dir;
use blit_core::{Error, ErrorKind};

use crate::keep;
use crate::local::{self, Asker, Resolved, Way};
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
    /// The run ends when nothing has moved for so many seconds; `None` never.
    pub stall_timeout_s: Option<u32>,
}

/// How a transfer ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done up to the end.
    pub summary: Summary,
    /// Why it ended early, where it did.
    pub error: Option<Error>,
}

impl Outcome {
    pub(crate) fn failed(error: Error) -> Self {
        Self { summary: Summary::default(), error: Some(error) }
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
    let sources: Result<Vec<&Local>, Error> = request.sources.iter().map(only_local).collect();
    match sources.and_then(|sources| Ok((sources, only_local(&request.destination)?))) {
        Ok((sources, destination)) => {
            let asker = Asker { engine, control };
            let follows = request.spec.follow.is_some();
            let way = Way { sources: &sources, destination, asker, follows };
            run_local(request, &way, observe)
        }
        Err(error) => Outcome::failed(error),
    }
}

pub(crate) fn only_local(endpoint: &Endpoint) -> Result<&Local, Error> {
    match endpoint {
        Endpoint::Local(local) => Ok(local),
        Endpoint::Remote(remote) => {
            let why = "this build copies between local paths only";
            Err(Error::because(ErrorKind::Usage, "connect to", remote.host.as_bytes(), why))
        }
    }
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
    let kept = keep::backup(way, &resolved, &spec)
        .and_then(|backup| Ok((backup, keep::reference(way, &resolved, &spec)?)));
    (spec.backup, spec.reference) = match kept {
        Ok(kept) => kept,
        Err(error) => return Outcome::failed(error),
    };
    let spec = &spec;
    let mut done = Summary::default();
    if spec.verb == Verb::Move {
        done = rename::rename(way, &mut resolved, spec, observe);
        if resolved.items.is_empty() {
            return Outcome { summary: done, error: None };
        }
    }
    let limits = way.asker.engine.limits();
    let source = Session::source(resolved.items, spec.clone(), limits);
    let destination = Session::destination(resolved.target, &resolved.facts, spec.clone(), limits);
    let mut outcome = run_pair(&way.asker, (source, destination), request.stall_timeout_s, observe);
    outcome.summary.renamed = done.renamed;
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
    stall_timeout_s: Option<u32>,
    observe: &mut dyn FnMut(Notice),
) -> Outcome {
    let mut drive = Drive::new(asker.engine, asker.control);
    if let Some(seconds) = stall_timeout_s {
        drive.limit_stall(seconds);
    }
    let (at_source, at_destination) = pair(&drive.port(SOURCE), &drive.port(DESTINATION));
    drive.add(source, Box::new(at_source));
    drive.add(destination, Box::new(at_destination));
    let stalled = drive.run(observe).err();
    let [source, destination] = [drive.session(SOURCE), drive.session(DESTINATION)];
    let errors = [stalled.as_ref(), destination.error(), source.error()];
    let mut summary = destination.summary().clone();
    summary.add(source.summary());
    Outcome { summary, error: cause(errors) }
}

/// The error that explains the others: what was interrupted because of it says only that.
fn cause(errors: [Option<&Error>; 3]) -> Option<Error> {
    let known = || errors.iter().copied().flatten();
    known().find(|error| error.kind != ErrorKind::Interrupted).or_else(|| known().next()).cloned()
}

const SOURCE: Seat = Seat(0);
const DESTINATION: Seat = Seat(1);
