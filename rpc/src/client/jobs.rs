//! The calls about jobs. It must not decide which of them are made.

use std::time::Duration;

use blit_core::Error;
use blit_core::event::Control;
use blit_schema::control_capnp::jobs;

use super::{CALL_TIMEOUT, Client, Conn};
use crate::convert::{self, unreadable};
use crate::jobs::Told;

impl Client {
    pub(crate) fn jobs(&self, control: &Control) -> Result<Told, Error> {
        self.ask(("list jobs of", CALL_TIMEOUT), control, |conn| async move {
            let answer = conn.jobs().await?.list_request().send().promise.await;
            let answer = answer.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)?;
            let jobs = convert::job::read(answer.get_jobs().map_err(unreadable)?)?;
            Ok(Told { jobs, moved: answer.get_moved() })
        })
    }

    pub(crate) fn watch_jobs(
        &self,
        (id, moved): (u64, u64),
        control: &Control,
    ) -> Result<Told, Error> {
        self.ask(("watch jobs of", WATCH_TIMEOUT), control, move |conn| async move {
            let mut request = conn.jobs().await?.watch_request();
            request.get().set_id(id);
            request.get().set_moved(moved);
            let answer = request.send().promise.await.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)?;
            let jobs = convert::job::read(answer.get_jobs().map_err(unreadable)?)?;
            Ok(Told { jobs, moved: answer.get_moved() })
        })
    }

    pub(crate) fn cancel_job(&self, id: u64, control: &Control) -> Result<(), Error> {
        self.ask(("cancel job of", CALL_TIMEOUT), control, move |conn| async move {
            let mut request = conn.jobs().await?.cancel_request();
            request.get().set_id(id);
            let answer = request.send().promise.await.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)
        })
    }
}

impl Conn {
    async fn jobs(&self) -> Result<jobs::Client, Error> {
        self.greeted().await?;
        let answer = self.daemon.jobs_request().send().promise.await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        let answer = answer.get().map_err(unreadable)?;
        convert::read_error(answer.get_error().map_err(unreadable)?)?;
        answer.get_jobs().map_err(unreadable)
    }
}

/// The daemon answers after ten seconds, whatever has happened.
const WATCH_TIMEOUT: Duration = Duration::from_secs(40);
