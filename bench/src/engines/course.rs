//! What each engine is asked: every task of one kind at once, and how long it takes until the last
//! of them is done.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use blit_core::engine::Engine;
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::{Name, RelPath};
use blit_core::session::schedule::PAGE_ENTRIES_MAX;
use blit_core::spec::{Preserve, Reflink};
use blit_core::task::{
    Copy, CopyInto, Dir, Hash, Held, List, Listed, Manner, Output, Over, Page, Pick, Place,
    Removal, Remove, Root, Step, Survey, Task, TaskId, What,
};
use blit_engine::{Choice, start};
use serde::Serialize;

use crate::error::{Error, OnPath, Result};
use crate::interrupt::Interrupt;
use crate::peers;
use crate::system;

/// One kind of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Exercise {
    List,
    Copy,
    Place,
    Hash,
    Remove,
}

/// What one exercise took once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Took {
    pub(super) exercise: Exercise,
    pub(super) engine: &'static str,
    pub(super) round: u32,
    pub(super) entries: u64,
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// An engine that was started.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    engine: Arc<dyn Engine>,
}

/// What is the same for all.
pub(super) struct Course<'a> {
    pub(super) source: &'a Path,
    pub(super) interrupt: &'a Interrupt,
}

/// The outputs of all tasks of an exercise, each with the number of its task.
type Outputs = Vec<(u64, Output)>;

impl Exercise {
    pub(super) const ALL: [Self; 5] =
        [Self::List, Self::Copy, Self::Place, Self::Hash, Self::Remove];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Copy => "copy",
            Self::Place => "place",
            Self::Hash => "hash",
            Self::Remove => "remove",
        }
    }
}

impl Contestant {
    pub(super) fn start(engine: peers::Engine) -> Result<Self> {
        let choice = match engine {
            peers::Engine::Auto => Choice::Auto,
            peers::Engine::Threads => Choice::Threads,
            peers::Engine::Uring => Choice::Uring,
        };
        Ok(Self { name: engine.name(), engine: start(choice, None)?.engine })
    }

    pub(super) fn describe(&self) -> String {
        self.engine.describe()
    }
}

impl Course<'_> {
    /// Everything but removing.
    pub(super) fn run(
        &self,
        contestant: &Contestant,
        round: u32,
        target: &Path,
    ) -> Result<Vec<Took>> {
        let (from, to) = (Root::new(self.source), Root::new(target));
        let timer = |exercise| Timer { course: self, contestant, round, exercise };
        let (listed, dirs) = timer(Exercise::List).list(&from)?;
        let each = |task: &dyn Fn(&Name, &Page) -> Task| -> Vec<Task> {
            dirs.iter().map(|(name, page)| task(name, page)).collect()
        };
        let copy = each(&|name, page| copies(name, page, &to, &from));
        let copied = timer(Exercise::Copy).time(copy)?;
        let place = each(&|name, page| places(name, page, &to));
        let mut placed = timer(Exercise::Place).time(place)?;
        // What was placed is no part of the source, which the copy is compared with.
        let remove = each(&|name, page| removals(name, page, &to));
        placed.entries = timer(Exercise::Place).time(remove)?.entries;
        let hashed = timer(Exercise::Hash).time(each(&|name, page| hashes(name, page, &to)))?;
        Ok(vec![listed, copied, placed, hashed])
    }

    /// Every directory of a target that `run` has filled.
    pub(super) fn remove(
        &self,
        contestant: &Contestant,
        round: u32,
        target: &Path,
    ) -> Result<Took> {
        let timer = Timer { course: self, contestant, round, exercise: Exercise::Remove };
        let root = Root::new(target);
        let top = Dir::new(&root, RelPath::root());
        let names: Vec<Name> = timer.names(&top)?;
        let remove = |name: Name| {
            Task::Remove(Remove { dir: top.clone(), names: vec![name], removal: Removal::Tree })
        };
        timer.time(names.into_iter().map(remove).collect())
    }
}

/// One exercise of one engine in one round.
struct Timer<'a> {
    course: &'a Course<'a>,
    contestant: &'a Contestant,
    round: u32,
    exercise: Exercise,
}

impl Timer<'_> {
    /// Runs all tasks and says what that took.
    fn time(&self, tasks: Vec<Task>) -> Result<Took> {
        let (outputs, wall_seconds, cpu_seconds) = self.measure(tasks)?;
        let mut entries = 0;
        for (_, output) in &outputs {
            entries += count(output)?;
        }
        Ok(self.took(entries, wall_seconds, cpu_seconds))
    }

    fn took(&self, entries: u64, wall_seconds: f64, cpu_seconds: f64) -> Took {
        Took {
            exercise: self.exercise,
            engine: self.contestant.name,
            round: self.round,
            entries,
            wall_seconds,
            cpu_seconds,
        }
    }

    /// Lists every directory below the root, and keeps what it found.
    fn list(&self, root: &Arc<Root>) -> Result<(Took, Vec<(Name, Page)>)> {
        let names = self.names(&Dir::new(root, RelPath::root()))?;
        let dirs: Vec<Dir> =
            names.iter().map(|name| Dir::new(root, RelPath::root().join(name))).collect();
        let mut found = vec![Vec::new(); dirs.len()];
        let (mut entries, mut wall, mut cpu) = (0, 0.0, 0.0);
        let mut due: Vec<(usize, Option<Held>)> = (0..dirs.len()).map(|at| (at, None)).collect();
        while !due.is_empty() {
            let numbers: Vec<usize> = due.iter().map(|(at, _)| *at).collect();
            let tasks = due.drain(..).map(|(at, after)| next_page(&dirs[at], after)).collect();
            let (outputs, seconds, spent) = self.measure(tasks)?;
            (wall, cpu) = (wall + seconds, cpu + spent);
            for (number, output) in outputs {
                let at = numbers[usize::try_from(number).expect("tasks are numbered from zero")];
                let listed = listed(output)?;
                entries += listed.entries.len() as u64;
                found[at].extend(listed.entries);
                due.extend(listed.next.map(|next| (at, Some(next))));
            }
        }
        let pages = found.into_iter().map(Page::from);
        Ok((self.took(entries, wall, cpu), names.into_iter().zip(pages).collect()))
    }

    /// The names in one directory, which has few.
    fn names(&self, dir: &Dir) -> Result<Vec<Name>> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let (outputs, ..) = self.measure(vec![next_page(dir, after)])?;
            let Some((_, output)) = outputs.into_iter().next() else { return Ok(names) };
            let listed = listed(output)?;
            names.extend(listed.entries.into_iter().map(|entry| entry.name));
            after = listed.next;
            if after.is_none() {
                return Ok(names);
            }
        }
    }

    /// The outputs of all tasks, with the wall and processor seconds until the last one.
    fn measure(&self, tasks: Vec<Task>) -> Result<(Outputs, f64, f64)> {
        let (sender, inbox) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        let own = || system::own_cpu_seconds().on("ask for the time of", Path::new("this process"));
        let mut due = (0..).map(TaskId).zip(tasks).peekable();
        let mut outputs = Outputs::new();
        let mut running = 0;
        let (cpu_before, started) = (own()?, Instant::now());
        while due.peek().is_some() || running > 0 {
            let batch: Vec<_> = due.by_ref().take(QUEUED_MAX - running).collect();
            running += batch.len();
            if !batch.is_empty() {
                self.contestant.engine.submit(batch, &port);
            }
            outputs.push(self.next(&inbox)?);
            running -= 1;
        }
        Ok((outputs, started.elapsed().as_secs_f64(), own()? - cpu_before))
    }

    fn next(&self, inbox: &Receiver<(Seat, Event)>) -> Result<(u64, Output)> {
        loop {
            self.course.interrupt.check()?;
            match inbox.recv_timeout(BEAT) {
                Ok((_, Event::Done(TaskId(number), result))) => return Ok((number, result?)),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(wrong("it is gone")),
            }
        }
    }
}

fn next_page(dir: &Dir, after: Option<Held>) -> Task {
    let what = What::Next { after, entries_max: PAGE_ENTRIES_MAX };
    Task::List(List { dir: dir.clone(), what, xattrs: true, survey: Survey::Nothing })
}

/// A new directory with all its files is one task.
fn copies(name: &Name, page: &Page, to: &Arc<Root>, from: &Arc<Root>) -> Task {
    let picks = (0..page.len()).map(|index| Pick { index, over: Over::Nothing }).collect();
    Task::Copy(Copy {
        from: below(from, name),
        to: below(to, name),
        into: CopyInto::New(Over::Nothing),
        page: Arc::clone(page),
        picks,
        source_name: None,
        manner: manner(),
    })
}

/// A second name for every eighth file, and a directory for every other eighth.
fn places(name: &Name, page: &Page, to: &Arc<Root>) -> Task {
    let steps = page.iter().step_by(PLACED_STEP).enumerate().map(|(index, entry)| {
        let new = added(entry.name.as_bytes());
        let over = Over::Nothing;
        if index % 2 == 0 {
            let of = RelPath::root().join(name).join(&entry.name);
            Step::Link { name: new, of, over }
        } else {
            Step::MakeDir { name: new, plain: true, over }
        }
    });
    Task::Place(Place { to: below(to, name), steps: steps.collect(), manner: manner() })
}

/// Takes away again what `places` made.
fn removals(name: &Name, page: &Page, to: &Arc<Root>) -> Task {
    let names = page.iter().step_by(PLACED_STEP).map(|entry| added(entry.name.as_bytes()));
    let (names, removal) = (names.collect(), Removal::Single);
    Task::Remove(Remove { dir: below(to, name), names, removal })
}

fn hashes(name: &Name, page: &Page, to: &Arc<Root>) -> Task {
    let names = page.iter().map(|entry| entry.name.clone()).collect();
    Task::Hash(Hash { dir: below(to, name), names })
}

fn below(root: &Arc<Root>, name: &Name) -> Dir {
    Dir::new(root, RelPath::root().join(name))
}

fn added(name: &[u8]) -> Name {
    let bytes: Vec<u8> = name.iter().chain(b"+").copied().collect();
    Name::new(bytes).expect("a name is still one with a letter more")
}

fn manner() -> Manner {
    Manner {
        preserve: Preserve::ALL,
        // Every engine shares blocks alike; what is compared is copying.
        reflink: Reflink::Never,
        fsync: false,
        in_place: false,
        aside: None,
    }
}

fn listed(output: Output) -> Result<Listed> {
    match output {
        Output::Listed(Listed { failures, .. }) if !failures.is_empty() => {
            Err(wrong(&failures[0].to_string()))
        }
        Output::Listed(listed) => Ok(listed),
        other => Err(wrong(&format!("{other:?} for a listing"))),
    }
}

/// How many entries an output stands for; anything that failed is an error.
fn count(output: &Output) -> Result<u64> {
    let failure = match output {
        Output::Copied(copied) => copied.failures.first().map(|(_, error)| error.to_string()),
        Output::Placed(placed) => placed.failures.first().map(|(_, error)| error.to_string()),
        Output::Removed(removed) => removed.failures.first().map(ToString::to_string),
        Output::Hashed(hashed) => {
            hashed.digests.iter().find_map(|digest| digest.as_ref().err().map(ToString::to_string))
        }
        _ => None,
    };
    if let Some(failure) = failure {
        return Err(wrong(&failure));
    }
    match output {
        Output::Copied(copied) => Ok(copied.files),
        Output::Placed(_) => Ok(0),
        Output::Removed(removed) => Ok(removed.files + removed.dirs),
        Output::Hashed(hashed) => Ok(hashed.digests.len() as u64),
        other => Err(wrong(&format!("{other:?} for another task"))),
    }
}

fn wrong(what: &str) -> Error {
    Error::Tool { command: "an engine".to_owned(), message: what.to_owned() }
}

/// Enough for every worker of a large machine, as a session keeps it.
const QUEUED_MAX: usize = 256;
const PLACED_STEP: usize = 8;
/// How often the user's wish to stop is looked for.
const BEAT: Duration = Duration::from_millis(100);
