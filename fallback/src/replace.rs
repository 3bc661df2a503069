//! Puts what is finished under a temporary name in its final place, over what stands there.
//! It must not know how the new entry came to be.

use std::io;

use blit_core::entry::Kind;
use blit_core::path::Name;
use blit_core::task::Over;
use blit_core::{Error, ErrorKind};

use crate::dir::{self, At};
use crate::remove;
use crate::sys::{self, OpenDir};

/// An entry with a temporary name, and the name it is to have.
#[derive(Clone, Copy)]
pub(crate) struct Replace<'a> {
    pub(crate) dir: &'a OpenDir,
    pub(crate) temporary: &'a Name,
    pub(crate) name: &'a Name,
    pub(crate) at: At<'a>,
}

/// What of a replaced tree could not be removed; it has a temporary name.
pub(crate) type Remains = Vec<Error>;

impl Replace<'_> {
    /// Puts a non-directory in its place. Replaces what `over` says and nothing else; on failure the temporary name stays.
    pub(crate) fn with_entry(&self, over: Over) -> Result<Remains, Error> {
        match over {
            Over::Nothing => {
                let renamed = sys::rename_new(self.dir, self.temporary, self.name);
                return renamed.map(|()| Remains::new()).map_err(self.at.failed("create"));
            }
            Over::EmptyDir => self.clear_dir()?,
            Over::Entry | Over::Tree => {}
        }
        for _ in 0..ATTEMPTS_MAX {
            match sys::rename_over(self.dir, self.temporary, self.name) {
                Ok(()) => return Ok(Remains::new()),
                Err(error) if error.kind() != io::ErrorKind::IsADirectory => {
                    return Err(self.at.failed("rename")(error));
                }
                Err(_) if over != Over::Tree => return Err(self.clash(FULL_DIR)),
                Err(_) => {}
            }
            if let Some(old) = self.swap().map_err(self.at.failed("rename"))? {
                return Ok(remove::replaced(self.dir, &old, self.at));
            }
        }
        Err(self.unsettled())
    }

    /// Puts a directory in its place, likewise. An empty directory is a directory like any other here.
    pub(crate) fn with_dir(&self, over: Over) -> Result<Remains, Error> {
        let replaces = matches!(over, Over::Entry | Over::Tree);
        for _ in 0..ATTEMPTS_MAX {
            match sys::rename_new(self.dir, self.temporary, self.name) {
                Err(error) if replaces && error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other.map(|()| Remains::new()).map_err(self.at.failed("rename")),
            }
            if over == Over::Entry && self.is_dir(self.name)? {
                return Err(self.clash(ANY_DIR));
            }
            let Some(old) = self.swap().map_err(self.at.failed("rename"))? else { continue };
            // What came between the look and the exchange is seen only now.
            if over == Over::Entry && self.is_dir(&old)? {
                self.swap_back(&old).map_err(self.at.failed("rename"))?;
                return Err(self.clash(ANY_DIR));
            }
            return Ok(remove::replaced(self.dir, &old, self.at));
        }
        Err(self.unsettled())
    }

    fn clear_dir(&self) -> Result<(), Error> {
        match sys::remove_dir(self.dir, self.name) {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => Err(self.clash(FULL_DIR)),
                // It is gone, or is no directory any more and can be replaced in one step.
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
                _ => Err(self.at.failed("remove")(error)),
            },
        }
    }

    /// Puts the new entry where the old one stands, and tells the temporary name that the old one has now; `None` if there
    /// is none any more.
    fn swap(&self) -> io::Result<Option<Name>> {
        match sys::exchange(self.dir, self.temporary, self.name) {
            Ok(()) => Ok(Some(self.temporary.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if sys::is_unsupported(&error) => self.swap_in_steps(),
            Err(error) => Err(error),
        }
    }

    /// Where two names cannot be exchanged. Killed in between, both have temporary names, and the source is still there.
    fn swap_in_steps(&self) -> io::Result<Option<Name>> {
        let aside = dir::next_temporary();
        match sys::rename_new(self.dir, self.name, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        sys::rename_new(self.dir, self.temporary, self.name).inspect_err(|_| {
            // If this fails too, something else has that name, and the next run removes what was to go anyway.
            drop(sys::rename_new(self.dir, &aside, self.name));
        })?;
        Ok(Some(aside))
    }

    fn swap_back(&self, old: &Name) -> io::Result<()> {
        if old == self.temporary {
            return sys::exchange(self.dir, old, self.name);
        }
        sys::rename_new(self.dir, self.name, self.temporary)?;
        sys::rename_new(self.dir, old, self.name)
    }

    fn is_dir(&self, name: &Name) -> Result<bool, Error> {
        match sys::stat_at(self.dir, name) {
            Ok(meta) => Ok(meta.kind == Kind::Dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.at.failed("examine")(error)),
        }
    }

    fn clash(&self, why: &str) -> Error {
        self.at.because(ErrorKind::TypeClash, "replace", why)
    }

    fn unsettled(&self) -> Error {
        self.at.because(ErrorKind::Other, "replace", "something else changes it all the time")
    }
}

const FULL_DIR: &str = "a directory that is not empty stands in its place; move or remove it first";
const ANY_DIR: &str = "a directory stands in its place; move or remove it first";
/// Each attempt fails only if somebody else makes or removes this very entry between two calls.
const ATTEMPTS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use blit_core::task::Dir;

    use super::*;
    use crate::dir::next_temporary;
    use crate::sandbox::{Sandbox, name};
    use crate::sys::open_root;

    fn with<T>(sandbox: &Sandbox, temporary: &Name, run: impl FnOnce(&Replace<'_>) -> T) -> T {
        let (dir, at, called) = (root(sandbox), sandbox.dir(""), name("x"));
        let at: &Dir = &at;
        let at = At::entry(at, &called);
        run(&Replace { dir: &dir, temporary, name: &called, at })
    }

    fn root(sandbox: &Sandbox) -> OpenDir {
        open_root(&sandbox.path("")).expect("open")
    }

    #[test]
    fn a_swap_in_steps_does_what_an_exchange_does() {
        let sandbox = Sandbox::new();
        sandbox.file("x/old", b"");
        let temporary = next_temporary();
        sandbox.file(&format!("{temporary}/new"), b"");
        let old = with(&sandbox, &temporary, |replace| replace.swap_in_steps());
        let old = old.expect("swapped").expect("there was one");
        assert!(old.is_temporary() && old != temporary);
        assert_eq!(sandbox.names("x"), ["new"]);
        assert_eq!(sandbox.names(&old.to_string()), ["old"]);
        with(&sandbox, &temporary, |replace| replace.swap_back(&old)).expect("back");
        assert_eq!(sandbox.names("x"), ["old"]);
        assert_eq!(sandbox.names(&temporary.to_string()), ["new"]);
        assert_eq!(sandbox.names("").len(), 2);
    }

    #[test]
    fn a_swap_in_steps_that_fails_puts_the_old_one_back() {
        let sandbox = Sandbox::new();
        sandbox.file("x/old", b"");
        let missing = next_temporary();
        let failed = with(&sandbox, &missing, |replace| replace.swap_in_steps());
        assert_eq!(failed.expect_err("nothing to put there").kind(), io::ErrorKind::NotFound);
        assert_eq!(sandbox.names(""), ["x"]);
        assert_eq!(sandbox.names("x"), ["old"]);
    }

    #[test]
    fn what_is_gone_is_not_swapped() {
        let sandbox = Sandbox::new();
        let temporary = next_temporary();
        sandbox.mkdir(&temporary.to_string());
        let swapped = with(&sandbox, &temporary, |replace| replace.swap());
        assert_eq!(swapped.expect("no failure"), None);
        let swapped = with(&sandbox, &temporary, |replace| replace.swap_in_steps());
        assert_eq!(swapped.expect("no failure"), None);
        let placed = with(&sandbox, &temporary, |replace| replace.with_dir(Over::Tree));
        assert!(placed.expect("placed").is_empty());
        assert_eq!(sandbox.names(""), ["x"]);
    }
}
