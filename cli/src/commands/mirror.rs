//! `blit mirror`: nothing is removed unasked. It must not know how a transfer is run, nor decide what is removed.

use blit_core::{Error, ErrorKind};
use blit_rpc::transfer::{Outcome, Request};

use crate::args::MirrorArgs;
use crate::filter;
use crate::options::limit::Share;
use crate::options::{self, Verb};
use crate::report::{self, Exit};
use crate::run::{Run, go};
use crate::ui;

/// Mirrors and tells about it.
pub(crate) fn run(args: &MirrorArgs) -> Exit {
    let transfer = &args.transfer;
    let telling = options::telling(Verb::Mirror, &transfer.output, transfer.dry_run);
    go(telling.clone(), options::engine(&transfer.engine), |run| {
        let mut request = options::mirror(args, &telling)?;
        let asks = !args.yes && !transfer.dry_run;
        if asks && !ui::can_ask(telling.progress) {
            let dst = args.dst.as_encoded_bytes();
            return Err(Error::because(ErrorKind::Usage, "mirror to", dst, report::NOBODY_TO_ASK));
        }
        run.limit_rate(transfer.bwlimit);
        request.spec.filter = filter::read(&transfer.filter, run)?;
        if args.delete_excluded {
            // A rule may only have been of use for what is removed, which nothing counts.
            run.watch_filter(&None);
        }
        if (asks || args.max_delete.is_some())
            && let Some(outcome) = settle(run, args, &mut request)?
        {
            return Ok(outcome);
        }
        run.transfer(&request)
    })
}

/// Finds out how much would be removed, and whether that is all right. If not, gives how the run ends.
fn settle(
    run: &mut Run,
    args: &MirrorArgs,
    request: &mut Request,
) -> Result<Option<Outcome>, Error> {
    let mut trial = request.clone();
    trial.spec.dry_run = true;
    trial.spec.itemise = false;
    let outcome = run.transfer(&trial)?;
    // What cannot even be tried ends the run; that single entries cannot be read is told by the run itself.
    if outcome.error.is_some() {
        return Ok(Some(outcome));
    }
    let counted = outcome.summary.removed;
    let dst = args.dst.as_encoded_bytes();
    if let Some(share) = args.max_delete {
        let most = share.of(outcome.summary.standing);
        if counted > most {
            let why = too_many(counted, share, most);
            return Err(Error::because(ErrorKind::Usage, "mirror to", dst, why));
        }
    }
    let asks = !args.yes && !args.transfer.dry_run;
    if asks && counted > 0 && !run.ask(&report::may_remove(counted, dst)) {
        return Err(Error::because(ErrorKind::Usage, "mirror to", dst, report::DECLINED));
    }
    request.spec.deletion.entries_max = Some(counted);
    Ok(None)
}

fn too_many(counted: u64, share: Share, most: u64) -> String {
    let most = match share {
        Share::Count(_) => most.to_string(),
        Share::Percent(percent) => format!("{most} ({percent}% of what stands there)"),
    };
    format!(
        "{counted} entries would be removed, and --max-delete allows {most}; nothing was touched"
    )
}
