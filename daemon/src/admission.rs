//! How many connections there are, in all and from one address, and whether another one is let in.
//! It must not know sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At once.
    pub all_max: usize,
    /// At once from one place: an IPv4 address, or the 64 bits of an IPv6 one that name a network.
    pub per_place_max: usize,
}

/// Lets connections in up to a bound.
#[derive(Debug)]
pub struct Admission {
    state: Mutex<State>,
    /// Signalled when the last connection ends.
    empty: Condvar,
    accepted: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    all: usize,
    places: HashMap<IpAddr, usize>,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    All,
    /// There are as many from this place as there may be.
    Place,
}

impl Full {
    /// In words, with the key of the configuration that says how many.
    pub fn words(self) -> &'static str {
        match self {
            Self::All => "there are as many connections as max_connections allows",
            Self::Place => {
                "there are as many connections from this address as max_connections_per_address allows"
            }
        }
    }
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    admission: Arc<Admission>,
    place: IpAddr,
}

impl Admission {
    /// One that has let nobody in.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { bounds, all: 0, places: HashMap::new() }),
            empty: Condvar::new(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Lets a connection from `peer` in.
    ///
    /// # Errors
    /// Which bound is reached; it is counted.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Slot, Full> {
        let place = place_of(peer);
        let mut state = self.lock();
        let here = state.places.get(&place).copied().unwrap_or(0);
        let full = if state.all >= state.bounds.all_max {
            Some(Full::All)
        } else if here >= state.bounds.per_place_max {
            Some(Full::Place)
        } else {
            None
        };
        if let Some(full) = full {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(full);
        }
        state.all += 1;
        state.places.insert(place, here + 1);
        drop(state);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(Slot { admission: Arc::clone(self), place })
    }

    /// Changes the bounds. Who is in stays in.
    pub fn rebind(&self, bounds: Bounds) {
        self.lock().bounds = bounds;
    }

    /// Connections that are in.
    pub fn count(&self) -> usize {
        self.lock().all
    }

    /// Connections ever let in.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections ever not let in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until nobody is in, at most for `time`; whether it came to that.
    pub fn wait_until_empty(&self, time: Duration) -> bool {
        let waited = self.empty.wait_timeout_while(self.lock(), time, |state| state.all > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.all == 0
    }

    fn leave(&self, place: IpAddr) {
        let mut state = self.lock();
        state.all -= 1;
        let here = state.places.get(&place).copied().unwrap_or(0);
        if here > 1 {
            state.places.insert(place, here - 1);
        } else {
            // So that the map holds no more places than there are connections.
            state.places.remove(&place);
        }
        let is_empty = state.all == 0;
        drop(state);
        if is_empty {
            self.empty.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.leave(self.place);
    }
}

/// An IPv6 user has a whole network of 64 bits; counting single addresses would count nothing.
fn place_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Says the same thing at most once in a while, and then how often it happened.
#[derive(Debug)]
pub struct Seldom {
    interval: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// At most once per `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new((None, 0)) }
    }

    /// Counts an occurrence at `now`; how many there were since it was last said, if it is to be said now.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, unsaid) = &mut *state;
        *unsaid += 1;
        let is_due = said.is_none_or(|said| now.saturating_duration_since(said) >= self.interval);
        is_due.then(|| {
            *said = Some(now);
            std::mem::take(unsaid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_are_bounded_in_all_and_a_dropped_one_makes_room() {
        let admission = Admission::new(Bounds { all_max: 2, per_place_max: 9 });
        let first = admission.admit(ip("192.0.2.1")).expect("room");
        let second = admission.admit(ip("192.0.2.2")).expect("room");
        assert_eq!(admission.admit(ip("192.0.2.3")).expect_err("full"), Full::All);
        assert_eq!((admission.count(), admission.accepted(), admission.refused()), (2, 2, 1));
        drop(first);
        let third = admission.admit(ip("192.0.2.3")).expect("room");
        drop((second, third));
        assert_eq!(admission.count(), 0);
        assert!(admission.lock().places.is_empty(), "nothing is remembered of who has gone");
    }

    #[test]
    fn an_ipv4_address_and_an_ipv6_network_are_one_place_each() {
        let admission = Admission::new(Bounds { all_max: 100, per_place_max: 1 });
        let mut slots = Vec::new();
        for (address, admitted) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:0:0:2", false),
            ("2001:db8:0:1::1", true),
            ("::1", true),
        ] {
            let admission = admission.admit(ip(address));
            assert_eq!(admission.is_ok(), admitted, "{address}");
            if let Err(full) = &admission {
                assert_eq!(*full, Full::Place);
            }
            slots.extend(admission);
        }
    }

    #[test]
    fn lower_bounds_hold_for_those_who_come_later() {
        let admission = Admission::new(Bounds { all_max: 3, per_place_max: 3 });
        let slots = [1, 2].map(|_| admission.admit(ip("::1")).expect("room"));
        admission.rebind(Bounds { all_max: 1, per_place_max: 1 });
        assert!(admission.admit(ip("192.0.2.1")).is_err());
        drop(slots);
        assert!(admission.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn one_can_wait_for_the_last_to_leave_but_not_for_ever() {
        let admission = Admission::new(Bounds { all_max: 3, per_place_max: 3 });
        assert!(admission.wait_until_empty(Duration::ZERO));
        let slot = admission.admit(ip("::1")).expect("room");
        assert!(!admission.wait_until_empty(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| drop(slot));
            assert!(admission.wait_until_empty(Duration::from_secs(20)));
        });
    }

    #[test]
    fn what_happens_often_is_said_seldom_and_counted() {
        let seldom = Seldom::new(Duration::from_secs(5));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let said = [0, 1, 4, 5, 6, 11].map(|seconds| seldom.count(at(seconds)));
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
