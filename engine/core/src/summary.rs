//! What a transfer did, as it counts it itself.
//! It must not know how that is printed.

use crate::entry::Changes;
use crate::error::Error;
use crate::frame::Listing;
use crate::task::Lost;

/// What a transfer did or, in a dry run, would do.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Source entries that were seen, directories included.
    pub entries: u64,
    /// Regular files whose content was copied.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// How many of these bytes share storage with the source.
    pub bytes_cloned: u64,
    /// Directories made.
    pub dirs: u64,
    /// Symbolic links and special files made.
    pub nodes: u64,
    /// Hard links made.
    pub links: u64,
    /// Entries whose metadata alone were set.
    pub repaired: u64,
    /// Entries found equal.
    pub same: u64,
    /// Entries left out because the spec does not ask for their kind.
    pub skipped: u64,
    /// Entries that stood in the directories that a mirror compared, where it counts them.
    pub standing: u64,
    /// Entries that a move only renamed.
    pub renamed: u64,
    /// Entries that were removed: by a mirror at the destination, by a move in the source, or on request.
    pub removed: u64,
    /// Leftovers of earlier runs that were removed.
    pub leftovers: u64,
    /// Entries that failed.
    pub failed: u64,
    /// Why, for the first of them.
    pub failures: Vec<Error>,
    /// Source entries that vanished before they could be copied.
    pub vanished: u64,
    /// Metadata that the destination cannot hold: which, and on how many entries.
    pub lost: Vec<(Lost, u64)>,
}

impl Summary {
    /// Counts a failed entry, or one that vanished.
    pub fn fail(&mut self, error: Error) {
        if error.kind == crate::error::ErrorKind::Vanished {
            self.vanished += 1;
            return;
        }
        self.failed += 1;
        if self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(error);
        }
    }

    /// Adds what the other role has done: entries that it removed, and its failures.
    pub fn add(&mut self, other: &Self) {
        self.removed += other.removed;
        self.failed += other.failed;
        let room = FAILURES_KEPT_MAX.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.iter().take(room).cloned());
    }

    /// Counts metadata that could not be held.
    pub fn lose(&mut self, lost: &[(Lost, u64)]) {
        for (what, count) in lost {
            match self.lost.iter_mut().find(|(known, _)| known == what) {
                Some((_, total)) => *total += count,
                None => self.lost.push((*what, *count)),
            }
        }
    }
}

/// One thing that was done, or would be in a dry run.
#[derive(Clone, Debug)]
pub struct Change {
    /// What.
    pub action: Action,
    /// To which path, below the destination; of what a move removes, below the source.
    pub path: Vec<u8>,
    /// Which metadata were set, where only they differed.
    pub metadata: Changes,
}

impl Change {
    /// A change of more than metadata.
    pub fn new(action: Action, path: Vec<u8>) -> Self {
        Self { action, path, metadata: Changes::default() }
    }
}

/// What whoever watches a run is told.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Something was done, or would be.
    Change(Change),
    /// Entries were listed, in a run that only lists.
    Listing(Listing),
    /// Something that the user should know and that is no failure.
    Note(String),
    /// The run goes on in another way than was asked for.
    Warning(String),
}

/// What was done to one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A file that was not there was copied.
    Copied,
    /// A file replaced another one.
    Replaced,
    /// A directory was made.
    MadeDir,
    /// A symbolic link or special file was made.
    MadeNode,
    /// A hard link was made.
    Linked,
    /// Metadata were set.
    Repaired,
    /// An entry was moved by renaming it.
    Renamed,
    /// An entry was removed.
    Removed,
    /// A leftover of an earlier run was removed.
    RemovedLeftover,
}

/// Failures beyond these are counted but not kept, so that a broken disk does not fill the memory.
pub const FAILURES_KEPT_MAX: usize = 1000;
