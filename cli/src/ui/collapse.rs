//! How a process tells that it cannot go on: a mistake of its own, or nothing left of what it needs.
//! It must not decide whether it goes on all the same.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use blit_core::path::Escaped;
use signal_hook::low_level;

use super::tell;
use crate::report::{self, Exit};

/// Makes a panic one line for the user instead of a trace.
pub(crate) fn tell_panics_plainly() {
    panic::set_hook(Box::new(|info| {
        PANICKED.store(true, Ordering::Relaxed);
        tell(&panic_line(info));
    }));
}

/// Whether any thread has panicked.
pub(crate) fn has_told_panic() -> bool {
    PANICKED.load(Ordering::Relaxed)
}

/// Ends the process when it gets no more memory. It must not need any itself.
pub(crate) fn end_without_memory() -> ! {
    for text in
        ["error: allocate memory: the system gives no more\nhint: ", report::EXHAUSTED, "\n"]
    {
        tell(text);
    }
    low_level::exit(Exit::Failed.code())
}

/// Whether a library gave up for want of memory or threads.
fn is_exhaustion(what: &str) -> bool {
    // What the system says for ENOMEM and EAGAIN.
    ["Cannot allocate memory", "OutOfMemory", "Resource temporarily unavailable"]
        .iter()
        .any(|words| what.contains(words))
}

fn panic_line(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("no message");
    if is_exhaustion(what) {
        let what = Escaped(what.as_bytes());
        return format!(
            "error: start a thread or map memory: {what}\nhint: {}\n",
            report::EXHAUSTED
        );
    }
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    format!(
        "internal error: {}{place}; please report this with the command that you ran\n",
        Escaped(what.as_bytes())
    )
}

static PANICKED: AtomicBool = AtomicBool::new(false);
