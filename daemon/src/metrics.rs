//! What a daemon counts, and the text in which it tells it.
//! It must not know who counts or who reads.

pub mod responder;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::admission::Admission;

/// A number that many threads change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts up.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts down what was counted up before.
    pub fn take(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// The number.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted beside connections.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions that run.
    pub sessions_running: Counter,
    /// Sessions that did what was asked.
    pub sessions_finished: Counter,
    /// Sessions that did not.
    pub sessions_failed: Counter,
    /// Bytes of content sent.
    pub bytes_sent: Counter,
    /// Bytes of content received.
    pub bytes_received: Counter,
    /// Entries read or written.
    pub entries: Counter,
    /// Data connections whose token was not good.
    pub tokens_refused: Counter,
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn text(&self, admission: &Admission) -> String {
        let open = u64::try_from(admission.count()).unwrap_or(u64::MAX);
        let rows = [
            ("connections_open", "gauge", "Connections that are open.", open),
            ("connections_accepted_total", "counter", "Connections let in.", admission.accepted()),
            (
                "connections_refused_total",
                "counter",
                "Connections not let in.",
                admission.refused(),
            ),
            ("sessions_running", "gauge", "Sessions that run.", self.sessions_running.count()),
            (
                "sessions_finished_total",
                "counter",
                "Sessions that did what was asked.",
                self.sessions_finished.count(),
            ),
            (
                "sessions_failed_total",
                "counter",
                "Sessions that failed.",
                self.sessions_failed.count(),
            ),
            ("bytes_sent_total", "counter", "Bytes of content sent.", self.bytes_sent.count()),
            (
                "bytes_received_total",
                "counter",
                "Bytes of content received.",
                self.bytes_received.count(),
            ),
            ("entries_total", "counter", "Entries read or written.", self.entries.count()),
            (
                "tokens_refused_total",
                "counter",
                "Data connections with a wrong or used token.",
                self.tokens_refused.count(),
            ),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            // Writing to a String cannot fail.
            let _written = write!(
                text,
                "# HELP blitd_{name} {help}\n# TYPE blitd_{name} {kind}\nblitd_{name} {value}\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Bounds;

    #[test]
    fn every_count_has_its_line() {
        let admission = Admission::new(Bounds { all_max: 1, per_place_max: 1 });
        let peer = "192.0.2.1".parse().expect("an address");
        let _slot = admission.admit(peer).expect("room");
        assert!(admission.admit(peer).is_err());
        let metrics = Metrics::default();
        metrics.bytes_sent.add(7);
        let text = metrics.text(&admission);
        for line in [
            "blitd_connections_open 1",
            "blitd_connections_accepted_total 1",
            "blitd_connections_refused_total 1",
            "blitd_bytes_sent_total 7",
            "# TYPE blitd_sessions_running gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
