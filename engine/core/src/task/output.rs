//! What an engine gives back for a task.
//! It must not know how a task was executed.

use std::sync::Arc;

use super::Held;
use crate::entry::{Entry, FileId, Meta};
use crate::error::Error;
use crate::path::Name;
use crate::stream::Slot;

/// What a task gave.
#[derive(Clone, Debug)]
pub enum Output {
    /// Of [`super::Task::List`].
    Listed(Listed),
    /// Of [`super::Task::Copy`].
    Copied(Copied),
    /// Of [`super::Task::Send`].
    Sent(Sent),
    /// Of [`super::Task::Receive`]: as of a copy. Failures that are the source's are among its failures.
    Received(Copied),
    /// Of [`super::Task::Blocks`]: the digests (XXH3-128) of the blocks.
    Blocks(Arc<[u128]>),
    /// Of [`super::Task::Place`].
    Placed(Placed),
    /// Of [`super::Task::Remove`].
    Removed(Removed),
    /// Of [`super::Task::Hash`].
    Hashed(Hashed),
    /// Of [`super::Task::Space`].
    Space(SpaceFacts),
}

/// Entries that were read.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The directory itself; absent on later pages.
    pub dir: Option<Meta>,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Entries that exist but could not be examined.
    pub failures: Vec<Error>,
    /// Where to go on; `None` when all was read.
    pub next: Option<Held>,
    /// Temporary names, where asked for and only with the first page.
    pub leftovers: Vec<Name>,
    /// All other names, where asked for and only with the first page.
    pub names: Vec<Name>,
}

/// What became of a batch of files.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Files published.
    pub files: u64,
    /// Bytes of their contents, holes included.
    pub bytes: u64,
    /// How many of these bytes were shared and not written.
    pub bytes_cloned: u64,
    /// The others, by their place in the page.
    pub failures: Vec<(usize, Error)>,
    /// Metadata that the destination cannot hold and that were left out: which, and on how many files.
    pub lost: Vec<(Lost, u64)>,
    /// Of trees that were replaced, what could not be removed: it has a temporary name.
    pub remains: Vec<Error>,
}

/// What became of files that were to be sent. What one file suffered was told to the receiving engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// The stream that carried them; `None` when it broke and they must be asked for again.
    pub slot: Option<Slot>,
    /// Bytes of contents, holes and equal blocks included.
    pub bytes: u64,
    /// Bytes that went over the stream, headers included.
    pub bytes_carried: u64,
}

/// What became of the steps of a placing.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    /// The directory that `Step::Stage` made, or the file that `Step::Draft` made.
    pub staged: Option<Held>,
    /// How many bytes a draft can begin with.
    pub begun: u64,
    /// Steps that failed, by their place in the task. A failed step does not stop the others.
    pub failures: Vec<(usize, Error)>,
    /// Metadata that the destination cannot hold and that were left out: which, and on how many entries.
    pub lost: Vec<(Lost, u64)>,
    /// Of trees that were replaced, what could not be removed: it has a temporary name.
    pub remains: Vec<Error>,
}

/// Metadata that a destination could not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Extended attributes.
    Xattrs,
    /// ACLs.
    Acls,
    /// Owner or group, although the user may give files away; set-id bits fell with it.
    Owner,
    /// Permission bits.
    Mode,
}

/// What was removed.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Entries that were not directories.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// What could not be removed.
    pub failures: Vec<Error>,
}

/// The XXH3-128 digests of the named files, in their order.
#[derive(Clone, Debug)]
pub struct Hashed {
    /// A digest or why there is none.
    pub digests: Vec<Result<u128, Error>>,
}

/// Facts of a directory and of its file system.
#[derive(Clone, Debug)]
pub struct SpaceFacts {
    /// The directory itself.
    pub dir: Meta,
    /// The directory and all above it, upwards.
    pub ancestors: Vec<FileId>,
    /// Bytes free for this user.
    pub available: u64,
    /// Bytes in all.
    pub total: u64,
    /// The step in which modification times are kept, in nanoseconds; 1 where exact or not known.
    pub granularity_ns: u64,
    /// Extended attributes can be set here; true where not known.
    pub holds_xattrs: bool,
    /// The device and the path within its file system: one place of several mounts has one of these. `None` if not known.
    pub canonical: Option<(u64, Vec<u8>)>,
    /// The user may give files away.
    pub may_chown: bool,
    /// The user's own number.
    pub own_uid: u32,
    /// The groups the user may give files to.
    pub groups: Vec<u32>,
}
