//! What a daemon offers of jobs: to see them, to wait until they move, to end one. It must not know which are whose.

use std::future::{Future, ready};
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_schema::control_capnp::jobs;
use capnp::capability::Rc;
use tokio::time::sleep;

use super::greeting::{Guest, Turn};
use crate::convert::{self, narrow, unreadable};
use crate::jobs::Told;

/// The jobs of one client.
pub(super) struct Board(pub(super) Rc<Guest>);

impl Board {
    fn told(&self, id: u64) -> Result<Told, Error> {
        let Self(guest) = self;
        let id = (id != 0).then_some(id);
        guest.shared.ledger.tell(id, &guest.caller, &*guest.shared.host)
    }

    fn end(&self, params: &jobs::CancelParams) -> Result<(), Error> {
        let Self(guest) = self;
        let id = params.get().map_err(unreadable)?.get_id();
        guest.shared.ledger.cancel(id, &guest.caller, &*guest.shared.host)
    }

    /// Waits until there is something new; one question at a time.
    async fn news(&self, id: u64, moved: u64) -> Result<Told, Error> {
        let _turn = Turn::take(&self.0.watching, "watch job")?;
        let begun = Instant::now();
        loop {
            let told = self.told(id)?;
            let has_ended = id != 0 && told.jobs.iter().all(|job| job.end.is_some());
            let waited = begun.elapsed();
            let is_news = told.moved != moved && waited >= NEWS_INTERVAL;
            if has_ended || is_news || waited >= WATCH_MAX || self.0.shared.is_draining() {
                return Ok(told);
            }
            sleep(LOOK_INTERVAL).await;
            self.0.touch();
        }
    }
}

impl jobs::Server for Board {
    fn list(
        self: Rc<Self>,
        _: jobs::ListParams,
        mut results: jobs::ListResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        match self.told(0) {
            Ok(Told { jobs, moved }) => {
                let mut results = results.get();
                results.set_moved(moved);
                convert::job::write(&jobs, results.init_jobs(narrow(jobs.len())));
            }
            Err(error) => results.get().set_error(&convert::error_bytes(&error)),
        }
        ready(Ok(()))
    }

    fn watch(
        self: Rc<Self>,
        params: jobs::WatchParams,
        mut results: jobs::WatchResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        let asked = params.get().map(|params| (params.get_id(), params.get_moved()));
        async move {
            let (id, moved) = asked?;
            match self.news(id, moved).await {
                Ok(Told { jobs, moved }) => {
                    let mut results = results.get();
                    results.set_moved(moved);
                    convert::job::write(&jobs, results.init_jobs(narrow(jobs.len())));
                }
                Err(error) => results.get().set_error(&convert::error_bytes(&error)),
            }
            Ok(())
        }
    }

    fn cancel(
        self: Rc<Self>,
        params: jobs::CancelParams,
        mut results: jobs::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        self.0.touch();
        if let Err(error) = self.end(&params) {
            results.get().set_error(&convert::error_bytes(&error));
        }
        ready(Ok(()))
    }
}

/// How often a watched job is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// News of a job that runs are told no more often.
const NEWS_INTERVAL: Duration = Duration::from_secs(1);
/// After so long without news that is told.
const WATCH_MAX: Duration = Duration::from_secs(10);
