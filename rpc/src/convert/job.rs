//! Jobs as messages. It must not decide who may see which.

use std::time::Duration;

use blit_core::Error;
use blit_core::entry::Time;
use blit_core::event::Progress;
use blit_schema::control_capnp as schema;
use capnp::struct_list;

use super::spec::{read_verb, verb_word};
use super::{error_bytes, protocol, text, told_error, unreadable};
use crate::jobs::{End, Job, Order};

pub(crate) fn write(jobs: &[Job], mut to: struct_list::Builder<'_, schema::job::Owned>) {
    for (index, job) in (0..).zip(jobs) {
        write_one(job, to.reborrow().get(index));
    }
}

fn write_one(job: &Job, mut to: schema::job::Builder<'_>) {
    to.set_id(job.id);
    to.set_module(&job.module);
    to.set_order(match job.order {
        Order::Look => schema::Order::Look,
        Order::Pull => schema::Order::Pull,
        Order::Push => schema::Order::Push,
        Order::Remove => schema::Order::Remove,
    });
    to.set_verb(verb_word(job.verb));
    to.set_dry_run(job.dry_run);
    to.set_address(&job.address);
    to.set_key(&job.key);
    let millis = i64::from(job.started.nanos) / NS_PER_MS;
    to.set_started_ms(job.started.secs.saturating_mul(MS_PER_SEC).saturating_add(millis));
    to.set_took_ms(u64::try_from(job.took.as_millis()).unwrap_or(u64::MAX));
    let Progress { files, bytes, files_known, bytes_known, .. } = job.progress;
    to.set_entries(files);
    to.set_bytes(bytes);
    to.set_entries_known(files_known);
    to.set_bytes_known(bytes_known);
    if let Some(End { failed, error }) = &job.end {
        to.set_ended(true);
        to.set_failed(*failed);
        if let Some(error) = error {
            to.set_error(&error_bytes(error));
        }
    }
}

pub(crate) fn read(from: struct_list::Reader<'_, schema::job::Owned>) -> Result<Vec<Job>, Error> {
    if from.len() > JOBS_MAX {
        return Err(protocol("the daemon told of more jobs than a daemon has"));
    }
    from.iter().map(read_one).collect()
}

fn read_one(from: schema::job::Reader<'_>) -> Result<Job, Error> {
    let started_ms = from.get_started_ms();
    let nanos = started_ms.rem_euclid(MS_PER_SEC) * NS_PER_MS;
    let error = from.get_error().map_err(unreadable)?;
    let error = if error.is_empty() { None } else { Some(told_error(error)?) };
    Ok(Job {
        id: from.get_id(),
        module: text(from.get_module())?,
        order: match from.get_order().map_err(unreadable)? {
            schema::Order::Look => Order::Look,
            schema::Order::Pull => Order::Pull,
            schema::Order::Push => Order::Push,
            schema::Order::Remove => Order::Remove,
        },
        verb: read_verb(from.get_verb().map_err(unreadable)?),
        dry_run: from.get_dry_run(),
        address: text(from.get_address())?,
        key: text(from.get_key())?,
        started: Time {
            secs: started_ms.div_euclid(MS_PER_SEC),
            nanos: u32::try_from(nanos).unwrap_or(0),
        },
        took: Duration::from_millis(from.get_took_ms()),
        progress: Progress {
            files: from.get_entries(),
            bytes: from.get_bytes(),
            files_known: from.get_entries_known(),
            bytes_known: from.get_bytes_known(),
            scanned: false,
        },
        end: from.get_ended().then(|| End { failed: from.get_failed(), error }),
    })
}

const MS_PER_SEC: i64 = 1000;
const NS_PER_MS: i64 = 1_000_000;
/// More than any daemon serves at once and remembers.
const JOBS_MAX: u32 = 64 << 10;
