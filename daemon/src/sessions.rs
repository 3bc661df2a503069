//! Sessions that run, and whether another one may begin.
//! It must not know what a session does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::config::module::Module;
use crate::metrics::Metrics;

/// Counts sessions, in all and of each module.
#[derive(Debug)]
pub struct Sessions {
    metrics: Arc<Metrics>,
    running: Mutex<HashMap<String, usize>>,
}

/// One session. Dropped without a word about its end, it has failed.
#[derive(Debug)]
pub struct Session {
    sessions: Arc<Sessions>,
    module: String,
    succeeded: bool,
}

impl Sessions {
    /// None yet; their ends are counted in `metrics`.
    pub fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics: Arc::clone(metrics), running: Mutex::default() })
    }

    /// Begins a session of `module`, or says why it cannot begin.
    ///
    /// # Errors
    /// Which bound of `config` is reached, in words.
    pub fn begin(self: &Arc<Self>, config: &Config, module: &Module) -> Result<Session, String> {
        let mut running = self.lock();
        let all: usize = running.values().sum();
        let here = running.get(&module.name).copied().unwrap_or(0);
        if all >= config.limits.sessions_max {
            return Err(format!("the daemon serves {all} sessions already, as many as it may"));
        }
        if module.sessions_max.is_some_and(|max| here >= max) {
            return Err(format!("the module serves {here} sessions already, as many as it may"));
        }
        running.insert(module.name.clone(), here + 1);
        drop(running);
        self.metrics.sessions_running.add(1);
        Ok(Session { sessions: Arc::clone(self), module: module.name.clone(), succeeded: false })
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Ends it as one that did what was asked.
    pub fn succeed(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut running = self.sessions.lock();
        match running.get_mut(&self.module) {
            Some(count) if *count > 1 => *count -= 1,
            // So that no module that is gone from the configuration is remembered.
            _ => drop(running.remove(&self.module)),
        }
        drop(running);
        let metrics = &self.sessions.metrics;
        metrics.sessions_running.take(1);
        let ended =
            if self.succeeded { &metrics.sessions_finished } else { &metrics.sessions_failed };
        ended.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_bounded_in_all_and_by_module_and_their_ends_are_counted() {
        let metrics = Arc::<Metrics>::default();
        let sessions = Sessions::new(&metrics);
        let mut config = Config::empty();
        config.limits.sessions_max = 3;
        let module = |name: &str, sessions_max| Module {
            name: name.to_owned(),
            sessions_max,
            ..Module::default_root("/".into(), true)
        };
        let (few, many) = (module("few", Some(1)), module("many", None));
        let first = sessions.begin(&config, &few).expect("room");
        assert!(sessions.begin(&config, &few).expect_err("full").contains("the module serves 1"));
        let others = [1, 2].map(|_| sessions.begin(&config, &many).expect("room"));
        assert!(sessions.begin(&config, &many).expect_err("full").contains("the daemon serves 3"));
        assert_eq!(metrics.sessions_running.count(), 3);
        first.succeed();
        let again = sessions.begin(&config, &few).expect("room");
        drop((again, others));
        assert_eq!(sessions.count(), 0);
        assert!(sessions.lock().is_empty());
        let counts =
            [&metrics.sessions_running, &metrics.sessions_finished, &metrics.sessions_failed];
        assert_eq!(counts.map(|counter| counter.count()), [0, 1, 3]);
    }
}
