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
        if let Some(note) = into_itself(&args.paths) {
            run.note(note);
        }
        run.limit_rate(transfer.bwlimit);
        request.spec.filter = filter::read(&transfer.filter, run)?;
        run.transfer(&request)
    })
}

/// What to say to someone who moves a directory to a name that does not exist: it does not get that name, as `mv` would have it.
fn into_itself(paths: &[OsString]) -> Option<String> {
    let [source, destination] = paths else { return None };
    let is_bare = |path: &OsString| !path.as_encoded_bytes().ends_with(b"/");
    let name = Path::new(source).file_name()?;
    let is_new = Path::new(destination).symlink_metadata().is_err();
    let is_dir = Path::new(source).symlink_metadata().is_ok_and(|meta| meta.is_dir());
    (is_bare(source) && is_bare(destination) && is_new && is_dir)
        .then(|| report::moved_into(source, destination, name))
}
