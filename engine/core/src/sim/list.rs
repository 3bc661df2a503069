//! Listing a simulated directory, some entries a piece.
//! It must not sort: the order of a directory is a matter of chance, as on a disk with hashed directories.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rng::mix;
use super::volume::{Ino, READ};
use super::work::{Work, World, held};
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::task::{Held, List, Listed, Output, Survey, What};

/// A listing in work.
pub(super) struct Listing {
    task: List,
    dir: Option<Ino>,
    names: VecDeque<Name>,
    listed: Listed,
}

/// Where a listing ended.
struct Position(u64, Name);

impl Listing {
    pub(super) fn new(task: List) -> Self {
        Self { task, dir: None, names: VecDeque::new(), listed: Listed::default() }
    }

    fn open(&mut self, world: &mut World<'_>) -> Result<Ino, Error> {
        if world.rng.chance(world.faults.list_fails) {
            return Err(self.error(chance_kind(world)));
        }
        let dir = world.open(&self.task.dir, "open")?;
        let is_later = matches!(self.task.what, What::Next { after: Some(_), .. });
        if !is_later {
            let meta = world.volume.meta(dir, self.task.xattrs);
            self.listed.dir = Some(meta.map_err(|kind| self.error(kind))?);
        }
        if self.task.survey != Survey::Nothing && !is_later {
            world.volume.allow(dir, READ).map_err(|kind| self.error(kind))?;
            let entries = world.volume.entries(dir).map_err(|kind| self.error(kind))?;
            self.listed.leftovers =
                entries.keys().filter(|name| world.own.is_leftover(name)).cloned().collect();
            if self.task.survey == Survey::Names {
                self.listed.names =
                    entries.keys().filter(|name| !name.is_temporary()).cloned().collect();
            }
        }
        self.names = match &self.task.what {
            What::Itself => VecDeque::new(),
            What::Names(names) => names.iter().cloned().collect(),
            What::Named(page) => page.iter().map(|entry| entry.name.clone()).collect(),
            What::Next { after, entries_max } => {
                let (names, next) = self.read(world, dir, after.as_ref(), *entries_max)?;
                self.listed.next = next;
                names
            }
        };
        Ok(dir)
    }

    fn read(
        &self,
        world: &World<'_>,
        dir: Ino,
        after: Option<&Held>,
        entries_max: usize,
    ) -> Result<(VecDeque<Name>, Option<Held>), Error> {
        world.volume.allow(dir, READ).map_err(|kind| self.error(kind))?;
        let after: Option<&Position> = match after {
            Some(after) => Some(held(after).ok_or_else(|| self.error(ErrorKind::Internal))?),
            None => None,
        };
        let entries = world.volume.entries(dir).map_err(|kind| self.error(kind))?;
        let mut names: Vec<(u64, &Name)> = entries
            .iter()
            .filter(|(name, _)| !name.is_temporary())
            .map(|(name, _)| (spread(name), name))
            .filter(|place| after.is_none_or(|after| *place > (after.0, &after.1)))
            .collect();
        names.sort_unstable();
        let has_more = names.len() > entries_max.max(1);
        names.truncate(entries_max.max(1));
        let last = names.last().filter(|_| has_more);
        let next = last.map(|(at, name)| Held(Arc::new(Position(*at, (*name).clone()))));
        Ok((names.into_iter().map(|(_, name)| name.clone()).collect(), next))
    }

    fn examine(&mut self, world: &mut World<'_>, dir: Ino, name: Name) {
        if name.is_temporary() {
            return;
        }
        let looked_up = if world.rng.chance(world.faults.examine_fails) {
            Err(chance_kind(world))
        } else {
            world.source(&self.task.dir, dir, &name).map_err(|kind| match kind {
                ErrorKind::NotFound if world.volume.lookup(dir, name.as_bytes()).is_ok() => {
                    ErrorKind::Other
                }
                kind => kind,
            })
        };
        match looked_up.and_then(|ino| world.volume.meta(ino, self.task.xattrs)) {
            Ok(meta) => self.listed.entries.push(Entry { name, meta }),
            Err(ErrorKind::NotFound) => {}
            Err(kind) => {
                let path = self.task.dir.shown(Some(&name));
                self.listed.failures.push(Error::new(kind, "examine", &path));
            }
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, "list", &self.task.dir.shown(None))
    }
}

impl Work for Listing {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let Some(dir) = self.dir else {
            return match self.open(world) {
                Ok(dir) => {
                    self.dir = Some(dir);
                    None
                }
                Err(error) => Some(Err(error)),
            };
        };
        let count = self.names.len().min(ENTRIES_PER_PIECE);
        let names: Vec<Name> = self.names.drain(..count).collect();
        for name in names {
            self.examine(world, dir, name);
        }
        let is_done = self.names.is_empty();
        is_done.then(|| Ok(Output::Listed(std::mem::take(&mut self.listed))))
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        Err(self.error(ErrorKind::Interrupted))
    }
}

/// The place of a name in the order of its directory.
fn spread(name: &Name) -> u64 {
    name.as_bytes().iter().fold(0, |sum, byte| mix(sum ^ u64::from(*byte)))
}

fn chance_kind(world: &mut World<'_>) -> ErrorKind {
    if world.rng.chance(500) { ErrorKind::PermissionDenied } else { ErrorKind::Io }
}

/// Entries examined between two chances for others to change them.
const ENTRIES_PER_PIECE: usize = 16;
