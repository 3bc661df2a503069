//! `blit du`: sums up listings. It must not know how a sum is shown.

use std::collections::{HashMap, HashSet};

use blit_core::ErrorKind;
use blit_core::entry::{FileId, Kind, Meta};
use blit_core::frame::{DirId, Listing};
use blit_core::spec::{self, TransferSpec};
use blit_core::summary::Notice;
use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::DuArgs;
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::go;

/// What is below a directory, itself included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    /// The directory, or the only entry.
    pub(crate) path: Vec<u8>,
    /// Entries, directories included.
    pub(crate) entries: u64,
    /// Bytes of content.
    pub(crate) bytes: u64,
    /// Bytes allocated on the device.
    pub(crate) allocated: u64,
    /// The sum that this one is part of.
    above: Option<usize>,
}

/// Sums up each path.
pub(crate) fn run(args: &DuArgs) -> Exit {
    let telling = options::looking(Verb::Du, args.json);
    go(telling, options::engine(&args.engine), |run| {
        let spec = TransferSpec {
            one_file_system: args.one_file_system,
            ..TransferSpec::new(spec::Verb::Copy)
        };
        let mut whole = Outcome::default();
        let mut seen = HashSet::new();
        let mut sums = Vec::new();
        for path in &args.paths {
            let endpoint = options::endpoint(path)?;
            let access = access::without_contents([&endpoint], &args.network)?;
            let mut usage = Usage::new(path.as_encoded_bytes(), args.depth, &mut seen);
            let outcome = run.watch(
                |hands, observe| look::look(&endpoint, &spec, (hands, access.as_ref()), observe),
                |_, notice| {
                    if let Notice::Listing(listing) = notice {
                        usage.add(&listing);
                    }
                },
            )?;
            // A path that is not there is one entry that fails; the others can be summed up all the same.
            if let Some(error) = outcome.error.clone().filter(|e| e.kind == ErrorKind::NotFound) {
                whole.summary.fail(error);
                continue;
            }
            sums.extend(usage.finish());
            whole.summary.entries += outcome.summary.entries;
            whole.summary.add(&outcome.summary);
            whole.error = outcome.error;
            if whole.error.is_some() {
                break;
            }
        }
        run.ui.sums(&sums);
        Ok(whole)
    })
}

/// The sums of one path.
struct Usage<'a> {
    depth_max: u32,
    sums: Vec<Sum>,
    /// Which sum a directory that is still being listed belongs to, and how deep it is.
    dirs: HashMap<DirId, (usize, u32)>,
    /// Inodes with several names that were counted.
    seen: &'a mut HashSet<FileId>,
}

impl<'a> Usage<'a> {
    fn new(path: &[u8], depth_max: u32, seen: &'a mut HashSet<FileId>) -> Self {
        let sums = vec![Sum { path: path.to_vec(), ..Sum::default() }];
        Self { depth_max, sums, dirs: HashMap::from([(DirId::BASE, (0, 0))]), seen }
    }

    fn add(&mut self, listing: &Listing) {
        let Some(&(at, depth)) = self.dirs.get(&listing.dir) else { return };
        if let Some(meta) = &listing.meta {
            self.count(at, meta);
        }
        let mut child = listing.first_child;
        for entry in listing.page.iter() {
            let mut into = at;
            if entry.meta.kind == Kind::Dir {
                if depth < self.depth_max {
                    into = self.sums.len();
                    let path = listing.from.as_ref().map(|from| from.shown(Some(&entry.name)));
                    let path = path.unwrap_or_default();
                    self.sums.push(Sum { path, above: Some(at), ..Sum::default() });
                }
                self.dirs.insert(child, (into, depth + 1));
                child.0 += 1;
            }
            self.count(into, &entry.meta);
        }
        if listing.last {
            self.dirs.remove(&listing.dir);
        }
    }

    fn count(&mut self, at: usize, meta: &Meta) {
        let linked = meta.kind != Kind::Dir && meta.nlink > 1;
        let counts = !linked || self.seen.insert(meta.id);
        let Some(sum) = self.sums.get_mut(at) else { return };
        sum.entries += 1;
        if counts {
            sum.bytes += if meta.kind == Kind::File { meta.size } else { 0 };
            sum.allocated += meta.allocated;
        }
    }

    /// The sums, each with those that are part of it, in the order of their paths.
    fn finish(self) -> Vec<Sum> {
        let mut sums = self.sums;
        for at in (0..sums.len()).rev() {
            let (entries, bytes, allocated) =
                (sums[at].entries, sums[at].bytes, sums[at].allocated);
            if let Some(above) = sums[at].above {
                sums[above].entries += entries;
                sums[above].bytes += bytes;
                sums[above].allocated += allocated;
            }
        }
        sums.sort_by(|one, other| names(&one.path).cmp(names(&other.path)));
        sums
    }
}

/// The names of a path, so that a directory stands before what is in it.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}
