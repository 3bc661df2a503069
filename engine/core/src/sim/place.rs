//! Creating, linking, publishing and repairing on the simulated disk, step by step.
//! It must not stop at a step that failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::publish::{Unpublished, count_lost, default_mode, remove_old, replace, set_metadata};
use super::remove::Tree;
use super::volume::{Body, Call, Ino};
use super::work::{Staged, Work, World, held};
use crate::entry::{Changes, Entry, Kind};
use crate::error::{Error, ErrorKind};
use crate::path::{Name, RelPath};
use crate::task::{Held, Output, Over, Place, Placed, Step};

/// A placing in work.
pub(super) struct Placing {
    task: Place,
    to: Option<Ino>,
    next: usize,
    /// A step that is half done: what it made, the name it gets and what stands there.
    made: Option<(Unpublished, Name, Over)>,
    /// What was replaced and is being removed, and where it was.
    old: Option<(Tree, Vec<u8>)>,
    placed: Placed,
}

impl Placing {
    pub(super) fn new(task: Place) -> Self {
        Self { task, to: None, next: 0, made: None, old: None, placed: Placed::default() }
    }

    fn begin(&mut self, world: &mut World<'_>, to: Ino, step: &Step) -> Call<()> {
        if world.rng.chance(world.faults.place_denied) {
            return Err(ErrorKind::PermissionDenied);
        }
        match step {
            Step::MakeDir { name, plain, over } => self.make_dir(world, to, (name, *plain), *over),
            Step::Stage => self.stage(world, to),
            Step::Publish { staged, name, over } => {
                let staged: &Staged = held(staged).ok_or(ErrorKind::Internal)?;
                let old = replace(world.volume, to, (&staged.name, name), *over)?;
                self.begin_removing(old, name);
                Ok(())
            }
            Step::Take { from, source_name, name, over } => {
                let from = world.open(from, "open").map_err(|error| error.kind)?;
                self.take(world, ((from, source_name), (to, name)), *over)
            }
            Step::Respell { from, name } => world.volume.rename((to, from), (to, name), false),
            Step::Node { entry, over } => self.make_node(world, to, entry, *over),
            // The files of simulated trees are never that large.
            Step::Draft { .. } | Step::Seal { .. } | Step::Discard { .. } => {
                Err(ErrorKind::Unsupported)
            }
            Step::Link { name, of, over } => self.link(world, to, (name, of), *over),
            Step::Share { from, name, over } => {
                let from = world.open(from, "open").map_err(|error| error.kind)?;
                let of = world.volume.lookup(from, name.as_bytes())?;
                if world.volume.inode(of)?.kind() != Kind::File {
                    return Err(ErrorKind::TypeClash);
                }
                self.put(world, (to, of), name, *over)
            }
            Step::Repair { entry, changes } => self.repair(world, to, entry, *changes),
            Step::Widen => world.volume.change(to, |inode| inode.mode |= 0o700),
            Step::Finish { meta, changes } => {
                let preserve = &self.task.manner.preserve;
                let lost = set_metadata(world, to, meta, (*changes, preserve))?;
                count_lost(&mut self.placed.lost, lost);
                Ok(())
            }
        }
    }

    fn make_dir(
        &mut self,
        world: &mut World<'_>,
        to: Ino,
        (name, plain): (&Name, bool),
        over: Over,
    ) -> Call<()> {
        let mode = if plain { default_mode(0o777) } else { 0o700 };
        let replaces = matches!(over, Over::Entry | Over::Tree);
        let ino = world.volume.create(to, Body::Dir(BTreeMap::new()), mode)?;
        if replaces && world.volume.lookup(to, name.as_bytes()).is_ok() {
            let unpublished = Unpublished::new(world, to, ino, false)?;
            self.made = Some((unpublished, name.clone(), over));
            return Ok(());
        }
        attach_or_free(world, to, name, ino)
    }

    /// Moves an entry. A directory takes the place of an entry, and anything the place of a tree, in two pieces: first the
    /// old one goes aside.
    fn take(
        &mut self,
        world: &mut World<'_>,
        (from, to): ((Ino, &Name), (Ino, &Name)),
        over: Over,
    ) -> Call<()> {
        let moved = world.volume.lookup(from.0, from.1.as_bytes()).map_err(vanished)?;
        let there = match world.volume.lookup(to.0, to.1.as_bytes()) {
            Ok(there) => there,
            Err(ErrorKind::NotFound) => return world.volume.rename(from, to, false),
            Err(kind) => return Err(kind),
        };
        let [moved_kind, there_kind] = [moved, there].map(|ino| world.volume.inode(ino));
        let (moved_kind, there_kind) = (moved_kind?.kind(), there_kind?.kind());
        if over == Over::Nothing {
            return Err(ErrorKind::AlreadyExists);
        }
        if over != Over::Tree && there_kind == Kind::Dir {
            return Err(ErrorKind::TypeClash);
        }
        if moved == there && from.0 == to.0 {
            return Ok(());
        }
        if moved_kind != Kind::Dir && there_kind != Kind::Dir {
            return world.volume.rename(from, to, true);
        }
        let aside = world.own.temporary();
        world.volume.rename(to, (to.0, &aside), false)?;
        if let Err(kind) = world.volume.rename(from, to, false) {
            world.volume.rename((to.0, &aside), to, false)?;
            return Err(kind);
        }
        self.begin_removing(Some(Tree::new(to.0, aside)), to.1);
        Ok(())
    }

    fn begin_removing(&mut self, old: Option<Tree>, name: &Name) {
        self.old = old.map(|old| (old, self.task.to.shown(Some(name))));
    }

    /// Does one piece of removing what was replaced.
    fn remove_old(&mut self, world: &mut World<'_>) {
        let Some((old, shown)) = &mut self.old else { return };
        if remove_old(world, old, (shown, &mut self.placed.remains)) {
            self.old = None;
        }
    }

    fn stage(&mut self, world: &mut World<'_>, to: Ino) -> Call<()> {
        let ino = world.volume.create(to, Body::Dir(BTreeMap::new()), 0o700)?;
        let name = world.own.temporary();
        attach_or_free(world, to, &name, ino)?;
        let (staged, lock) = world.own.staged(to, name, ino);
        world.volume.inode_mut(ino)?.lock = lock;
        self.placed.staged = Some(Held(Arc::new(staged)));
        Ok(())
    }

    fn make_node(&mut self, world: &mut World<'_>, to: Ino, entry: &Entry, over: Over) -> Call<()> {
        let meta = &entry.meta;
        let body = match (meta.kind, &meta.target) {
            (Kind::Symlink, Some(target)) => Body::Symlink(target.clone()),
            (Kind::Symlink, None) | (Kind::File | Kind::Dir, _) => return Err(ErrorKind::Internal),
            (kind, _) if kind.is_device() && !world.volume.user.privileged => {
                return Err(ErrorKind::PermissionDenied);
            }
            (kind, _) => Body::Special(kind),
        };
        let mode = if meta.kind == Kind::Symlink { 0o777 } else { 0o600 };
        let ino = world.volume.create(to, body, mode)?;
        world.volume.inode_mut(ino)?.rdev = meta.rdev;
        let preserve = &self.task.manner.preserve;
        let mut meta = meta.clone();
        let mut changes = Changes::all(preserve);
        if !preserve.mode {
            meta.mode = default_mode(meta.mode);
            changes.mode = true;
        }
        let lost = set_metadata(world, ino, &meta, (changes, preserve))?;
        count_lost(&mut self.placed.lost, lost);
        self.put(world, (to, ino), &entry.name, over)
    }

    fn link(
        &mut self,
        world: &mut World<'_>,
        to: Ino,
        (name, of): (&Name, &RelPath),
        over: Over,
    ) -> Call<()> {
        let of = world.below_root(&self.task.to, of.components().map(<[u8]>::to_vec))?;
        if world.volume.inode(of)?.kind() == Kind::Dir {
            return Err(ErrorKind::IsADirectory);
        }
        if over == Over::Entry && world.volume.lookup(to, name.as_bytes()) == Ok(of) {
            return Ok(());
        }
        self.put(world, (to, of), name, over)
    }

    /// Gives `ino` its name at once where nothing stands there, and in a later piece where something is replaced.
    fn put(&mut self, world: &mut World<'_>, at: (Ino, Ino), name: &Name, over: Over) -> Call<()> {
        let (dir, ino) = at;
        let unpublished = Unpublished::new(world, dir, ino, over == Over::Nothing)?;
        if over == Over::Nothing {
            return unpublished.publish(world, name, over).map(drop);
        }
        self.made = Some((unpublished, name.clone(), over));
        Ok(())
    }

    fn repair(
        &mut self,
        world: &mut World<'_>,
        to: Ino,
        entry: &Entry,
        changes: Changes,
    ) -> Call<()> {
        let ino = world.volume.lookup(to, entry.name.as_bytes())?;
        match world.volume.inode(ino)?.kind() {
            Kind::Dir => return Err(ErrorKind::IsADirectory),
            kind if kind != entry.meta.kind => return Err(ErrorKind::TypeClash),
            _ => {}
        }
        let preserve = &self.task.manner.preserve;
        let lost = set_metadata(world, ino, &entry.meta, (changes, preserve))?;
        count_lost(&mut self.placed.lost, lost);
        Ok(())
    }

    fn fail(&mut self, step: usize, kind: ErrorKind) {
        let (op, name) = match self.task.steps.get(step) {
            Some(Step::MakeDir { name, .. }) => ("make", Some(name)),
            Some(Step::Publish { name, .. } | Step::Respell { name, .. }) => ("rename", Some(name)),
            Some(Step::Take { name, .. }) => ("move", Some(name)),
            Some(Step::Node { entry, .. }) => ("make", Some(&entry.name)),
            Some(Step::Link { name, .. } | Step::Share { name, .. }) => ("link", Some(name)),
            Some(Step::Repair { entry, .. }) => ("repair", Some(&entry.name)),
            Some(Step::Draft { entry, .. } | Step::Seal { entry, .. }) => {
                ("make", Some(&entry.name))
            }
            Some(Step::Stage | Step::Discard { .. }) => ("make", None),
            Some(Step::Widen | Step::Finish { .. }) | None => ("repair", None),
        };
        let error = Error::new(kind, op, &self.task.to.shown(name));
        self.placed.failures.push((step, error));
    }
}

impl Work for Placing {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let to = match self.to {
            Some(to) => to,
            None => match world.open(&self.task.to, "open") {
                Ok(to) => *self.to.insert(to),
                Err(error) => return Some(Err(error)),
            },
        };
        if self.old.is_some() {
            self.remove_old(world);
        } else if let Some((unpublished, name, over)) = self.made.take() {
            let kept = match &self.task.manner.aside {
                Some(aside) => world.keep(aside, (to, &name), false),
                None => Ok(()),
            };
            let published = match kept {
                Ok(()) => unpublished.publish(world, &name, over),
                Err(kind) => {
                    unpublished.discard(world);
                    Err(kind)
                }
            };
            match published {
                Ok(old) => self.begin_removing(old, &name),
                Err(kind) => self.fail(self.next - 1, kind),
            }
        } else if let Some(step) = self.task.steps.get(self.next).cloned() {
            self.next += 1;
            if let Err(kind) = self.begin(world, to, &step) {
                self.fail(self.next - 1, kind);
            }
        }
        let is_between = self.made.is_none() && self.old.is_none();
        let is_done = is_between && self.next >= self.task.steps.len();
        is_done.then(|| Ok(Output::Placed(std::mem::take(&mut self.placed))))
    }

    fn abandon(&mut self, world: &mut World<'_>) -> Result<Output, Error> {
        while self.old.is_some() {
            self.remove_old(world);
        }
        let mut done = self.next;
        if let Some((unpublished, _, _)) = self.made.take() {
            unpublished.discard(world);
            done -= 1;
        }
        if done == 0 {
            return Err(super::interrupted("place", &self.task.to.shown(None)));
        }
        for step in done..self.task.steps.len() {
            self.fail(step, ErrorKind::Interrupted);
        }
        Ok(Output::Placed(std::mem::take(&mut self.placed)))
    }
}

fn vanished(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::NotFound { ErrorKind::Vanished } else { kind }
}

fn attach_or_free(world: &mut World<'_>, dir: Ino, name: &Name, ino: Ino) -> Call<()> {
    let attached = world.volume.attach(dir, name, ino);
    if attached.is_err() {
        world.volume.free_nameless(ino)?;
    }
    attached
}
