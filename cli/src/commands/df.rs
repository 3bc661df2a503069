//! `blit df`. It must not know how a file system is shown.

use blit_core::Error;
use blit_core::task::SpaceFacts;
use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::DfArgs;
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::go;

/// Tells how much room there is on the file system of each path.
pub(crate) fn run(args: &DfArgs) -> Exit {
    let telling = options::looking(Verb::Df, args.json);
    go(telling, options::engine(&args.engine), |run| {
        let mut spaces: Vec<(Vec<u8>, SpaceFacts)> = Vec::new();
        let mut missing: Option<Error> = None;
        for path in &args.paths {
            let endpoint = options::endpoint(path)?;
            let access = access::without_contents([&endpoint], &args.network)?;
            run.tell(|hands, observe| {
                match look::space(&endpoint, hands, access.as_ref(), observe) {
                    Ok(facts) => spaces.push((path.as_encoded_bytes().to_vec(), facts)),
                    Err(error) => missing = missing.take().or(Some(error)),
                }
                Outcome::default()
            })?;
        }
        run.ui.spaces(&spaces);
        Ok(Outcome { error: missing, ..Outcome::default() })
    })
}
