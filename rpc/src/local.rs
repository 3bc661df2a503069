//! Finds out what local paths mean: which directory is read, which one is written, and that they do not overlap.
//! It must not change anything on a disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use blit_core::endpoint::Local;
use blit_core::engine::Engine;
use blit_core::entry::{FileId, Kind, Meta};
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::{Name, RelPath};
use blit_core::spec::{SourceItem, Target};
use blit_core::task::{
    Dir, List, Listed, Output, Root, Space, SpaceFacts, Subject, Survey, Task, TaskId, What,
};
use blit_core::{Error, ErrorKind};

/// What paths are looked at with.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) control: &'a Arc<Control>,
}

/// Local paths and what they are looked at with.
pub(crate) struct Way<'a> {
    pub(crate) sources: &'a [&'a Local],
    pub(crate) destination: &'a Local,
    pub(crate) asker: Asker<'a>,
    /// Links in the sources are followed.
    pub(crate) follows: bool,
}

/// What the paths mean.
pub(crate) struct Resolved {
    pub(crate) items: Vec<SourceItem>,
    pub(crate) target: Target,
    pub(crate) facts: SpaceFacts,
    /// What stands at each source, in the order of the items.
    pub(crate) metas: Vec<Option<Meta>>,
}

impl Resolved {
    /// Whether the only source is a directory, and what it goes into is still to be made.
    pub(crate) fn is_dir_into_new(&self) -> bool {
        let is_dir = |meta: &Option<Meta>| meta.as_ref().is_some_and(|meta| meta.kind == Kind::Dir);
        let is_entry = matches!(&self.items[..], [SourceItem::Entry { .. }]);
        self.target.absent && is_entry && self.metas.iter().all(is_dir)
    }
}

/// One source and what stands there.
pub(crate) struct Found {
    pub(crate) item: SourceItem,
    /// The directory that holds it; for contents, itself.
    pub(crate) dir: Option<Meta>,
    /// The entry itself, if it exists.
    pub(crate) meta: Option<Meta>,
}

/// Looks at all paths.
///
/// # Errors
/// `NotFound` when no source or not the directory above the destination exists, `NotADirectory` when several things
/// would go into one file, `Overlap` when a source and its destination contain each other.
pub(crate) fn resolve(way: &Way<'_>) -> Result<Resolved, Error> {
    let mut found = find_sources(way.sources, way.asker, way.follows)?;
    let one_file = is_one_file(&found);
    let (target, facts, new_name) = find_target(way.destination, way.asker, one_file)?;
    if let (Some(new_name), [Found { item: SourceItem::Entry { target_name, .. }, .. }]) =
        (new_name, &mut found[..])
    {
        *target_name = new_name;
    }
    for source in &found {
        check_overlap(way, source, &target, &facts)?;
    }
    let (items, metas) = found.into_iter().map(|found| (found.item, found.meta)).unzip();
    Ok(Resolved { items, target, facts, metas })
}

/// What stands at local sources; where `follows`, at what their links lead to.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_sources(
    sources: &[&Local],
    asker: Asker<'_>,
    follows: bool,
) -> Result<Vec<Found>, Error> {
    let mut roots: HashMap<PathBuf, Arc<Root>> = HashMap::new();
    let items = sources.iter().map(|source| item(source, follows, &mut roots));
    find(items.collect::<Result<_, Error>>()?, asker)
}

/// What stands at sources.
///
/// # Errors
/// Why there is none of them.
pub(crate) fn find(items: Vec<SourceItem>, asker: Asker<'_>) -> Result<Vec<Found>, Error> {
    let answers = examine(&items, asker, "open source");
    let mut missing = None;
    let mut found = Vec::new();
    for (item, (dir, answer)) in items.into_iter().zip(answers) {
        let meta = match answer {
            Ok(meta) => Some(meta),
            Err(error) if dir.is_some() => {
                missing.get_or_insert(error.with_kind(ErrorKind::NotFound));
                None
            }
            Err(error) => {
                missing.get_or_insert(error);
                None
            }
        };
        found.push(Found { item, dir, meta });
    }
    match missing {
        Some(error) if found.iter().all(|found| found.meta.is_none()) => Err(error),
        _ => Ok(found),
    }
}

/// The directory of each item, where it can be read, and what stands at the item or why that is not known. `op` is what is done, in words.
pub(crate) fn examine(
    items: &[SourceItem],
    asker: Asker<'_>,
    op: &'static str,
) -> Vec<(Option<Meta>, Result<Meta, Error>)> {
    let tasks = items.iter().map(|item| {
        let (dir, what) = match item {
            SourceItem::Contents(dir) => (dir, What::Itself),
            SourceItem::Entry { parent, name, .. } => (parent, What::Names([name.clone()].into())),
        };
        Task::List(List { dir: dir.clone(), what, xattrs: false, survey: Survey::Nothing })
    });
    let answers = asker.ask(tasks.collect());
    let standing = |(item, answer): (&SourceItem, Result<Output, Error>)| match answer {
        Ok(Output::Listed(Listed { dir, mut entries, mut failures, .. })) => {
            let meta = match item {
                SourceItem::Contents(_) => dir.clone(),
                SourceItem::Entry { .. } => entries.pop().map(|entry| entry.meta),
            };
            let missing = || failures.pop().unwrap_or_else(|| not_found(item, op));
            (dir, meta.ok_or_else(missing))
        }
        Err(error) if error.kind != ErrorKind::NotFound => (None, Err(error)),
        Ok(_) | Err(_) => (None, Err(not_found(item, op))),
    };
    items.iter().zip(answers).map(standing).collect()
}

pub(crate) fn source_item(
    source: &Local,
    roots: &mut HashMap<PathBuf, Arc<Root>>,
) -> Result<SourceItem, Error> {
    item(source, false, roots)
}

fn item(
    source: &Local,
    follows: bool,
    roots: &mut HashMap<PathBuf, Arc<Root>>,
) -> Result<SourceItem, Error> {
    let make = |path: &Path| if follows { Root::following(path) } else { Root::new(path) };
    let mut root = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Arc::clone(roots.entry(path.to_owned()).or_insert_with(|| make(path)))
    };
    if source.contents {
        let dir = Dir::new(&root(&source.path), RelPath::root());
        return Ok(SourceItem::Contents(dir));
    }
    let (parent, name) = split(&source.path)?;
    let parent = Dir::new(&root(parent), RelPath::root());
    Ok(SourceItem::Entry { parent, name: name.clone(), target_name: name })
}

/// The directory above `path` and its last name.
pub(crate) fn split(path: &Path) -> Result<(&Path, Name), Error> {
    let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec());
    let name = Name::new(name.unwrap_or_default())?;
    Ok((path.parent().unwrap_or(Path::new(".")), name))
}

fn not_found(item: &SourceItem, op: &'static str) -> Error {
    let path = match item {
        SourceItem::Contents(dir) => dir.shown(None),
        SourceItem::Entry { parent, name, .. } => parent.shown(Some(name)),
    };
    Error::new(ErrorKind::NotFound, op, &path)
}

/// Whether there is one source, and it is not a directory.
pub(crate) fn is_one_file(found: &[Found]) -> bool {
    matches!(found, [Found { item: SourceItem::Entry { .. }, meta: Some(meta), .. }] if meta.kind != Kind::Dir)
}

/// The directory that is written, its facts, and the new name of the only source where it gets one.
pub(crate) fn find_target(
    destination: &Local,
    asker: Asker<'_>,
    one_file: bool,
) -> Result<(Target, SpaceFacts, Option<Name>), Error> {
    let path = &destination.path;
    let as_dir = Root::new(path.clone());
    let error = match asker.examine(Dir::new(&as_dir, RelPath::root()), true) {
        Ok(facts) => {
            let target = Target { root: as_dir, path: RelPath::root(), absent: false };
            return Ok((target, facts, None));
        }
        Err(error) => error,
    };
    let names_a_file = !destination.contents && one_file;
    check_absent(error, path.as_os_str().as_encoded_bytes(), names_a_file)?;
    let (parent, name) = split(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let root = Root::new(parent);
    let dir = Dir::new(&root, RelPath::root());
    let facts = asker.examine(dir.clone(), true)?;
    if names_a_file {
        refuse_special(asker, &dir, &name)?;
        return Ok((Target { root, path: RelPath::root(), absent: false }, facts, Some(name)));
    }
    let standing = asker.look(dir.clone(), &name)?;
    if standing.is_some_and(|meta| meta.kind == Kind::Symlink) {
        let why = "it is a link that leads to nothing; make what it leads to, or remove it";
        return Err(Error::because(
            ErrorKind::NotADirectory,
            "copy to",
            &dir.shown(Some(&name)),
            why,
        ));
    }
    let path = RelPath::root().join(&name);
    Ok((Target { root, path, absent: true }, facts, None))
}

/// Whether the destination may be made, after it could not be opened as a directory.
///
/// # Errors
/// Why it may not.
pub(crate) fn check_absent(error: Error, path: &[u8], names_a_file: bool) -> Result<(), Error> {
    match error.kind {
        ErrorKind::NotFound => Ok(()),
        ErrorKind::NotADirectory if names_a_file => Ok(()),
        ErrorKind::NotADirectory => {
            let why = "the destination is a file, and what is copied needs a directory";
            Err(Error::because(ErrorKind::NotADirectory, "copy to", path, why))
        }
        _ => Err(error),
    }
}

/// Refuses to replace a device, a pipe or a socket that is named as the destination: whoever names one usually means to
/// write into it.
pub(crate) fn refuse_special(asker: Asker<'_>, dir: &Dir, name: &Name) -> Result<(), Error> {
    match asker.look(dir.clone(), name)? {
        Some(meta) if !matches!(meta.kind, Kind::File | Kind::Symlink | Kind::Dir) => {
            let why = format!(
                "it is a {}, which is neither written into nor replaced; name a directory or a file",
                meta.kind.word()
            );
            Err(Error::because(ErrorKind::Usage, "copy to", &dir.shown(Some(name)), why))
        }
        _ => Ok(()),
    }
}

/// Refuses a source and a destination of which one is the other or in the other, by identity and not by name.
fn check_overlap(
    way: &Way<'_>,
    source: &Found,
    target: &Target,
    facts: &SpaceFacts,
) -> Result<(), Error> {
    let Some(meta) = &source.meta else { return Ok(()) };
    let overlap = |dir: &Dir, name: Option<&Name>, why: &str| {
        Err(Error::because(ErrorKind::Overlap, "copy", &dir.shown(name), why))
    };
    let (dir, name, standing) = match &source.item {
        SourceItem::Contents(dir) => (dir, None, (!target.absent).then_some(facts.dir.id)),
        SourceItem::Entry { parent, name, target_name } => {
            let beside = source.dir.as_ref().is_some_and(|dir| dir.id == facts.dir.id);
            if beside && !target.absent && target_name == name {
                return overlap(parent, Some(name), "the source is its own destination");
            }
            (parent, Some(name), standing(way, target, target_name))
        }
    };
    if meta.kind != Kind::Dir {
        return Ok(());
    }
    if facts.ancestors.contains(&meta.id) {
        return overlap(dir, name, "the destination is the source or inside it");
    }
    let seen = way.asker.examine(dir.clone(), false)?;
    if standing.is_some_and(|id| id == meta.id || seen.ancestors.contains(&id)) {
        return overlap(dir, name, "the source is inside its destination");
    }
    // Mounted twice, a place is not above itself; what it is within its file system tells.
    let target_name = match &source.item {
        SourceItem::Contents(_) => None,
        SourceItem::Entry { target_name, .. } => Some(target_name),
    };
    let base = canonical(facts, target.path.components());
    let goes_to = base.map(|(dev, path)| (dev, joined(path, target_name.map(Name::as_bytes))));
    match (canonical(&seen, name.map(Name::as_bytes).into_iter()), goes_to) {
        (Some(from), Some(to)) if is_within(&from, &to) || is_within(&to, &from) => {
            overlap(dir, name, "the source and its destination are one place, mounted twice")
        }
        _ => Ok(()),
    }
}

/// The place within its file system of what `names` lead to from the examined directory.
fn canonical<'n>(
    facts: &SpaceFacts,
    names: impl Iterator<Item = &'n [u8]>,
) -> Option<(u64, Vec<u8>)> {
    let (dev, path) = facts.canonical.clone()?;
    Some((dev, joined(path, names)))
}

fn joined<'n>(mut path: Vec<u8>, names: impl IntoIterator<Item = &'n [u8]>) -> Vec<u8> {
    for name in names {
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    path
}

/// Whether `inner` is `outer` or below it.
fn is_within(inner: &(u64, Vec<u8>), outer: &(u64, Vec<u8>)) -> bool {
    let below = inner.1.strip_prefix(&outer.1[..]);
    let is_below = below.is_some_and(|rest| {
        rest.is_empty() || rest.first() == Some(&b'/') || outer.1.ends_with(b"/")
    });
    inner.0 == outer.0 && is_below
}

/// The directory that stands where an entry would go.
fn standing(way: &Way<'_>, target: &Target, name: &Name) -> Option<FileId> {
    if target.absent {
        return None;
    }
    let dir = Dir::new(&target.root, target.path.clone());
    let meta = way.asker.look(dir, name).ok()??;
    (meta.kind == Kind::Dir).then_some(meta.id)
}

impl Asker<'_> {
    /// What is known of the directory `dir` and its file system.
    pub(crate) fn examine(&self, dir: Dir, probe_times: bool) -> Result<SpaceFacts, Error> {
        match self.ask(vec![Task::Space(Space { dir, probe_times })]).pop() {
            Some(Ok(Output::Space(facts))) => Ok(facts),
            Some(Err(error)) => Err(error),
            _ => Err(Error::new(ErrorKind::Internal, "examine", b"")),
        }
    }

    /// What stands at `name` in `dir`, if anything does.
    pub(crate) fn look(&self, dir: Dir, name: &Name) -> Result<Option<Meta>, Error> {
        let what = What::Names([name.clone()].into());
        let list = List { dir, what, xattrs: false, survey: Survey::Nothing };
        match self.ask(vec![Task::List(list)]).pop() {
            Some(Ok(Output::Listed(mut listed))) => match listed.failures.pop() {
                Some(error) => Err(error),
                None => Ok(listed.entries.pop().map(|entry| entry.meta)),
            },
            Some(Err(error)) => Err(error),
            _ => Err(Error::new(ErrorKind::Internal, "examine", b"")),
        }
    }

    /// Runs tasks and waits for all of them; the answers come in the order of the tasks.
    pub(crate) fn ask(&self, tasks: Vec<Task>) -> Vec<Result<Output, Error>> {
        let (sender, inbox) = channel();
        let port = Port::new(Seat(0), sender, Arc::clone(self.control));
        let subjects: Vec<Subject> = tasks.iter().map(Subject::of).collect();
        let mut answers: Vec<Option<Result<Output, Error>>> = Vec::new();
        answers.resize_with(tasks.len(), || None);
        self.engine.submit((0..).map(TaskId).zip(tasks).collect(), &port);
        drop(port);
        for (at, subject) in subjects.into_iter().enumerate() {
            while answers[at].is_none() {
                let _occupied = self.control.occupy(subject.clone());
                let Ok((_, event)) = inbox.recv() else { break };
                if let Event::Done(id, result) = event
                    && let Some(slot) =
                        usize::try_from(id.0).ok().and_then(|at| answers.get_mut(at))
                {
                    *slot = Some(result);
                }
            }
        }
        let unanswered = || Err(Error::new(ErrorKind::Internal, "run task", b""));
        answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect()
    }
}
