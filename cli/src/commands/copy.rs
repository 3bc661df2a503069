//! `blit copy`. It must not know how a transfer is run or how anything is worded.

use crate::args::CopyArgs;
use crate::filter;
use crate::options::{self, Verb};
use crate::report::Exit;
use crate::run::go;

/// Copies and tells about it.
pub(crate) fn run(args: &CopyArgs) -> Exit {
    let transfer = &args.transfer;
    let telling = options::telling(Verb::Copy, &transfer.output, transfer.dry_run);
    go(telling.clone(), options::engine(&transfer.engine), |run| {
        let mut request = options::copy(args, &telling)?;
        run.limit_rate(transfer.bwlimit);
        request.spec.filter = filter::read(&transfer.filter, run)?;
        run.transfer(&request)
    })
}
