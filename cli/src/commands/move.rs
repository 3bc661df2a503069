//! `blit move`. It must not know how a transfer is run or how anything is worded.

use blit_core::spec;

use crate::args::MoveArgs;
use crate::filter;
use crate::options::{self, Verb};
use crate::report::Exit;
use crate::run::go;

/// Moves and tells about it.
pub(crate) fn run(args: &MoveArgs) -> Exit {
    let transfer = &args.transfer;
    let telling = options::telling(Verb::Move, &transfer.output, transfer.dry_run);
    go(telling.clone(), options::engine(&transfer.engine), |run| {
        let mut request = options::request(spec::Verb::Move, &args.paths, transfer, &telling)?;
        request.spec.fsync = true;
        request.spec.filter = filter::read(&transfer.filter, run)?;
        run.transfer(&request)
    })
}
