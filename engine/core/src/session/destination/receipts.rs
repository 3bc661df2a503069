//! What the destination has asked a source on another machine for, and has not got: contents and digests.
//! It must not know how contents travel, only which stream was said to carry them and which streams have ended.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Destination;
use super::large::Chore;
use super::work::{Fill, Job};
use crate::entry::Kind;
use crate::error::{Error, ErrorKind};
use crate::frame::{DirId, Frame, Listing, Need, PageNumber, Want};
use crate::session::Actions;
use crate::session::schedule::WINDOW_ENTRIES_MAX;
use crate::session::source::page_cost;
use crate::stream::{Part, Plane, Slot, Ticket};
use crate::task::{CopyInto, Dir, Hashed, Output, Page, Pick, Receive, ReceiveInto, Task};

/// Requests that are not answered.
#[derive(Debug)]
pub(super) struct Receipts {
    plane: Arc<Plane>,
    next: u64,
    /// Contents that are asked for, or will be when the engine has room.
    needs: BTreeMap<Ticket, Asked>,
    /// Digests that are asked for, and the batch that they are of.
    digests: BTreeMap<Ticket, (u64, usize)>,
    /// Streams that have ended.
    lost: HashSet<Slot>,
    /// Entries listed and not settled.
    unsettled: usize,
    /// The number that the next directory has.
    next_dir: u64,
}

#[derive(Debug)]
struct Asked {
    need: Need,
    /// The source has been asked.
    is_asked: bool,
    /// The stream that it was sent on.
    sent: Option<Slot>,
}

impl Receipts {
    pub(super) fn new(plane: Arc<Plane>) -> Self {
        Self {
            plane,
            next: 0,
            needs: BTreeMap::new(),
            digests: BTreeMap::new(),
            lost: HashSet::new(),
            unsettled: 0,
            next_dir: DirId::BASE.0 + 1,
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    /// Whether a page is what an honest source sends next, as page number `next_page`.
    pub(super) fn admit(&mut self, listing: &Listing, next_page: u64) -> Result<(), Error> {
        let dirs = listing.page.iter().filter(|entry| entry.meta.kind == Kind::Dir).count() as u64;
        let in_order = listing.number.0 == next_page && listing.first_child.0 == self.next_dir;
        let is_hidden = listing.page.iter().any(|entry| entry.name.is_temporary());
        let is_dir = listing.meta.as_ref().is_none_or(|meta| meta.kind == Kind::Dir);
        // Below the destination directory there are no sources: a directory there would get another way for the filter.
        let is_source = listing.named || listing.meta.is_some() || listing.source_name.is_some();
        let is_placed = !is_source || listing.dir == DirId::BASE;
        let is_single = !listing.named || listing.page.len() <= 1;
        self.unsettled += page_cost(listing.page.len());
        let is_within = self.unsettled <= 2 * WINDOW_ENTRIES_MAX;
        let is_whole = is_placed && is_single && is_dir;
        if !in_order || is_hidden || !is_whole || !is_within || listing.from.is_some() {
            let why = "the source listed what it may not";
            return Err(Error::because(ErrorKind::Protocol, "receive", b"", why));
        }
        self.next_dir += dirs;
        Ok(())
    }

    /// A page is settled.
    pub(super) fn settled(&mut self, entries: usize) {
        self.unsettled = self.unsettled.saturating_sub(page_cost(entries));
    }

    /// The request for a ticket, when its task goes to the engine.
    fn ask(&mut self, ticket: Ticket) -> Option<Frame> {
        let asked = self.needs.get_mut(&ticket)?;
        asked.is_asked = true;
        asked.sent = None;
        Some(Frame::Need(asked.need.clone()))
    }

    /// The request was answered, one way or another.
    pub(super) fn answered(&mut self, ticket: Ticket) {
        self.needs.remove(&ticket);
    }

    /// Tickets that were on a stream that has ended.
    fn lose(&mut self, slot: Slot) -> Vec<Ticket> {
        self.lost.insert(slot);
        let was_there = |asked: &Asked| asked.is_asked && asked.sent == Some(slot);
        self.needs.iter().filter(|(_, asked)| was_there(asked)).map(|(ticket, _)| *ticket).collect()
    }

    /// Whether a ticket was given out, be it answered since or not.
    fn is_known(&self, ticket: Ticket) -> bool {
        (1..=self.next).contains(&ticket.0)
    }

    /// Takes note of what carried a ticket; whether it must be asked for again.
    fn sent(&mut self, ticket: Ticket, slot: Option<Slot>) -> bool {
        let Some(asked) = self.needs.get_mut(&ticket) else { return false };
        asked.sent = slot;
        slot.is_none_or(|slot| self.lost.contains(&slot))
    }
}

impl Destination {
    /// Asks for picked files of a page. The page must be held.
    pub(super) fn put_receive(
        &mut self,
        (page, picks): (u64, Vec<Pick>),
        into: (ReceiveInto, CopyInto),
        (part, large): (Part, Option<u64>),
    ) {
        let Some(work) = self.pages.get(&page) else { return };
        let Some(folder) = self.folders.get(&work.listing.dir) else { return };
        let to = Dir { staged: folder.staged.clone(), ..folder.to.clone() };
        let manner = self.manner(&to);
        let Some(work) = self.pages.get(&page) else { return };
        let Some(receipts) = &mut self.receipts else { return };
        let ticket = receipts.ticket();
        let want = Want {
            ticket,
            number: PageNumber(work.listing.number.0),
            picks: picks.iter().map(|pick| pick.index).collect(),
        };
        let asked = Asked { need: Need { want, part }, is_asked: false, sent: None };
        receipts.needs.insert(ticket, asked);
        let receive = Receive {
            plane: Arc::clone(&receipts.plane),
            ticket,
            to,
            into: into.0,
            page: Page::clone(&work.listing.page),
            picks: picks.clone(),
            manner,
        };
        let job = match large {
            None => Job::Fill(Fill { page, picks, into: into.1, ticket: Some(ticket) }),
            Some(large) => Job::Large(Chore::Range { large, ticket }),
        };
        self.desk.put(job, Task::Receive(receive));
    }

    /// Moves tasks to the engine while it has room, and asks the source for what they wait for.
    pub(super) fn flush(&mut self, out: &mut Actions) {
        let first = out.tasks.len();
        self.desk.flush(&mut out.tasks);
        let Some(receipts) = &mut self.receipts else { return };
        for (_, task) in &out.tasks[first..] {
            if let Task::Receive(receive) = task {
                out.frames.extend(receipts.ask(receive.ticket));
            }
        }
    }

    /// A data stream has ended: what was on it is asked for again.
    pub(super) fn stream_lost(&mut self, slot: Slot, out: &mut Actions) {
        let Some(receipts) = &mut self.receipts else { return };
        for ticket in receipts.lose(slot) {
            out.frames.extend(receipts.ask(ticket));
        }
    }

    /// The source has sent what a ticket asked for.
    pub(super) fn sent(&mut self, ticket: Ticket, slot: Option<Slot>, out: &mut Actions) {
        let known = self.receipts.as_mut().filter(|receipts| receipts.is_known(ticket));
        let Some(receipts) = known else {
            let why = "the source sent what was not asked for";
            return self.abort(Error::because(ErrorKind::Protocol, "receive", b"", why), out);
        };
        if receipts.sent(ticket, slot) {
            out.frames.extend(receipts.ask(ticket));
        }
    }

    /// Asks the source for digests.
    pub(super) fn want_digests(
        &mut self,
        page: u64,
        batch: u64,
        picks: Vec<usize>,
    ) -> Option<Frame> {
        let number = self.pages.get(&page)?.listing.number;
        let receipts = self.receipts.as_mut()?;
        let ticket = receipts.ticket();
        receipts.digests.insert(ticket, (batch, picks.len()));
        Some(Frame::Digest(Want { ticket, number, picks }))
    }

    /// The source has answered with digests.
    pub(super) fn digests_came(
        &mut self,
        ticket: Ticket,
        digests: Vec<Result<u128, Error>>,
        out: &mut Actions,
    ) {
        let asked = self.receipts.as_mut().and_then(|receipts| receipts.digests.remove(&ticket));
        match asked {
            Some((batch, count)) if count == digests.len() => {
                self.digested(batch, true, Ok(Output::Hashed(Hashed { digests })), out);
            }
            _ => {
                let why = "the source sent digests that were not asked for";
                self.abort(Error::because(ErrorKind::Protocol, "receive", b"", why), out);
            }
        }
    }
}
