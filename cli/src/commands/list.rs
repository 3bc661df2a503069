//! `blit list`. It must not know how an entry is shown.

use blit_core::entry::Entry;
use blit_core::spec::{self, TransferSpec};
use blit_core::summary::Notice;
use blit_rpc::look;

use crate::args::ListArgs;
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::go;

/// Lists what is in a directory, by name.
pub(crate) fn run(args: &ListArgs) -> Exit {
    let telling = options::looking(Verb::List, args.json);
    go(telling, options::engine(&args.engine), |run| {
        let endpoint = options::endpoint(&args.path)?;
        let access = access::without_contents([&endpoint], &args.network)?;
        let spec = TransferSpec { recursive: false, ..TransferSpec::new(spec::Verb::Copy) };
        let mut entries: Vec<Entry> = Vec::new();
        let outcome = run.watch(
            |hands, observe| look::look(&endpoint, &spec, (hands, access.as_ref()), observe),
            |_, notice| {
                if let Notice::Listing(listing) = notice {
                    entries.extend(listing.page.iter().cloned());
                }
            },
        )?;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        run.ui.entries(&entries);
        Ok(outcome)
    })
}
