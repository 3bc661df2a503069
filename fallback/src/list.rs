//! Reads entries of a directory with their metadata.
//! It must not know what the entries are wanted for.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use blit_core::entry::{Entry, FileId, Kind, Meta};
use blit_core::event::Control;
use blit_core::path::{Name, is_temporary};
use blit_core::session::schedule::PAGE_TIME_MAX;
use blit_core::task::{Dir, Held, List, Listed, Survey, What};
use blit_core::{Error, ErrorKind};

use crate::dir::{self, At};
use crate::sys::{self, Access, Names, OpenDir};

/// Reads the entries that `task` asks for.
///
/// # Errors
/// Those of the directory itself. What one entry suffers is in `Listed::failures`.
pub fn list(task: &List, control: &Control) -> Result<Listed, Error> {
    let lister = Lister { at: &task.dir, xattrs: task.xattrs, survey: task.survey, control };
    match &task.what {
        What::Next { after: Some(held), entries_max } => {
            let mut listed = Listed::default();
            lister.go_on(held, *entries_max, &mut listed)?;
            listed.leftovers.clear();
            listed.names.clear();
            Ok(listed)
        }
        What::Next { after: None, entries_max } => {
            let dir = dir::open(&task.dir, Access::Read)?;
            let mut listed = lister.begin(&dir)?;
            let names = Names::of(&dir).map_err(At::dir(&task.dir).failed("read"))?;
            let position = Position { names, waiting: VecDeque::new() };
            let held = Held(Arc::new(Cursor(Mutex::new(position))));
            lister.go_on(&held, *entries_max, &mut listed)?;
            if task.survey == Survey::Nothing {
                listed.leftovers.clear();
            } else if listed.next.is_some() {
                lister.survey(&dir, &mut listed)?;
            }
            Ok(listed)
        }
        What::Named(page) => {
            let names: Vec<&Name> = page.iter().map(|entry| &entry.name).collect();
            lister.named(&names)
        }
        What::Names(names) => lister.named(&names.iter().collect::<Vec<_>>()),
        What::Itself => lister.named(&[]),
    }
}

/// Adds to `meta` what examining alone does not tell: the target of a link and, where asked, the attributes.
fn complete(
    dir: &OpenDir,
    name: &Name,
    xattrs: bool,
    meta: &mut Meta,
) -> Result<(), (&'static str, io::Error)> {
    if meta.kind == Kind::Symlink {
        meta.target = Some(sys::read_link(dir, name).map_err(|error| ("read the link", error))?);
    }
    if xattrs {
        let read = sys::xattrs_at(dir, name, meta.kind);
        meta.xattrs = read.map_err(|error| ("read attributes of", error))?;
    }
    Ok(())
}

/// What the link `name` leads to.
fn follow(dir: &OpenDir, name: &Name, xattrs: bool) -> io::Result<Meta> {
    let found = sys::follow_entry(dir, name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("the link leads to nothing"),
        _ if sys::is_loop(&error) => io::Error::other("the link leads to itself"),
        _ => error,
    })?;
    let mut meta = sys::stat((&found).into())?;
    if xattrs {
        meta.xattrs = sys::xattrs_of((&found).into())?;
    }
    Ok(meta)
}

/// The position in a directory between two pages.
#[derive(Debug)]
struct Cursor(Mutex<Position>);

#[derive(Debug)]
struct Position {
    names: Names,
    /// Names that were read and for which there was no time, the next one first.
    waiting: VecDeque<Name>,
}

struct Lister<'a> {
    at: &'a Dir,
    xattrs: bool,
    survey: Survey,
    control: &'a Control,
}

impl Lister<'_> {
    /// A listing with only the directory itself.
    fn begin(&self, dir: &OpenDir) -> Result<Listed, Error> {
        let failed = |op| At::dir(self.at).failed(op);
        let mut meta = sys::stat(dir.into()).map_err(failed("examine"))?;
        if self.xattrs {
            let read = sys::xattrs_of(dir.into());
            meta.xattrs = read.map_err(failed("read attributes of"))?;
        }
        Ok(Listed { dir: Some(meta), ..Listed::default() })
    }

    fn go_on(&self, held: &Held, entries_max: usize, listed: &mut Listed) -> Result<(), Error> {
        let Some(Cursor(position)) = held.0.downcast_ref::<Cursor>() else {
            let why = "not a position in a listing of this engine";
            return Err(At::dir(self.at).because(ErrorKind::Internal, "list", why));
        };
        let mut position = position.lock().unwrap_or_else(PoisonError::into_inner);
        let Position { names, waiting } = &mut *position;
        let mut batch = std::mem::take(waiting);
        batch.reserve(entries_max.min(ENTRIES_EXPECTED));
        let read = loop {
            if batch.len() >= entries_max {
                break Ok(true);
            }
            match names.next_name() {
                Ok(None) => break Ok(false),
                Ok(Some((bytes, _))) => match Name::new(bytes) {
                    Ok(name) if name.is_temporary() => {
                        if !dir::is_own_temporary(name.as_bytes()) {
                            listed.leftovers.push(name);
                        }
                    }
                    Ok(name) => batch.push_back(name),
                    Err(error) => listed.failures.push(error),
                },
                Err(error) => break Err(error),
            }
        };
        let more = read.map_err(At::dir(self.at).failed("read"))?;
        if self.survey == Survey::Names {
            listed.names.extend(batch.iter().cloned());
        }
        let end = Instant::now() + PAGE_TIME_MAX;
        while let Some(name) = batch.pop_front() {
            self.examine(names.dir(), [name], listed)?;
            // Others can work on what is known meanwhile.
            if Instant::now() > end {
                break;
            }
        }
        let is_cut_short = !batch.is_empty();
        *waiting = batch;
        listed.next = (more || is_cut_short).then(|| held.clone());
        Ok(())
    }

    fn named(&self, names: &[&Name]) -> Result<Listed, Error> {
        let access = match self.survey {
            Survey::Nothing => Access::Search,
            Survey::Leftovers | Survey::Names => Access::Read,
        };
        let dir = dir::open(self.at, access)?;
        let mut listed = self.begin(&dir)?;
        let names = names.iter().filter(|name| !name.is_temporary());
        self.examine(&dir, names.copied().cloned(), &mut listed)?;
        if has_aliases(&listed.entries) {
            self.keep_true_names(&dir, &mut listed)?;
        }
        if self.survey != Survey::Nothing {
            self.survey(&dir, &mut listed)?;
        }
        Ok(listed)
    }

    fn examine(
        &self,
        dir: &OpenDir,
        names: impl IntoIterator<Item = Name>,
        listed: &mut Listed,
    ) -> Result<(), Error> {
        for name in names {
            if self.control.is_cancelled() {
                return Err(At::dir(self.at).refused(ErrorKind::Interrupted, "list"));
            }
            match self.read(dir, &name) {
                Ok(meta) => listed.entries.push(Entry { name, meta }),
                // It went after its name was read, or was only asked for.
                Err((_, error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err((op, error)) => {
                    listed.failures.push(At::entry(self.at, &name).failed(op)(error));
                }
            }
        }
        Ok(())
    }

    fn read(&self, dir: &OpenDir, name: &Name) -> Result<Meta, (&'static str, io::Error)> {
        let mut meta = sys::stat_at(dir, name).map_err(|error| ("examine", error))?;
        if self.at.root.follows() && meta.kind == Kind::Symlink {
            return follow(dir, name, self.xattrs).map_err(|error| ("follow", error));
        }
        complete(dir, name, self.xattrs, &mut meta)?;
        Ok(meta)
    }

    /// Drops the entries that stand under another spelling of the name that was asked for, if another one that was asked
    /// for is how it is spelt.
    fn keep_true_names(&self, dir: &OpenDir, listed: &mut Listed) -> Result<(), Error> {
        let failed = || At::dir(self.at).failed("read");
        let mut true_names = HashSet::new();
        let mut names = Names::of(dir).map_err(failed())?;
        while let Some((bytes, _)) = names.next_name().map_err(failed())? {
            true_names.insert(bytes.to_vec());
        }
        let is_true = |entry: &Entry| true_names.contains(entry.name.as_bytes());
        let spelt = listed.entries.iter().filter(|entry| is_true(entry));
        let spelt: HashSet<FileId> = spelt.map(|entry| entry.meta.id).collect();
        listed.entries.retain(|entry| is_true(entry) || !spelt.contains(&entry.meta.id));
        Ok(())
    }

    /// Tells the names in the directory that were asked for.
    fn survey(&self, dir: &OpenDir, listed: &mut Listed) -> Result<(), Error> {
        let failed = || At::dir(self.at).failed("read");
        let mut names = Names::of(dir).map_err(failed())?;
        listed.leftovers.clear();
        listed.names.clear();
        while let Some((bytes, _)) = names.next_name().map_err(failed())? {
            if is_temporary(bytes) {
                if !dir::is_own_temporary(bytes) {
                    listed.leftovers.extend(Name::new(bytes));
                }
            } else if self.survey == Survey::Names {
                listed.names.extend(Name::new(bytes));
            }
        }
        Ok(())
    }
}

/// Whether an inode is there more often than it has names: then its directory takes several spellings for one name.
fn has_aliases(entries: &[Entry]) -> bool {
    let has_one_name = |entry: &&Entry| entry.meta.nlink <= 1 || entry.meta.kind == Kind::Dir;
    let ids = entries.iter().filter(has_one_name).map(|entry| entry.meta.id);
    let mut ids: Vec<FileId> = ids.collect();
    ids.sort_unstable_by_key(|id| (id.dev, id.ino));
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// Names that room is made for before they are read.
const ENTRIES_EXPECTED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Capability, Sandbox, name};

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let sandbox = Sandbox::new();
        for at in 0..250 {
            sandbox.file(&format!("d/{at}"), b"");
        }
        let leftover = Name::temporary(1, 2);
        sandbox.file(&format!("d/{leftover}"), b"");
        let (mut after, mut seen, mut leftovers) = (None, Vec::new(), Vec::new());
        loop {
            let first = after.is_none();
            let what = What::Next { after, entries_max: 100 };
            let listed = sandbox.try_list(sandbox.dir("d"), what).expect("list");
            assert_eq!(listed.dir.is_some(), first);
            assert!(listed.entries.len() <= 100);
            seen.extend(listed.entries.into_iter().map(|entry| entry.name));
            leftovers.extend(listed.leftovers);
            after = listed.next;
            if after.is_none() {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 250);
        assert_eq!(leftovers, [leftover]);
    }

    #[test]
    fn named_entries_come_in_order_and_missing_ones_are_left_out() {
        let sandbox = Sandbox::new();
        for file in ["a/x", "a/y", "a/z", "b/z", "b/x"] {
            sandbox.file(file, b"");
        }
        let what = What::Named(sandbox.page("a"));
        let listed = sandbox.try_list(sandbox.dir("b"), what).expect("list");
        let names: Vec<Name> = listed.entries.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [name("x"), name("z")]);
        let missing = sandbox.try_list(sandbox.dir("c"), What::Itself).expect_err("missing");
        assert_eq!(missing.kind, ErrorKind::NotFound);
        let alone =
            sandbox.try_list(sandbox.dir("a"), What::Names([name("q")].into())).expect("list");
        assert!(alone.entries.is_empty() && alone.dir.is_some());
    }

    #[test]
    fn links_are_listed_with_their_target_and_never_followed() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::Symlinks) {
            return;
        }
        let target = "t".repeat(1000);
        sandbox.symlink(&target, "long");
        let meta = sandbox.meta("long");
        assert_eq!(meta.kind, Kind::Symlink);
        assert_eq!(meta.target.as_deref(), Some(target.as_bytes()));
        assert_eq!(meta.size, 1000);
    }
}
