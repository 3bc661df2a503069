//! Waits until bytes may be written, where their rate is bounded. It must not decide how fast that is.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use blit_core::event::Control;
use blit_core::pace::Pace;

/// Reserves a turn for `bytes` and waits for it.
///
/// # Errors
/// `Interrupted` when the run is cancelled meanwhile.
pub(crate) fn wait(pace: &Pace, bytes: u64, control: &Control) -> io::Result<()> {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    let now = begin.elapsed();
    let turn = now + pace.reserve(bytes, now);
    loop {
        if control.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let left = turn.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

/// The same for as many turns as `bytes` take, so that what is large is no burst.
///
/// # Errors
/// `Interrupted` when the run is cancelled meanwhile.
pub(crate) fn wait_for_all(pace: &Pace, bytes: usize, control: &Control) -> io::Result<()> {
    let mut left = bytes as u64;
    while left > 0 {
        let slice = left.min(pace.slice_bytes());
        wait(pace, slice, control)?;
        left -= slice;
    }
    Ok(())
}

/// How long a cancelled run waits at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);
