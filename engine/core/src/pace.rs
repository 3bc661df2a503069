//! How fast a run may move bytes. It must not read a clock or wait: engines hand in the time and wait.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A bound on the bytes per second, shared by all workers of a run. Each reserves a turn for what it is about to write,
/// and waits for it; so the bytes flow evenly, however many ask.
#[derive(Debug)]
pub struct Pace {
    bytes_per_sec: u64,
    /// When the next bytes may be written, after the beginning that all times count from.
    free: Mutex<Duration>,
}

impl Pace {
    /// A bound of so many bytes per second, at least [`BYTES_PER_SEC_MIN`].
    pub fn new(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec: bytes_per_sec.max(BYTES_PER_SEC_MIN), free: Mutex::default() }
    }

    /// The most that is reserved at once: what flows in a tenth of a second, so that progress is smooth and a wait short.
    pub fn slice_bytes(&self) -> u64 {
        (self.bytes_per_sec / SLICES_PER_SEC).max(1)
    }

    /// Reserves the next turn for `bytes` at the time `now`, and says how long to wait for it.
    pub fn reserve(&self, bytes: u64, now: Duration) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_sec);
        let lasts = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*free).max(now);
        *free = turn.saturating_add(lasts);
        turn.saturating_sub(now)
    }
}

/// Below this a single page of a file would take seconds, and a run could not be told from one that hangs.
pub const BYTES_PER_SEC_MIN: u64 = 1024;
const SLICES_PER_SEC: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_each_other_at_the_given_rate_and_unused_time_is_not_saved_up() {
        let pace = Pace::new(10_000);
        let at = Duration::from_millis;
        assert_eq!(pace.slice_bytes(), 1000);
        assert_eq!(pace.reserve(1000, at(5000)), at(0));
        assert_eq!(pace.reserve(1000, at(5000)), at(100));
        assert_eq!(pace.reserve(500, at(5050)), at(150));
        assert_eq!(pace.reserve(1000, at(9000)), at(0));
        assert_eq!(pace.reserve(1000, at(9000)), at(100));
    }

    #[test]
    fn what_flows_in_a_second_is_the_rate_whatever_the_slices() {
        for slice in [1, 7, 1000] {
            let pace = Pace::new(5000);
            let mut sent = 0;
            while pace.reserve(slice, Duration::ZERO) < Duration::from_secs(1) {
                sent += slice;
            }
            assert!((5000..=5000 + slice).contains(&sent), "{sent} in steps of {slice}");
        }
    }
}
