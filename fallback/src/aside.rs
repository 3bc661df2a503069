//! The directory that keeps what is replaced or removed.
//! It must not decide what is kept, nor ever give a name that is taken.

use std::cell::OnceCell;
use std::io;

use blit_core::Error;
use blit_core::entry::Kind;
use blit_core::path::{Name, RelPath};
use blit_core::task::Dir;

use crate::dir::{self, At, OpenedDir};
use crate::sys::{self, Access, OpenDir};

/// A directory that is opened, or made, when something is to be kept.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    at: &'a Dir,
    dir: OnceCell<OpenedDir>,
}

impl<'a> Aside<'a> {
    /// The directory `at`, which need not exist yet.
    pub(crate) fn new(at: &'a Dir) -> Self {
        Self { at, dir: OnceCell::new() }
    }

    /// Keeps what stands at `name` in `dir`, if anything does. A directory is moved; anything else stands there still.
    pub(crate) fn keep(&self, dir: &OpenDir, name: &Name, at: At<'_>) -> Result<(), Error> {
        let kind = match sys::stat_at(dir, name) {
            Ok(meta) => meta.kind,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at.failed("examine")(error)),
        };
        if kind == Kind::Dir {
            return self.take(dir, name, at);
        }
        let linked = self.under_free_name(name, at, |to, free| sys::link(dir, name, to, free));
        match linked {
            Err(error) if sys::is_unsupported(&error) || sys::is_not_permitted(&error) => {
                self.take(dir, name, at)
            }
            other => other.map_err(at.failed("back up")),
        }
    }

    /// Moves what stands at `name` in `dir` away. That it is gone already is no failure.
    pub(crate) fn take(&self, dir: &OpenDir, name: &Name, at: At<'_>) -> Result<(), Error> {
        let moved = self.under_free_name(name, at, |to, free| sys::move_new(dir, name, to, free));
        match moved {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(at.failed("back up")),
        }
    }

    /// Tries `put` with the name itself, then with numbers after it, until one is free.
    fn under_free_name(
        &self,
        name: &Name,
        at: At<'_>,
        put: impl Fn(&OpenDir, &Name) -> io::Result<()>,
    ) -> io::Result<()> {
        let dir = self.open().map_err(at.failed("make the backup directory for"));
        let dir = dir.map_err(io::Error::other)?;
        let mut free = name.clone();
        for number in 1..=NUMBERS_MAX {
            match put(dir, &free) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
            free = numbered(name, number)?;
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn open(&self) -> io::Result<&OpenDir> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir);
        }
        let opened = match dir::open(self.at, Access::Search) {
            Ok(opened) => opened,
            Err(_) => OpenedDir::Own(self.make()?),
        };
        Ok(self.dir.get_or_init(|| opened))
    }

    /// Makes it and what is missing above it, for nobody but the user.
    fn make(&self) -> io::Result<OpenDir> {
        if let Some((above, name)) = self.at.path.split_last()
            && let Ok(above) = dir::open(&Dir::new(&self.at.root, above), Access::Search)
        {
            return enter(&above, &name);
        }
        let top = Dir::new(&self.at.root, RelPath::root());
        let top = dir::open(&top, Access::Search).map_err(io::Error::other)?;
        let mut at = sys::open_dir(&top, b"", Access::Search)?;
        for part in self.at.path.components() {
            at = enter(&at, &Name::new(part).map_err(io::Error::other)?)?;
        }
        Ok(at)
    }
}

/// The directory `name`, made where it is missing. Where an earlier backup that is no directory has the name, the next free one.
fn enter(above: &OpenDir, name: &Name) -> io::Result<OpenDir> {
    for number in 0..=NUMBERS_MAX {
        let called = if number == 0 { name.clone() } else { numbered(name, number)? };
        match sys::make_dir(above, &called, 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => match sys::open_child(above, &called, Access::Search) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                other => return other,
            },
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn numbered(name: &Name, number: u32) -> io::Result<Name> {
    let bytes = [name.as_bytes(), b"~", number.to_string().as_bytes()].concat();
    Name::new(bytes).map_err(io::Error::other)
}

/// Backups of one name; whoever has more wants something else.
const NUMBERS_MAX: u32 = 100_000;
