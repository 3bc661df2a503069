//! The engine under test, its file system, and shorthands to arrange and to look.
//! It must not assume a platform: what a system cannot hold, a test finds out and skips.

use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use blit_core::engine::Engine;
use blit_core::entry::{Changes, Entry, FileId, Kind, Meta, Time};
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::{Name, RelPath};
use blit_core::session::schedule::INLINE_TASKS_MAX;
use blit_core::sim::{Disk, FsOptions, SimEngine, SimOptions, User};
use blit_core::spec::{Preserve, Reflink};
use blit_core::task::{
    Copied, Copy, CopyInto, Dir, Held, List, Listed, Manner, Output, Over, Page, Pick, Place,
    Placed, Removal, Remove, Removed, Root, Space, SpaceFacts, Step, Survey, Task, TaskId, What,
};
use blit_core::{Error, ErrorKind};
use blit_engine::{Choice, Confinement, Reach};
use blit_fallback::ThreadEngine;
use tempfile::TempDir;

use crate::apart::Apart;

/// How everything is written where a test does not say otherwise.
pub(crate) const MANNER: Manner = Manner {
    preserve: Preserve::ALL,
    reflink: Reflink::Auto,
    fsync: false,
    in_place: false,
    aside: None,
};

/// A directory that is made for one copy where nothing is.
pub(crate) const NEW: CopyInto = CopyInto::New(Over::Nothing);

/// A moment that no clock shows.
pub(crate) const THEN: Time = Time { secs: 1_234_567_890, nanos: 123_456_789 };

/// One engine with an empty `src` and an empty `dst`.
pub(crate) struct Rig {
    engine: Arc<dyn Engine>,
    /// Arranges and looks, and is trusted.
    tool: Arc<dyn Engine>,
    floor: Floor,
}

enum Floor {
    Real(TempDir),
    Sim(Disk, Vec<Arc<SimEngine>>),
}

/// The thread engine: with the first tasks run in the calling thread, with all on its workers, and confined.
pub(crate) fn threads() -> Vec<Rig> {
    let rigs = [false, true].map(|busy| Rig::real(Arc::new(ThreadEngine::new(None)), busy));
    rigs.into_iter().chain(Rig::confined(Choice::Threads)).collect()
}

/// The io_uring engine, likewise.
pub(crate) fn uring() -> Vec<Rig> {
    let mut rigs: Vec<Rig> = Rig::confined(Choice::Uring).into_iter().collect();
    for busy in [false, true] {
        match blit_engine::start(Choice::Uring, None) {
            Ok(started) => rigs.push(Rig::real(started.engine, busy)),
            Err(error) => skip(&format!("io_uring: {error}")),
        }
    }
    rigs
}

/// The simulator in three orders, on three file systems.
pub(crate) fn sim() -> Vec<Rig> {
    (0..3).map(simulated).collect()
}

fn simulated(seed: u64) -> Rig {
    println!("seed {seed}");
    let disk = Disk::new(User { privileged: seed == 2, ..User::default() });
    let options = FsOptions {
        anonymous: seed.is_multiple_of(2),
        reflinks: seed == 1,
        ..FsOptions::default()
    };
    disk.mount("/top", options);
    disk.dir("/top/src");
    disk.dir("/top/dst");
    let engines: Vec<Arc<SimEngine>> =
        (0..2).map(|more| SimEngine::new(&disk, seed + more, SimOptions::default())).collect();
    let [engine, tool] = [0, 1].map(|index| Arc::clone(&engines[index]));
    Rig { engine, tool, floor: Floor::Sim(disk, engines) }
}

impl Rig {
    fn real(engine: Arc<dyn Engine>, busy: bool) -> Self {
        let top = tempfile::tempdir().expect("a temporary directory");
        Self::on(top, engine, busy)
    }

    /// One whose engine reaches nothing else than its file system.
    fn confined(choice: Choice) -> Option<Self> {
        let top = tempfile::tempdir().expect("a temporary directory");
        let confinement = Confinement::new(top.path(), Reach::Write, None).expect("opened");
        match blit_engine::start_confined(choice, None, confinement) {
            Ok(started) => Some(Self::on(top, started.engine, false)),
            Err(error) => {
                skip(&format!("a confined engine: {error}"));
                None
            }
        }
    }

    fn on(top: TempDir, engine: Arc<dyn Engine>, busy: bool) -> Self {
        for root in ["src", "dst"] {
            std::fs::create_dir(top.path().join(root)).expect("made");
        }
        let tool = Arc::new(ThreadEngine::new(Some(1)));
        let rig = Self { engine, tool, floor: Floor::Real(top) };
        if busy {
            let ask = || Task::Space(Space { dir: rig.dst(), probe_times: false });
            let count = usize::try_from(INLINE_TASKS_MAX).expect("small") + 1;
            rig.run(std::iter::repeat_with(ask).take(count).collect());
        }
        println!("{}, busy: {busy}", rig.engine.describe());
        rig
    }

    /// The directory `way` below `root`.
    pub(crate) fn dir(&self, root: &str, way: &str) -> Dir {
        let top = match &self.floor {
            Floor::Real(top) => top.path().to_owned(),
            Floor::Sim(..) => PathBuf::from("/top"),
        };
        Dir::new(&Root::new(top.join(root)), way_of(way.as_bytes()))
    }

    /// The directory `way` below `root`, below which links are followed.
    pub(crate) fn following(&self, root: &str, way: &str) -> Dir {
        let dir = self.dir(root, way);
        Dir { root: Root::following(dir.root.path()), ..dir }
    }

    pub(crate) fn src(&self) -> Dir {
        self.dir("src", "")
    }

    pub(crate) fn dst(&self) -> Dir {
        self.dir("dst", "")
    }

    /// A small file system beside `src` and `dst`; nothing where none can be mounted.
    pub(crate) fn apart(&self) -> Option<Apart> {
        match &self.floor {
            Floor::Real(top) => Apart::mount(top.path().join("apart")),
            Floor::Sim(disk, _) => Some(Apart::simulate(disk)),
        }
    }

    /// A directory on a file system that holds neither owners nor modes; only simulated.
    pub(crate) fn without_owners(&self) -> Option<Dir> {
        let Floor::Sim(disk, _) = &self.floor else { return None };
        let options = FsOptions { owners: false, modes: false, ..FsOptions::default() };
        disk.mount("/ownerless", options);
        Some(Dir::new(&Root::new("/ownerless"), RelPath::root()))
    }

    /// Makes a directory.
    pub(crate) fn mkdir(&self, path: &str) {
        match &self.floor {
            Floor::Real(top) => std::fs::create_dir_all(top.path().join(path)).expect("made"),
            Floor::Sim(disk, _) => disk.dir(format!("/top/{path}")),
        }
    }

    /// Makes or rewrites a file.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        match &self.floor {
            Floor::Real(top) => std::fs::write(top.path().join(path), content).expect("written"),
            Floor::Sim(disk, _) if disk.see(format!("/top/{path}")).is_some() => {
                disk.write(format!("/top/{path}"), content);
            }
            Floor::Sim(disk, _) => disk.file(format!("/top/{path}"), content),
        }
    }

    /// Makes empty files in a directory.
    pub(crate) fn write_empty(&self, dir: &str, names: &[&str]) {
        for name in names {
            self.write(&format!("{dir}/{name}"), "");
        }
    }

    /// Makes a file that is one hole, where that can be.
    pub(crate) fn write_hole(&self, path: &str, bytes: u64) {
        match &self.floor {
            Floor::Real(top) => {
                let file = std::fs::File::create(top.path().join(path)).expect("made");
                file.set_len(bytes).expect("grown");
            }
            Floor::Sim(..) => self.write(path, vec![0; usize::try_from(bytes).expect("small")]),
        }
    }

    pub(crate) fn unlink(&self, path: &str) {
        match &self.floor {
            Floor::Real(top) => std::fs::remove_file(top.path().join(path)).expect("removed"),
            Floor::Sim(disk, _) => disk.remove(format!("/top/{path}")),
        }
    }

    /// The content of a regular file; nothing where there is none.
    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        match &self.floor {
            Floor::Real(top) => read_real(&top.path().join(path)),
            Floor::Sim(disk, _) => {
                disk.see(format!("/top/{path}"))?.content.map(|content| content.to_vec())
            }
        }
    }

    /// All names in a directory, temporary ones included, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = match &self.floor {
            Floor::Real(top) => std::fs::read_dir(top.path().join(path))
                .expect("a directory")
                .map(|entry| entry.expect("read").file_name().into_encoded_bytes())
                .collect(),
            Floor::Sim(disk, _) => {
                let names = disk.names(format!("/top/{path}"));
                names.iter().map(|name| name.as_bytes().to_vec()).collect()
            }
        };
        names.sort();
        names
    }

    /// Asserts that a directory has just these names.
    #[track_caller]
    pub(crate) fn assert_names(&self, path: &str, names: &[&str]) {
        let found = self.names(path);
        let found: Vec<_> = found.iter().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(found, names, "names in {path}");
    }

    /// Runs tasks of the engine under test to their end; results in the order of the tasks.
    pub(crate) fn run(&self, tasks: Vec<Task>) -> Vec<Result<Output, Error>> {
        self.run_under(tasks, &Arc::new(Control::default()))
    }

    pub(crate) fn run_under(
        &self,
        tasks: Vec<Task>,
        control: &Arc<Control>,
    ) -> Vec<Result<Output, Error>> {
        self.run_on(&*self.engine, tasks, control)
    }

    /// Submits tasks of several seats together; says of each seat which of its tasks ended.
    pub(crate) fn run_seats(&self, seats: Vec<Vec<Task>>) -> Vec<Vec<TaskId>> {
        let (sender, inbox) = channel();
        let control = Arc::new(Control::default());
        let count: usize = seats.iter().map(Vec::len).sum();
        let mut ended = vec![Vec::new(); seats.len()];
        for (seat, tasks) in seats.into_iter().enumerate() {
            let port = Port::new(Seat(seat), sender.clone(), Arc::clone(&control));
            self.engine.submit((0..).map(TaskId).zip(tasks).collect(), &port);
        }
        self.pump();
        for _ in 0..count {
            let (Seat(seat), event) = inbox.recv_timeout(PATIENCE).expect("every task ends");
            let Event::Done(id, _) = event else { panic!("engines send nothing but Done") };
            ended[seat].push(id);
        }
        ended
    }

    fn run_on(
        &self,
        engine: &dyn Engine,
        tasks: Vec<Task>,
        control: &Arc<Control>,
    ) -> Vec<Result<Output, Error>> {
        let (sender, inbox) = channel();
        let port = Port::new(Seat(7), sender, Arc::clone(control));
        let mut results: Vec<Option<Result<Output, Error>>> = tasks.iter().map(|_| None).collect();
        let ids = (0..).map(TaskId);
        engine.submit(ids.zip(tasks).collect(), &port);
        self.pump();
        for _ in 0..results.len() {
            let (seat, event) = inbox.recv_timeout(PATIENCE).expect("every task ends");
            let Event::Done(TaskId(id), result) = event else {
                panic!("engines send nothing but Done")
            };
            assert_eq!(seat, Seat(7));
            let slot = &mut results[usize::try_from(id).expect("as submitted")];
            assert!(slot.replace(result).is_none(), "task {id} ended twice");
        }
        assert!(inbox.try_recv().is_err(), "a task ended twice");
        results.into_iter().map(|result| result.expect("each slot was filled")).collect()
    }

    fn pump(&self) {
        if let Floor::Sim(_, engines) = &self.floor {
            engines.iter().for_each(|engine| engine.pump());
        }
    }

    /// Runs one task.
    pub(crate) fn run_one(&self, task: Task) -> Result<Output, Error> {
        self.run(vec![task]).pop().expect("one task, one result")
    }

    #[track_caller]
    pub(crate) fn fails(&self, task: Task) -> Error {
        let shown = format!("{task:?}");
        self.run_one(task).map(|output| panic!("{shown} gave {output:?}")).expect_err("above")
    }

    /// Runs one task of the trusted engine.
    #[track_caller]
    fn arrange_one(&self, task: Task) -> Output {
        let mut results = self.run_on(&*self.tool, vec![task], &Arc::new(Control::default()));
        results.pop().expect("one").expect("the trusted engine can")
    }

    #[track_caller]
    pub(crate) fn list(&self, dir: Dir, what: What) -> Listed {
        self.survey(dir, what, Survey::Leftovers)
    }

    #[track_caller]
    pub(crate) fn survey(&self, dir: Dir, what: What, survey: Survey) -> Listed {
        let list = List { dir, what, xattrs: true, survey };
        match self.run_one(Task::List(list)) {
            Ok(Output::Listed(listed)) => listed,
            other => panic!("{other:?}"),
        }
    }

    /// All entries of a directory, as the trusted engine sees them, sorted by name.
    #[track_caller]
    pub(crate) fn page(&self, dir: &Dir) -> Page {
        let what = What::Next { after: None, entries_max: 100_000 };
        let list = List { dir: dir.clone(), what, xattrs: true, survey: Survey::Nothing };
        let Output::Listed(mut listed) = self.arrange_one(Task::List(list)) else {
            panic!("no listing")
        };
        assert!(listed.failures.is_empty() && listed.next.is_none());
        listed.entries.sort_by(|left, right| left.name.cmp(&right.name));
        listed.entries.into()
    }

    /// The entry `name`, as the trusted engine sees it.
    #[track_caller]
    pub(crate) fn see(&self, dir: &Dir, name: &str) -> Option<Meta> {
        let what = What::Names([name_of(name)].into());
        let list = List { dir: dir.clone(), what, xattrs: true, survey: Survey::Nothing };
        let Output::Listed(mut listed) = self.arrange_one(Task::List(list)) else {
            panic!("no listing")
        };
        listed.entries.pop().map(|entry| entry.meta)
    }

    /// The directory itself, as the trusted engine sees it.
    #[track_caller]
    pub(crate) fn see_dir(&self, dir: &Dir) -> Meta {
        let what = What::Itself;
        let list = List { dir: dir.clone(), what, xattrs: true, survey: Survey::Nothing };
        let Output::Listed(listed) = self.arrange_one(Task::List(list)) else {
            panic!("no listing")
        };
        listed.dir.expect("it tells the directory")
    }

    #[track_caller]
    pub(crate) fn copy(&self, copy: Copy) -> Copied {
        copied(self.run_one(Task::Copy(copy)))
    }

    #[track_caller]
    pub(crate) fn place(&self, to: Dir, steps: Vec<Step>) -> Placed {
        match self.run_one(Task::Place(Place { to, steps, manner: MANNER })) {
            Ok(Output::Placed(placed)) => placed,
            other => panic!("{other:?}"),
        }
    }

    /// Places by the trusted engine.
    #[track_caller]
    pub(crate) fn arrange(&self, to: Dir, steps: Vec<Step>) -> Placed {
        let task = Task::Place(Place { to, steps, manner: MANNER });
        let Output::Placed(placed) = self.arrange_one(task) else { panic!("not placed") };
        assert!(placed.failures.is_empty(), "{placed:?}");
        placed
    }

    #[track_caller]
    pub(crate) fn remove(&self, dir: Dir, names: &[&str], removal: Removal) -> Removed {
        let names = names.iter().map(name_of).collect();
        match self.run_one(Task::Remove(Remove { dir, names, removal })) {
            Ok(Output::Removed(removed)) => removed,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn facts(&self, dir: Dir) -> SpaceFacts {
        match self.run_one(Task::Space(Space { dir, probe_times: true })) {
            Ok(Output::Space(facts)) => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a symbolic link.
    #[track_caller]
    pub(crate) fn symlink(&self, dir: Dir, name: &str, target: &[u8]) {
        let mut entry = self.entry(name, Kind::Symlink);
        entry.meta.target = Some(target.into());
        self.arrange(dir, vec![Step::Node { entry, over: Over::Nothing }]);
    }

    /// Stages a directory below `dir`, by the engine under test.
    #[track_caller]
    pub(crate) fn stage(&self, dir: Dir) -> Held {
        let placed = self.place(dir, vec![Step::Stage]);
        assert!(placed.failures.is_empty(), "{placed:?}");
        placed.staged.expect("a stage is held")
    }

    /// An entry that this user can make, with metadata that no default has.
    pub(crate) fn entry(&self, name: &str, kind: Kind) -> Entry {
        let own = self.see_dir(&self.dst());
        let meta = Meta {
            kind,
            size: 0,
            allocated: 0,
            mtime: THEN,
            ctime: THEN,
            mode: 0o640,
            uid: own.uid,
            gid: own.gid,
            nlink: 1,
            id: FileId::default(),
            rdev: 0,
            xattrs: None,
            target: None,
            mounted: false,
        };
        Entry { name: name_of(name), meta }
    }

    /// Gives an entry that mode and modification time.
    #[track_caller]
    pub(crate) fn dress(&self, dir: &Dir, name: &str, (mode, mtime): (u32, Time)) {
        let mut meta = self.see(dir, name).expect("it is there");
        (meta.mode, meta.mtime) = (mode, mtime);
        let changes = Changes { mode: true, times: true, ..Changes::default() };
        let entry = Entry { name: name_of(name), meta };
        self.arrange(dir.clone(), vec![Step::Repair { entry, changes }]);
    }
}

/// A copy of the whole page from `src`, each entry over the same.
pub(crate) fn copy_of(rig: &Rig, to: Dir, into: CopyInto, over: Over) -> Copy {
    let from = rig.src();
    let page = rig.page(&from);
    let files = page.iter().enumerate().filter(|(_, entry)| entry.meta.kind == Kind::File);
    let picks = files.map(|(index, _)| Pick { index, over }).collect();
    Copy { from, to, into, page, picks, source_name: None, manner: MANNER }
}

#[track_caller]
pub(crate) fn copied(result: Result<Output, Error>) -> Copied {
    match result {
        Ok(Output::Copied(copied)) => copied,
        other => panic!("{other:?}"),
    }
}

/// The kinds of failures with their places.
pub(crate) fn kinds<T: core::marker::Copy + Debug>(failures: &[(T, Error)]) -> Vec<(T, ErrorKind)> {
    failures.iter().map(|(place, error)| (*place, error.kind)).collect()
}

/// Says that something was not tested, past the test runner, which would keep it to itself.
pub(crate) fn skip(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED, not tested here: {what}").expect("stderr takes it");
}

pub(crate) fn name_of(name: impl AsRef<[u8]>) -> Name {
    Name::new(name.as_ref()).expect("a valid name")
}

pub(crate) fn way_of(way: &[u8]) -> RelPath {
    RelPath::new(way).expect("a valid way")
}

fn read_real(path: &Path) -> Option<Vec<u8>> {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    is_file.then(|| std::fs::read(path).expect("readable"))
}

/// How long a task may take; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
