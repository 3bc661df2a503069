//! What the two roles of a transfer tell each other.
//! It must not know how a frame is encoded or carried.

use crate::entry::Meta;
use crate::error::Error;
use crate::path::Name;
use crate::stream::{Part, Slot, Ticket};
use crate::summary::Summary;
use crate::task::{Dir, Page};

/// Names a source directory within one transfer; 0 is the destination directory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirId(pub u64);

impl DirId {
    /// The destination directory itself.
    pub const BASE: Self = Self(0);
}

/// One message between the roles.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Source to destination: entries of one directory.
    Listing(Listing),
    /// Source to destination: an entry could not be examined, or a directory not be read.
    Unreadable(Error),
    /// Source to destination: every directory was listed; nothing but answers follows.
    Scanned,
    /// Destination to source: the entries of a page are settled, list on.
    Settled(Settled),
    /// Destination to source: a directory and all in it are settled; whether it stands at the destination as it should.
    Closed(DirId, bool),
    /// Destination to source: contents are wanted on a data stream.
    Need(Need),
    /// Source to destination: all that `Need` of this ticket asked for was sent on that stream; or on none, because it broke.
    Sent(Ticket, Option<Slot>),
    /// Destination to source: digests of files are wanted.
    Digest(Want),
    /// Source to destination: the digests that `Digest` of this ticket asked for, in its order.
    Digests(Ticket, Vec<Result<u128, Error>>),
    /// Destination to source: all is done.
    Finished(Box<Summary>),
    /// Either way: the session failed.
    Failed(Error),
}

/// Entries of one directory.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The directory.
    pub dir: DirId,
    /// Names the page within the transfer.
    pub number: PageNumber,
    /// Its own metadata, where the destination directory is to take them over.
    pub meta: Option<Box<Meta>>,
    /// Its entries, or some of them.
    pub page: Page,
    /// The first directory of the page has this id, each next one the next id.
    pub first_child: DirId,
    /// Where the entries can be read; only on a link that stays within one machine.
    pub from: Option<Dir>,
    /// The name that the only entry has in the source, where it differs.
    pub source_name: Option<Name>,
    /// No more pages of this directory follow.
    pub last: bool,
    /// The entries are sources by themselves, not the contents of one.
    pub named: bool,
    /// Nothing is missing that the directory held and the filter admits; otherwise nothing may be removed in it.
    pub complete: bool,
}

/// Files of one page that the destination wants something of.
#[derive(Clone, Debug)]
pub struct Want {
    /// Names the request; the destination gives each a new one, or the same again after a stream broke.
    pub ticket: Ticket,
    /// The page.
    pub number: PageNumber,
    /// The entries, by their place in it.
    pub picks: Vec<usize>,
}

/// Contents that the destination wants.
#[derive(Clone, Debug)]
pub struct Need {
    /// Of which files.
    pub want: Want,
    /// Which part of them.
    pub part: Part,
}

/// Names a page within one transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageNumber(pub u64);

/// A page whose entries are settled.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The page.
    pub number: PageNumber,
    /// How many entries the source may list for it.
    pub entries: usize,
    /// The entries that do not stand at the destination, by their place in the page; directories are not among them.
    pub kept: Vec<usize>,
}
