//! `blit move`. It must not know how a transfer is run or how anything is worded.

use std::ffi::OsString;
use std::path::Path;

use blit_core::spec;

use crate::args::MoveArgs;
use crate::filter;
use crate::options::{self, Verb};
use crate::report::{self, Exit};
use crate::run::go;

/// Moves and tells about it.
pub(crate) fn run(args: &MoveArgs) -> Exit {
    let transfer = &args.transfer;
    let telling = options::telling(Verb::Move, &transfer.output, transfer.dry_run);
    go(telling.clone(), options::engine(&transfer.engine), |run| {
        let mut request = options::request(spec::Verb::Move, &args.paths, transfer, &telling)?;
        request.spec.fsync = true;
        run.limit_rate(transfer.bwlimit);
        request.spec.filter = filter::read(&transfer.filter, run)?;
        let outcome = run.transfer(&request)?;
        if outcome.into_new_dir {
            into_itself(&args.paths).into_iter().for_each(|note| run.note(note));
        }
        Ok(outcome)
    })
}

/// What to say to someone who has moved a directory to a name that did not exist: it has not got that name, as `mv` would have
/// it.
fn into_itself(paths: &[OsString]) -> Option<String> {
    let [source, destination] = paths else { return None };
    let is_bare = |path: &OsString| !path.as_encoded_bytes().ends_with(b"/");
    let name = Path::new(source).file_name()?;
    (is_bare(source) && is_bare(destination)).then(|| report::moved_into(source, destination, name))
}
