//! What a client offers to the daemon of one session. It must not know what the session is for.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use blit_core::Error;
use blit_core::stream::Slot;
use blit_schema::session_capnp::peer;
use capnp::capability::Rc;

use super::session::Word;
use crate::convert::{self, unreadable};
use crate::link::Mailbox;
use crate::streams::Streams;

/// The client's end of a session.
pub(super) struct PeerEnd {
    pub(super) mailbox: std::rc::Rc<Mailbox>,
    pub(super) words: Sender<Word>,
    pub(super) streams: Option<Arc<Streams>>,
    /// Nothing but the end of the daemon's role ends the session here.
    pub(super) lone: bool,
}

impl Drop for PeerEnd {
    fn drop(&mut self) {
        let error = self.mailbox.gone();
        self.mailbox.cut(error.clone());
        drop(self.words.send(Word::Cut(error, self.mailbox.finished())));
    }
}

impl PeerEnd {
    fn outcome(&self, params: &peer::EndedParams) -> Result<Word, Error> {
        let outcome = params.get().and_then(|params| params.get_outcome()).map_err(unreadable)?;
        let bytes = outcome.get_error().map_err(unreadable)?;
        let error = if bytes.is_empty() { None } else { Some(convert::told_error(bytes)?) };
        let summary = convert::summary::read(outcome.get_summary().map_err(unreadable)?)?;
        let matched = outcome.get_matched().map_err(unreadable)?.iter().collect();
        Ok(Word::Ended { error, summary: Box::new(summary), matched })
    }
}

impl peer::Server for PeerEnd {
    fn frames(
        self: Rc<Self>,
        params: peer::FramesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().and_then(|params| self.mailbox.frames(params.get_batch())))
    }

    fn notices(
        self: Rc<Self>,
        params: peer::NoticesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let told = params.get().and_then(|params| {
            let told = self.mailbox.notices(params.get_batch());
            told.map_err(|error| capnp::Error::failed(error.to_string()))
        });
        async move {
            // The session may have ended instead, which is an answer too.
            told?.await.unwrap_or_default();
            Ok(())
        }
    }

    fn lost(
        self: Rc<Self>,
        params: peer::LostParams,
        _: peer::LostResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().map(|params| {
            if let Some(streams) = &self.streams {
                streams.close(Slot(params.get_slot()));
            }
        }))
    }

    fn ping(
        self: Rc<Self>,
        params: peer::PingParams,
        mut results: peer::PingResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(params.get().map(|params| {
            self.mailbox.alive(params.get_moved());
            results.get().set_moved(self.mailbox.moved());
        }))
    }

    fn ended(
        self: Rc<Self>,
        params: peer::EndedParams,
        _: peer::EndedResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let word = self.outcome(&params);
        ready(match word {
            Ok(word) => {
                if let Word::Ended { error: Some(error), .. } = &word {
                    self.mailbox.cut(error.clone());
                }
                self.mailbox.close();
                drop(self.words.send(word));
                if self.lone {
                    self.mailbox.finish();
                }
                Ok(())
            }
            Err(error) => {
                self.mailbox.cut(error.clone());
                Err(capnp::Error::failed(error.to_string()))
            }
        })
    }
}
