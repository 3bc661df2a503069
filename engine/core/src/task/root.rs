//! Where a transfer is rooted. It must not know how an engine opens it.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A directory that everything of a transfer is below. Engines open it once, following links in the path as the user
/// gave it, and keep what they opened in `held`; below it
/// nothing is followed, except below a root that was made for that.
pub struct Root {
    path: PathBuf,
    /// What stands before a path below it in messages, where that is not its own path.
    shown: Option<Box<[u8]>>,
    follows: bool,
    /// The engine's own: what it holds open for this root.
    pub held: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Root {
    /// A root that is opened when first needed.
    pub fn new(path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), shown: None, follows: false, held: OnceLock::new() })
    }

    /// A root that messages call `shown`: whoever reads them knows it by that name, or must not learn the other.
    pub fn called(shown: &[u8], path: impl Into<PathBuf>) -> Arc<Self> {
        let (path, shown) = (path.into(), Some(shown.into()));
        Arc::new(Self { path, shown, follows: false, held: OnceLock::new() })
    }

    /// A root below which links are followed, out of it too: each entry that is a link is listed and read as what it
    /// leads to. Only to be read, and only where the user asked for it.
    pub fn following(path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), shown: None, follows: true, held: OnceLock::new() })
    }

    /// Whether links below it are followed.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// The path as the user gave it; not for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call it.
    pub fn shown(&self) -> &[u8] {
        self.shown.as_deref().unwrap_or(self.path.as_os_str().as_encoded_bytes())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Root").field(&self.path).finish()
    }
}
