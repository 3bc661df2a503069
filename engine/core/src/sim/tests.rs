//! Drives simulated tasks directly, without sessions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::{
    Attributes, Disk, Faults, FsOptions, Mutate, SimEngine, SimOptions, Snapshot, User, differences,
};
use crate::engine::Engine;
use crate::entry::{Changes, Entry, Time};
use crate::error::{Error, ErrorKind};
use crate::event::{Control, Event, Port, Seat};
use crate::path::{Name, RelPath};
use crate::spec::{Preserve, Reflink};
use crate::task::{
    Copied, Copy, CopyInto, Dir, List, Listed, Manner, Output, Over, Page, Pick, Place, Removal,
    Remove, Removed, Root, Space, Step, Survey, Task, TaskId, What,
};

const MANNER: Manner = Manner {
    preserve: Preserve::ALL,
    reflink: Reflink::Auto,
    fsync: false,
    in_place: false,
    aside: None,
};

/// An engine with an inbox of its own.
struct Bench {
    engine: Arc<SimEngine>,
    port: Port,
    inbox: Receiver<(Seat, Event)>,
}

impl Bench {
    fn new(disk: &Disk, seed: u64, options: SimOptions) -> Self {
        let (sender, inbox) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        Self { engine: SimEngine::new(disk, seed, options), port, inbox }
    }

    fn quiet(disk: &Disk) -> Self {
        Self::new(disk, 0, SimOptions::default())
    }

    fn submit(&self, tasks: Vec<Task>) {
        let ids = (0..).map(TaskId);
        self.engine.submit(ids.zip(tasks).collect(), &self.port);
    }

    fn results(&self) -> BTreeMap<TaskId, Result<Output, Error>> {
        let mut results = BTreeMap::new();
        while let Ok((_, event)) = self.inbox.try_recv() {
            let Event::Done(id, result) = event else { panic!("an engine sends nothing else") };
            assert!(results.insert(id, result).is_none(), "{id:?} ended twice");
        }
        results
    }

    fn run(&self, task: Task) -> Result<Output, Error> {
        self.submit(vec![task]);
        self.engine.pump();
        self.results().remove(&TaskId(0)).expect("the task ends")
    }

    fn listed(&self, dir: &Dir) -> Listed {
        let what = What::Next { after: None, entries_max: 1000 };
        let list = List { dir: dir.clone(), what, xattrs: true, survey: Survey::Leftovers };
        match self.run(Task::List(list)) {
            Ok(Output::Listed(listed)) => listed,
            other => panic!("{other:?}"),
        }
    }

    fn copied(&self, copy: Copy) -> Copied {
        match self.run(Task::Copy(copy)) {
            Ok(Output::Copied(copied)) => copied,
            other => panic!("{other:?}"),
        }
    }

    fn removed(&self, dir: Dir, names: Vec<Name>, removal: Removal) -> Removed {
        match self.run(Task::Remove(Remove { dir, names, removal })) {
            Ok(Output::Removed(removed)) => removed,
            other => panic!("{other:?}"),
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("valid")
}

fn dir(root: &str, path: &str) -> Dir {
    Dir::new(&Root::new(root), RelPath::new(path.as_bytes()).expect("valid"))
}

fn copy(page: &Page, into: CopyInto, to: Dir, over: Over) -> Copy {
    let picks = (0..page.len()).map(|index| Pick { index, over }).collect();
    let from = dir("/src", "");
    Copy { from, to, into, page: Arc::clone(page), picks, source_name: None, manner: MANNER }
}

/// Two mounted file systems with three files in the source.
fn disk() -> Disk {
    let disk = Disk::new(User::default());
    disk.mount("/src", FsOptions::default());
    disk.mount("/dst", FsOptions::default());
    for (file, content) in [("a", "first content"), ("b", "second"), ("c", "")] {
        disk.file(format!("/src/{file}"), content);
    }
    disk
}

/// The same with older contents at the destination, and how each name is to end.
fn older() -> (Disk, Page, Snapshot, Snapshot) {
    let disk = disk();
    for file in ["a", "b", "c"] {
        disk.file(format!("/dst/{file}"), format!("what {file} was"));
    }
    let page = Bench::quiet(&disk).listed(&dir("/src", "")).entries.into();
    let (old, new) = (disk.snapshot("/dst"), disk.snapshot("/src"));
    (disk, page, old, new)
}

fn some_faults() -> Faults {
    Faults {
        list_fails: 20,
        examine_fails: 20,
        open_denied: 20,
        vanish: 20,
        read_fails: 30,
        change: 100,
        write_full: 20,
        taken: 50,
        place_denied: 20,
        remove_denied: 20,
        stream_breaks: 0,
        hang: 20,
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (disk, page, ..) = older();
        let options = SimOptions { faults: some_faults(), ..SimOptions::default() };
        let bench = Bench::new(&disk, seed, options);
        let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
        bench.submit(vec![Task::Copy(task.clone()), Task::Copy(task)]);
        bench.engine.pump();
        (bench.engine.pieces(), disk.snapshot("/"), format!("{:?}", bench.results()))
    };
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert!((1..50).any(|seed| run(seed) != run(0)));
}

#[test]
fn a_copy_is_equal_to_its_source() {
    let (disk, page, ..) = older();
    let mtime = Some(Time { secs: -5, nanos: 7 });
    disk.set("/src/a", Attributes { mode: Some(0o641), mtime, ..Attributes::default() });
    let bench = Bench::quiet(&disk);
    let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
    let copied = bench.copied(task);
    assert_eq!((copied.files, copied.bytes, copied.failures.len()), (3, 19, 0));
    let [mut source, mut copied] = [disk.snapshot("/src"), disk.snapshot("/dst")];
    source.remove(&b""[..]);
    copied.remove(&b""[..]);
    assert_eq!(differences(&source, &copied), Vec::<String>::new());
}

#[test]
fn a_new_directory_killed_at_any_piece_is_whole_or_absent() {
    let page: Page = Bench::quiet(&disk()).listed(&dir("/src", "")).entries.into();
    let mut was_left = false;
    for pieces in 0..30 {
        let disk = disk();
        let options = SimOptions { crash_after: Some(pieces), ..SimOptions::default() };
        let bench = Bench::new(&disk, pieces, options);
        bench.submit(vec![Task::Copy(copy(
            &page,
            CopyInto::New(Over::Nothing),
            dir("/dst", "d"),
            Over::Nothing,
        ))]);
        bench.engine.pump();
        let files = disk.names("/dst/d").len();
        assert!(files == 0 || files == 3, "{files} after {pieces} pieces");
        was_left |= !disk.temporaries("/dst").is_empty();
        let next = Bench::quiet(&disk);
        let leftovers = next.listed(&dir("/dst", "")).leftovers;
        let removed = next.removed(dir("/dst", ""), leftovers, Removal::Leftover);
        assert!(removed.failures.is_empty(), "{removed:?}");
        assert!(disk.temporaries("/dst").is_empty(), "after {pieces} pieces");
    }
    assert!(was_left);
}

#[test]
fn nothing_incomplete_is_ever_published_whatever_happens() {
    for seed in 0..3000 {
        let (disk, page, old, new) = older();
        if seed % 3 == 0 {
            disk.remount("/dst", |options| options.anonymous = false);
        }
        let over = if seed % 2 == 0 { Over::Entry } else { Over::Nothing };
        if over == Over::Nothing {
            ["a", "b", "c"].iter().for_each(|file| disk.remove(format!("/dst/{file}")));
        }
        let mutate = Mutate { below: b"/src".to_vec(), per_mille: 150, edits_max: 8 };
        let options = SimOptions {
            faults: some_faults(),
            crash_after: (seed % 5 == 0).then_some(seed % 23),
            workers: 2,
            mutate: Some(mutate),
        };
        let bench = Bench::new(&disk, seed, options);
        bench.submit(vec![Task::Copy(copy(&page, CopyInto::Existing, dir("/dst", ""), over))]);
        while bench.engine.step() {
            let old = if over == Over::Entry { old.clone() } else { Snapshot::new() };
            let checked = disk.check_published(&old, &new, &disk.snapshot("/dst"));
            assert_eq!(checked, Ok(()), "seed {seed}");
        }
        let ended = bench.results().len() == 1;
        assert!(ended || bench.engine.pending() == 1 || bench.engine.has_crashed(), "seed {seed}");
        assert!(!ended || disk.temporaries("/dst").is_empty(), "seed {seed}");
    }
}

#[test]
fn the_checker_sees_a_half_written_and_a_missing_file() {
    let (disk, _, old, new) = older();
    let check = || disk.check_published(&old, &new, &disk.snapshot("/dst"));
    assert_eq!(check(), Ok(()));
    disk.file("/dst/a", "first con");
    let complaint = check().expect_err("a third content");
    assert!(complaint.starts_with("/a is neither old nor new"), "{complaint}");
    disk.remove("/dst/a");
    assert_eq!(check(), Err("/a is missing".to_owned()));
    disk.file("/dst/a", "first content");
    assert_eq!(check(), Ok(()));
}

#[test]
fn a_full_disk_fails_single_files_and_keeps_no_space() {
    let (disk, page, ..) = older();
    disk.remount("/dst", |options| options.capacity = 21);
    let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
    let copied = Bench::quiet(&disk).copied(task);
    assert!(copied.failures.iter().all(|(_, error)| error.kind == ErrorKind::NoSpace));
    assert_eq!(copied.files + copied.failures.len() as u64, 3);
    assert_eq!(copied.failures.len(), 2);
    let question = Space { dir: dir("/dst", ""), probe_times: true };
    let Ok(Output::Space(facts)) = Bench::quiet(&disk).run(Task::Space(question)) else {
        panic!("no facts");
    };
    let held: usize = ["a", "b", "c"]
        .iter()
        .filter_map(|file| Some(disk.read(format!("/dst/{file}"))?.len()))
        .sum();
    assert_eq!(facts.available, 21 - held as u64);
}

#[test]
fn a_task_that_hangs_stays_pending_and_the_engine_comes_to_rest() {
    let disk = disk();
    let faults = Faults { hang: 1000, ..Faults::default() };
    let bench = Bench::new(&disk, 1, SimOptions { faults, ..SimOptions::default() });
    bench.submit(vec![Task::Space(Space { dir: dir("/src", ""), probe_times: false })]);
    assert!(!bench.engine.step());
    assert_eq!(bench.engine.pending(), 1);
}

#[test]
fn a_running_engine_keeps_its_leftovers_and_a_dead_one_does_not() {
    let disk = disk();
    let first = Bench::quiet(&disk);
    let stage = Place { to: dir("/dst", ""), steps: vec![Step::Stage], manner: MANNER };
    let Ok(Output::Placed(placed)) = first.run(Task::Place(stage)) else { panic!("not placed") };
    let second = Bench::new(&disk, 1, SimOptions::default());
    let leftovers = second.listed(&dir("/dst", "")).leftovers;
    assert_eq!(leftovers.len(), 1);
    let removed = second.removed(dir("/dst", ""), leftovers.clone(), Removal::Leftover);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (0, 0, 0));
    first.engine.crash();
    let removed = second.removed(dir("/dst", ""), leftovers, Removal::Leftover);
    assert_eq!((removed.files, removed.dirs, removed.failures.len()), (0, 1, 0));
    drop(placed);
}

#[test]
fn a_coarse_file_system_keeps_whole_seconds() {
    let (disk, page, ..) = older();
    disk.remount("/dst", |options| options.granularity_ns = 1_000_000_000);
    let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
    assert_eq!(Bench::quiet(&disk).copied(task).files, 3);
    let [source, copied] = ["/src/a", "/dst/a"].map(|path| disk.see(path).expect("there").mtime);
    assert_ne!(source.nanos, 0);
    assert_eq!(copied, Time { secs: source.secs, nanos: 0 });
}

#[test]
fn a_directory_without_write_permission_refuses_until_it_is_widened() {
    let (disk, page, ..) = older();
    disk.set("/dst", Attributes { mode: Some(0o555), ..Attributes::default() });
    let bench = Bench::quiet(&disk);
    let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
    let refused = bench.copied(task.clone());
    assert!(refused.failures.iter().all(|(_, error)| error.kind == ErrorKind::PermissionDenied));
    assert_eq!(refused.failures.len(), 3);
    let widen = Place { to: dir("/dst", ""), steps: vec![Step::Widen], manner: MANNER };
    bench.run(Task::Place(widen)).expect("widened");
    assert_eq!(bench.copied(task).files, 3);
    let meta = disk_meta(&bench, "/src");
    let changes = Changes::all(&Preserve::ALL);
    let steps = vec![Step::Finish { meta: Box::new(meta), changes }];
    bench.run(Task::Place(Place { to: dir("/dst", ""), steps, manner: MANNER })).expect("finished");
    assert_eq!(disk.see("/dst"), disk.see("/src"));
}

fn disk_meta(bench: &Bench, path: &str) -> crate::entry::Meta {
    bench.listed(&dir(path, "")).dir.expect("a first page tells it")
}

#[test]
fn links_on_the_way_to_a_root_are_followed_and_below_it_refused() {
    let disk = disk();
    disk.symlink("/way", "../src/.");
    disk.symlink("/src/out", "/dst");
    let bench = Bench::quiet(&disk);
    assert_eq!(bench.listed(&dir("/way", "")).entries.len(), 4);
    let what = What::Itself;
    let list = List { dir: dir("/src", "out"), what, xattrs: false, survey: Survey::Nothing };
    let refused = bench.run(Task::List(list)).expect_err("refused");
    assert_eq!(refused.kind, ErrorKind::NotADirectory);
    assert_eq!(refused.path[..], b"/src/out"[..]);
}

#[test]
fn a_cancelled_copy_tells_what_stays_and_leaves_nothing_half_done() {
    let mut told = 0;
    for pieces in 0..16 {
        let (disk, page, ..) = older();
        let bench = Bench::new(&disk, pieces, SimOptions::default());
        let task = copy(&page, CopyInto::Existing, dir("/dst", ""), Over::Entry);
        bench.submit(vec![Task::Copy(task)]);
        let _pending = (0..pieces).all(|_| bench.engine.step());
        bench.port.control().cancel();
        bench.engine.pump();
        assert!(disk.temporaries("/dst").is_empty());
        let stays = page.iter().filter(|entry| is_copied(&disk, entry)).count() as u64;
        match bench.results().remove(&TaskId(0)).expect("it ends") {
            Err(error) => assert_eq!((error.kind, stays), (ErrorKind::Interrupted, 0)),
            Ok(Output::Copied(copied)) => {
                assert_eq!(copied.files, stays);
                assert_eq!(copied.failures.len() as u64, 3 - stays);
                told += 1;
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert!(told > 0);
}

fn is_copied(disk: &Disk, entry: &Entry) -> bool {
    let [source, copy] =
        ["/src/", "/dst/"].map(|top| disk.read([top.as_bytes(), entry.name.as_bytes()].concat()));
    source == copy
}

#[test]
fn another_name_of_the_same_file_is_replaced_without_a_trace() {
    let disk = disk();
    disk.file("/dst/x", "one");
    disk.link("/dst/y", "/dst/x");
    let of = RelPath::new(b"x").expect("valid");
    let steps = vec![Step::Link { name: name("y"), of, over: Over::Entry }];
    let place = Place { to: dir("/dst", ""), steps, manner: MANNER };
    Bench::quiet(&disk).run(Task::Place(place)).expect("placed");
    assert_eq!(disk.temporaries("/dst"), Vec::<Vec<u8>>::new());
    assert_eq!(disk.see("/dst/x").map(|seen| seen.links), Some(vec![]));
    assert_eq!(disk.snapshot("/dst")[&b"x"[..]].links, [b"x".to_vec(), b"y".to_vec()]);
}

#[test]
fn a_replaced_tree_killed_at_any_piece_is_the_old_or_the_new_one() {
    let (mut was_old, mut was_new, mut was_left) = (0, 0, 0);
    for pieces in 0..24 {
        let disk = disk();
        ["a/b/x", "a/b/y", "a/z"].iter().for_each(|file| disk.file(format!("/dst/{file}"), "old"));
        let page: Page = Bench::quiet(&disk).listed(&dir("/src", "")).entries.into();
        let options = SimOptions { crash_after: Some(pieces), ..SimOptions::default() };
        let bench = Bench::new(&disk, pieces, options);
        let into = CopyInto::New(Over::Tree);
        bench.submit(vec![Task::Copy(copy(&page, into, dir("/dst", "a"), Over::Nothing))]);
        while bench.engine.step() {
            match disk.snapshot("/dst/a").len() {
                5 => was_old += 1,
                4 => was_new += 1,
                other => panic!("{other} entries after {pieces} pieces"),
            }
        }
        was_left += u32::from(!disk.temporaries("/dst").is_empty());
        let next = Bench::new(&disk, 99, SimOptions::default());
        let leftovers = next.listed(&dir("/dst", "")).leftovers;
        let removed = next.removed(dir("/dst", ""), leftovers, Removal::Leftover);
        assert!(removed.failures.is_empty(), "{removed:?}");
        assert!(disk.temporaries("/dst").is_empty(), "after {pieces} pieces");
    }
    assert!(was_old > 0 && was_new > 0 && was_left > 0);
}

#[test]
fn what_is_not_removed_of_a_replaced_tree_is_told_and_left_for_the_next_run() {
    let disk = disk();
    disk.file("/dst/d/x", "old");
    let faults = Faults { remove_denied: 1000, ..Faults::default() };
    let bench = Bench::new(&disk, 1, SimOptions { faults, ..SimOptions::default() });
    let steps = vec![Step::MakeDir { name: name("d"), plain: false, over: Over::Tree }];
    let place = Place { to: dir("/dst", ""), steps, manner: MANNER };
    let Ok(Output::Placed(placed)) = bench.run(Task::Place(place)) else { panic!("not placed") };
    assert_eq!((placed.failures.len(), placed.remains.len()), (0, 1), "{placed:?}");
    assert_eq!(disk.names("/dst/d"), []);
    assert_eq!(disk.temporaries("/dst").len(), 1);
}
