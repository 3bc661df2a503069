//! Removing simulated entries, one a piece.
//! It must not follow links, and takes nothing that a running engine still fills.

use super::volume::{Call, Ino};
use super::work::{Work, World};
use crate::entry::Kind;
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::task::{Output, Removal, Remove, Removed};

/// A removal in work.
pub(super) struct Removing {
    task: Remove,
    dir: Option<Ino>,
    next: usize,
    /// The way down to what is removed now: directories and the names in them.
    stack: Vec<(Ino, Name)>,
    removed: Removed,
}

impl Removing {
    pub(super) fn new(task: Remove) -> Self {
        Self { task, dir: None, next: 0, stack: Vec::new(), removed: Removed::default() }
    }

    /// Begins with the next name, or says that there is none.
    fn begin(&mut self, world: &World<'_>, dir: Ino) -> bool {
        let Some(name) = self.task.names.get(self.next) else { return false };
        self.next += 1;
        let found = world.volume.lookup(dir, name.as_bytes());
        match found.and_then(|ino| Ok((ino, world.volume.inode(ino)?.is_locked()))) {
            // What is gone already is no failure.
            Err(ErrorKind::NotFound) => {}
            Err(kind) => self.fail(name.clone(), kind),
            Ok(_) if self.task.removal == Removal::Leftover && !name.is_temporary() => {
                self.fail(name.clone(), ErrorKind::Internal);
            }
            Ok((_, true)) if self.task.removal == Removal::Leftover => {}
            Ok(_) => self.stack.push((dir, name.clone())),
        }
        true
    }

    /// Goes one level down, or removes one entry.
    fn go_on(&mut self, world: &mut World<'_>, dir: Ino, name: &Name) -> Call<()> {
        let ino = world.volume.lookup(dir, name.as_bytes())?;
        let kind = world.volume.inode(ino)?.kind();
        if kind == Kind::Dir && self.task.removal != Removal::Single {
            let first = world.volume.entries(ino)?.keys().next().cloned();
            if let Some(first) = first {
                self.stack.push((ino, first));
                return Ok(());
            }
        }
        if world.rng.chance(world.faults.remove_denied) {
            return Err(ErrorKind::PermissionDenied);
        }
        world.volume.detach(dir, name)?;
        self.stack.pop();
        match kind {
            Kind::Dir => self.removed.dirs += 1,
            _ => self.removed.files += 1,
        }
        Ok(())
    }

    fn fail(&mut self, name: Name, kind: ErrorKind) {
        let path = self.task.dir.shown(Some(&name));
        self.removed.failures.push(Error::new(kind, "remove", &path));
    }
}

impl Work for Removing {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let dir = match self.dir {
            Some(dir) => dir,
            None => match world.open(&self.task.dir, "open") {
                Ok(dir) => *self.dir.insert(dir),
                Err(error) => return Some(Err(error)),
            },
        };
        if let Some((parent, name)) = self.stack.last().cloned() {
            if let Err(kind) = self.go_on(world, parent, &name) {
                // What cannot be removed keeps all that is above it.
                self.stack.clear();
                self.fail(name, kind);
            }
        } else if !self.begin(world, dir) {
            return Some(Ok(Output::Removed(std::mem::take(&mut self.removed))));
        }
        None
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        let error = super::interrupted("remove", &self.task.dir.shown(None));
        if self.removed.files + self.removed.dirs == 0 {
            return Err(error);
        }
        self.removed.failures.push(error);
        Ok(Output::Removed(std::mem::take(&mut self.removed)))
    }
}
