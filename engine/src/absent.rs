//! Stands in for `uring` on systems that have no io_uring: it refuses.
//! It must not offer more than `start` asks of the real one.

use std::sync::Arc;

use blit_core::engine::Engine;

use crate::start::{Plan, Refusal};

/// Always refuses.
pub(crate) fn start(_plan: Plan) -> Result<Arc<dyn Engine>, Refusal> {
    Err(refusal())
}

/// Threads, and why.
pub(crate) fn start_or_threads(plan: Plan) -> (Arc<dyn Engine>, Option<Refusal>) {
    (Arc::new(plan.threads()), Some(refusal()))
}

fn refusal() -> Refusal {
    Refusal { step: "system", why: "only Linux has io_uring".to_owned() }
}
