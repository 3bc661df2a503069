//! Runs one transfer: turns endpoints into sessions and links. It must not know how a task is executed or printed.

use std::sync::Arc;

use blit_core::endpoint::Endpoint;
use blit_core::engine::Engine;
use blit_core::event::Control;
use blit_core::spec::TransferSpec;
use blit_core::summary::{Change, Summary};
use blit_core::{Error, ErrorKind};

/// A transfer as the user asked for it.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is copied; at least one.
    pub sources: Vec<Endpoint>,
    /// Where to.
    pub destination: Endpoint,
    /// How.
    pub spec: TransferSpec,
}

/// How a transfer ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done up to the end.
    pub summary: Summary,
    /// Why it ended early, where it did.
    pub error: Option<Error>,
}

/// Runs `request` on `engine` until it is done, fails or is cancelled through `control`. `observe` is told each change
/// when the spec asks for it.
pub fn run(
    request: &Request,
    engine: &dyn Engine,
    control: &Arc<Control>,
    observe: &mut dyn FnMut(Change),
) -> Outcome {
    let _ = (request, engine, control, observe);
    Outcome { error: Some(Error::new(ErrorKind::Internal, "run", b"")), ..Outcome::default() }
}
