//! What a move removes from the source: entries that stand at the destination, durable, and did not change since they
//! were read; then directories, the deepest first, only when empty.
//! It must not decide what has arrived: the destination says so.

use std::collections::HashMap;

use crate::entry::{Entry, Kind};
use crate::error::{Error, ErrorKind};
use crate::frame::{DirId, Listing, PageNumber, Settled};
use crate::path::Name;
use crate::task::{Dir, Output, Page, Removal, Remove, Removed, Task};

/// Everything that was listed and is not yet removed or left.
#[derive(Debug, Default)]
pub(super) struct Departures {
    pages: HashMap<PageNumber, Listing>,
    dirs: HashMap<DirId, Leaving>,
    /// Names of inodes with several names. The first one that went would make the others look single, so they stay until
    /// all are listed.
    linked: Vec<(Departure, Removal)>,
    scanned: bool,
    /// Removals to begin.
    ready: Vec<(Departure, Task)>,
    running: usize,
    /// Only tell what would leave.
    dry_run: bool,
    pretended: Outcome,
}

/// A directory that is to be left.
#[derive(Debug)]
struct Leaving {
    /// The directory that holds it, and its name there.
    from: Dir,
    name: Name,
    parent: DirId,
    /// Its pages and sub-directories that are not done.
    open: usize,
    /// Whether it stands at the destination; none while that is not known.
    stands: Option<bool>,
    /// Something in it stays.
    keeps: bool,
}

/// What a removal is of.
#[derive(Debug)]
pub(super) struct Departure {
    /// The directory in which something is removed.
    dir: DirId,
    /// The directory that is removed, where it is one.
    itself: Option<DirId>,
    /// Where the names are.
    from: Dir,
    names: Vec<Name>,
}

/// What became of a removal.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) removed: u64,
    pub(super) failures: Vec<Error>,
    /// What left, and the directories that held it.
    pub(super) gone: Vec<(Dir, Name)>,
}

impl Departures {
    /// Nothing is listed yet.
    pub(super) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    /// What would have left since the last call, in a dry run.
    pub(super) fn pretended(&mut self) -> Outcome {
        std::mem::take(&mut self.pretended)
    }

    /// A page was sent.
    pub(super) fn listed(&mut self, listing: &Listing) {
        let mut id = listing.first_child;
        for entry in listing.page.iter().filter(|entry| entry.meta.kind == Kind::Dir) {
            if let Some(from) = &listing.from {
                let name = listing.source_name.clone().unwrap_or_else(|| entry.name.clone());
                let parent = listing.dir;
                let leaving = Leaving {
                    from: from.clone(),
                    name,
                    parent,
                    open: 0,
                    stands: None,
                    keeps: false,
                };
                self.dirs.insert(id, leaving);
                self.open(parent);
            }
            id.0 += 1;
        }
        self.open(listing.dir);
        self.pages.insert(listing.number, listing.clone());
    }

    /// The destination has settled a page.
    pub(super) fn settled(&mut self, settled: &Settled) {
        let Some(listing) = self.pages.remove(&settled.number) else { return };
        let Listing { dir, page, from, source_name, .. } = listing;
        let leaves = |(index, entry): (usize, &Entry)| {
            let leaves = entry.meta.kind != Kind::Dir && !settled.kept.contains(&index);
            leaves.then(|| entry.clone())
        };
        let mut entries: Vec<Entry> = page.iter().enumerate().filter_map(leaves).collect();
        if let (Some(name), [entry]) = (source_name, &mut entries[..]) {
            entry.name = name;
        }
        if !settled.kept.is_empty() {
            self.keep(dir);
        }
        let Some(from) = from.filter(|_| !entries.is_empty()) else { return self.close(dir) };
        let (linked, single): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.meta.nlink > 1);
        let parts = [linked, single].into_iter().filter(|part| !part.is_empty());
        let parts: Vec<Vec<Entry>> = parts.collect();
        // The page counts as open once; each further part counts too.
        parts.iter().skip(1).for_each(|_| self.open(dir));
        for part in parts {
            let names = part.iter().map(|entry| entry.name.clone()).collect();
            let waits = !self.scanned && part.iter().any(|entry| entry.meta.nlink > 1);
            let departure = Departure { dir, itself: None, from: from.clone(), names };
            let removal = Removal::Unchanged(Page::from(part));
            if waits {
                self.linked.push((departure, removal));
            } else {
                self.put(departure, removal);
            }
        }
    }

    /// Everything was listed.
    pub(super) fn scanned(&mut self) {
        self.scanned = true;
        for (departure, removal) in std::mem::take(&mut self.linked) {
            self.put(departure, removal);
        }
    }

    /// The destination has finished a directory.
    pub(super) fn closed(&mut self, dir: DirId, stands: bool) -> Result<(), Error> {
        let Some(leaving) = self.dirs.get_mut(&dir) else { return Ok(()) };
        if leaving.stands.replace(stands).is_some() {
            let why = "the destination finished a directory twice";
            return Err(Error::because(ErrorKind::Protocol, "receive", b"", why));
        }
        self.leave_if_done(dir);
        Ok(())
    }

    /// The removals that can begin.
    pub(super) fn tasks(&mut self) -> Vec<(Departure, Task)> {
        std::mem::take(&mut self.ready)
    }

    /// Whether nothing is left to remove.
    pub(super) fn is_done(&self) -> bool {
        self.pages.is_empty() && self.dirs.is_empty() && self.linked.is_empty() && self.running == 0
    }

    /// A removal has ended.
    pub(super) fn departed(
        &mut self,
        departure: &Departure,
        result: Result<Output, Error>,
    ) -> Outcome {
        self.running -= 1;
        let mut outcome = Outcome::default();
        match result {
            Ok(Output::Removed(Removed { files, dirs, failures })) => {
                outcome.removed = files + dirs;
                let failed = |name: &Name| {
                    let path = departure.from.shown(Some(name));
                    failures.iter().any(|error| *error.path == *path)
                };
                let gone = departure.names.iter();
                let gone = gone.filter(|name| failures.is_empty() || !failed(name));
                outcome.gone = gone.map(|name| (departure.from.clone(), name.clone())).collect();
                // A directory in which something stays, stays too; that something was told already.
                let is_dir = departure.itself.is_some();
                let told = |error: &Error| !(is_dir && error.kind == ErrorKind::NotEmpty);
                outcome.failures = failures.into_iter().filter(told).collect();
            }
            Ok(_) => outcome.failures.push(Error::new(ErrorKind::Internal, "remove", b"")),
            Err(error) => outcome.failures.push(error),
        }
        if !outcome.failures.is_empty() {
            self.keep(departure.dir);
        }
        if let Some(dir) = departure.itself {
            self.dirs.remove(&dir);
        }
        self.close(departure.dir);
        outcome
    }

    fn keep(&mut self, dir: DirId) {
        if let Some(leaving) = self.dirs.get_mut(&dir) {
            leaving.keeps = true;
        }
    }

    fn put(&mut self, departure: Departure, removal: Removal) {
        if self.dry_run {
            let gone = |name| (departure.from.clone(), name);
            self.pretended.removed += departure.names.len() as u64;
            self.pretended.gone.extend(departure.names.into_iter().map(gone));
            if let Some(dir) = departure.itself {
                self.dirs.remove(&dir);
            }
            return self.close(departure.dir);
        }
        let (dir, names) = (departure.from.clone(), departure.names.clone());
        self.running += 1;
        self.ready.push((departure, Task::Remove(Remove { dir, names, removal })));
    }

    fn open(&mut self, dir: DirId) {
        if let Some(leaving) = self.dirs.get_mut(&dir) {
            leaving.open += 1;
        }
    }

    /// One thing in a directory is done.
    fn close(&mut self, dir: DirId) {
        if let Some(leaving) = self.dirs.get_mut(&dir) {
            leaving.open -= 1;
            self.leave_if_done(dir);
        }
    }

    fn leave_if_done(&mut self, dir: DirId) {
        let Some(leaving) = self.dirs.get(&dir) else { return };
        match leaving.stands {
            _ if leaving.open > 0 => {}
            None => {}
            Some(true) if !leaving.keeps => {
                let (from, names) = (leaving.from.clone(), vec![leaving.name.clone()]);
                let departure = Departure { dir: leaving.parent, itself: Some(dir), from, names };
                self.put(departure, Removal::Single);
            }
            Some(_) => {
                let parent = leaving.parent;
                self.dirs.remove(&dir);
                self.keep(parent);
                self.close(parent);
            }
        }
    }
}
