//! `blit rm`: removes nothing unasked. It must not remove anything itself, nor decide what may be removed.

use blit_core::{Error, ErrorKind};
use blit_rpc::remove::{self, Doomed};

use crate::args::RmArgs;
use crate::filter;
use crate::options::{self, Verb, access};
use crate::report::{self, Exit};
use crate::run::go;
use crate::ui;

/// Removes and tells about it.
pub(crate) fn run(args: &RmArgs) -> Exit {
    let telling = options::telling(Verb::Rm, &args.output, args.dry_run);
    go(telling.clone(), options::engine(&args.engine), |run| {
        let endpoints = options::endpoints(&args.paths)?;
        let listed = match &args.files_from {
            Some(from) => filter::paths(from, args.from0)?,
            None => Vec::new(),
        };
        let doomed = match &endpoints[..] {
            [base] if args.files_from.is_some() => Doomed::Below(base, &listed),
            endpoints => Doomed::Named(endpoints),
        };
        let access = access::without_contents(&endpoints, &args.network)?;
        let access = access.as_ref();
        let mut spec = options::removal(args, &telling);
        let asks = !args.yes && !args.dry_run;
        if asks && !ui::can_ask(telling.progress) {
            return Err(Error::because(ErrorKind::Usage, "remove", b"", report::NOBODY_TO_ASK));
        }
        if asks {
            let mut trial = spec.clone();
            trial.dry_run = true;
            trial.itemise = false;
            let found =
                run.tell(|hands, see| remove::remove(doomed, &trial, (hands, access), see))?;
            if found.error.is_some() {
                return Ok(found);
            }
            let counted = found.summary.removed;
            if counted > 0 && !run.ask(&report::may_remove(counted, b"")) {
                return Err(Error::because(ErrorKind::Usage, "remove", b"", report::DECLINED));
            }
            spec.deletion.entries_max = Some(counted);
        }
        run.tell(|hands, see| remove::remove(doomed, &spec, (hands, access), see))
    })
}
