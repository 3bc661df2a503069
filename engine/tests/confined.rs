//! An engine that is confined acts for its owner, below its root, in its own threads, and changes nothing for others.
#![cfg(target_os = "linux")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::{Name, RelPath};
use blit_core::spec::{Preserve, Reflink};
use blit_core::task::{
    Dir, List, Manner, Output, Over, Place, Root, Step, Survey, Task, TaskId, What,
};
use blit_core::{Error, ErrorKind};
use blit_engine::{Choice, Confinement, Owner, Reach, Started, start_confined};

#[test]
fn what_a_confined_engine_makes_belongs_to_its_owner() {
    if std::fs::metadata("/proc/self").map_or(1, |meta| meta.uid()) != 0 {
        skip("what_a_confined_engine_makes_belongs_to_its_owner: only root can become others");
        return;
    }
    for choice in CHOICES {
        let top = top();
        // Nobody but root reaches the root by its path.
        std::fs::set_permissions(top.path(), PermissionsExt::from_mode(0o700)).expect("own");
        let confinement = Confinement::new(&top.path().join("in"), Reach::Write, Some(OWNER));
        let confinement = confinement.expect("opened");
        let root = confinement.root().expect("opened");
        let Some(started) = start(choice, confinement) else { continue };
        let made = run(&started, make(&root, "made"));
        assert!(is_done(&made), "{choice}: {made:?}");
        let meta = top.path().join("in/made").metadata().expect("it was made");
        assert_eq!((meta.uid(), meta.gid()), (OWNER.uid, OWNER.gid), "{choice}");
        std::fs::write(top.path().join("in/secret"), "").expect("own");
        std::fs::create_dir(top.path().join("in/closed")).expect("own");
        let closed = PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(top.path().join("in/closed"), closed).expect("own");
        let error = run(&started, list(&root, "closed")).expect_err("another's");
        assert_eq!(error.kind, ErrorKind::PermissionDenied, "{choice}");
        drop(started);
        std::fs::write(top.path().join("mine"), "").expect("this thread is who it was");
        assert_eq!(top.path().join("mine").metadata().expect("made").uid(), 0);
    }
}

#[test]
fn a_confined_engine_reaches_nothing_outside_its_root_even_if_told_to() {
    for choice in CHOICES {
        let top = top();
        let confinement = Confinement::new(&top.path().join("in"), Reach::Write, None);
        let confinement = confinement.expect("opened");
        match confinement.rehearse() {
            Ok(enforced) if enforced.landlock_abi.is_some() => {}
            other => return skip(&format!("confined_engine: no Landlock: {other:?}")),
        }
        let root = confinement.root().expect("opened");
        let Some(started) = start(choice, confinement) else { continue };
        let outside = Root::new(top.path().join("out"));
        let error = run(&started, list(&outside, "")).expect_err("outside");
        assert_eq!(error.kind, ErrorKind::PermissionDenied, "{choice}: {error}");
        let made = run(&started, make(&outside, "made"));
        assert!(!is_done(&made) && !top.path().join("out/made").exists(), "{choice}: {made:?}");
        assert!(run(&started, list(&root, "")).is_ok(), "{choice}");
        // The thread that asks is not confined, during and after.
        std::fs::write(top.path().join("out/f"), "").expect("own directory");
    }
}

#[test]
fn a_confinement_to_reading_forbids_to_write() {
    for choice in CHOICES {
        let top = top();
        let confinement = Confinement::new(&top.path().join("in"), Reach::Read, None);
        let confinement = confinement.expect("opened");
        if !matches!(confinement.rehearse(), Ok(enforced) if enforced.landlock_abi.is_some()) {
            return skip("confinement_to_reading: no Landlock");
        }
        let root = confinement.root().expect("opened");
        let Some(started) = start(choice, confinement) else { continue };
        assert!(run(&started, list(&root, "")).is_ok(), "{choice}");
        let made = run(&started, make(&root, "made"));
        assert!(!top.path().join("in/made").exists(), "{choice}: {made:?}");
    }
}

#[test]
fn a_root_that_is_missing_is_told_before_anything_starts() {
    let top = top();
    let error = Confinement::new(&top.path().join("gone"), Reach::Read, None).expect_err("gone");
    assert_eq!(error.kind, ErrorKind::NotFound);
}

fn top() -> tempfile::TempDir {
    let top = tempfile::tempdir().expect("a temporary directory");
    for name in ["in", "out"] {
        std::fs::create_dir(top.path().join(name)).expect("made");
    }
    let open = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(top.path().join("in"), open).expect("own directory");
    top
}

fn start(choice: Choice, confinement: Confinement) -> Option<Started> {
    match start_confined(choice, Some(2), confinement) {
        Ok(started) => Some(started),
        Err(error) if choice == Choice::Uring || error.kind == ErrorKind::Unsupported => {
            skip(&format!("confined_engine: {error}"));
            None
        }
        Err(error) => panic!("{choice}: {error}"),
    }
}

fn run(started: &Started, task: Task) -> Result<Output, Error> {
    let (sender, receiver) = mpsc::channel();
    let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
    started.engine.submit(vec![(TaskId(0), task)], &port);
    match receiver.recv_timeout(ANSWER_MAX).expect("an answer").1 {
        Event::Done(_, result) => result,
        other => panic!("{other:?}"),
    }
}

fn is_done(made: &Result<Output, Error>) -> bool {
    matches!(made, Ok(Output::Placed(placed)) if placed.failures.is_empty())
}

fn make(root: &Arc<Root>, name: &str) -> Task {
    let name = Name::new(name.as_bytes()).expect("valid");
    let steps = vec![Step::MakeDir { name, plain: false, over: Over::Nothing }];
    let to = Dir::new(root, RelPath::root());
    let manner = Manner {
        preserve: Preserve::ALL,
        reflink: Reflink::Auto,
        fsync: false,
        in_place: false,
        aside: None,
    };
    Task::Place(Place { to, steps, manner })
}

fn list(root: &Arc<Root>, path: &str) -> Task {
    let dir = Dir::new(root, RelPath::new(path.as_bytes()).expect("valid"));
    let what = What::Next { after: None, entries_max: 16 };
    Task::List(List { dir, what, xattrs: false, survey: Survey::Nothing })
}

fn skip(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED {what}").expect("stderr takes it");
}

const CHOICES: [Choice; 3] = [Choice::Threads, Choice::Uring, Choice::Auto];
const OWNER: Owner = Owner { uid: 65_534, gid: 65_533 };
const ANSWER_MAX: Duration = Duration::from_secs(20);
