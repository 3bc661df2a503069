//! What a client orders of a module, and what that means on this machine: every path is below the module's root.
//! It must not change anything on a disk.

use std::sync::Arc;

use blit_core::engine::Limits;
use blit_core::entry::{FileId, Kind, Meta};
use blit_core::path::{Name, RelPath};
use blit_core::session::Session;
use blit_core::spec::{SourceItem, Target, TransferSpec, Verb};
use blit_core::stream::{End, Plane};
use blit_core::task::{Dir, Root, SpaceFacts};
use blit_core::{Error, ErrorKind};

use super::Caller;
use crate::client::{Beside, Found};
use crate::local::{self, Asker, check_absent, examine, find, refuse_special};
use crate::{jobs, keep, look, remove};

/// What a client orders.
pub(super) enum Order {
    /// What it lists goes below `path`.
    Push { path: RelPath, contents: bool, one_file: bool, beside: Beside },
    /// These are listed, contents or the entry itself.
    Pull(Vec<(RelPath, bool)>),
    /// This is listed for someone who only looks.
    Look((RelPath, bool)),
    /// These are removed.
    Remove(Vec<RelPath>),
}

impl Order {
    /// As those see it who ask about jobs.
    pub(super) fn kind(&self) -> jobs::Order {
        match self {
            Self::Push { .. } => jobs::Order::Push,
            Self::Pull(_) => jobs::Order::Pull,
            Self::Look(_) => jobs::Order::Look,
            Self::Remove(_) => jobs::Order::Remove,
        }
    }

    /// Whether something may be changed.
    pub(super) fn writes(&self, spec: &TransferSpec) -> bool {
        match self {
            Self::Push { .. } | Self::Remove(_) => true,
            Self::Pull(_) => spec.verb == Verb::Move,
            Self::Look(_) => false,
        }
    }
}

/// What an order means here.
pub(super) struct Prepared {
    role: Role,
    pub(super) answer: Answer,
    /// What data streams are for at this end, where there are any.
    pub(super) end: Option<End>,
}

/// What the client is told before the session begins.
#[derive(Default)]
pub(super) struct Answer {
    /// The name that the only source gets.
    pub(super) new_name: Option<Name>,
    /// What stands at each source.
    pub(super) found: Vec<Found>,
    /// Where the destination is.
    pub(super) ids: Vec<FileId>,
    /// The destination is still to be made.
    pub(super) absent: bool,
}

impl Answer {
    /// Which inodes things are says something on this machine only.
    pub(super) fn keep_ids(&mut self, caller: &Caller) {
        if caller.peer.ip() != caller.local.ip() {
            self.ids.clear();
            for found in &mut self.found {
                *found = Found { exists: found.exists, is_dir: found.is_dir, ..Found::default() };
            }
        }
    }
}

enum Role {
    Source(Vec<SourceItem>),
    Destination(Box<(Target, SpaceFacts)>),
    Removal(Vec<(Dir, Name)>),
}

/// Looks at what an order names.
pub(super) fn prepare(
    order: Order,
    root: &Arc<Root>,
    spec: &mut TransferSpec,
    asker: Asker<'_>,
) -> Result<Prepared, Error> {
    let lone = |role| Prepared { role, answer: Answer::default(), end: None };
    match order {
        Order::Push { path, contents, one_file, beside } => {
            let (target, facts, new_name) = target(root, path, !contents && one_file, asker)?;
            let at = |path| keep::counterpart(Dir::new(root, path));
            (spec.backup, spec.reference) = (beside.backup.map(at), beside.reference.map(at));
            keep::complete(spec, (&target, &facts), &[], asker)?;
            let mut ids = vec![facts.dir.id];
            ids.extend(facts.ancestors.iter().filter(|id| **id != facts.dir.id));
            let answer = Answer { new_name, found: Vec::new(), ids, absent: target.absent };
            let role = Role::Destination(Box::new((target, facts)));
            Ok(Prepared { role, answer, end: Some(End::Destination) })
        }
        Order::Pull(paths) => {
            let items = paths.into_iter().map(|path| item(root, path)).collect();
            let found = find(items, asker)?;
            let told = found.iter().map(|found| told(found, asker)).collect();
            let answer = Answer { found: told, ..Answer::default() };
            let role = Role::Source(found.into_iter().map(|found| found.item).collect());
            Ok(Prepared { role, answer, end: Some(End::Source) })
        }
        Order::Look(path) => {
            let item = look::opened(item(root, path), &asker)?;
            Ok(lone(Role::Source(vec![item])))
        }
        Order::Remove(paths) => {
            let mut entries = Vec::new();
            for path in paths {
                let Some((parent, name)) = path.split_last() else {
                    let why = "it is the root of the module; name what is in it";
                    return Err(Error::because(ErrorKind::Usage, "remove", b"", why));
                };
                let parent = Dir::new(root, parent);
                remove::check(&parent, &name, spec, &asker)?;
                entries.push((parent, name));
            }
            Ok(lone(Role::Removal(entries)))
        }
    }
}

impl Prepared {
    /// The session of it. `new_name` is what the client calls the only source.
    pub(super) fn session(
        self,
        new_name: Option<Name>,
        (spec, limits): (&TransferSpec, Limits),
        plane: &Arc<Plane>,
    ) -> Session {
        let session = match self.role {
            Role::Source(mut items) => {
                if let (Some(new_name), [SourceItem::Entry { target_name, .. }]) =
                    (new_name, &mut items[..])
                {
                    *target_name = new_name;
                }
                Session::source(items, spec.clone(), limits)
            }
            Role::Destination(target) => {
                let (target, facts) = *target;
                Session::destination(target, &facts, spec.clone(), limits)
            }
            Role::Removal(entries) => Session::removal(entries, spec, limits),
        };
        if self.end.is_some() { session.over(plane) } else { session }
    }
}

/// What a client is told of a source.
fn told(found: &local::Found, asker: Asker<'_>) -> Found {
    let Some(meta) = &found.meta else { return Found::default() };
    let is_dir = meta.kind == Kind::Dir;
    let dir = match &found.item {
        SourceItem::Contents(dir) => dir.clone(),
        SourceItem::Entry { parent, name, .. } => parent.child(name),
    };
    // One that cannot be opened is a failure when it is listed.
    let above = is_dir.then(|| asker.examine(dir, false).ok()).flatten();
    let above = above.map(|facts| facts.ancestors).unwrap_or_default();
    Found { exists: true, is_dir, id: meta.id, above }
}

fn item(root: &Arc<Root>, (path, contents): (RelPath, bool)) -> SourceItem {
    match path.split_last() {
        Some((parent, name)) if !contents => SourceItem::Entry {
            parent: Dir::new(root, parent),
            name: name.clone(),
            target_name: name,
        },
        _ => SourceItem::Contents(Dir::new(root, path)),
    }
}

/// The directory that is written, its facts, and the new name of the only source where it gets one.
fn target(
    root: &Arc<Root>,
    path: RelPath,
    names_a_file: bool,
    asker: Asker<'_>,
) -> Result<(Target, SpaceFacts, Option<Name>), Error> {
    let dir = Dir::new(root, path.clone());
    let error = match asker.examine(dir.clone(), true) {
        Ok(facts) => {
            return Ok((Target { root: Arc::clone(root), path, absent: false }, facts, None));
        }
        Err(error) => error,
    };
    let Some((parent, name)) = path.split_last() else { return Err(error) };
    let above = Dir::new(root, parent.clone());
    if error.kind == ErrorKind::NotADirectory && !names_a_file {
        refuse_link(asker, &above, &name)?;
    }
    check_absent(error, &dir.shown(None), names_a_file)?;
    let facts = asker.examine(above.clone(), true)?;
    if names_a_file {
        refuse_special(asker, &above, &name)?;
        let target = Target { root: Arc::clone(root), path: parent, absent: false };
        return Ok((target, facts, Some(name)));
    }
    Ok((Target { root: Arc::clone(root), path, absent: true }, facts, None))
}

/// What stands at each of `paths`.
pub(super) fn stat(
    root: &Arc<Root>,
    paths: Vec<RelPath>,
    asker: Asker<'_>,
) -> Vec<Result<Meta, Error>> {
    let items: Vec<SourceItem> = paths.into_iter().map(|path| item(root, (path, false))).collect();
    examine(&items, asker, "open").into_iter().map(|(_, meta)| meta).collect()
}

fn refuse_link(asker: Asker<'_>, dir: &Dir, name: &Name) -> Result<(), Error> {
    match asker.look(dir.clone(), name)? {
        Some(meta) if meta.kind == Kind::Symlink => {
            let why = "it is a link, and a daemon follows none below a module";
            let shown = dir.shown(Some(name));
            Err(Error::because(ErrorKind::NotADirectory, "copy to", &shown, why))
        }
        _ => Ok(()),
    }
}

/// The room of the file system that `path` is on.
pub(super) fn space(
    root: &Arc<Root>,
    path: RelPath,
    asker: Asker<'_>,
) -> Result<SpaceFacts, Error> {
    let parent = path.split_last().map(|(parent, _)| parent);
    match (asker.examine(Dir::new(root, path), false), parent) {
        (Err(error), Some(parent)) if error.kind == ErrorKind::NotADirectory => {
            asker.examine(Dir::new(root, parent), false)
        }
        (other, _) => other,
    }
}
