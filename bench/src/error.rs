//! What stops a benchmark; it knows neither how it is printed nor which exit code it becomes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the harness itself could not go on. A copier that fails is a result, not one of these.
#[derive(Debug)]
pub(crate) enum Error {
    /// An operation on a path failed.
    Io { op: &'static str, path: PathBuf, source: io::Error },
    /// The command line asks for what cannot be done.
    Usage(String),
    /// A program that the harness needs (mount, mkfs, cp) failed.
    Tool { command: String, message: String },
    /// The user ended the session.
    Interrupted,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Names the operation and the path of an `io::Error`: `fs::read(p).on("read", p)?`.
pub(crate) trait OnPath<T> {
    fn on(self, op: &'static str, path: &Path) -> Result<T>;
}

impl<T> OnPath<T> for io::Result<T> {
    fn on(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { op, path: path.to_path_buf(), source })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "{op} {}: {source}", path.display()),
            Self::Usage(text) => write!(f, "{text}"),
            Self::Tool { command, message } => write!(f, "run {command}: {message}"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
