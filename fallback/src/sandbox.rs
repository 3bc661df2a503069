//! A temporary directory in which the tests of this crate run tasks.
//! It must not know what any of them expects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_core::entry::{Entry, Kind, Meta};
use blit_core::event::Control;
use blit_core::path::{Name, RelPath};
use blit_core::spec::{Preserve, Reflink};
use blit_core::task::{
    Copied, Copy, CopyInto, Dir, List, Listed, Manner, Output, Over, Page, Pick, Place, Placed,
    Removal, Remove, Removed, Root, Step, Survey, Task, What,
};
use blit_core::{Error, ErrorKind};
use tempfile::TempDir;

use crate::sys::{self, Access};

pub(crate) struct Sandbox {
    temp: TempDir,
    pub(crate) root: Arc<Root>,
    pub(crate) control: Control,
}

/// What the system may not let a test do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Make symbolic links.
    Symlinks,
    /// Make pipes and sockets.
    Specials,
    /// Set each permission bit.
    Modes,
    /// Give any name that has no slash.
    AnyName,
    /// Nest directories deeper than a path in one call may be long.
    LongPaths,
}

pub(crate) const MANNER: Manner = Manner {
    preserve: Preserve::ALL,
    reflink: Reflink::Auto,
    fsync: false,
    in_place: false,
    aside: None,
};

pub(crate) fn name(text: impl AsRef<[u8]>) -> Name {
    Name::new(text.as_ref()).expect("a valid name")
}

pub(crate) fn kinds(failures: &[(usize, Error)]) -> Vec<(usize, ErrorKind)> {
    failures.iter().map(|(index, error)| (*index, error.kind)).collect()
}

fn nest(mut dir: sys::OpenDir) -> std::io::Result<()> {
    let long = name([b'd'; 200]);
    for _ in 0..25 {
        sys::make_dir(&dir, &long, 0o700)?;
        dir = sys::open_child(&dir, &long, Access::Search)?;
        sys::open_parent(&dir, Access::Search)?;
    }
    Ok(())
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let temp = TempDir::new().expect("a temporary directory");
        let root = Root::new(temp.path());
        Self { temp, root, control: Control::default() }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.temp.path().join(below)
    }

    /// Makes the file with everything above it.
    pub(crate) fn file(&self, below: &str, content: impl AsRef<[u8]>) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("it is below the root")).expect("mkdir");
        std::fs::write(path, content).expect("write");
    }

    /// Whether the system can do this; if not, says so where it is seen.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        let probe = TempDir::new_in(self.temp.path()).expect("a temporary directory");
        let (dir, name) = (sys::open_root(probe.path()).expect("open"), name("probe"));
        let can = match capability {
            Capability::Symlinks => sys::make_symlink(&dir, &name, b"target")
                .and_then(|()| sys::stat_at(&dir, &name))
                .is_ok_and(|meta| meta.kind == Kind::Symlink),
            Capability::Specials => sys::make_socket(&dir, &name, 0o600).is_ok(),
            Capability::Modes => sys::create_new(&dir, &name, 0o600)
                .and_then(|file| sys::set_mode((&file).into(), 0o2751).map(|()| file))
                .and_then(|file| sys::stat((&file).into()))
                .is_ok_and(|meta| meta.mode == 0o2751),
            Capability::AnyName => sys::create_new(&dir, &self::name(b"\xff\n"), 0o600).is_ok(),
            Capability::LongPaths => nest(dir).is_ok(),
        };
        if !can {
            println!("SKIPPED, no {capability:?} here");
        }
        can
    }

    pub(crate) fn symlink(&self, target: impl AsRef<Path>, below: &str) {
        let (dir, name) = self.place_of(below);
        let target = target.as_ref().as_os_str().as_encoded_bytes();
        sys::make_symlink(&dir, &name, target).expect("symlink");
    }

    pub(crate) fn set_mode(&self, below: &str, mode: u32) {
        let (dir, name) = self.place_of(below);
        let entry = sys::open_entry(&dir, &name).expect("open");
        sys::set_mode((&entry).into(), mode).expect("chmod");
    }

    fn place_of(&self, below: &str) -> (sys::OpenDir, Name) {
        let path = self.path(below);
        let above = sys::open_root(path.parent().expect("it is below the root")).expect("open");
        (above, name(path.file_name().expect("it has a name").as_encoded_bytes()))
    }

    pub(crate) fn mkdir(&self, below: &str) {
        std::fs::create_dir_all(self.path(below)).expect("mkdir");
    }

    pub(crate) fn read(&self, below: &str) -> Vec<u8> {
        std::fs::read(self.path(below)).expect("read")
    }

    pub(crate) fn dir(&self, below: &str) -> Dir {
        Dir::new(&self.root, RelPath::new(below.as_bytes()).expect("a valid path"))
    }

    /// The names in a directory, temporary ones too, sorted.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(below)).expect("read the directory");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn run(&self, task: Task) -> Result<Output, Error> {
        crate::run(&task, &self.control)
    }

    pub(crate) fn try_list(&self, dir: Dir, what: What) -> Result<Listed, Error> {
        match self.run(Task::List(List { dir, what, xattrs: true, survey: Survey::Leftovers }))? {
            Output::Listed(listed) => Ok(listed),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn page(&self, below: &str) -> Page {
        let what = What::Next { after: None, entries_max: 100_000 };
        let mut entries = self.try_list(self.dir(below), what).expect("list").entries;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.into()
    }

    pub(crate) fn meta(&self, below: &str) -> Meta {
        let path = RelPath::new(below.as_bytes()).expect("a valid path");
        let (above, last) = path.split_last().expect("not the root");
        let listed =
            self.try_list(Dir::new(&self.root, above), What::Names([last].into())).expect("list");
        listed.entries.into_iter().next().expect("it exists").meta
    }

    pub(crate) fn entry(&self, below: &str) -> Entry {
        let last = below.rsplit('/').next().expect("not empty");
        Entry { name: name(last), meta: self.meta(below) }
    }

    /// A copy of all files of `from`.
    pub(crate) fn copy_task(&self, from: &str, to: &str, into: CopyInto, over: Over) -> Copy {
        let page = self.page(from);
        let is_file = |index: &usize| page[*index].meta.kind == Kind::File;
        let picks = (0..page.len()).filter(is_file).map(|index| Pick { index, over }).collect();
        let (from, to) = (self.dir(from), self.dir(to));
        Copy { from, to, into, page, picks, source_name: None, manner: MANNER }
    }

    pub(crate) fn run_copy(&self, task: Copy) -> Result<Copied, Error> {
        match self.run(Task::Copy(task))? {
            Output::Copied(copied) => Ok(copied),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn place(&self, to: Dir, steps: Vec<Step>) -> Placed {
        match self.run(Task::Place(Place { to, steps, manner: MANNER })) {
            Ok(Output::Placed(placed)) => placed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn remove(&self, below: &str, names: &[&str], removal: Removal) -> Removed {
        let names = names.iter().map(name).collect();
        match self.run(Task::Remove(Remove { dir: self.dir(below), names, removal })) {
            Ok(Output::Removed(removed)) => removed,
            other => panic!("{other:?}"),
        }
    }
}
