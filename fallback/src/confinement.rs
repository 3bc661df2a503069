//! What the threads of an engine give up before their first task.
//! It must not know engines: a thread enters, and that is all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_core::task::Root;
use blit_core::{Error, ErrorKind};

use crate::dir;
use crate::sys::{self, Enforced, OpenDir, Owner, Reach};

/// One directory, what may be done below it, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Confinement {
    path: PathBuf,
    /// What messages call it.
    shown: Box<[u8]>,
    dir: Arc<OpenDir>,
    reach: Reach,
    owner: Option<Owner>,
}

impl Confinement {
    /// Opens the directory at `path`, following links as the operator wrote it. Without an owner the threads stay who
    /// the process is.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn new(path: &Path, reach: Reach, owner: Option<Owner>) -> Result<Self, Error> {
        // What the process was started with must be known before a thread cannot find it out any more.
        sys::umask();
        sys::identity();
        let shown = path.as_os_str().as_encoded_bytes();
        let opened = sys::open_root(path).map_err(|error| Error::io("open", shown, error))?;
        let (path, shown) = (path.to_owned(), shown.into());
        Ok(Self { path, shown, dir: Arc::new(opened), reach, owner })
    }

    /// The same, called otherwise in every message: who gets them must not learn the path.
    #[must_use]
    pub fn called(self, shown: &[u8]) -> Self {
        Self { shown: shown.into(), ..self }
    }

    /// The directory as a root for tasks, open already: a confined thread need not be able to reach it by its path.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn root(&self) -> Result<Arc<Root>, Error> {
        let root = Root::called(&self.shown, &self.path);
        let opened = sys::open_dir(&self.dir, b"", sys::Access::Search);
        dir::hold_root(&root, opened.map_err(|error| self.failed("open", error))?);
        Ok(root)
    }

    /// Confines the calling thread, for ever.
    ///
    /// # Errors
    /// `Unsupported` where the system cannot; otherwise what it refused. The thread must not run a task then.
    pub fn enter(&self) -> Result<Enforced, Error> {
        sys::confine(&self.dir, self.reach, self.owner)
            .map_err(|error| self.failed("confine engine to", error))
    }

    /// Tries it in a thread of its own and says what the system would hold a thread to.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn rehearse(&self) -> Result<Enforced, Error> {
        std::thread::scope(|scope| {
            let tried = std::thread::Builder::new().spawn_scoped(scope, || self.enter());
            let tried = tried.map_err(|error| self.failed("confine engine to", error))?;
            tried.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Internal, "confine engine to", &self.shown))
            })
        })
    }

    fn failed(&self, op: &'static str, error: std::io::Error) -> Error {
        Error::io(op, &self.shown, error)
    }
}
