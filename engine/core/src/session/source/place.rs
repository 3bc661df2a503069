//! Directories of the source that are listed or wait for it, and the line of those above each.
//! It must not know what a page of their entries means.

use std::sync::Arc;

use crate::entry::{Entry, FileId, Kind, Meta};
use crate::error::{Error, ErrorKind};
use crate::frame::DirId;
use crate::path::RelPath;
use crate::spec::{Follow, TransferSpec};
use crate::task::{Dir, Held};

/// A directory that waits, and where its listing goes on.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) place: Place,
    pub(super) after: Option<Held>,
}

/// A source directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) id: DirId,
    pub(super) from: Dir,
    /// The way to it from its source: what the filter sees.
    pub(super) way: RelPath,
    /// The file system that the source is on, where it must not be left.
    pub(super) dev: Option<u64>,
    /// Where links are followed: itself and all above it, by the way that was taken.
    line: Option<Arc<Line>>,
}

/// A page that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) place: Place,
    /// It is the first one of its directory.
    pub(super) first: bool,
}

/// A directory and the one by which it was reached.
#[derive(Debug)]
struct Line {
    id: FileId,
    above: Option<Arc<Self>>,
}

impl Place {
    /// The directory whose contents are the source.
    pub(super) fn base(from: Dir) -> Self {
        Self { id: DirId::BASE, from, way: RelPath::root(), dev: None, line: None }
    }

    /// The directory `entry` of the directory `from`, which is at `place` unless the user named the entry.
    pub(super) fn below(
        place: Option<&Self>,
        (id, from): (DirId, &Dir),
        entry: &Entry,
        spec: &TransferSpec,
    ) -> Self {
        let way = place.map_or_else(RelPath::root, |place| place.way.join(&entry.name));
        let above = place.and_then(|place| place.line.clone());
        let line = spec.follow.is_some().then(|| Arc::new(Line { id: entry.meta.id, above }));
        let dev = place.and_then(|place| place.dev);
        Self { id, from: from.child(&entry.name), way, dev, line }
    }

    /// Takes out of `entries`, where links are followed, the directories that lead back to one above them or into the
    /// destination, and says so. `dir` is this directory, where the page tells it.
    pub(super) fn refuse_loops(
        &mut self,
        spec: &TransferSpec,
        dir: Option<&Meta>,
        entries: &mut Vec<Entry>,
    ) -> Vec<Error> {
        let Some(follow) = &spec.follow else { return Vec::new() };
        if let (None, Some(dir)) = (&self.line, dir) {
            self.line = Some(Arc::new(Line { id: dir.id, above: None }));
        }
        let mut refused = Vec::new();
        entries.retain(|entry| {
            let why = self.objection(follow, entry);
            if let Some(why) = why {
                let path = self.from.shown(Some(&entry.name));
                refused.push(Error::because(ErrorKind::Other, "follow", &path, why));
            }
            why.is_none()
        });
        refused
    }

    fn objection(&self, follow: &Follow, entry: &Entry) -> Option<&'static str> {
        let is_destination = match &follow.name {
            None => entry.meta.id == follow.dir,
            Some(name) => {
                self.line.as_ref().is_some_and(|line| line.id == follow.dir) && entry.name == *name
            }
        };
        let mut above = std::iter::successors(self.line.as_ref(), |line| line.above.as_ref());
        match entry.meta.kind {
            Kind::Dir if is_destination => Some("it leads into the destination"),
            Kind::Dir if above.any(|line| line.id == entry.meta.id) => {
                Some("it leads back to a directory that it is in")
            }
            _ => None,
        }
    }
}
