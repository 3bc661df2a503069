//! Removes entries: single ones, trees, and what killed runs have left.
//! It must not follow a link, nor decide what is extraneous.

use std::collections::HashMap;
use std::io;

use blit_core::entry::{Entry, FileId, Kind, Meta};
use blit_core::event::Control;
use blit_core::path::Name;
use blit_core::task::{Dir, Removal, Remove, Removed};
use blit_core::{Error, ErrorKind};

use crate::aside::Aside;
use crate::dir::{self, At};
use crate::sys::{self, Access, Names, OpenDir};

/// Removes the names of `task`. What is gone already is no failure.
///
/// # Errors
/// Those of opening the directory; `Interrupted`.
pub fn remove(task: &Remove, control: &Control) -> Result<Removed, Error> {
    let dir = dir::open(&task.dir, Access::Search)?;
    let known = Known::of(&task.removal);
    let aside = match &task.removal {
        Removal::Aside(at) => Some(Aside::new(at)),
        _ => None,
    };
    let mut removed = Removed::default();
    let mut is_cut_short = false;
    for name in &task.names {
        if control.is_cancelled() {
            is_cut_short = true;
            break;
        }
        let mut sweep = Sweep::new(At::entry(&task.dir, name), Some(control), &mut removed);
        match &task.removal {
            Removal::Single => sweep.single(&dir, name),
            Removal::Aside(_) => sweep.aside(&dir, name, aside.as_ref()),
            Removal::Unchanged(_) => sweep.unchanged(&dir, name, &known),
            Removal::Tree => sweep.tree(&dir, name),
            Removal::Leftover => sweep.leftover(&dir, &task.dir, name),
        }
    }
    // One word for all that is left, whether it ended within a tree or between two names.
    is_cut_short |= removed.failures.pop_if(|e| e.kind == ErrorKind::Interrupted).is_some();
    if is_cut_short {
        let error = At::dir(&task.dir).refused(ErrorKind::Interrupted, "remove");
        if removed.files + removed.dirs == 0 {
            return Err(error);
        }
        removed.failures.push(error);
    }
    Ok(removed)
}

/// Removes the tree that was replaced and has the name `old` in `dir` now. `at` is where it was; what fails is told as a
/// failure there.
pub(crate) fn replaced(dir: &OpenDir, old: &Name, at: At<'_>) -> Vec<Error> {
    let mut removed = Removed::default();
    Sweep::new(at, None, &mut removed).tree(dir, old);
    let tell = |error: Error| {
        let why = error.reason();
        at.because(error.kind, "remove what was replaced at", &why)
    };
    removed.failures.into_iter().map(tell).collect()
}

/// Removes all that is in `dir`.
///
/// # Errors
/// The first failure.
pub fn empty(dir: &OpenDir) -> io::Result<()> {
    let root = blit_core::task::Root::new("");
    let at = Dir::new(&root, blit_core::path::RelPath::root());
    let mut removed = Removed::default();
    let mut sweep = Sweep::new(At::dir(&at), None, &mut removed);
    sweep.contents(Names::of(dir)?.into_dir());
    match removed.failures.into_iter().next() {
        Some(error) => Err(io::Error::other(error)),
        None => Ok(()),
    }
}

/// What entries were when they were copied.
struct Known<'a>(HashMap<&'a Name, &'a Meta>);

impl<'a> Known<'a> {
    fn of(removal: &'a Removal) -> Self {
        let page: &[Entry] = match removal {
            Removal::Unchanged(page) => page,
            Removal::Single | Removal::Aside(_) | Removal::Tree | Removal::Leftover => &[],
        };
        Self(page.iter().map(|entry| (&entry.name, &entry.meta)).collect())
    }
}

/// One name being removed.
struct Sweep<'a> {
    at: At<'a>,
    control: Option<&'a Control>,
    removed: &'a mut Removed,
}

/// A directory whose files are gone and whose sub-directories are being removed.
struct Level {
    /// Closed while too many levels are open below.
    dir: Option<OpenDir>,
    id: FileId,
    /// Its name in the level above.
    name: Option<Name>,
    subdirs: Vec<Name>,
}

impl<'a> Sweep<'a> {
    fn new(at: At<'a>, control: Option<&'a Control>, removed: &'a mut Removed) -> Self {
        Self { at, control, removed }
    }

    fn single(&mut self, dir: &OpenDir, name: &Name) {
        match sys::remove_file(dir, name) {
            Err(error) if is_dir(&error) => match sys::remove_dir(dir, name) {
                // Where directories are refused with "not permitted", so is much else.
                Err(second) if second.kind() == io::ErrorKind::NotADirectory => self.fail(error),
                result => self.count_dir(result),
            },
            result => self.count_file(result),
        }
    }

    fn aside(&mut self, dir: &OpenDir, name: &Name, aside: Option<&Aside<'_>>) {
        let is_dir = sys::stat_at(dir, name).is_ok_and(|meta| meta.kind == Kind::Dir);
        match aside {
            Some(aside) if !is_dir => match aside.take(dir, name, self.at) {
                Ok(()) => self.removed.files += 1,
                Err(error) => self.removed.failures.push(error),
            },
            _ => self.single(dir, name),
        }
    }

    fn unchanged(&mut self, dir: &OpenDir, name: &Name, known: &Known<'_>) {
        let now = match sys::stat_at(dir, name) {
            Ok(now) => now,
            Err(error) => return self.count_file(Err(error)),
        };
        let is_unchanged = |earlier: &&Meta| now.is_content_unchanged_since(earlier);
        if now.kind == Kind::Dir || !known.0.get(name).is_some_and(is_unchanged) {
            return self.keep();
        }
        match sys::remove_file(dir, name) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.keep();
            }
            result => self.count_file(result),
        }
    }

    fn keep(&mut self) {
        let why = "it stays in the source, because it changed after it was copied";
        self.removed.failures.push(self.at.because(ErrorKind::Changed, "remove", why));
    }

    fn tree(&mut self, dir: &OpenDir, name: &Name) {
        match sys::remove_file(dir, name) {
            Err(error) if is_dir(&error) => match sys::open_child(dir, name, Access::Read) {
                Ok(child) => {
                    if self.contents(child) {
                        self.count_dir(sys::remove_dir(dir, name));
                    }
                }
                Err(second) if second.kind() == io::ErrorKind::NotADirectory => self.fail(error),
                // An empty directory can be removed without being readable.
                Err(second) => match sys::remove_dir(dir, name) {
                    Ok(()) => self.removed.dirs += 1,
                    Err(_) => self.fail(second),
                },
            },
            result => self.count_file(result),
        }
    }

    fn leftover(&mut self, dir: &OpenDir, at: &Dir, name: &Name) {
        if !name.is_temporary() {
            let at = At::entry(at, name);
            let why = "not a temporary name";
            self.removed.failures.push(at.because(ErrorKind::Internal, "remove", why));
            return;
        }
        let meta = match sys::stat_at(dir, name) {
            Ok(meta) => meta,
            Err(error) => return self.count_file(Err(error)),
        };
        // Held until the removal is over, so that nobody else takes it meanwhile.
        let lock = match meta.kind {
            Kind::File => sys::open_file(dir, name, false).and_then(|file| {
                let free = sys::try_lock((&file).into())?;
                Ok((free, Some(file), None))
            }),
            Kind::Dir => sys::open_child(dir, name, Access::Read).and_then(|child| {
                let free = sys::try_lock((&child).into())?;
                Ok((free, None, Some(child)))
            }),
            // Links and special files are never in work for longer than two calls.
            _ => Ok((true, None, None)),
        };
        match lock {
            Ok((false, ..)) => {}
            Ok(_held) => self.tree(dir, name),
            // A file that its owner may not read was shut by a run that did not finish; nobody can prove that.
            Err(error) => self.fail(error),
        }
    }

    /// Removes all that is in `top`, level by level, with a bounded number of open directories. False if it gave up before
    /// it had tried everything.
    fn contents(&mut self, top: OpenDir) -> bool {
        let Some(first) = self.enter(top, None) else { return false };
        let mut levels = vec![first];
        while let Some(level) = levels.last_mut() {
            if self.is_cancelled() {
                self.fail(io::ErrorKind::Interrupted.into());
                return false;
            }
            let Some(dir) = &level.dir else { return false };
            if let Some(name) = level.subdirs.pop() {
                match sys::open_child(dir, &name, Access::Read) {
                    Ok(child) => {
                        let entered = self.enter(child, Some(name));
                        levels.extend(entered);
                        if let Some(at) = levels.len().checked_sub(OPEN_LEVELS_MAX) {
                            levels[at].dir = None;
                        }
                    }
                    Err(error) => match sys::remove_dir(dir, &name) {
                        Ok(()) => self.removed.dirs += 1,
                        Err(_) => self.fail(error),
                    },
                }
                continue;
            }
            let Some(done) = levels.pop() else { return true };
            if let Some(above) = levels.last_mut()
                && let Err(error) = self.leave(done, above)
            {
                self.fail(error);
                return false;
            }
        }
        true
    }

    fn is_cancelled(&self) -> bool {
        self.control.is_some_and(Control::is_cancelled)
    }

    /// Goes up from `done` into `above`, and removes the former there.
    fn leave(&mut self, done: Level, above: &mut Level) -> io::Result<()> {
        let (Some(dir), Some(name)) = (done.dir, done.name) else { return Ok(()) };
        if above.dir.is_none() {
            let parent = sys::open_parent(&dir, Access::Search)?;
            if sys::stat((&parent).into())?.id != above.id {
                return Err(io::Error::other("a directory was moved while it was removed"));
            }
            above.dir = Some(parent);
        }
        if let Some(parent) = &above.dir {
            self.count_dir(sys::remove_dir(parent, &name));
        }
        Ok(())
    }

    /// Removes everything in `dir` but its sub-directories.
    fn enter(&mut self, dir: OpenDir, name: Option<Name>) -> Option<Level> {
        let level = || -> io::Result<Level> {
            let id = sys::stat((&dir).into())?.id;
            let mut subdirs = Vec::new();
            let mut names = Names::new(dir);
            let mut failures = Vec::new();
            while let Some((bytes, known_dir)) = names.next_name()? {
                let entry = Name::new(bytes).map_err(io::Error::other)?;
                if known_dir {
                    subdirs.push(entry);
                    continue;
                }
                match sys::remove_file(names.dir(), &entry) {
                    Ok(()) => {
                        self.removed.files += 1;
                        let is_due = self.removed.files.is_multiple_of(FILES_PER_CHECK);
                        if is_due && self.is_cancelled() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                        subdirs.push(entry)
                    }
                    Err(error) => failures.push(error),
                }
            }
            failures.into_iter().for_each(|error| self.fail(error));
            Ok(Level { dir: Some(names.into_dir()), id, name, subdirs })
        };
        match level() {
            Ok(level) => Some(level),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn count_file(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.removed.files += 1,
            Err(error) => self.fail(error),
        }
    }

    fn count_dir(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.removed.dirs += 1,
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.removed.failures.push(self.at.failed("remove")(error));
        }
    }
}

/// Removing a file says so of a directory; some systems call it "not permitted".
fn is_dir(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::IsADirectory || sys::is_not_permitted(error)
}

/// Files between two looks at the stop signal.
const FILES_PER_CHECK: u64 = 256;
/// Directories of one tree that are open at once. Deeper ones are found again through `..`, which is verified.
const OPEN_LEVELS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Capability, Sandbox, name};

    #[test]
    fn a_tree_goes_and_what_its_links_name_stays() {
        let sandbox = Sandbox::new();
        sandbox.file("kept/f", b"");
        sandbox.file("t/a/b/f", b"");
        sandbox.file("t/a/g", b"");
        sandbox.mkdir("t/empty");
        if sandbox.can(Capability::Symlinks) {
            sandbox.symlink("../kept", "t/link");
        } else {
            sandbox.file("t/link", b"");
        }
        let removed = sandbox.remove("", &["t", "gone"], Removal::Tree);
        assert_eq!((removed.files, removed.dirs, removed.failures.len()), (3, 4, 0));
        assert_eq!(sandbox.names(""), ["kept"]);
        assert_eq!(sandbox.names("kept"), ["f"]);
    }

    #[test]
    fn a_single_removal_leaves_full_directories() {
        let sandbox = Sandbox::new();
        sandbox.file("full/f", b"");
        sandbox.mkdir("empty");
        sandbox.file("file", b"");
        let removed = sandbox.remove("", &["full", "empty", "file"], Removal::Single);
        assert_eq!((removed.files, removed.dirs), (1, 1));
        assert_eq!(removed.failures[0].kind, ErrorKind::NotEmpty);
        assert_eq!(sandbox.names(""), ["full"]);
    }

    #[test]
    fn hundreds_of_levels_need_neither_stack_nor_descriptors() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::LongPaths) {
            return;
        }
        let mut dir = sys::open_root(&sandbox.path("")).expect("open");
        for _ in 0..300 {
            dir = sys::make_private_dir(&dir, &name("d")).expect("mkdir");
        }
        drop(dir);
        let removed = sandbox.remove("", &["d"], Removal::Tree);
        assert_eq!((removed.dirs, removed.failures.len()), (300, 0));
        assert!(sandbox.names("").is_empty());
    }

    #[test]
    fn leftovers_in_use_and_other_names_stay() {
        let sandbox = Sandbox::new();
        let [free, used, dir] = [1, 2, 3].map(|at| Name::temporary(9, at).to_string());
        sandbox.file(&free, b"");
        sandbox.file(&used, b"");
        sandbox.file(&format!("{dir}/x"), b"");
        sandbox.file("data", b"");
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let lock = sys::open_file(&root, &name(&used), false).expect("open");
        assert!(sys::try_lock((&lock).into()).expect("lock"));
        let removed = sandbox.remove("", &[&free, &used, &dir, "data"], Removal::Leftover);
        assert_eq!((removed.files, removed.dirs, removed.failures.len()), (2, 1, 1));
        assert_eq!(sandbox.names(""), [used.as_str(), "data"]);
        drop(lock);
        sandbox.remove("", &[&used], Removal::Leftover);
        assert_eq!(sandbox.names(""), ["data"]);
    }
}
