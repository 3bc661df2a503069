//! The directories that tasks name: opened once a task, never through a link; and those not yet published.
//! It must not know what is done in them.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use blit_core::path::{self, Name};
use blit_core::task::{Dir, Held, Over, Root};
use blit_core::{Error, ErrorKind};

use crate::remove;
use crate::replace::{Remains, Replace};
use crate::sys::{self, Access, OpenDir};
use crate::waypoints::Waypoints;

/// A directory that a task works in, open.
#[derive(Debug)]
pub enum OpenedDir {
    /// Opened for this task.
    Own(OpenDir),
    /// Held open since it was staged.
    Staged(Arc<Staged>),
}

impl Deref for OpenedDir {
    type Target = OpenDir;

    fn deref(&self) -> &OpenDir {
        match self {
            Self::Own(dir) => dir,
            Self::Staged(staged) => &staged.dir,
        }
    }
}

/// Opens the directory of a task.
///
/// # Errors
/// Those of opening it, with its path.
pub fn open(dir: &Dir, access: Access) -> Result<OpenedDir, Error> {
    if let Some(held) = &dir.staged {
        return Ok(OpenedDir::Staged(staged_of(held, dir)?));
    }
    let (root, waypoints) = open_root(dir)?;
    let opened = if dir.root.follows() {
        sys::follow_dir(root, &dir.path.to_bytes(), access)
    } else {
        waypoints.open(root, &dir.path, access)
    };
    opened.map(OpenedDir::Own).map_err(At::dir(dir).failed("open"))
}

/// Opens the regular file `name` of `opened`, which is `dir`, to be read: what it leads to, where links are followed there.
///
/// # Errors
/// Those of the system.
pub(crate) fn open_source(
    (dir, opened): (&Dir, &OpenDir),
    name: &Name,
    quiet: bool,
) -> io::Result<std::fs::File> {
    let open = if dir.root.follows() { sys::follow_file } else { sys::open_file };
    open(opened, name, quiet)
}

/// Opens the directory to read, lock or sync it where its mode lets us, and only to reach names in it otherwise.
///
/// # Errors
/// As [`open`].
pub fn open_readable(dir: &Dir) -> Result<OpenedDir, Error> {
    match open(dir, Access::Read) {
        Err(error) if error.kind == ErrorKind::PermissionDenied => open(dir, Access::Search),
        other => other,
    }
}

/// A directory under a temporary name, locked while it is in use. Dropped before it is published, it is removed with
/// all that is in it.
#[derive(Debug)]
pub struct Staged {
    dir: OpenDir,
    name: Name,
    published: AtomicBool,
}

impl Staged {
    /// Makes one in `parent`, with mode 0700.
    ///
    /// # Errors
    /// Those of making and locking it.
    pub fn new(parent: &OpenDir) -> io::Result<Self> {
        for _ in 0..NAME_ATTEMPTS_MAX {
            let name = next_temporary();
            let dir = sys::make_private_dir(parent, &name)?;
            // Whoever holds the lock already takes it for a leftover, and is about to remove it or has done so.
            if sys::try_lock((&dir).into())? && sys::stat((&dir).into())?.nlink > 0 {
                return Ok(Self { dir, name, published: AtomicBool::new(false) });
            }
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }

    /// The directory, to be filled.
    pub fn dir(&self) -> &OpenDir {
        &self.dir
    }

    /// Gives it its final name in `parent`, over what `over` says.
    ///
    /// # Errors
    /// Those of renaming, and what is in the way; it stays staged then.
    pub(crate) fn publish(
        &self,
        parent: &OpenDir,
        (name, at): (&Name, At<'_>),
        over: Over,
    ) -> Result<Remains, Error> {
        let replace = Replace { dir: parent, temporary: &self.name, name, at };
        let remains = replace.with_dir(over)?;
        self.published.store(true, Ordering::Release);
        Ok(remains)
    }

    fn remove(&self) -> io::Result<()> {
        let parent = sys::open_parent(&self.dir, Access::Search)?;
        if sys::stat_at(&parent, &self.name)?.id != sys::stat((&self.dir).into())?.id {
            return Ok(());
        }
        remove::empty(&self.dir)?;
        sys::remove_dir(&parent, &self.name)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published.load(Ordering::Acquire) {
            // What remains has a temporary name and no lock any more, so the next run removes it.
            drop(self.remove());
        }
    }
}

/// The staged directory that `held` is.
///
/// # Errors
/// `Internal` if it is something else.
pub fn staged_of(held: &Held, dir: &Dir) -> Result<Arc<Staged>, Error> {
    Arc::clone(&held.0).downcast::<Staged>().map_err(|_| {
        let path = dir.shown(None);
        Error::because(ErrorKind::Internal, "open", &path, "not a staged directory of this engine")
    })
}

/// A temporary name that nothing else in this run has.
pub fn next_temporary() -> Name {
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    Name::temporary(run_id(), SEQUENCE.fetch_add(1, Ordering::Relaxed))
}

/// Whether this run has made the temporary name `bytes`: such a name is no leftover.
pub fn is_own_temporary(bytes: &[u8]) -> bool {
    path::temporary_run(bytes) == Some(run_id())
}

/// Where something is done, for messages.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    dir: &'a Dir,
    name: Option<&'a Name>,
}

impl<'a> At<'a> {
    /// The directory itself.
    pub fn dir(dir: &'a Dir) -> Self {
        Self { dir, name: None }
    }

    /// The entry `name` in it.
    pub fn entry(dir: &'a Dir, name: &'a Name) -> Self {
        Self { dir, name: Some(name) }
    }

    /// Makes an error of the system one that names operation and path.
    pub fn failed(self, op: &'static str) -> impl FnOnce(io::Error) -> Error + use<'a> {
        move |error| {
            let interrupted = error.kind() == io::ErrorKind::Interrupted;
            let shown = Error::io(op, &self.dir.shown(self.name), error);
            if interrupted { shown.with_kind(ErrorKind::Interrupted) } else { shown }
        }
    }

    /// An error of our own.
    pub fn refused(self, kind: ErrorKind, op: &'static str) -> Error {
        Error::new(kind, op, &self.dir.shown(self.name))
    }

    /// An error of our own that says why.
    pub fn because(self, kind: ErrorKind, op: &'static str, why: &str) -> Error {
        Error::because(kind, op, &self.dir.shown(self.name), why)
    }
}

/// What the engine keeps in a root: the directory, or why it could not be opened, and what it holds below it.
struct HeldRoot(Result<OpenDir, Error>, Waypoints);

/// Makes `opened` the directory that `root` stands for, unless one is open already.
pub(crate) fn hold_root(root: &Root, opened: OpenDir) {
    root.held.get_or_init(|| Box::new(HeldRoot(Ok(opened), Waypoints::default())));
}

fn open_root(dir: &Dir) -> Result<(&OpenDir, &Waypoints), Error> {
    let held = dir.root.held.get_or_init(|| {
        let opened = sys::open_root(dir.root.path());
        let opened = opened.map_err(|error| Error::io("open", dir.root.shown(), error));
        Box::new(HeldRoot(opened, Waypoints::default()))
    });
    match held.downcast_ref::<HeldRoot>() {
        Some(HeldRoot(Ok(root), waypoints)) => Ok((root, waypoints)),
        Some(HeldRoot(Err(error), _)) => Err(error.clone()),
        None => Err(At::dir(dir).refused(ErrorKind::Internal, "open")),
    }
}

/// Tells the temporary names of runs apart; random, so that no other process on any machine has it.
fn run_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static RUN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *RUN.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

/// Each attempt fails only if another run sweeps this very directory in the moment between making and locking.
pub(crate) const NAME_ATTEMPTS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use blit_core::task::{CopyInto, Over, What};

    use super::*;
    use crate::sandbox::{Capability, Sandbox, name};

    #[test]
    fn a_link_in_the_path_is_refused_but_not_above_the_root() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::Symlinks) {
            return;
        }
        sandbox.file("real/sub/f", b"");
        sandbox.symlink("real", "link");
        sandbox.symlink("sub", "real/in");
        for path in ["link", "link/sub", "real/in"] {
            let error = open(&sandbox.dir(path), Access::Read).expect_err("a link");
            assert_eq!(error.kind, ErrorKind::NotADirectory, "{error}");
        }
        let root = Root::new(sandbox.path("link"));
        let through = Dir::new(&root, path::RelPath::new(&b"sub"[..]).expect("valid"));
        assert!(open(&through, Access::Read).is_ok());
    }

    #[test]
    fn paths_longer_than_the_system_takes_are_reached() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) {
            return;
        }
        let mut at = sandbox.dir("");
        let long = name([b'd'; 200]);
        for _ in 0..50 {
            let made = sandbox.place(
                at.clone(),
                vec![blit_core::task::Step::MakeDir {
                    name: long.clone(),
                    plain: false,
                    over: Over::Nothing,
                }],
            );
            assert!(made.failures.is_empty(), "{:?}", made.failures);
            at = at.child(&long);
        }
        sandbox.file("a/f", b"deep");
        let mut task = sandbox.copy_task("a", "", CopyInto::Existing, Over::Nothing);
        task.to = at.clone();
        assert_eq!(sandbox.run_copy(task).expect("copy").files, 1);
        let listed = sandbox.try_list(at, What::Names([name("f")].into())).expect("list");
        assert_eq!(listed.entries.len(), 1);
        let removed =
            sandbox.remove("", &["d".repeat(200).as_str()], blit_core::task::Removal::Tree);
        assert_eq!((removed.files, removed.dirs), (1, 50));
        assert!(removed.failures.is_empty(), "{:?}", removed.failures);
    }

    #[test]
    fn a_staged_directory_that_is_not_published_goes_with_what_is_in_it() {
        let sandbox = Sandbox::new();
        let opened = open(&sandbox.dir(""), Access::Read).expect("open");
        let staged = Staged::new(&opened).expect("stage");
        let inner = Staged::new(staged.dir()).expect("stage");
        sys::create_new(inner.dir(), &name("f"), 0o600).expect("create");
        let (at, called) = (sandbox.dir(""), name("inner"));
        let place = (&called, At::entry(&at, &called));
        inner.publish(staged.dir(), place, Over::Nothing).expect("publish");
        assert_eq!(sandbox.names("").len(), 1);
        drop(inner);
        drop(staged);
        assert_eq!(sandbox.names("").len(), 0);
    }
}
