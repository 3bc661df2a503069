//! `blit jobs`: what this user has started at a daemon. It must not know how a job is shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use blit_core::event::Control;
use blit_core::{Error, ErrorKind};
use blit_rpc::jobs::{Job, Jobs, Told};
use blit_rpc::transfer::Outcome;

use crate::args::{CarriageArgs, JobsArgs};
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::{Run, go};

/// Lists jobs, watches them, or ends one.
pub(crate) fn run(args: &JobsArgs) -> Exit {
    let telling = options::looking(Verb::Jobs, args.json);
    go(telling, options::NO_ENGINE, |run| {
        let (host, port) = access::daemon(&args.host)?;
        let access = access::access(&args.network, &CarriageArgs::default())?;
        let mut reached = None;
        run.tell(|_, observe| {
            reached = Some(Jobs::at((&host, port), &access, observe));
            Outcome::default()
        })?;
        let nothing = || Error::new(ErrorKind::Internal, "list jobs", b"");
        let jobs = reached.ok_or_else(nothing)??;
        match (args.watch, args.cancel) {
            (_, Some(id)) => cancel(run, &jobs, id)?,
            (Some(id), None) => watch(run, &jobs, Some(id).filter(|id| *id != 0))?,
            (None, None) => {
                let told = ask(run, |control| jobs.list(control))?;
                run.ui.jobs(&told.jobs, true);
            }
        }
        Ok(Outcome::default())
    })
}

/// Asks the daemon; a signal ends the wait for the answer.
fn ask<T>(run: &mut Run, call: impl FnOnce(&Control) -> Result<T, Error>) -> Result<T, Error> {
    let mut answer = None;
    run.tell(|(_, control), _| {
        answer = Some(call(control));
        Outcome::default()
    })?;
    answer.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "ask", b"")))
}

/// Tells of each job that goes on whenever it has moved, until all have ended.
fn watch(run: &mut Run, jobs: &Jobs, id: Option<u64>) -> Result<(), Error> {
    let mut told = match id {
        Some(id) => ask(run, |control| jobs.watch(Some(id), 0, control))?,
        None => ask(run, |control| jobs.list(control))?,
    };
    let mut seen = Seen::default();
    let mut is_first = true;
    loop {
        let news: Vec<Job> =
            told.jobs.iter().filter(|job| seen.is_news(job, id.is_some())).cloned().collect();
        if !news.is_empty() {
            run.ui.jobs(&news, is_first);
            is_first = false;
        }
        if told.jobs.iter().all(|job| job.end.is_some()) || run.ui.is_broken() {
            return Ok(());
        }
        told = ask(run, |control| jobs.watch(id, told.moved, control))?;
    }
}

/// What was told of each job last.
#[derive(Default)]
struct Seen(HashMap<u64, (bool, u64, u64)>);

impl Seen {
    /// Whether there is something to tell of `job`. One that had ended before is of interest only where it was asked for.
    fn is_news(&mut self, job: &Job, asked_for: bool) -> bool {
        let state = (job.end.is_some(), job.progress.files, job.progress.bytes);
        match self.0.insert(job.id, state) {
            Some(before) => before != state,
            None => asked_for || job.end.is_none(),
        }
    }
}

/// Ends a job, and tells how it ended.
fn cancel(run: &mut Run, jobs: &Jobs, id: u64) -> Result<(), Error> {
    ask(run, |control| jobs.cancel(id, control))?;
    let begun = Instant::now();
    let mut told = Told::default();
    while begun.elapsed() < PATIENCE && told.jobs.iter().all(|job| job.end.is_none()) {
        told = ask(run, |control| jobs.watch(Some(id), told.moved, control))?;
    }
    run.ui.jobs(&told.jobs, true);
    if told.jobs.iter().all(|job| job.end.is_none()) {
        run.note(format!("job {id} is to end, and waits for its disk or its other side"));
    }
    Ok(())
}

/// How long a job may take to end before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
