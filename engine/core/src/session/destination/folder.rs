//! One destination directory in work.

use std::collections::{HashMap, HashSet};

use crate::entry::{Changes, Meta};
use crate::frame::DirId;
use crate::path::{Name, RelPath};
use crate::session::plan::Plan;
use crate::task::{Dir, Held, Over, Pick};

/// A directory from its announcement until all in it is settled and its metadata are set.
#[derive(Debug)]
pub(super) struct Folder {
    /// Where it is or will be.
    pub(super) to: Dir,
    /// The directory it is in; none for the destination directory itself.
    pub(super) parent: Option<DirId>,
    pub(super) state: State,
    /// The metadata it takes over; none where it keeps its own.
    pub(super) meta: Option<Box<Meta>>,
    /// What it was before, where it existed.
    pub(super) old: Option<Box<Meta>>,
    /// Pages that wait until it is ready.
    pub(super) queue: Vec<u64>,
    /// Pages, sub-directories and tasks that are not settled.
    pub(super) open: usize,
    /// No more pages follow.
    pub(super) listed: bool,
    /// Its entries were changed, so that its times must be set again.
    pub(super) touched: bool,
    /// It was given rights that it must lose again.
    pub(super) widened: bool,
    /// What stands in its place is replaced by it.
    pub(super) over: Over,
    /// Its way from the source, as the filter sees it.
    pub(super) way: RelPath,
    /// It is a source by itself, or takes over one.
    pub(super) top: bool,
    /// What is not in the source is removed.
    pub(super) mirrored: bool,
    /// Nothing is missing from its listing.
    pub(super) complete: bool,
    /// Digests of the names that the source has; two names of one digest only keep what could be removed.
    pub(super) wanted: HashSet<u64>,
    /// The names that stand at the destination, by their digests.
    pub(super) standing: HashMap<u64, Name>,
    /// What earlier runs have left of large files; gone when this run has gone on with them.
    pub(super) partials: Vec<Name>,
    /// Its metadata could not be set.
    pub(super) unsound: bool,
    /// Leftovers were looked for.
    pub(super) swept: bool,
    /// Its metadata are being set.
    pub(super) finishing: bool,
    /// Itself while it is invisible.
    pub(super) staged: Option<Held>,
    /// Copies into it while it is invisible.
    pub(super) filling: usize,
    /// Files copied into it while it is invisible that other names will be links to, by page and place.
    pub(super) leaders: Vec<(u64, usize)>,
    /// What they have brought.
    pub(super) filled: Filled,
    /// What is still to be done for pages that were decided before it is ready.
    pub(super) rest: Vec<(u64, Plan)>,
}

/// What was copied into a directory that is not visible yet.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) picks: Vec<Pick>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) bytes_cloned: u64,
}

/// `Waiting` for its parent; then `Absent`, `Ready` or `Failed`. From `Absent` over `Making` to `Ready` or `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Whether it exists is not known.
    Waiting,
    /// It does not exist.
    Absent,
    /// It is being made, or given the rights that are needed.
    Making,
    /// Entries can be put in it; `fresh` if this run made it.
    Ready {
        /// Nothing was in it that this run did not put there.
        fresh: bool,
    },
    /// It cannot be made.
    Failed,
}

impl Folder {
    pub(super) fn new(to: Dir, parent: Option<DirId>, state: State) -> Self {
        Self {
            to,
            parent,
            state,
            meta: None,
            old: None,
            queue: Vec::new(),
            open: 0,
            listed: false,
            touched: false,
            widened: false,
            over: Over::Nothing,
            way: RelPath::root(),
            top: false,
            mirrored: false,
            complete: true,
            wanted: HashSet::new(),
            standing: HashMap::new(),
            partials: Vec::new(),
            unsound: false,
            swept: false,
            finishing: false,
            staged: None,
            filling: 0,
            leaders: Vec::new(),
            filled: Filled::default(),
            rest: Vec::new(),
        }
    }

    /// The names that stand in it and not in the source.
    pub(super) fn extras(&mut self) -> Vec<Name> {
        let standing = std::mem::take(&mut self.standing).into_iter();
        let extras = standing.filter(|(digest, _)| !self.wanted.contains(digest));
        let mut extras: Vec<Name> = extras.map(|(_, name)| name).collect();
        extras.sort_unstable();
        extras
    }

    /// What a directory that keeps its own metadata needs at the end: the rights it had.
    pub(super) fn narrow_again(&self) -> Changes {
        let mode = self.widened && !self.finishing && self.old.is_some();
        Changes { mode, ..Changes::default() }
    }
}

/// A digest of a name.
pub(super) fn digest(name: &Name) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}
