//! What every part of a running daemon shares.
//! It must not know how any of it came about.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use blit_core::engine::Engine;
use blit_core::task::Root;
use blit_core::{Error, ErrorKind};
use blit_engine::{start, start_confined};

use crate::admission::{Admission, Bounds};
use crate::config::Config;
use crate::config::module::Module;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::sessions::Sessions;

/// The state of a running daemon.
#[derive(Debug)]
pub struct State {
    /// How it was started.
    pub options: Options,
    /// Who is connected.
    pub admission: Arc<Admission>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Which sessions run.
    pub sessions: Arc<Sessions>,
    config: RwLock<Arc<Config>>,
}

impl State {
    /// The state of a daemon that runs after `options`.
    pub fn new(options: Options) -> Arc<Self> {
        let config = Arc::new(options.config.clone());
        let metrics = Arc::default();
        Arc::new(Self {
            admission: Admission::new(bounds(&config)),
            sessions: Sessions::new(&metrics),
            metrics,
            config: RwLock::new(config),
            options,
        })
    }

    /// The configuration as it is now. A session keeps the one it began with.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in its place, for what begins from here on.
    pub fn replace_config(&self, config: Config) {
        self.admission.rebind(bounds(&config));
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// What a session of `module` works with: an engine that is held to the module's directory, rights and owner. Where the system cannot
    /// hold it to them, it runs as the process does, unless an owner is configured.
    ///
    /// # Errors
    /// Those of opening the directory, and what the system refused.
    pub fn workshop(&self, module: &Module, shown: &[u8]) -> Result<Workshop, Error> {
        let Options { engine: choice, workers, .. } = self.options;
        let confinement = module.confinement().map_err(|error| {
            // Who asked is not told where the module is.
            tracing::warn!(module = module.shown(), %error, "a module cannot be used");
            error.with_path(shown)
        })?;
        let confinement = confinement.called(shown);
        let root = confinement.root()?;
        let started = match start_confined(choice, workers, confinement) {
            Err(error) if error.kind == ErrorKind::Unsupported && module.owner.is_none() => {
                start(choice, workers)
            }
            other => other,
        };
        Ok(Workshop { engine: started?.engine, root })
    }
}

/// What a session works with.
pub struct Workshop {
    /// Executes its tasks.
    pub engine: Arc<dyn Engine>,
    /// The module's directory, open already: the engine may be unable to reach it by its path.
    pub root: Arc<Root>,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workshop").field(&self.root).field(&self.engine.describe()).finish()
    }
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        all_max: config.limits.connections_max,
        per_place_max: config.limits.connections_per_address_max,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use blit_core::event::{Control, Event, Port, Seat};
    use blit_core::path::RelPath;
    use blit_core::task::{Dir, List, Survey, Task, TaskId, What};
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn state(top: &std::path::Path) -> Arc<State> {
        let top = top.to_str().expect("a text");
        let args = Args::try_parse_from(["blitd", "--root", top]).expect("it parses");
        State::new(Options::read(&args.serve).expect("valid"))
    }

    #[test]
    fn an_engine_of_a_module_serves_its_directory() {
        let top = tempfile::tempdir().expect("a temporary directory");
        let state = state(top.path());
        let workshop = state.workshop(&state.config().modules[0], b"/m").expect("it starts");
        let dir = Dir::new(&workshop.root, RelPath::root());
        let what = What::Next { after: None, entries_max: 4 };
        let task = Task::List(List { dir, what, xattrs: false, survey: Survey::Nothing });
        let (sender, answers) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        workshop.engine.submit(vec![(TaskId(1), task)], &port);
        let answer = answers.recv_timeout(Duration::from_secs(20)).expect("an answer");
        assert!(matches!(answer.1, Event::Done(TaskId(1), Ok(_))), "{answer:?}");
    }

    #[test]
    fn a_new_configuration_holds_for_what_begins_later() {
        let top = tempfile::tempdir().expect("a temporary directory");
        let state = state(top.path());
        let old = state.config();
        let mut new = Config::empty();
        new.limits.connections_max = 1;
        state.replace_config(new);
        assert_eq!((old.modules.len(), state.config().modules.len()), (1, 0));
        let peer = "192.0.2.1".parse().expect("an address");
        let _slot = state.admission.admit(peer).expect("room");
        assert!(state.admission.admit(peer).is_err());
    }
}
