//! Directories of a deep tree that stay open for a moment, so that what is below them is not looked up from the root each
//! time. It must not know tasks, and never gives a directory that it holds to be worked in.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use blit_core::path::RelPath;

use crate::sys::{self, Access, OpenDir};

/// What is held below one root. Everything in it was looked up from the root after `since`, so that nothing is older than
/// that, however many steps it is away.
#[derive(Debug)]
pub(crate) struct Waypoints {
    trusted: Duration,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    dirs: VecDeque<(RelPath, Arc<OpenDir>)>,
}

impl Default for Waypoints {
    fn default() -> Self {
        Self::trusted_for(TRUSTED)
    }
}

impl Waypoints {
    fn trusted_for(trusted: Duration) -> Self {
        let held = Held { since: Instant::now(), dirs: VecDeque::new() };
        Self { trusted, held: Mutex::new(held) }
    }

    /// Opens the directory `path` below `root`: a deep one from a directory above it that is held. What cannot be opened so
    /// is looked up from the root before that counts.
    ///
    /// # Errors
    /// Those of [`sys::open_dir`].
    pub(crate) fn open(
        &self,
        root: &OpenDir,
        path: &RelPath,
        access: Access,
    ) -> io::Result<OpenDir> {
        if path.depth() > SHALLOW_NAMES_MAX && sys::OPEN_DIRS_CAN_MOVE {
            let open = |(above, depth): (Arc<OpenDir>, usize)| {
                sys::open_dir(&above, &path.to_bytes_below(depth), access)
            };
            if let Ok(opened) = self.above(root, path).and_then(open) {
                return Ok(opened);
            }
        }
        sys::open_dir(root, &path.to_bytes(), access)
    }

    /// The nearest directory above `path` that may be held, and its depth; with those on the way to it, it is held then.
    fn above(&self, root: &OpenDir, path: &RelPath) -> io::Result<(Arc<OpenDir>, usize)> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.since.elapsed() >= self.trusted {
            held.dirs.clear();
            held.since = Instant::now();
        }
        let mut missing = Vec::new();
        let mut at = path.ancestor((path.depth() - 1) / STRIDE_NAMES * STRIDE_NAMES);
        let mut nearest = None;
        while nearest.is_none() && at.depth() >= SHALLOW_NAMES_MAX {
            nearest = held.find(&at);
            if nearest.is_none() {
                let above = at.ancestor(at.depth() - STRIDE_NAMES);
                missing.push(std::mem::replace(&mut at, above));
            }
        }
        let mut depth = nearest.as_ref().map_or(0, |_| at.depth());
        for next in missing.into_iter().rev() {
            let from = nearest.as_deref().unwrap_or(root);
            let opened = sys::open_dir(from, &next.to_bytes_below(depth), Access::Search)?;
            depth = next.depth();
            nearest = Some(held.keep(next, opened));
        }
        let nearest = nearest.ok_or(io::ErrorKind::NotFound)?;
        Ok((nearest, depth))
    }
}

impl Held {
    fn find(&self, path: &RelPath) -> Option<Arc<OpenDir>> {
        let found = self.dirs.iter().rev().find(|(held, _)| held.is_same(path));
        found.map(|(_, dir)| Arc::clone(dir))
    }

    /// Holds `dir`, and lets go of the one that has been held longest where there are too many.
    fn keep(&mut self, path: RelPath, dir: OpenDir) -> Arc<OpenDir> {
        if self.dirs.len() == HELD_MAX {
            self.dirs.pop_front();
        }
        let dir = Arc::new(dir);
        self.dirs.push_back((path, Arc::clone(&dir)));
        dir
    }
}

/// Names in a path that is always looked up from the root: as many are walked at little cost.
const SHALLOW_NAMES_MAX: usize = 128;
/// Names between two directories that are held on a path; divides the number above.
const STRIDE_NAMES: usize = 64;
/// Directories that are held below one root: a small part of the 1024 descriptors that a process has at least, of which a
/// transfer has four roots at most. They cover 2048 levels, and a tree is gone through with its neighbours.
const HELD_MAX: usize = 32;
/// How long a directory is taken to be still where it was found. In this time a rename above it goes unseen.
const TRUSTED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use blit_core::entry::FileId;
    use blit_core::task::Removal;

    use super::*;
    use crate::sandbox::{Capability, Sandbox, name};

    /// The path of `depth` directories of one name, which are made below `top`; at the bottom a file.
    fn deep(sandbox: &Sandbox, top: &str, depth: usize) -> RelPath {
        let top = name(top);
        let below = (1..depth).fold(RelPath::root().join(&top), |above, _| above.join(&name("d")));
        let bottom = below.join(&name("f"));
        sandbox.file(std::str::from_utf8(&bottom.to_bytes()).expect("plain"), b"");
        below
    }

    fn id(opened: io::Result<OpenDir>) -> FileId {
        sys::stat((&opened.expect("it opens")).into()).expect("stat").id
    }

    #[test]
    fn every_level_is_the_same_directory_from_a_waypoint_as_from_the_root() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) {
            return;
        }
        let bottom = deep(&sandbox, "a", 400);
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let waypoints = Waypoints::default();
        for depth in (1..=400).rev().chain(1..=400) {
            let path = bottom.ancestor(depth);
            let direct = sys::open_dir(&root, &path.to_bytes(), Access::Search);
            assert_eq!(id(waypoints.open(&root, &path, Access::Search)), id(direct), "{depth}");
        }
    }

    #[test]
    fn a_rename_above_a_waypoint_is_seen_when_its_time_is_over() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) {
            return;
        }
        let path = deep(&sandbox, "a", 200);
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let waypoints = Waypoints::trusted_for(Duration::ZERO);
        waypoints.open(&root, &path, Access::Search).expect("it is there");
        std::fs::rename(sandbox.path("a"), sandbox.path("b")).expect("rename");
        let error = waypoints.open(&root, &path, Access::Search).expect_err("it is elsewhere");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_not_below_a_waypoint_is_looked_up_from_the_root() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) {
            return;
        }
        let path = deep(&sandbox, "a", 200);
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let waypoints = Waypoints::trusted_for(Duration::MAX);
        waypoints.open(&root, &path, Access::Search).expect("it is there");
        std::fs::rename(sandbox.path("a"), sandbox.path("b")).expect("rename");
        deep(&sandbox, "a", 201);
        let child = path.join(&name("d"));
        let direct = sys::open_dir(&root, &child.to_bytes(), Access::Search);
        assert_eq!(id(waypoints.open(&root, &child, Access::Search)), id(direct));
        let missing = waypoints.open(&root, &child.join(&name("d")), Access::Search);
        assert_eq!(missing.expect_err("no such level").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_more_is_held_than_a_bound() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) || !sys::OPEN_DIRS_CAN_MOVE {
            return;
        }
        let levels = SHALLOW_NAMES_MAX + (HELD_MAX + 3) * STRIDE_NAMES;
        let mut at = RelPath::root();
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let mut above = sys::open_dir(&root, b"", Access::Search).expect("open");
        for _ in 0..levels {
            above = sys::make_private_dir(&above, &name("d")).expect("made");
            at = at.join(&name("d"));
        }
        let waypoints = Waypoints::trusted_for(Duration::MAX);
        let opened = waypoints.open(&root, &at, Access::Search);
        assert_eq!(id(opened), sys::stat((&above).into()).expect("stat").id);
        assert_eq!(waypoints.held.lock().expect("not poisoned").dirs.len(), HELD_MAX);
        // What removes the sandbox goes down by recursion, with a descriptor a level.
        let removed = sandbox.remove("", &["d"], Removal::Tree);
        assert_eq!(removed.dirs, u64::try_from(levels).expect("small"));
    }
}
