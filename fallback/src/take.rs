//! Moves an entry from one directory to another of the same file system.
//! It must not copy, nor follow a link on the way to either.

use std::io;

use blit_core::entry::{Kind, Meta};
use blit_core::path::Name;
use blit_core::task::{Dir, Over};
use blit_core::{Error, ErrorKind};

use crate::dir::{self, At};
use crate::remove;
use crate::replace::Remains;
use crate::sys::{self, Access, OpenDir};

/// What is moved, and where to.
pub(crate) struct Taken<'a> {
    pub(crate) from: &'a Dir,
    pub(crate) source_name: &'a Name,
    pub(crate) to: (&'a Dir, &'a OpenDir),
    pub(crate) name: &'a Name,
}

impl Taken<'_> {
    /// Moves it over what `over` says. On failure it is still where it was.
    pub(crate) fn take(&self, over: Over) -> Result<Remains, Error> {
        let from = dir::open(self.from, Access::Search)?;
        let moved = sys::stat_at(&from, self.source_name).map_err(|error| {
            let at = At::entry(self.from, self.source_name);
            match error.kind() {
                io::ErrorKind::NotFound => at.refused(ErrorKind::Vanished, "move"),
                _ => at.failed("examine")(error),
            }
        })?;
        let to = self.to.1;
        let there = match sys::stat_at(to, self.name) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.at().failed("examine")(error)),
        };
        match there {
            None => self.move_new(&from),
            Some(_) if over == Over::Nothing => {
                Err(self.at().refused(ErrorKind::AlreadyExists, "move"))
            }
            Some(there) if over != Over::Tree && there.kind == Kind::Dir => Err(self.clash()),
            Some(there) if self.is_other_name(&from, (&moved, &there))? => {
                // Renaming one name of a file over another name of it does nothing and succeeds.
                let removed = sys::remove_file(&from, self.source_name);
                let at = At::entry(self.from, self.source_name);
                removed.map(|()| Remains::new()).map_err(at.failed("remove"))
            }
            Some(there) if moved.kind == Kind::Dir || there.kind == Kind::Dir => {
                self.move_with_detour(&from, over)
            }
            Some(_) => match sys::move_over(&from, self.source_name, to, self.name) {
                Ok(()) => Ok(Remains::new()),
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(self.clash()),
                Err(error) => Err(self.at().failed("move")(error)),
            },
        }
    }

    fn move_new(&self, from: &OpenDir) -> Result<Remains, Error> {
        let moved = sys::move_new(from, self.source_name, self.to.1, self.name);
        moved.map(|()| Remains::new()).map_err(self.at().failed("move"))
    }

    /// A directory cannot replace anything in one step without leaving the old entry where the new one came from. So the
    /// old one goes aside; never the one that is moved, for a temporary name would cost it its life after a kill.
    fn move_with_detour(&self, from: &OpenDir, over: Over) -> Result<Remains, Error> {
        let to = self.to.1;
        let aside = dir::next_temporary();
        sys::rename_new(to, self.name, &aside).map_err(self.at().failed("move"))?;
        let came_meanwhile = || {
            let is_dir = sys::stat_at(to, &aside).is_ok_and(|meta| meta.kind == Kind::Dir);
            over != Over::Tree && is_dir
        };
        let moved = if came_meanwhile() { Err(self.clash()) } else { self.move_new(from) };
        let moved = moved.inspect_err(|_| {
            // If this fails too, something else has that name, and the next run removes what was to go anyway.
            drop(sys::rename_new(to, &aside, self.name));
        });
        moved.map(|_| remove::replaced(to, &aside, self.at()))
    }

    /// Whether the two are names of one file in different directories. In one directory they may be one name, where case
    /// does not count.
    fn is_other_name(&self, from: &OpenDir, (one, two): (&Meta, &Meta)) -> Result<bool, Error> {
        if one.kind == Kind::Dir || one.id != two.id || one.nlink < 2 {
            return Ok(false);
        }
        let [from, to] = [from, self.to.1].map(|dir| sys::stat(dir.into()).map(|meta| meta.id));
        Ok(from.map_err(self.at().failed("examine"))? != to.map_err(self.at().failed("examine"))?)
    }

    fn at(&self) -> At<'_> {
        At::entry(self.to.0, self.name)
    }

    fn clash(&self) -> Error {
        let why = "a directory stands in its place; move or remove it first";
        self.at().because(ErrorKind::TypeClash, "replace", why)
    }
}
