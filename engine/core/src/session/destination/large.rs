//! Large files from another machine: made as a draft, fetched in ranges by as many streams as there are, then sealed.
//! What an earlier run has left of one, or its older version, is compared block by block and not fetched again.
//! It must not know how blocks are digested or drafts are kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::Destination;
use super::again::came_late;
use super::outcome::{one_step, wrong_output};
use super::work::Job;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::session::Actions;
use crate::session::schedule::{DRAFT_BYTES_MIN, RANGE_BYTES, RANGES_MAX};
use crate::spec::Selection;
use crate::stream::{Part, Range, Ticket};
use crate::task::{
    Blocks, CopyInto, Dir, Held, Output, Over, Pick, Placed, ReceiveInto, Step, Task,
};

/// Large files in work.
#[derive(Debug, Default)]
pub(super) struct Larges {
    files: HashMap<u64, Large>,
    next: u64,
}

/// From `Step::Draft` over its ranges to `Step::Seal`; after a failure to `Step::Discard`.
#[derive(Debug)]
struct Large {
    page: u64,
    pick: Pick,
    to: Dir,
    entry: Entry,
    draft: Option<Held>,
    /// How many bytes the draft can begin with.
    begun: u64,
    /// Where the next range begins.
    next: u64,
    /// Ranges that are compared or fetched.
    open: usize,
    failure: Option<Error>,
}

/// What a task for a large file does.
#[derive(Debug)]
pub(super) enum Chore {
    /// Make its draft.
    Draft(u64),
    /// Digest what the draft has of a range.
    Compare(Span),
    /// Receive a range.
    Range { large: u64, ticket: Ticket },
    /// Give the draft its final name.
    Seal(u64),
    /// Remove the draft.
    Discard,
}

/// What a range of a large file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) large: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Whether a file is fetched in ranges.
pub(super) fn is_drafted(size: u64) -> bool {
    size >= DRAFT_BYTES_MIN
}

impl Destination {
    /// Begins a large file. It holds its page until it is settled.
    pub(super) fn begin_large(&mut self, page: u64, pick: Pick) {
        let Some(entry) = self.entry(page, pick.index).cloned() else { return };
        let Some(dir) = self.pages.get(&page).map(|work| work.listing.dir) else { return };
        let Some(to) = self.folders.get(&dir).map(|folder| folder.to.clone()) else { return };
        self.hold(page);
        let number = self.larges.next;
        self.larges.next += 1;
        let step = Step::Draft { entry: entry.clone(), reuse: self.spec.delta };
        let large = Large {
            page,
            pick,
            to: to.clone(),
            entry,
            draft: None,
            begun: 0,
            next: 0,
            open: 0,
            failure: None,
        };
        self.larges.files.insert(number, large);
        self.put_place(Job::Large(Chore::Draft(number)), to, vec![step]);
    }

    /// A task for a large file has ended.
    pub(super) fn large_done(
        &mut self,
        chore: Chore,
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        match chore {
            Chore::Draft(large) => self.drafted(large, result, out),
            Chore::Compare(span) => self.compared(span, result, out),
            Chore::Range { large, ticket } => self.range_came((large, ticket), result, out),
            Chore::Seal(large) => self.sealed(large, result, out),
            Chore::Discard => {
                if let Err(error) = one_step(result) {
                    self.fail(error, out);
                }
            }
        }
    }

    /// A draft was made: its ranges are asked for.
    fn drafted(&mut self, number: u64, result: Result<Output, Error>, out: &mut Actions) {
        let Some(large) = self.larges.files.get_mut(&number) else { return };
        let Placed { staged, begun, .. } = match one_step(result) {
            Ok(placed) => placed,
            Err(error) => return self.large_failed(number, error, out),
        };
        large.draft = staged;
        large.begun = begun;
        self.begin_ranges(number);
    }

    /// Asks for further ranges while there is room, for those that may be there already after they were digested.
    fn begin_ranges(&mut self, number: u64) {
        while let Some(large) = self.larges.files.get_mut(&number) {
            let (offset, begun) = (large.next, large.begun);
            let left = large.entry.meta.size.saturating_sub(offset);
            if left == 0 || large.open >= RANGES_MAX || large.failure.is_some() {
                return;
            }
            let span = Span { large: number, offset, len: RANGE_BYTES.min(left) };
            large.next += span.len;
            large.open += 1;
            if span.offset < begun {
                self.compare(span, begun);
            } else {
                self.fetch(span, None);
            }
        }
    }

    fn compare(&mut self, span: Span, begun: u64) {
        let Some(large) = self.larges.files.get(&span.large) else { return };
        let Some(draft) = large.draft.clone() else { return };
        let len = span.len.min(begun - span.offset);
        let blocks = Blocks { dir: large.to.clone(), draft, offset: span.offset, len };
        self.desk.put(Job::Large(Chore::Compare(span)), Task::Blocks(blocks));
    }

    /// What the draft has of a range was digested. If it could not be, nobody knows what the draft has where the source has
    /// a hole, so that it is of no use.
    fn compared(&mut self, span: Span, result: Result<Output, Error>, out: &mut Actions) {
        let failure = match result {
            Ok(Output::Blocks(digests)) => return self.fetch(span, Some(digests)),
            Ok(_) => wrong_output(),
            Err(error) => error.with_kind(ErrorKind::Changed),
        };
        self.range_ended(span.large, Some(failure), out);
    }

    fn fetch(&mut self, span: Span, known: Option<Arc<[u128]>>) {
        let Some(large) = self.larges.files.get(&span.large) else { return };
        let Some(draft) = large.draft.clone() else { return };
        let (page, pick) = (large.page, large.pick);
        let range = Range { offset: span.offset, len: span.len, known };
        let into = (ReceiveInto::Draft(draft), CopyInto::Existing);
        self.put_receive((page, vec![pick]), into, (Part::Range(range), Some(span.large)));
    }

    /// A range has come, or failed.
    fn range_came(
        &mut self,
        (number, ticket): (u64, Ticket),
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        if let Some(receipts) = &mut self.receipts {
            receipts.answered(ticket);
        }
        let failure = match result {
            Ok(Output::Received(copied)) => {
                copied.failures.into_iter().next().map(|(_, error)| error)
            }
            Ok(_) => Some(wrong_output()),
            Err(error) => Some(error),
        };
        self.range_ended(number, failure, out);
    }

    /// Goes on with the ranges of a large file, or with what follows the last one.
    fn range_ended(&mut self, number: u64, failure: Option<Error>, out: &mut Actions) {
        let Some(large) = self.larges.files.get_mut(&number) else { return };
        large.open -= 1;
        if large.failure.is_none() {
            large.failure = failure;
        }
        self.begin_ranges(number);
        let Some(large) = self.larges.files.get_mut(&number) else { return };
        if large.open > 0 {
            return;
        }
        match large.failure.take() {
            Some(error) => self.large_failed(number, error, out),
            None => self.seal(number),
        }
    }

    fn seal(&mut self, number: u64) {
        let Some(large) = self.larges.files.get(&number) else { return };
        let Some(draft) = large.draft.clone() else { return };
        let (to, entry) = (large.to.clone(), large.entry.clone());
        let step = Step::Seal { draft, entry, over: large.pick.over };
        self.put_place(Job::Large(Chore::Seal(number)), to, vec![step]);
    }

    /// A large file stands under its final name, or does not.
    fn sealed(&mut self, number: u64, result: Result<Output, Error>, out: &mut Actions) {
        let placed = match one_step(result) {
            Ok(placed) => placed,
            Err(error) if came_late(&error) => return self.seal_again(number, error, out),
            Err(error) => return self.large_failed(number, error, out),
        };
        let Some(Large { page, pick, entry, .. }) = self.larges.files.remove(&number) else {
            return;
        };
        self.summary.lose(&placed.lost);
        self.remain(placed.remains, out);
        self.summary.files += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(entry.meta.size);
        out.settled.0 += 1;
        self.copied(page, pick, out);
        self.release(page, out);
    }

    /// Another run has taken the name meanwhile. It is complete here, so it replaces what that put there: the last one to publish
    /// wins. What must not be replaced, or may be this run's own, is left.
    fn seal_again(&mut self, number: u64, error: Error, out: &mut Actions) {
        let Some(large) = self.larges.files.get_mut(&number) else { return };
        let is_first = std::mem::replace(&mut large.pick.over, Over::Entry) == Over::Nothing;
        let (page, name) = (large.page, large.entry.name.clone());
        let replaces = self.spec.selection == Selection::default();
        if is_first && replaces && !self.has_twin(page, &name) {
            return self.seal(number);
        }
        self.large_failed(number, error, out);
    }

    /// A large file is not fetched in ranges to its end. One that changed meanwhile is fetched whole, on one stream.
    fn large_failed(&mut self, number: u64, error: Error, out: &mut Actions) {
        let Some(Large { page, pick, to, draft, .. }) = self.larges.files.remove(&number) else {
            return;
        };
        if let Some(draft) = draft {
            self.put_place(Job::Large(Chore::Discard), to, vec![Step::Discard { draft }]);
        }
        if error.kind == ErrorKind::Changed {
            let into = (ReceiveInto::Dir(CopyInto::Existing), CopyInto::Existing);
            return self.put_receive((page, vec![pick]), into, (Part::Whole, None));
        }
        out.settled.0 += 1;
        self.file_lost((page, pick.index), error, out);
        self.release(page, out);
    }

    /// A file is not transferred.
    pub(super) fn file_lost(
        &mut self,
        (page, index): (u64, usize),
        error: Error,
        out: &mut Actions,
    ) {
        let bytes = self.content_bytes(page, index);
        self.lost(error.wanting(bytes), out);
        self.keep(page, index);
        self.leader_failed(page, index, out);
    }
}
