//! What a session asks of an engine. Each task is a batch, so that nothing crosses the seam per chunk.
//! It must not know how a task is executed.

mod output;
mod root;
mod subject;

use std::any::Any;
use std::fmt;
use std::marker;
use std::sync::Arc;

use crate::entry::{Changes, Entry, Meta};
use crate::path::{Name, RelPath};
use crate::spec::{Preserve, Reflink};
use crate::stream::{Part, Plane, Ticket};

pub use output::{Copied, Hashed, Listed, Lost, Output, Placed, Removed, Sent, SpaceFacts};
pub use root::Root;
pub use subject::Subject;

/// Names one task of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// Something an engine holds open between tasks: a staged directory, the position in a listing. Dropping it closes it; a
/// staged directory that was not published is removed then.
#[derive(Clone)]
pub struct Held(pub Arc<dyn Any + marker::Send + Sync>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// A directory below a root.
#[derive(Clone, Debug)]
pub struct Dir {
    /// The root.
    pub root: Arc<Root>,
    /// The way from the root. For a staged directory: its final place, used in messages only.
    pub path: RelPath,
    /// The staged directory itself, where it is not yet at `path`.
    pub staged: Option<Held>,
}

impl Dir {
    /// The directory `path` below `root`.
    pub fn new(root: &Arc<Root>, path: RelPath) -> Self {
        Self { root: Arc::clone(root), path, staged: None }
    }

    /// The directory `name` in this one.
    #[must_use]
    pub fn child(&self, name: &Name) -> Self {
        Self::new(&self.root, self.path.join(name))
    }

    /// The whole path for messages: the root as its reader knows it, then the way below it.
    pub fn shown(&self, name: Option<&Name>) -> Vec<u8> {
        let mut bytes = self.root.shown().to_vec();
        let path = self.path.to_bytes();
        let below = [Some(&path[..]), name.map(Name::as_bytes)];
        for part in below.into_iter().flatten().filter(|part| !part.is_empty()) {
            if bytes == b"." {
                bytes.clear();
            } else if bytes.last().is_some_and(|last| *last != b'/') {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Entries of one directory, shared by everything that works on them.
pub type Page = Arc<[Entry]>;

/// A unit of work for an engine.
#[derive(Clone, Debug)]
pub enum Task {
    /// Read entries of a directory.
    List(List),
    /// Copy regular files from one directory to another.
    Copy(Copy),
    /// Send regular files of a directory on a data stream.
    Send(Send),
    /// Receive regular files into a directory from a data stream.
    Receive(Receive),
    /// Create, link, publish or repair at the destination.
    Place(Place),
    /// Remove entries of a directory.
    Remove(Remove),
    /// Digest file contents.
    Hash(Hash),
    /// Digest the blocks of what a draft begins with.
    Blocks(Blocks),
    /// Ask what a directory's file system is and holds.
    Space(Space),
}

impl Task {
    /// The directory that the task works on, for messages; of a copy, its destination.
    pub fn dir(&self) -> &Dir {
        match self {
            Self::List(task) => &task.dir,
            Self::Copy(task) => &task.to,
            Self::Send(task) => &task.from,
            Self::Receive(task) => &task.to,
            Self::Place(task) => &task.to,
            Self::Remove(task) => &task.dir,
            Self::Hash(task) => &task.dir,
            Self::Blocks(task) => &task.dir,
            Self::Space(task) => &task.dir,
        }
    }

    /// The operation, for messages.
    pub fn op(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Copy(_) => "copy",
            Self::Send(_) => "send",
            Self::Receive(_) => "receive",
            Self::Place(_) => "place",
            Self::Remove(_) => "remove",
            Self::Hash(_) => "hash",
            Self::Blocks(_) => "compare",
            Self::Space(_) => "examine",
        }
    }
}

/// Read entries of a directory. Temporary names are never among the entries.
#[derive(Clone, Debug)]
pub struct List {
    /// The directory.
    pub dir: Dir,
    /// Which entries.
    pub what: What,
    /// Whether extended attributes and ACLs are read.
    pub xattrs: bool,
    /// Which further names of the directory are reported, without examining them.
    pub survey: Survey,
}

/// Which names of a directory are reported beside the entries that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Survey {
    /// None.
    #[default]
    Nothing,
    /// The temporary ones.
    Leftovers,
    /// The temporary ones, and all others in `Listed::names`.
    Names,
}

/// Which entries of a directory are read.
#[derive(Clone, Debug)]
pub enum What {
    /// The next ones, at most `entries_max`, in the order of the directory.
    Next {
        /// Where the last listing ended; `None` to begin.
        after: Option<Held>,
        /// Never more than so many.
        entries_max: usize,
    },
    /// Those with the names of this page, in its order; what does not exist is left out.
    Named(Page),
    /// Those with these names, in their order; what does not exist is left out.
    Names(Arc<[Name]>),
    /// Only the directory itself.
    Itself,
}

/// Copy regular files of one directory to another one. Each is published whole or not at all.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The directory read from.
    pub from: Dir,
    /// The directory written to.
    pub to: Dir,
    /// What the destination directory is at the start.
    pub into: CopyInto,
    /// The entries, under the names they get.
    pub page: Page,
    /// Which of them.
    pub picks: Vec<Pick>,
    /// The name that the only pick has in the source, where it differs.
    pub source_name: Option<Name>,
    /// How.
    pub manner: Manner,
}

impl Copy {
    /// The picked entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Pick, &Entry)> {
        self.picks.iter().filter_map(|pick| Some((pick, self.page.get(pick.index)?)))
    }
}

/// Send regular files of one directory to the peer's engine.
#[derive(Clone, Debug)]
pub struct Send {
    /// The streams, one of which carries it.
    pub plane: Arc<Plane>,
    /// What the destination asked with.
    pub ticket: Ticket,
    /// The directory read from.
    pub from: Dir,
    /// Its entries.
    pub page: Page,
    /// Which of them, by their place in the page.
    pub picks: Vec<usize>,
    /// The name that the only pick has in the source, where it differs.
    pub source_name: Option<Name>,
    /// Which part of them.
    pub part: Part,
    /// Whether attributes are read anew of a file that is not as it was listed.
    pub xattrs: bool,
}

/// Receive regular files from the peer's engine. It begins when what has its ticket arrives on a stream; if that stream breaks, it
/// waits for the next that brings the ticket. Each file is published whole or not at all.
#[derive(Clone, Debug)]
pub struct Receive {
    /// The streams, one of which brings it.
    pub plane: Arc<Plane>,
    /// What the source was asked with.
    pub ticket: Ticket,
    /// The directory written to.
    pub to: Dir,
    /// What the files are written into.
    pub into: ReceiveInto,
    /// The entries, under the names they get.
    pub page: Page,
    /// Which of them.
    pub picks: Vec<Pick>,
    /// How.
    pub manner: Manner,
}

/// What received files are written into.
#[derive(Clone, Debug)]
pub enum ReceiveInto {
    /// The directory, as of a copy.
    Dir(CopyInto),
    /// The draft that `Step::Draft` made of the only pick.
    Draft(Held),
}

/// Digest the blocks of what a draft, or the file that it replaces, holds in a range: the last one may be short.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// Where the draft is, for messages.
    pub dir: Dir,
    /// What `Step::Draft` made.
    pub draft: Held,
    /// Where the range begins, in bytes; a multiple of [`crate::header::BLOCK_BYTES`].
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// What the destination directory of a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyInto {
    /// It exists; each file is published by itself.
    Existing,
    /// It does not exist: made under a temporary name with mode 0700, filled, and renamed once; a failed file is left
    /// out. Its own metadata are set later. What stands at its place is replaced as said.
    New(Over),
    /// `to.staged` is it, invisible until published; files go straight under their names.
    Staged,
}

/// One file of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place in the page.
    pub index: usize,
    /// What stands in its place now.
    pub over: Over,
}

/// What stands under a name before something is put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing. If something has come meanwhile, that entry fails with `AlreadyExists`.
    Nothing,
    /// A non-directory, replaced in one step. A directory there is a `TypeClash`.
    Entry,
    /// A directory, replaced only if it is empty; with anything in it, `TypeClash`. Something else that has come
    /// meanwhile is replaced in one step.
    EmptyDir,
    /// Anything, replaced with all that is below it: the new entry and the old one change names in one step where the
    /// system can do that, and the old one is removed afterwards.
    Tree,
}

/// How entries are written.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Which metadata are kept.
    pub preserve: Preserve,
    /// Whether contents may be shared.
    pub reflink: Reflink,
    /// Whether it is durable before it counts.
    pub fsync: bool,
    /// Whether a regular file with one name is overwritten where another would replace it: it stays the same inode, and
    /// whoever looks meanwhile, or after a crash, sees a mixture.
    pub in_place: bool,
    /// What is replaced is kept in this directory of the same file system, which is made where it does not exist: as
    /// another name of the same inode where that can be, so that nothing is missing meanwhile; a directory is moved. Under
    /// its name, or with the first of `~1`, `~2` and so on after it that is free.
    pub aside: Option<Dir>,
}

/// Create, link, publish or repair entries of one directory, in the given order.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory.
    pub to: Dir,
    /// What is done.
    pub steps: Vec<Step>,
    /// How.
    pub manner: Manner,
}

/// One step of placing.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make the directory `name`, with mode 0700 until its metadata are set, or with the user's default mode if `plain`.
    MakeDir {
        /// Its name.
        name: Name,
        /// Nothing will set its mode later.
        plain: bool,
        /// What stands there now.
        over: Over,
    },
    /// Make a directory under a temporary name with mode 0700 and hold it: `Placed.staged`.
    Stage,
    /// Rename a held directory to `name`.
    Publish {
        /// What `Stage` gave.
        staged: Held,
        /// Its final name.
        name: Name,
        /// What stands there now.
        over: Over,
    },
    /// Move an entry here from another directory of the same file system, whatever it is; `CrossDevice` where it is not
    /// the same.
    Take {
        /// The directory that holds it.
        from: Dir,
        /// Its name there.
        source_name: Name,
        /// The name it gets.
        name: Name,
        /// What stands there now: nothing or an entry.
        over: Over,
    },
    /// Give an entry another spelling of its name, where the file system takes both for one.
    Respell {
        /// How it is spelt.
        from: Name,
        /// How it is to be spelt.
        name: Name,
    },
    /// Make a symbolic link or a special file, with its metadata.
    Node {
        /// What is made.
        entry: Entry,
        /// What stands there now.
        over: Over,
    },
    /// Make or find again the unpublished file for the content of `entry`, and hold it: `Placed.staged`, and in
    /// `Placed.begun` how many bytes it or the file that it replaces has for a start.
    Draft {
        /// The entry as it is to be.
        entry: Entry,
        /// Whether what an earlier run has left, and the old file, are used.
        reuse: bool,
    },
    /// Give a draft its length, metadata and final name.
    Seal {
        /// What `Step::Draft` gave.
        draft: Held,
        /// The entry as it is to be.
        entry: Entry,
        /// What stands there now.
        over: Over,
    },
    /// Remove a draft.
    Discard {
        /// What `Step::Draft` gave.
        draft: Held,
    },
    /// Make `name` another name of the file `of` below the same root.
    Link {
        /// The new name.
        name: Name,
        /// The existing one.
        of: RelPath,
        /// What stands there now.
        over: Over,
    },
    /// Make the file `name` of another directory of the same file system known under its name here too.
    Share {
        /// The directory that holds it.
        from: Dir,
        /// Its name there and here.
        name: Name,
        /// What stands there now.
        over: Over,
    },
    /// Set metadata of an entry that is not a directory; the content stays.
    Repair {
        /// The entry as it is to be.
        entry: Entry,
        /// What is set.
        changes: Changes,
    },
    /// Give the user full rights on the directory `to` itself until `Finish`.
    Widen,
    /// Set the metadata of the directory `to` itself.
    Finish {
        /// As they are to be.
        meta: Box<Meta>,
        /// What is set.
        changes: Changes,
    },
}

/// Remove entries of one directory.
#[derive(Clone, Debug)]
pub struct Remove {
    /// The directory.
    pub dir: Dir,
    /// The names. One that is gone is no failure.
    pub names: Vec<Name>,
    /// What may be removed.
    pub removal: Removal,
}

/// What a removal may take.
#[derive(Clone, Debug)]
pub enum Removal {
    /// Files and empty directories.
    Single,
    /// The non-directories among these entries that are as they are here; any other fails with `Changed`. Of an inode
    /// with several names, only what a change of its content would change is compared.
    Unchanged(Page),
    /// Empty directories; anything else is moved into this directory, as [`Manner::aside`] says.
    Aside(Dir),
    /// Directories with all that is below them.
    Tree,
    /// What a killed run has left: a tree. What a running process still holds the lock of is passed over.
    Leftover,
}

/// Digest the contents of regular files.
#[derive(Clone, Debug)]
pub struct Hash {
    /// The directory.
    pub dir: Dir,
    /// The names.
    pub names: Vec<Name>,
}

/// Ask what a directory's file system is and holds.
#[derive(Clone, Debug)]
pub struct Space {
    /// The directory.
    pub dir: Dir,
    /// Whether the granularity of times and whether attributes are held is found out, by an unnamed file in it.
    pub probe_times: bool,
}
