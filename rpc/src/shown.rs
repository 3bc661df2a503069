//! Where the entries are that a daemon lists for a viewer, in words: `host:/module/path`.
//! It must not be used for anything but showing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use blit_core::endpoint::{DEFAULT_PORT, Remote};
use blit_core::entry::Kind;
use blit_core::frame::{DirId, Listing};
use blit_core::path::{Escaped, RelPath};
use blit_core::task::{Dir, Root};

/// The directories that are still being listed.
pub(crate) struct Shown {
    root: Arc<Root>,
    dirs: HashMap<DirId, RelPath>,
}

impl Shown {
    /// Entries are below `top`, itself below what is named in `remote`.
    pub(crate) fn new(remote: &Remote, top: RelPath) -> Self {
        let root = Root::new(PathBuf::from(place(remote, b"")));
        Self { root, dirs: HashMap::from([(DirId::BASE, top)]) }
    }

    /// Says of a page where it is.
    pub(crate) fn show(&mut self, listing: &mut Listing) {
        let Some(mut path) = self.dirs.get(&listing.dir).cloned() else { return };
        if listing.named
            && let Some((parent, _)) = path.split_last()
        {
            path = parent;
        }
        let mut id = listing.first_child;
        for entry in listing.page.iter().filter(|entry| entry.meta.kind == Kind::Dir) {
            self.dirs.insert(id, path.join(&entry.name));
            id.0 += 1;
        }
        if listing.last {
            self.dirs.remove(&listing.dir);
        }
        listing.from = Some(Dir::new(&self.root, path));
    }
}

/// A remote place as it is typed.
pub(crate) fn place(remote: &Remote, path: &[u8]) -> String {
    let host = address(&remote.host, remote.port);
    let module = remote.module.as_deref().unwrap_or("");
    format!("{host}:/{module}/{}", Escaped(path))
}

/// A daemon as it is typed: without the port where that is the usual one.
pub(crate) fn address(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == DEFAULT_PORT { host } else { format!("{host}:{port}") }
}
