//! `blit list`. It must not know how an entry is shown.

use std::ffi::{OsStr, OsString};

use blit_core::Error;
use blit_core::entry::{Entry, Meta};
use blit_core::spec::{self, TransferSpec};
use blit_core::summary::Notice;
use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::ListArgs;
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::{Run, go};

/// Lists what is in a directory, by name, or what is named.
pub(crate) fn run(args: &ListArgs) -> Exit {
    let telling = options::looking(Verb::List, args.json);
    go(telling, options::engine(&args.engine), |run| match &args.paths[..] {
        [path] if !args.directory => inside(args, path, run),
        paths => themselves(args, paths, run),
    })
}

fn inside(args: &ListArgs, path: &OsStr, run: &mut Run) -> Result<Outcome, Error> {
    let endpoint = options::endpoint(path)?;
    let access = access::without_contents([&endpoint], &args.network)?;
    let spec = TransferSpec { recursive: false, ..TransferSpec::new(spec::Verb::Copy) };
    let mut entries: Vec<(Vec<u8>, Meta)> = Vec::new();
    let outcome = run.watch(
        |hands, observe| look::look(&endpoint, &spec, (hands, access.as_ref()), observe),
        |_, notice| {
            if let Notice::Listing(listing) = notice {
                let named = |entry: &Entry| (entry.name.as_bytes().to_vec(), entry.meta.clone());
                entries.extend(listing.page.iter().map(named));
            }
        },
    )?;
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    run.ui.entries(&entries);
    Ok(outcome)
}

/// What is not there is an entry that fails; the others are told all the same.
fn themselves(args: &ListArgs, paths: &[OsString], run: &mut Run) -> Result<Outcome, Error> {
    let endpoints = options::endpoints(paths)?;
    let access = access::without_contents(&endpoints, &args.network)?;
    let mut found = Vec::new();
    let mut outcome = run.tell(|hands, observe| {
        match look::stat(&endpoints, hands, access.as_ref(), observe) {
            Ok(answer) => found = answer,
            Err(error) => return Outcome { error: Some(error), ..Outcome::default() },
        }
        Outcome::default()
    })?;
    let mut entries = Vec::new();
    for (path, standing) in paths.iter().zip(found) {
        match standing {
            Ok(meta) => entries.push((path.as_encoded_bytes().to_vec(), meta)),
            Err(error) => outcome.summary.fail(error),
        }
    }
    outcome.summary.entries = entries.len() as u64;
    run.ui.entries(&entries);
    Ok(outcome)
}
