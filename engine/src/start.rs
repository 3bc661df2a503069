//! The one decision which engine runs here.
//! It must not know how an engine works, nor which system this is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use blit_core::engine::Engine;
use blit_core::{Error, ErrorKind};
use blit_fallback::{Confinement, ThreadEngine};

use crate::uring;

/// Which engine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// io_uring where the kernel lets it, threads otherwise.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// Threads.
    Threads,
}

impl Choice {
    /// The word that names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Threads => "threads",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Auto, Self::Uring, Self::Threads]
            .into_iter()
            .find(|choice| choice.word() == text)
            .ok_or_else(|| {
                let why = "the engines are auto, uring and threads";
                Error::because(ErrorKind::Usage, "choose engine", text.as_bytes(), why)
            })
    }
}

/// An engine that is ready for tasks.
pub struct Started {
    /// The engine. Dropping the last reference to it ends its threads.
    pub engine: Arc<dyn Engine>,
    /// Why it is not the one that `auto` prefers, where that is known already. io_uring is probed only when there is
    /// work for it, so [`Engine::describe`] may know later what this does not.
    pub reason: Option<String>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("engine", &self.engine.describe())
            .field("reason", &self.reason)
            .finish()
    }
}

/// Starts the engine of `choice` with that many workers, or one a core.
///
/// # Errors
/// `Unsupported` when io_uring alone was asked for and the system refuses it.
pub fn start(choice: Choice, workers: Option<usize>) -> Result<Started, Error> {
    start_as_planned(choice, Plan { workers, confinement: None })
}

/// Starts an engine that runs tasks only in threads of its own, each of which enters `confinement` first. The process
/// and its other threads stay as they are.
///
/// # Errors
/// As [`start`]; what the system refused when the confinement was tried; `Unsupported` where it has no such thing.
pub fn start_confined(
    choice: Choice,
    workers: Option<usize>,
    confinement: Confinement,
) -> Result<Started, Error> {
    confinement.rehearse()?;
    start_as_planned(choice, Plan { workers, confinement: Some(confinement) })
}

fn start_as_planned(choice: Choice, plan: Plan) -> Result<Started, Error> {
    let (engine, refusal): (Arc<dyn Engine>, _) = match choice {
        Choice::Threads => (Arc::new(plan.threads()), None),
        Choice::Auto => uring::start_or_threads(plan),
        Choice::Uring => (uring::start(plan).map_err(Refusal::into_error)?, None),
    };
    Ok(Started { engine, reason: refusal.map(|refusal| refusal.to_string()) })
}

/// What both engines are made from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workers: Option<usize>,
    /// What each thread enters before its first task; without one, small work is done in the calling thread.
    pub(crate) confinement: Option<Confinement>,
}

impl Plan {
    /// A thread engine after this plan.
    pub(crate) fn threads(self) -> ThreadEngine {
        match self.confinement {
            None => ThreadEngine::new(self.workers),
            Some(confinement) => ThreadEngine::confined(self.workers, confinement),
        }
    }
}

/// Why io_uring cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Which step of the probe failed.
    pub(crate) step: &'static str,
    /// What the system said.
    pub(crate) why: String,
}

impl Refusal {
    fn into_error(self) -> Error {
        let why = format!("{self}; `--engine threads` works here");
        Error::because(ErrorKind::Unsupported, "start engine", b"uring", why)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "io_uring refused: {}: {}", self.step, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_back_from_its_word() {
        for choice in [Choice::Auto, Choice::Uring, Choice::Threads] {
            assert_eq!(choice.to_string().parse::<Choice>().expect("a word of its own"), choice);
        }
        let error = "iouring".parse::<Choice>().expect_err("no such engine");
        assert_eq!(error.kind, ErrorKind::Usage);
        assert_eq!(
            error.to_string(),
            "choose engine iouring: the engines are auto, uring and threads"
        );
    }

    #[test]
    fn a_refusal_names_the_step_the_cause_and_the_way_out() {
        let refusal = Refusal { step: "ring set-up", why: "Operation not permitted".to_owned() };
        assert_eq!(
            refusal.into_error().to_string(),
            "start engine uring: io_uring refused: ring set-up: Operation not permitted; \
             `--engine threads` works here"
        );
    }
}
