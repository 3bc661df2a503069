//! `blit check`: a mirror that is never made. It must not compare anything itself.

use blit_core::Error;
use blit_core::endpoint::Endpoint;

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
        if let Endpoint::Local(local) = &request.destination {
            let shown = local.path.as_os_str().as_encoded_bytes();
            let found = local.path.metadata();
            found
                .map_err(|error| Error::new(Error::io("open", shown, error).kind, "open", shown))?;
        }
        request.spec.filter = filter::read(&args.filter, run)?;
        run.transfer(&request)
    })
}
