//! The role that stands where a destination would, and only looks.
//! It must not ask an engine for anything.

use super::Actions;
use super::source::page_cost;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::frame::{Frame, Settled};
use crate::summary::Summary;
use crate::task::Subject;

/// From looking to `ended`.
#[derive(Debug, Default)]
pub(super) struct Viewer {
    summary: Summary,
    error: Option<Error>,
    ended: bool,
}

impl Viewer {
    pub(super) fn handle(&mut self, event: Event, out: &mut Actions) {
        match event {
            Event::Frame(Frame::Listing(listing)) => {
                let entries = page_cost(listing.page.len());
                self.summary.entries += listing.page.len() as u64;
                let settled = Settled { number: listing.number, entries, kept: Vec::new() };
                out.frames.push(Frame::Settled(settled));
                out.listings.push(listing);
            }
            Event::Frame(Frame::Unreadable(error)) => self.summary.fail(error),
            Event::Frame(Frame::Scanned) => {
                self.ended = true;
                out.frames.push(Frame::Finished(Box::new(self.summary.clone())));
            }
            Event::Frame(Frame::Failed(error)) => self.error = Some(error),
            Event::Frame(_) => {
                let what = "the source sent a frame that only a destination sends";
                self.abort(Error::because(ErrorKind::Internal, "receive", b"", what), out);
            }
            Event::Cut(error) => self.abort(error, out),
            Event::Done(..) | Event::Lost(_) | Event::Told(_) | Event::Alive | Event::Mark(_) => {}
        }
    }

    pub(super) fn abort(&mut self, error: Error, out: &mut Actions) {
        if self.error.is_none() && !self.ended {
            out.frames.push(Frame::Failed(error.clone()));
            self.error = Some(error);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended || self.error.is_some()
    }

    pub(super) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn oldest_task(&self) -> Option<&Subject> {
        None
    }
}
