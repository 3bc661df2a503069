//! What a source keeps of the pages it has listed for a destination on another machine, which may ask for contents.
//! It must not know why something is asked for, nor trust that it may be.

use std::collections::HashMap;
use std::sync::Arc;

use super::schedule::WANTED_ENTRIES_MAX;
use super::source::page_cost;
use crate::entry::{Entry, Kind};
use crate::error::{Error, ErrorKind};
use crate::frame::{Listing, Need, PageNumber, Settled, Want};
use crate::header::BLOCK_BYTES;
use crate::path::Name;
use crate::stream::{Part, Plane, Range};
use crate::task::{Hash, Send};

/// Pages that are listed and not settled.
#[derive(Debug)]
pub(super) struct Lendings {
    plane: Arc<Plane>,
    pages: HashMap<PageNumber, Lent>,
    xattrs: bool,
    /// Entries that were asked for and are not answered: each request takes at least one.
    wanted: usize,
}

#[derive(Debug)]
struct Lent {
    listing: Listing,
    /// Bytes of contents that were sent of it, and so count as progress already.
    sent: u64,
}

/// A page that is settled.
pub(super) struct Returned {
    /// How many entries it takes of the window.
    pub(super) cost: usize,
    /// Entries that now count as progress, and bytes.
    pub(super) settled: (u64, u64),
}

impl Lendings {
    pub(super) fn new(plane: Arc<Plane>, xattrs: bool) -> Self {
        Self { plane, pages: HashMap::new(), xattrs, wanted: 0 }
    }

    /// A page was sent.
    pub(super) fn listed(&mut self, listing: &Listing) {
        self.pages.insert(listing.number, Lent { listing: listing.clone(), sent: 0 });
    }

    /// A page is settled: nothing of it can be asked for any more.
    pub(super) fn settled(&mut self, settled: &Settled) -> Result<Returned, Error> {
        let Lent { listing, sent } = self.pages.remove(&settled.number).ok_or_else(not_lent)?;
        let is_listed = |index: &usize| *index < listing.page.len();
        if settled.kept.len() > listing.page.len() || !settled.kept.iter().all(is_listed) {
            return Err(not_lent());
        }
        let entries = listing.page.iter().filter(|entry| entry.meta.kind != Kind::Dir);
        let (mut files, mut bytes) = (0, 0);
        for entry in entries {
            files += 1;
            bytes = entry.meta.content_bytes().saturating_add(bytes);
        }
        let cost = page_cost(listing.page.len());
        Ok(Returned { cost, settled: (files, bytes.saturating_sub(sent)) })
    }

    /// What is to be sent for a request.
    pub(super) fn send(&mut self, need: Need) -> Result<Send, Error> {
        let Need { want, part } = need;
        let listing = self.wanted(&want)?;
        let is_valid = match (&part, &want.picks[..]) {
            (Part::Whole, _) => true,
            (Part::Range(range), [pick]) => {
                listing.page.get(*pick).is_some_and(|entry| is_within(range, entry))
            }
            (Part::Range(_), _) => false,
        };
        let from = listing.from.clone().filter(|_| is_valid).ok_or_else(not_lent)?;
        let (page, source_name) = (Arc::clone(&listing.page), listing.source_name.clone());
        self.admit(want.picks.len())?;
        Ok(Send {
            plane: Arc::clone(&self.plane),
            ticket: want.ticket,
            from,
            page,
            picks: want.picks,
            source_name,
            part,
            xattrs: self.xattrs,
        })
    }

    /// What is to be digested for a request.
    pub(super) fn hash(&mut self, want: &Want) -> Result<Hash, Error> {
        let listing = self.wanted(want)?;
        let dir = listing.from.clone().ok_or_else(not_lent)?;
        let name = |index: &usize| match &listing.source_name {
            Some(name) => Some(name.clone()),
            None => Some(listing.page.get(*index)?.name.clone()),
        };
        let names: Vec<Name> = want.picks.iter().filter_map(name).collect();
        self.admit(want.picks.len())?;
        Ok(Hash { dir, names })
    }

    /// A request for that many files was answered.
    pub(super) fn answered(&mut self, files: usize) {
        self.wanted -= files.max(1);
    }

    /// Takes note of a request, if there is room for it.
    fn admit(&mut self, files: usize) -> Result<(), Error> {
        self.wanted += files.max(1);
        if self.wanted > WANTED_ENTRIES_MAX {
            self.wanted -= files.max(1);
            return Err(because("the destination asked for more at once than it may"));
        }
        Ok(())
    }

    /// Contents of a page were sent.
    pub(super) fn sent(&mut self, number: PageNumber, bytes: u64) {
        if let Some(lent) = self.pages.get_mut(&number) {
            lent.sent = lent.sent.saturating_add(bytes);
        }
    }

    /// The page of a request, if all that it wants are files of it.
    fn wanted(&self, want: &Want) -> Result<&Listing, Error> {
        let Lent { listing, .. } = self.pages.get(&want.number).ok_or_else(not_lent)?;
        let is_file = |index: &usize| {
            listing.page.get(*index).is_some_and(|entry| entry.meta.kind == Kind::File)
        };
        if want.picks.len() <= listing.page.len() && want.picks.iter().all(is_file) {
            Ok(listing)
        } else {
            Err(not_lent())
        }
    }
}

/// Whether a range is of the file as it was listed, and is told no more digests than it has blocks.
fn is_within(range: &Range, entry: &Entry) -> bool {
    let Range { offset, len, known } = range;
    let is_inside = offset.checked_add(*len).is_some_and(|end| end <= entry.meta.size);
    let is_compared = known.as_ref().is_none_or(|known| {
        offset.is_multiple_of(BLOCK_BYTES) && known.len() as u64 <= len.div_ceil(BLOCK_BYTES)
    });
    is_inside && is_compared
}

fn not_lent() -> Error {
    because("the destination asked for what was not listed, or is settled")
}

fn because(why: &str) -> Error {
    Error::because(ErrorKind::Protocol, "receive", b"", why)
}
