//! `blit find`. It must not know how a path is shown.

use blit_core::entry::{Entry, Kind};
use blit_core::filter::Filter;
use blit_core::spec::{self, TransferSpec};
use blit_core::summary::Notice;
use blit_rpc::look;

use crate::args::{FilterArgs, FindArgs, TypeWord};
use crate::filter;
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::go;

/// Prints the paths of what the filter admits.
pub(crate) fn run(args: &FindArgs) -> Exit {
    let telling = options::looking(Verb::Find, args.json);
    go(telling, options::engine(&args.engine), |run| {
        let endpoint = options::endpoint(&args.path)?;
        let access = access::without_contents([&endpoint], &args.network)?;
        let filter = filter::read(&args.filter, run)?;
        let spec = TransferSpec {
            one_file_system: args.filter.one_file_system,
            filter: filter.clone(),
            ..TransferSpec::new(spec::Verb::Copy)
        };
        let wanted = Wanted { args, filter: filter.as_deref() };
        run.watch(
            |hands, observe| look::look(&endpoint, &spec, (hands, access.as_ref()), observe),
            |ui, notice| {
                let Notice::Listing(listing) = notice else { return };
                let Some(from) = &listing.from else { return };
                for entry in listing.page.iter().filter(|entry| wanted.has(entry)) {
                    ui.found(&from.shown(Some(&entry.name)), entry, args.print0);
                }
            },
        )
    })
}

/// What is asked for beyond the rules, which the listing obeys itself.
struct Wanted<'a> {
    args: &'a FindArgs,
    filter: Option<&'a Filter>,
}

impl Wanted<'_> {
    fn has(&self, entry: &Entry) -> bool {
        let kind = entry.meta.kind;
        let has_type = match self.args.kind {
            None => true,
            Some(TypeWord::File) => kind == Kind::File,
            Some(TypeWord::Dir) => kind == Kind::Dir,
            Some(TypeWord::Link) => kind == Kind::Symlink,
        };
        has_type && self.is_within_limits(entry)
    }

    /// Who asks for sizes or ages asks for files.
    fn is_within_limits(&self, entry: &Entry) -> bool {
        let FilterArgs { min_size, max_size, newer_than, older_than, .. } = &self.args.filter;
        let sizes = min_size.is_some() || max_size.is_some();
        let limits = sizes || newer_than.is_some() || older_than.is_some();
        !limits
            || entry.meta.kind == Kind::File
                && self.filter.is_none_or(|filter| filter.is_within_limits(entry))
    }
}
