//! Jobs: who sees them, what is told of them, and how one is ended.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use blit_core::endpoint::Endpoint;
use blit_core::event::Control;
use blit_core::spec::Verb;
use blit_core::{Error, ErrorKind};
use blit_rpc::connect::{Access, Trust};
use blit_rpc::identity::Identity;
use blit_rpc::jobs::{Job, Jobs, Order};
use blit_rpc::known::KnownHosts;
use blit_rpc::transfer::{Outcome, run};

use super::daemon::{access, done, endpoint, engine, noise, plant, request};
use super::{World, encrypted, files, wait_for};

/// Runs a copy so slowly that it does not end before it is ended.
fn slowly(access: &Access, source: Endpoint, destination: Endpoint) -> Outcome {
    let mut asked = request(Verb::Copy, source, destination);
    asked.access = Some(access.clone());
    let control = Arc::new(Control::default().paced(Some(256 << 10)));
    run(&asked, &*engine(), &control, &mut |_| {})
}

fn jobs_at(address: SocketAddr, access: &Access) -> Jobs {
    let host = address.ip().to_string();
    Jobs::at((&host, address.port()), access, &mut |_| {}).expect("it answers")
}

/// Waits until one job runs and has moved bytes.
fn moving(jobs: &Jobs, control: &Control) -> Job {
    let mut found = None;
    wait_for("a job moves", || {
        let told = jobs.list(control).expect("they are told");
        found = told.jobs.into_iter().find(|job| job.end.is_none() && job.progress.bytes > 0);
        found.is_some()
    });
    found.expect("it was found")
}

/// Waits until the job has ended.
fn ended(jobs: &Jobs, id: u64, control: &Control) -> Option<Error> {
    let mut told = jobs.watch(Some(id), 0, control).expect("it is told");
    while told.jobs[0].end.is_none() {
        told = jobs.watch(Some(id), told.moved, control).expect("it is told");
    }
    told.jobs.remove(0).end.and_then(|end| end.error)
}

/// Names below `dir` that are not hidden.
fn visible(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with(".blit-")).collect()
}

#[test]
fn a_job_that_is_cancelled_ends_at_both_sides_and_says_who_did_it() {
    let world = World::new();
    fs::write(world.path("large"), noise(20 << 20)).expect("a file");
    fs::write(world.path("m/large"), noise(20 << 20)).expect("a file");
    let (control, access) = (Control::default(), access());
    let jobs = jobs_at(world.daemon.address, &access);
    for (order, source, destination, dir) in [
        (Order::Push, world.local("large"), world.daemon.at("/m/new/"), "m/new"),
        (Order::Pull, world.daemon.at("/m/large"), world.local("got/"), "got"),
    ] {
        let (job, outcome) = std::thread::scope(|scope| {
            let running = scope.spawn(|| slowly(&access, source, destination));
            let job = moving(&jobs, &control);
            jobs.cancel(job.id, &control).expect("it may be ended");
            (job, running.join().expect("it does not panic"))
        });
        assert_eq!((job.order, job.verb, job.module.as_str()), (order, Verb::Copy, "m"));
        assert!(job.progress.bytes < 20 << 20, "{job:?}");
        let error = outcome.error.expect("it was ended");
        assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
        assert!(error.to_string().contains("it was cancelled from 127.0.0.1:"), "{error}");
        let told = ended(&jobs, job.id, &control).expect("it has ended early");
        assert_eq!(told.to_string(), error.to_string());
        assert_eq!(visible(&world.path(dir)), [""; 0], "nothing is half written");
        let again = jobs.cancel(job.id, &control).expect_err("it has ended");
        assert_eq!(again.kind, ErrorKind::Refused, "{again}");
    }
    world.assert_quiet();
    done(&request(Verb::Copy, world.local("large"), world.daemon.at("/m/new/")));
    assert_eq!(visible(&world.path("m/new")), ["large"], "the next run goes on");
}

#[test]
fn a_job_tells_what_it_has_done_after_its_end() {
    let world = World::new();
    plant(&world.path("src"));
    let (control, access) = (Control::default(), access());
    done(&request(Verb::Mirror, world.local("src/"), world.daemon.at("/m/")));
    let jobs = jobs_at(world.daemon.address, &access);
    let told = || jobs.list(&control).expect("they are told").jobs;
    wait_for("it has ended", || told().iter().all(|job| job.end.is_some()));
    let [job] = &told()[..] else { panic!("one job: {:?}", told()) };
    assert_eq!((job.id, job.order, job.verb), (1, Order::Push, Verb::Mirror));
    assert_eq!(job.progress.files, 202, "directories are not counted: {job:?}");
    assert!(job.end.as_ref().is_some_and(|end| end.error.is_none() && end.failed == 0));
}

#[test]
fn jobs_of_another_key_are_neither_seen_nor_ended() {
    let top = tempfile::tempdir().expect("a directory");
    fs::write(top.path().join("large"), noise(20 << 20)).expect("a file");
    let (daemon, own) = encrypted(top.path(), "known");
    let trust = Trust::Keys {
        identity: Arc::new(Identity::generate().expect("random numbers")),
        known: Arc::new(KnownHosts::new(top.path().join("known"), files())),
        require_known: false,
    };
    let other = Access { trust, ..access() };
    let control = Control::default();
    let jobs = jobs_at(daemon.address, &own);
    let source = endpoint(&top.path().join("large").display().to_string());
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| slowly(&own, source, daemon.at("/m/")));
        let job = moving(&jobs, &control);
        for stranger in [&other, &access()] {
            let theirs = jobs_at(daemon.address, stranger);
            assert!(theirs.list(&control).expect("an answer").jobs.is_empty());
            let refusals = |id: u64| {
                let watched = theirs.watch(Some(id), 0, &control).expect_err("not theirs");
                let cancelled = theirs.cancel(id, &control).expect_err("not theirs");
                assert_eq!([watched.kind, cancelled.kind], [ErrorKind::Refused; 2]);
                [watched, cancelled].map(|error| error.to_string().replace(&id.to_string(), "ID"))
            };
            assert_eq!(refusals(job.id), refusals(4711), "as if there were none");
        }
        let told = jobs.watch(None, 0, &control).expect("it is told").jobs;
        assert!(told.len() == 1 && told[0].end.is_none(), "it runs on: {told:?}");
        jobs.cancel(job.id, &control).expect("it is one's own");
        running.join().expect("it does not panic")
    });
    assert_eq!(outcome.error.expect("it was ended").kind, ErrorKind::Cancelled);
}
