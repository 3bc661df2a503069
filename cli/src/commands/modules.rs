//! `blit modules`. It must not know how a module is shown.

use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::{CarriageArgs, ModulesArgs};
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::go;

/// Lists what a daemon offers.
pub(crate) fn run(args: &ModulesArgs) -> Exit {
    let telling = options::looking(Verb::Modules, args.json);
    go(telling, options::NO_ENGINE, |run| {
        let (host, port) = access::daemon(&args.host)?;
        let access = access::access(&args.network, &CarriageArgs::default())?;
        let mut found = None;
        let mut outcome = run.tell(|(_, control), observe| {
            match look::modules((&host, port), &access, control, observe) {
                Ok(answer) => found = Some(answer),
                Err(error) => return Outcome { error: Some(error), ..Outcome::default() },
            }
            Outcome::default()
        })?;
        if let Some((welcome, modules)) = found {
            outcome.summary.entries = modules.len() as u64;
            run.ui.modules(&welcome, &modules);
        }
        Ok(outcome)
    })
}
