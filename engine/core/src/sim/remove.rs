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
    /// What is removed now.
    tree: Option<Tree>,
    removed: Removed,
}

impl Removing {
    pub(super) fn new(task: Remove) -> Self {
        Self { task, dir: None, next: 0, tree: None, removed: Removed::default() }
    }

    /// Begins with the next name, or says that there is none.
    fn begin(&mut self, world: &mut World<'_>, dir: Ino) -> bool {
        let Some(name) = self.task.names.get(self.next).cloned() else { return false };
        self.next += 1;
        match self.admit(world, dir, &name) {
            // What is gone already is no failure.
            Err(ErrorKind::NotFound) | Ok(false) => {}
            Err(kind) => self.fail(&name, kind),
            Ok(true) if self.put_aside(world, dir, &name) => {}
            Ok(true) => {
                let is_deep = matches!(self.task.removal, Removal::Tree | Removal::Leftover);
                self.tree = Some(Tree { way: vec![(dir, name)], is_deep });
            }
        }
        true
    }

    /// Whether the name may be removed; false where it is passed over.
    fn admit(&self, world: &World<'_>, dir: Ino, name: &Name) -> Call<bool> {
        let ino = world.volume.lookup(dir, name.as_bytes())?;
        match &self.task.removal {
            Removal::Single | Removal::Aside(_) | Removal::Tree => Ok(true),
            Removal::Leftover if !name.is_temporary() => Err(ErrorKind::Internal),
            Removal::Leftover => Ok(!world.volume.inode(ino)?.is_locked()),
            Removal::Unchanged(page) => {
                let now = world.volume.meta(ino, false)?;
                let earlier = page.iter().find(|entry| entry.name == *name);
                let is_unchanged = now.kind != Kind::Dir
                    && earlier.is_some_and(|entry| now.is_content_unchanged_since(&entry.meta));
                if is_unchanged { Ok(true) } else { Err(ErrorKind::Changed) }
            }
        }
    }

    /// Moves what is no directory to where it is kept, if it is to be; false where it is not.
    fn put_aside(&mut self, world: &mut World<'_>, dir: Ino, name: &Name) -> bool {
        let Removal::Aside(aside) = self.task.removal.clone() else { return false };
        let kind = world.volume.lookup(dir, name.as_bytes());
        let kind = kind.and_then(|ino| Ok(world.volume.inode(ino)?.kind()));
        if kind == Ok(Kind::Dir) {
            return false;
        }
        match world.keep(&aside, (dir, name), true) {
            Ok(()) => self.removed.files += 1,
            Err(kind) => self.fail(name, kind),
        }
        true
    }

    fn fail(&mut self, name: &Name, kind: ErrorKind) {
        let path = self.task.dir.shown(Some(name));
        let error = match kind {
            ErrorKind::Changed => {
                let why = "it stays in the source, because it changed after it was copied";
                Error::because(kind, "remove", &path, why)
            }
            _ => Error::new(kind, "remove", &path),
        };
        self.removed.failures.push(error);
    }
}

/// One entry being removed, with all that is below it if that is asked for.
pub(super) struct Tree {
    /// The way down to what is removed now: directories and the names in them.
    way: Vec<(Ino, Name)>,
    is_deep: bool,
}

impl Tree {
    /// The entry `name` of `dir` and all that is below it.
    pub(super) fn new(dir: Ino, name: Name) -> Self {
        Self { way: vec![(dir, name)], is_deep: true }
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_done(&self) -> bool {
        self.way.is_empty()
    }

    /// Goes one level down, or removes one entry and says of which kind. What cannot be removed keeps all that is above.
    pub(super) fn go_on(
        &mut self,
        world: &mut World<'_>,
    ) -> Result<Option<Kind>, (Name, ErrorKind)> {
        let Some((dir, name)) = self.way.last().cloned() else { return Ok(None) };
        self.go_on_at(world, dir, &name).map_err(|kind| {
            self.way.clear();
            (name, kind)
        })
    }

    fn go_on_at(&mut self, world: &mut World<'_>, dir: Ino, name: &Name) -> Call<Option<Kind>> {
        let ino = world.volume.lookup(dir, name.as_bytes())?;
        let kind = world.volume.inode(ino)?.kind();
        if kind == Kind::Dir && self.is_deep {
            let first = world.volume.entries(ino)?.keys().next().cloned();
            if let Some(first) = first {
                self.way.push((ino, first));
                return Ok(None);
            }
        }
        if world.rng.chance(world.faults.remove_denied) {
            return Err(ErrorKind::PermissionDenied);
        }
        world.volume.detach(dir, name)?;
        self.way.pop();
        Ok(Some(kind))
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
        if let Some(mut tree) = self.tree.take() {
            match tree.go_on(world) {
                Ok(Some(Kind::Dir)) => self.removed.dirs += 1,
                Ok(Some(_)) => self.removed.files += 1,
                Ok(None) => {}
                Err((name, kind)) => self.fail(&name, kind),
            }
            self.tree = (!tree.is_done()).then_some(tree);
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
