//! Digesting simulated files, one a piece.
//! It must not read anything but regular files.

use xxhash_rust::xxh3::xxh3_128;

use super::volume::{Call, Ino, READ};
use super::work::{Work, World};
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::task::{Blocks, Hash, Hashed, Output};

/// A digest in work.
pub(super) struct Hashing {
    task: Hash,
    dir: Option<Ino>,
    digests: Vec<Result<u128, Error>>,
}

impl Hashing {
    pub(super) fn new(task: Hash) -> Self {
        Self { task, dir: None, digests: Vec::new() }
    }

    fn digest(&self, world: &mut World<'_>, dir: Ino, name: &Name) -> Call<u128> {
        let ino = world.source(&self.task.dir, dir, name)?;
        world.volume.allow(ino, READ)?;
        if world.rng.chance(world.faults.read_fails) {
            return Err(ErrorKind::Io);
        }
        world.volume.content(ino).map(xxh3_128)
    }
}

impl Work for Hashing {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let dir = match self.dir {
            Some(dir) => dir,
            None => match world.open(&self.task.dir, "open") {
                Ok(dir) => *self.dir.insert(dir),
                Err(error) => return Some(Err(error)),
            },
        };
        if let Some(name) = self.task.names.get(self.digests.len()) {
            let digest = self.digest(world, dir, name);
            let path = self.task.dir.shown(Some(name));
            self.digests.push(digest.map_err(|kind| Error::new(kind, "read", &path)));
        }
        let is_done = self.digests.len() >= self.task.names.len();
        is_done.then(|| Ok(Output::Hashed(Hashed { digests: std::mem::take(&mut self.digests) })))
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        Err(super::interrupted("hash", &self.task.dir.shown(None)))
    }
}

/// Simulated drafts never hold anything to compare.
pub(super) struct Comparing(pub(super) Blocks);

impl Work for Comparing {
    fn advance(&mut self, _world: &mut World<'_>) -> Option<Result<Output, Error>> {
        Some(Ok(Output::Blocks([].into())))
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        Err(super::interrupted("compare", &self.0.dir.shown(None)))
    }
}
