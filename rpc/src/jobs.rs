//! Jobs: the sessions at a daemon that a client has started, as it sees them: what they do, how far they are, how they ended.
//! It must not know how a daemon keeps them.

use std::time::Duration;

use blit_core::Error;
use blit_core::entry::Time;
use blit_core::event::{Control, Progress};
use blit_core::spec::Verb;
use blit_core::summary::Notice;

use crate::client::Client;
use crate::connect::Access;

/// A session at a daemon.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number at this daemon, from 1.
    pub id: u64,
    /// The module.
    pub module: String,
    /// What the daemon was asked to take part in.
    pub order: Order,
    /// What is done with entries.
    pub verb: Verb,
    /// Nothing is changed.
    pub dry_run: bool,
    /// The address that it was started from.
    pub address: String,
    /// The short form of the key that it was started with; empty where there was none.
    pub key: String,
    /// When it began, by the daemon's clock.
    pub started: Time,
    /// How long it has run.
    pub took: Duration,
    /// How far it is.
    pub progress: Progress,
    /// How it ended.
    pub end: Option<End>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Entries that failed at the daemon's side.
    pub failed: u64,
    /// Why it ended early.
    pub error: Option<Error>,
}

/// What a daemon is asked to take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It lists for someone who looks.
    Look,
    /// It is the source.
    Pull,
    /// It is the destination.
    Push,
    /// It removes.
    Remove,
}

impl Order {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Remove => "remove",
        }
    }
}

/// Jobs as they were at one moment.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// In the order in which they began.
    pub jobs: Vec<Job>,
    /// What to say when asking again: another number means that one of them has moved.
    pub moved: u64,
}

/// The jobs of a daemon.
pub struct Jobs {
    client: Client,
}

impl Jobs {
    /// Reaches the daemon at `host` and `port`.
    ///
    /// # Errors
    /// Those of reaching it.
    pub fn at(
        (host, port): (&str, u16),
        access: &Access,
        observe: &mut dyn FnMut(Notice),
    ) -> Result<Self, Error> {
        let (client, notes) = Client::connect(host, port, access)?;
        notes.into_iter().for_each(observe);
        Ok(Self { client })
    }

    /// Those that run, and those that have ended lately.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn list(&self, control: &Control) -> Result<Told, Error> {
        self.client.jobs(control)
    }

    /// The same of one of them, or of all: when something has changed since `moved` was told, when the one of them has ended, or after
    /// some seconds.
    ///
    /// # Errors
    /// `Refused` where there is no such job of this client.
    pub fn watch(&self, id: Option<u64>, moved: u64, control: &Control) -> Result<Told, Error> {
        self.client.watch_jobs((id.unwrap_or(0), moved), control)
    }

    /// Ends one of them. That it has ended is told by [`Self::watch`].
    ///
    /// # Errors
    /// `Refused` where there is no such job of this client, and where it has ended.
    pub fn cancel(&self, id: u64, control: &Control) -> Result<(), Error> {
        self.client.cancel_job(id, control)
    }
}
