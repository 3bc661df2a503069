//! `blit check`: a mirror that is never made. It must not compare anything itself.

use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::CheckArgs;
use crate::filter;
use crate::options::{self, Verb};
use crate::report::Exit;
use crate::run::go;

/// Compares and tells about it.
pub(crate) fn run(args: &CheckArgs) -> Exit {
    let telling = options::telling(Verb::Check, &args.output, true);
    go(telling.clone(), options::engine(&args.engine), |run| {
        let mut request = options::check(args, &telling)?;
        // A mirror would make it.
        let (to, access) = (&request.destination, request.access.as_ref());
        let found = run.tell(|hands, observe| {
            let found = look::space(to, hands, access, observe);
            Outcome { error: found.err(), ..Outcome::default() }
        })?;
        if found.error.is_some() {
            return Ok(found);
        }
        request.spec.filter = filter::read(&args.filter, run)?;
        run.transfer(&request)
    })
}
