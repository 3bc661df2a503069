//! The jobs of a daemon: the sessions that run, and those that have ended lately. Each is shown to the client that has started it, and to nobody
//! else. It must not know what a session does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blit_core::entry::Time;
use blit_core::event::{Event, Port, Progress};
use blit_core::spec::{TransferSpec, Verb};
use blit_core::{Error, ErrorKind};

use super::{Caller, Host, Shared, refused};
use crate::identity::PublicKey;
use crate::jobs::{End, Job, Order, Told};

/// All jobs that are remembered.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    running: BTreeMap<u64, Entry>,
    /// The latest at the end.
    ended: VecDeque<Entry>,
}

/// What a session was opened for.
pub(super) struct Deed {
    pub(super) module: String,
    pub(super) order: Order,
    pub(super) verb: Verb,
    pub(super) dry_run: bool,
}

impl Deed {
    pub(super) fn of(module: &str, order: &super::order::Order, spec: &TransferSpec) -> Self {
        let (verb, dry_run) = (spec.verb, spec.dry_run);
        Self { module: module.to_owned(), order: order.kind(), verb, dry_run }
    }
}

struct Entry {
    id: u64,
    deed: Deed,
    peer: SocketAddr,
    key: Option<PublicKey>,
    started: SystemTime,
    begun: Instant,
    state: State,
}

enum State {
    /// The way to the session.
    Running(Port),
    Ended(Progress, Duration, End),
}

impl Ledger {
    /// Enters a session that can begin.
    fn enter(&self, id: u64, deed: Deed, caller: &Caller, port: Port) {
        let entry = Entry {
            id,
            deed,
            peer: caller.peer,
            key: caller.key,
            started: SystemTime::now(),
            begun: Instant::now(),
            state: State::Running(port),
        };
        self.lock().running.insert(id, entry);
    }

    /// Takes note of how a session has ended.
    fn end(&self, id: u64, failed: u64, error: Option<&Error>) {
        let mut entries = self.lock();
        let Some(mut entry) = entries.running.remove(&id) else { return };
        if let State::Running(port) = &entry.state {
            let end = End { failed, error: error.cloned() };
            let progress = port.control().progress();
            entry.state = State::Ended(progress, entry.begun.elapsed(), end);
        }
        entries.ended.push_back(entry);
        if entries.ended.len() > ENDED_MAX {
            entries.ended.pop_front();
        }
    }

    /// Forgets a session that never began.
    fn forget(&self, id: u64) {
        drop(self.lock().running.remove(&id));
    }

    /// The jobs of `caller`, or the one of this number.
    ///
    /// # Errors
    /// `Refused` where that is none of them.
    pub(super) fn tell(
        &self,
        id: Option<u64>,
        caller: &Caller,
        host: &dyn Host,
    ) -> Result<Told, Error> {
        let entries = self.lock();
        let all = entries.ended.iter().chain(entries.running.values());
        let asked = all.filter(|entry| id.is_none_or(|id| entry.id == id));
        let mut jobs: Vec<Job> =
            asked.filter(|entry| entry.is_of(caller, host)).map(Entry::job).collect();
        jobs.sort_by_key(|job| job.id);
        match id {
            Some(id) if jobs.is_empty() => Err(unknown(id)),
            _ => Ok(Told { moved: moved(&jobs), jobs }),
        }
    }

    /// Ends a job of `caller`.
    ///
    /// # Errors
    /// `Refused` where there is no such job of `caller`, and where it has ended.
    pub(super) fn cancel(&self, id: u64, caller: &Caller, host: &dyn Host) -> Result<(), Error> {
        let entries = self.lock();
        let ended = entries.ended.iter().find(|entry| entry.id == id);
        let entry = entries.running.get(&id).or(ended);
        let entry = entry.filter(|entry| entry.is_of(caller, host)).ok_or_else(|| unknown(id))?;
        let State::Running(port) = &entry.state else {
            return Err(refused("cancel job", id.to_string().as_bytes(), "it has ended already"));
        };
        let key = caller.key.map(|key| format!(" with the key {}", key.fingerprint()));
        let why = format!("it was cancelled from {}{}", caller.peer, key.unwrap_or_default());
        let shown = id.to_string();
        let error = Error::because(ErrorKind::Cancelled, "run job", shown.as_bytes(), why);
        port.post(Event::Cut(error));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether `caller` has started it, and may use its module still. Who has no key is known by the address.
    fn is_of(&self, caller: &Caller, host: &dyn Host) -> bool {
        let is_same = match (&self.key, &caller.key) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.peer.ip() == caller.peer.ip(),
            _ => false,
        };
        is_same && host.module(&self.deed.module, caller).is_some()
    }

    fn job(&self) -> Job {
        let (progress, took, end) = match &self.state {
            State::Running(port) => (port.control().progress(), self.begun.elapsed(), None),
            State::Ended(progress, took, end) => (*progress, *took, Some(end.clone())),
        };
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Job {
            id: self.id,
            module: self.deed.module.clone(),
            order: self.deed.order,
            verb: self.deed.verb,
            dry_run: self.deed.dry_run,
            address: self.peer.to_string(),
            key: self.key.map(|key| key.fingerprint().to_string()).unwrap_or_default(),
            started: Time {
                secs: i64::try_from(started.as_secs()).unwrap_or(i64::MAX),
                nanos: started.subsec_nanos(),
            },
            took,
            progress,
            end,
        }
    }
}

/// A job that is entered: forgotten at the end, unless how it ended was told.
pub(super) struct Entered {
    shared: Arc<Shared>,
    id: u64,
}

impl Entered {
    pub(super) fn new(
        shared: &Arc<Shared>,
        id: u64,
        deed: Deed,
        (caller, port): (&Caller, Port),
    ) -> Self {
        shared.ledger.enter(id, deed, caller, port);
        Self { shared: Arc::clone(shared), id }
    }

    pub(super) fn end(&self, failed: u64, error: Option<&Error>) {
        self.shared.ledger.end(self.id, failed, error);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.ledger.forget(self.id);
    }
}

/// A number that is another one when a job has begun, moved or ended.
fn moved(jobs: &[Job]) -> u64 {
    jobs.iter().fold(0, |all: u64, job| {
        let Progress { files, bytes, files_known, bytes_known, .. } = job.progress;
        let counts = [job.id, u64::from(job.end.is_some()), files, bytes, files_known, bytes_known];
        counts.iter().fold(all, |all, count| all.wrapping_mul(MOVED_PRIME).wrapping_add(*count))
    })
}

fn unknown(id: u64) -> Error {
    let why = "there is no such job, or it was not started with this key";
    refused("find job", id.to_string().as_bytes(), why)
}

/// Jobs that are remembered after their end.
const ENDED_MAX: usize = 64;
/// Odd and large, so that numbers that change by turns do not add up to the same.
const MOVED_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use blit_core::event::{Control, Seat};

    use super::*;
    use crate::identity::Identity;
    use crate::serve::{Happening, ModuleInfo, Workshop};

    /// Offers the module `m` alone.
    struct Offers;

    impl Host for Offers {
        fn motd(&self) -> String {
            String::new()
        }

        fn modules(&self, _caller: &Caller) -> Vec<ModuleInfo> {
            Vec::new()
        }

        fn module(&self, name: &str, _caller: &Caller) -> Option<ModuleInfo> {
            let info = ModuleInfo { name: "m".into(), comment: String::new(), read_only: false };
            (name == "m").then_some(info)
        }

        fn workshop(&self, _: &str, _: &[u8], _: &Caller) -> Result<Workshop, Error> {
            Err(refused("use module", b"", "there is none in this test"))
        }

        fn allows_plaintext(&self, _caller: &Caller) -> bool {
            true
        }

        fn diagnosis(&self, _caller: &Caller) -> Vec<String> {
            Vec::new()
        }

        fn note(&self, _happening: &Happening<'_>) {}
    }

    fn caller(address: &str, key: Option<PublicKey>) -> Caller {
        let peer = address.parse().expect("an address");
        Caller { peer, local: peer, key, is_sealed: key.is_some() }
    }

    fn enter(ledger: &Ledger, id: u64, module: &str, caller: &Caller) {
        let (sender, _) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        let deed = Deed {
            module: module.to_owned(),
            order: Order::Push,
            verb: Verb::Copy,
            dry_run: false,
        };
        ledger.enter(id, deed, caller, port);
    }

    fn seen(ledger: &Ledger, caller: &Caller) -> Vec<u64> {
        let told = ledger.tell(None, caller, &Offers).expect("any answer");
        told.jobs.iter().map(|job| job.id).collect()
    }

    #[test]
    fn a_job_is_shown_to_its_key_or_to_its_address_while_its_module_is_offered() {
        let key = || Some(Identity::generate().expect("random numbers").public_key());
        let (own, other) = (key(), key());
        let ledger = Ledger::default();
        enter(&ledger, 1, "m", &caller("192.0.2.1:1", own));
        enter(&ledger, 2, "m", &caller("127.0.0.1:1", None));
        enter(&ledger, 3, "gone", &caller("192.0.2.1:1", own));
        for (who, ids) in [
            (caller("192.0.2.1:2", own), &[1][..]),
            (caller("192.0.2.9:1", own), &[1]),
            (caller("192.0.2.1:1", other), &[]),
            (caller("192.0.2.1:1", None), &[]),
            (caller("127.0.0.1:2", None), &[2]),
            (caller("127.0.0.2:2", None), &[]),
            (caller("127.0.0.1:2", own), &[1]),
        ] {
            assert_eq!(seen(&ledger, &who), ids, "{who:?}");
            for id in 1..=4 {
                let cancelled = ledger.cancel(id, &who, &Offers);
                assert_eq!(cancelled.is_ok(), ids.contains(&id), "{who:?} {id}");
            }
        }
    }

    #[test]
    fn the_last_jobs_are_kept_and_those_that_never_began_are_forgotten() {
        let (ledger, who) = (Ledger::default(), caller("127.0.0.1:1", None));
        for id in 1..=70 {
            enter(&ledger, id, "m", &who);
            ledger.end(id, 0, None);
        }
        enter(&ledger, 71, "m", &who);
        let before = ledger.tell(None, &who, &Offers).expect("an answer");
        assert_eq!(seen(&ledger, &who), (7..=71).collect::<Vec<u64>>());
        ledger.forget(71);
        ledger.forget(70);
        assert_eq!(seen(&ledger, &who), (7..=70).collect::<Vec<u64>>());
        assert_ne!(before.moved, ledger.tell(None, &who, &Offers).expect("an answer").moved);
    }
}
