//! What the destination says to the source, and what it is given for that: contents and digests, where it is on another machine.
//! It must not know how anything is listed.

use super::{Job, Source};
use crate::error::{Error, ErrorKind};
use crate::frame::{Frame, PageNumber, Settled, Want};
use crate::session::Actions;
use crate::stream::Ticket;
use crate::task::{Output, Task};

impl Source {
    pub(super) fn frame(&mut self, frame: Frame, out: &mut Actions) {
        match frame {
            Frame::Settled(settled) => {
                if let Err(error) = self.settle(&settled, out) {
                    return self.abort(error, out);
                }
                if let Some(departures) = &mut self.departures {
                    departures.settled(&settled);
                }
            }
            Frame::Closed(dir, stands) => {
                if let Some(departures) = &mut self.departures
                    && let Err(error) = departures.closed(dir, stands)
                {
                    self.abort(error, out);
                }
            }
            // What the peer did, it tells whoever runs it.
            Frame::Finished(_) => self.finished = true,
            Frame::Failed(error) => {
                self.desk.drop_waiting();
                self.stack.clear();
                self.error.get_or_insert(error);
            }
            Frame::Need(need) => {
                let Want { ticket, number, ref picks } = need.want;
                let job = Job::Send { ticket, number, files: picks.len() };
                match self.lendings.as_mut().map(|lendings| lendings.send(need)) {
                    Some(Ok(send)) => self.desk.put(job, Task::Send(send)),
                    Some(Err(error)) => self.abort(error, out),
                    None => self.abort(unexpected(), out),
                }
            }
            Frame::Digest(want) => {
                let job = Job::Digest { ticket: want.ticket, files: want.picks.len() };
                match self.lendings.as_mut().map(|lendings| lendings.hash(&want)) {
                    Some(Ok(hash)) => self.desk.put(job, Task::Hash(hash)),
                    Some(Err(error)) => self.abort(error, out),
                    None => self.abort(unexpected(), out),
                }
            }
            Frame::Listing(_)
            | Frame::Unreadable(_)
            | Frame::Scanned
            | Frame::Sent(..)
            | Frame::Digests(..) => self.abort(unexpected(), out),
        }
    }

    /// A page is settled at the destination.
    pub(super) fn settle(&mut self, settled: &Settled, out: &mut Actions) -> Result<(), Error> {
        let cost = match &mut self.lendings {
            None => settled.entries,
            Some(lendings) => {
                let returned = lendings.settled(settled)?;
                out.settled.0 += returned.settled.0;
                out.settled.1 = out.settled.1.saturating_add(returned.settled.1);
                returned.cost
            }
        };
        self.unsettled = self.unsettled.saturating_sub(cost);
        Ok(())
    }

    pub(super) fn answered(&mut self, files: usize) {
        if let Some(lendings) = &mut self.lendings {
            lendings.answered(files);
        }
    }

    /// Contents were sent, or could not be.
    pub(super) fn sent(
        &mut self,
        (ticket, number): (Ticket, PageNumber),
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        match result {
            Ok(Output::Sent(sent)) => {
                if let Some(lendings) = &mut self.lendings {
                    lendings.sent(number, sent.bytes);
                }
                out.frames.push(Frame::Sent(ticket, sent.slot));
            }
            Ok(_) => self.abort(wrong_output(), out),
            Err(error) => self.abort(error, out),
        }
    }

    pub(super) fn digested(
        &mut self,
        (ticket, files): (Ticket, usize),
        result: Result<Output, Error>,
        out: &mut Actions,
    ) {
        let digests = match result {
            Ok(Output::Hashed(hashed)) => hashed.digests,
            Ok(_) => return self.abort(wrong_output(), out),
            Err(error) if error.kind.ends_session() => return self.abort(error, out),
            Err(error) => vec![Err(error); files],
        };
        out.frames.push(Frame::Digests(ticket, digests));
    }
}

fn unexpected() -> Error {
    let what = "the destination sent a frame that only a source sends";
    Error::because(ErrorKind::Protocol, "receive", b"", what)
}

fn wrong_output() -> Error {
    let what = "the engine gave the output of another task";
    Error::because(ErrorKind::Internal, "run task", b"", what)
}
