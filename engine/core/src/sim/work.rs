//! What every simulated task is given and gives.
//! It must not know any single verb.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use super::disk::{Dropped, follow, open_root};
use super::rng::Rng;
use super::volume::{Body, Call, Ino, Lock, SEARCH, Volume};
use crate::entry::Kind;
use crate::error::{Error, ErrorKind};
use crate::event::Control;
use crate::path::{Name, temporary_run};
use crate::task::{Dir, Held, Output};

/// What goes wrong: of a thousand occasions, how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A directory cannot be opened for listing: permission denied, or the device fails.
    pub list_fails: u32,
    /// A listed entry cannot be examined.
    pub examine_fails: u32,
    /// A source file cannot be opened: permission denied.
    pub open_denied: u32,
    /// A source file is really removed before it is opened.
    pub vanish: u32,
    /// The device fails while a file is read.
    pub read_fails: u32,
    /// The source is really rewritten while it is read.
    pub change: u32,
    /// The file system is full for one write.
    pub write_full: u32,
    /// An outsider really makes the name first that is to be new.
    pub taken: u32,
    /// A step of a placing is refused: permission denied.
    pub place_denied: u32,
    /// A removal is refused: permission denied.
    pub remove_denied: u32,
    /// A stream breaks before anything was sent on it.
    pub stream_breaks: u32,
    /// A task never ends.
    pub hang: u32,
}

/// A task in work.
pub(super) trait Work: Send {
    /// Whether it can go on, and does not wait for another task.
    fn is_ready(&self) -> bool {
        true
    }

    /// Does one piece. What it returns ends the task.
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>>;

    /// Ends the task because the run is cancelled: takes away what is not published, and tells what stays.
    fn abandon(&mut self, world: &mut World<'_>) -> Result<Output, Error>;
}

/// All that a piece of work can reach.
pub(super) struct World<'a> {
    pub(super) volume: &'a mut Volume,
    pub(super) rng: &'a mut Rng,
    pub(super) faults: &'a Faults,
    pub(super) control: &'a Control,
    pub(super) own: &'a mut Own,
}

/// What one engine has for itself: its temporary names and its locks.
pub(super) struct Own {
    run: u64,
    sequence: u32,
    running: Arc<AtomicBool>,
    dropped: Dropped,
}

impl Own {
    pub(super) fn new(run: u64, running: &Arc<AtomicBool>, dropped: &Dropped) -> Self {
        let (running, dropped) = (Arc::clone(running), Arc::clone(dropped));
        Self { run, sequence: 0, running, dropped }
    }

    pub(super) fn temporary(&mut self) -> Name {
        self.sequence += 1;
        Name::temporary(self.run, self.sequence)
    }

    /// Whether another run has left `name`.
    pub(super) fn is_leftover(&self, name: &Name) -> bool {
        temporary_run(name.as_bytes()).is_some_and(|run| run != self.run)
    }

    pub(super) fn lock(&self) -> Arc<Lock> {
        Arc::new(Lock { running: Arc::clone(&self.running) })
    }

    /// The directory `ino`, held under its temporary name `name` in `parent`.
    pub(super) fn staged(&self, parent: Ino, name: Name, ino: Ino) -> (Staged, Weak<Lock>) {
        let lock = self.lock();
        let weak = Arc::downgrade(&lock);
        (Staged { parent, name, ino, lock, dropped: Arc::clone(&self.dropped) }, weak)
    }
}

/// A directory without its final name that `Step::Stage` made. Dropped before it is published, it is removed, unless the
/// engine has crashed.
pub(super) struct Staged {
    pub(super) parent: Ino,
    pub(super) name: Name,
    pub(super) ino: Ino,
    /// Keeps others from taking the directory for a leftover.
    lock: Arc<Lock>,
    dropped: Dropped,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.lock.running.load(Ordering::Relaxed) {
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            dropped.push((self.parent, self.name.clone(), self.ino));
        }
    }
}

/// What `held` is, where it is the simulator's.
pub(super) fn held<T: 'static>(held: &Held) -> Option<&T> {
    (*held.0).downcast_ref()
}

impl World<'_> {
    /// Opens a directory of a task. Links are followed only on the way to the root.
    pub(super) fn open(&self, dir: &Dir, op: &'static str) -> Result<Ino, Error> {
        self.resolve(dir).map_err(|kind| Error::new(kind, op, &dir.shown(None)))
    }

    /// The inode of the file at `path` below the root of `dir`.
    pub(super) fn below_root(&self, dir: &Dir, path: impl Iterator<Item = Vec<u8>>) -> Call<Ino> {
        let mut ino = self.root(dir)?;
        for part in path {
            ino = if dir.root.follows() {
                follow(self.volume, ino, &part)?
            } else {
                self.volume.lookup(ino, &part)?
            };
        }
        Ok(ino)
    }

    /// The inode of the entry `name` in `ino`, which is `dir`: of what it leads to, where links are followed there.
    pub(super) fn source(&self, dir: &Dir, ino: Ino, name: &Name) -> Call<Ino> {
        if dir.root.follows() {
            return follow(self.volume, ino, name.as_bytes());
        }
        self.volume.lookup(ino, name.as_bytes())
    }

    /// Keeps what stands at `name` of `dir` in the directory `aside`: as another name, or moved.
    pub(super) fn keep(&mut self, aside: &Dir, (dir, name): (Ino, &Name), moves: bool) -> Call<()> {
        let ino = match self.volume.lookup(dir, name.as_bytes()) {
            Err(ErrorKind::NotFound) => return Ok(()),
            other => other?,
        };
        let mut place = self.root(aside)?;
        for part in aside.path.components() {
            let part = Name::new(part).map_err(|error| error.kind)?;
            let mut called = part.clone();
            for number in 1.. {
                match self.volume.lookup(place, called.as_bytes()) {
                    Ok(ino) if self.volume.inode(ino)?.kind() != Kind::Dir => {
                        called = numbered(&part, number)?;
                    }
                    _ => break,
                }
            }
            place = match self.volume.lookup(place, called.as_bytes()) {
                Err(ErrorKind::NotFound) => {
                    let made = self.volume.create(place, Body::Dir(BTreeMap::new()), 0o700)?;
                    self.volume.attach(place, &called, made)?;
                    made
                }
                other => other?,
            };
        }
        let moves = moves || self.volume.inode(ino)?.kind() == Kind::Dir;
        let mut free = name.clone();
        for number in 1.. {
            if self.volume.lookup(place, free.as_bytes()) == Err(ErrorKind::NotFound) {
                break;
            }
            free = numbered(name, number)?;
        }
        if moves {
            return self.volume.rename((dir, name), (place, &free), false);
        }
        self.volume.attach(place, &free, ino)
    }

    fn resolve(&self, dir: &Dir) -> Call<Ino> {
        if let Some(staged) = &dir.staged {
            let staged: &Staged = held(staged).ok_or(ErrorKind::Internal)?;
            return self.volume.entries(staged.ino).map(|_| staged.ino);
        }
        let ino = self.below_root(dir, dir.path.components().map(<[u8]>::to_vec))?;
        self.volume.entries(ino)?;
        self.volume.allow(ino, SEARCH)?;
        Ok(ino)
    }

    fn root(&self, dir: &Dir) -> Call<Ino> {
        if let Some(held) = dir.root.held.get() {
            return held.downcast_ref().copied().ok_or(ErrorKind::Internal);
        }
        let ino = open_root(self.volume, dir.root.path().as_os_str().as_encoded_bytes())?;
        let held = dir.root.held.get_or_init(|| Box::new(ino));
        held.downcast_ref().copied().ok_or(ErrorKind::Internal)
    }
}

fn numbered(name: &Name, number: u32) -> Call<Name> {
    let bytes = [name.as_bytes(), format!("~{number}").as_bytes()].concat();
    Name::new(bytes).map_err(|error| error.kind)
}
