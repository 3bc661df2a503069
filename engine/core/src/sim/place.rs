//! Creating, linking, publishing and repairing on the simulated disk, step by step.
//! It must not stop at a step that failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::publish::{Unpublished, count_lost, default_mode, set_metadata};
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
    placed: Placed,
}

impl Placing {
    pub(super) fn new(task: Place) -> Self {
        Self { task, to: None, next: 0, made: None, placed: Placed::default() }
    }

    fn begin(&mut self, world: &mut World<'_>, to: Ino, step: &Step) -> Call<()> {
        if world.rng.chance(world.faults.place_denied) {
            return Err(ErrorKind::PermissionDenied);
        }
        match step {
            Step::MakeDir { name, plain } => {
                let mode = if *plain { default_mode(0o777) } else { 0o700 };
                let ino = world.volume.create(to, Body::Dir(BTreeMap::new()), mode)?;
                attach_or_free(world, to, name, ino)
            }
            Step::Stage => self.stage(world, to),
            Step::Publish { staged, name } => publish_staged(world, to, staged, name),
            Step::Node { entry, over } => self.make_node(world, to, entry, *over),
            Step::Link { name, of, over } => self.link(world, to, (name, of), *over),
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
            return unpublished.publish(world, name, over);
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
            Some(Step::Publish { name, .. }) => ("rename", Some(name)),
            Some(Step::Node { entry, .. }) => ("make", Some(&entry.name)),
            Some(Step::Link { name, .. }) => ("link", Some(name)),
            Some(Step::Repair { entry, .. }) => ("repair", Some(&entry.name)),
            Some(Step::Stage) => ("make", None),
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
        if let Some((unpublished, name, over)) = self.made.take() {
            if let Err(kind) = unpublished.publish(world, &name, over) {
                self.fail(self.next - 1, kind);
            }
        } else if let Some(step) = self.task.steps.get(self.next).cloned() {
            self.next += 1;
            if let Err(kind) = self.begin(world, to, &step) {
                self.fail(self.next - 1, kind);
            }
        }
        let is_done = self.made.is_none() && self.next >= self.task.steps.len();
        is_done.then(|| Ok(Output::Placed(std::mem::take(&mut self.placed))))
    }

    fn abandon(&mut self, world: &mut World<'_>) -> Result<Output, Error> {
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

fn publish_staged(world: &mut World<'_>, to: Ino, staged: &Held, name: &Name) -> Call<()> {
    let staged: &Staged = held(staged).ok_or(ErrorKind::Internal)?;
    world.volume.rename((staged.parent, &staged.name), (to, name), false)
}

fn attach_or_free(world: &mut World<'_>, dir: Ino, name: &Name, ino: Ino) -> Call<()> {
    let attached = world.volume.attach(dir, name, ino);
    if attached.is_err() {
        world.volume.free_nameless(ino)?;
    }
    attached
}
