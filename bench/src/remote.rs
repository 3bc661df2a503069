//! `blit-bench remote`: which pairs of client and daemon transfer which trees over loopback.

use std::env;
use std::path::Path;

use crate::args::{Direction, RemoteArgs, TreeChoice};
use crate::choice;
use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::peers::Operation;
use crate::report::Report;
use crate::routes::Search;
use crate::session::{self, Plan};

/// Runs the whole session. What the copiers do wrong is in the report, not an error.
pub(crate) fn run(args: &RemoteArgs, interrupt: &Interrupt) -> Result<Report> {
    let runner = env::current_exe().on("find", Path::new("blit-bench"))?;
    let session = &args.session;
    let blit = session.blit.clone().unwrap_or_else(|| runner.with_file_name("blit"));
    let blitd = args.blitd.clone().unwrap_or_else(|| blit.with_file_name("blitd"));
    let search = Search {
        blit: &blit,
        blitd: &blitd,
        engines: &session.engines,
        streams: &args.streams,
        peer_paths: &session.peer_paths,
    };
    let (mut arms, mut missing) = (Vec::new(), Vec::new());
    for found in args.arms.iter().flat_map(|route| route.find(&search)) {
        match found {
            Ok(arm) => arms.push(arm),
            Err(absent) => missing.push(absent),
        }
    }
    let operation = |direction: &Direction| match direction {
        Direction::Push => Operation::Push,
        Direction::Pull => Operation::Pull,
    };
    let operations = args.directions.iter().map(operation).collect();
    let all = [TreeChoice::Small, TreeChoice::Big, TreeChoice::Mixed, TreeChoice::Real];
    let trees = choice::trees(session, &all)?;
    let plan = Plan { verb: "remote", arms, missing, operations, trees };
    session::run(session, plan, interrupt)
}
