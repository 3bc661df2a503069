//! `blit-bench local`: which copiers copy which trees on one machine.

use std::env;
use std::path::Path;

use crate::args::{LocalArgs, LocalOperation, TreeChoice};
use crate::choice;
use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::peers::{Operation, Search};
use crate::report::Report;
use crate::session::{self, Plan};

/// Runs the whole session. What the copiers do wrong is in the report, not an error.
pub(crate) fn run(args: &LocalArgs, interrupt: &Interrupt) -> Result<Report> {
    let runner = env::current_exe().on("find", Path::new("blit-bench"))?;
    let (session, beside) = (&args.session, runner.with_file_name("blit"));
    let search = Search {
        blit: session.blit.as_deref().unwrap_or(&beside),
        peer_paths: &session.peer_paths,
    };
    let operation = |operation: &LocalOperation| match operation {
        LocalOperation::Copy => Operation::Copy,
        LocalOperation::Delete => Operation::Delete,
    };
    let operations: Vec<Operation> = args.operations.iter().map(operation).collect();
    let (mut arms, mut missing) = (Vec::new(), Vec::new());
    let peers = args.arms.iter().filter(|peer| peer.knows(&operations));
    for found in peers.flat_map(|peer| peer.find(&session.engines, &search)) {
        match found {
            Ok(arm) => arms.push(arm),
            Err(absent) => missing.push(absent),
        }
    }
    let all = [TreeChoice::Small, TreeChoice::Big, TreeChoice::Mixed, TreeChoice::Real];
    let trees = choice::trees(session, &all)?;
    let plan = Plan { verb: "local", arms, missing, operations, trees };
    session::run(session, plan, interrupt)
}
