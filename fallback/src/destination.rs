//! The directory that a copy writes into: how its files are created, dressed with metadata and published.
//! It must not know where contents come from, nor when a source counts as unchanged.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::sync::Arc;

use blit_core::entry::{Changes, Entry, Kind, Meta};
use blit_core::path::Name;
use blit_core::task::{Copied, CopyInto, Dir, Manner, Over};
use blit_core::{Error, ErrorKind};

use crate::aside::Aside;
use crate::content::Route;
use crate::dir::{self, At, OpenedDir, Staged};
use crate::metadata::{self, Keeper, Made};
use crate::replace::{Remains, Replace};
use crate::sys::{self, Access, OpenDir};

/// The destination directory of one copy task, open. Dropped before [`Destination::finish`], a new directory is removed
/// with what was written into it.
pub struct Destination<'a> {
    at: &'a Dir,
    manner: &'a Manner,
    aside: Option<Aside<'a>>,
    dir: Place,
    keeper: Keeper,
    has_unnamed: Cell<bool>,
    is_begun_again: bool,
    remains: RefCell<Remains>,
    copied: Copied,
}

/// Where files go.
enum Place {
    Existing(OpenedDir),
    /// Nobody else can reach what is in it.
    Hidden(OpenedDir),
    New {
        parent: OpenedDir,
        name: Name,
        staged: Staged,
        over: Over,
    },
}

/// A file that is being written. It must be given to [`Destination::publish`] or [`Destination::discard`].
#[derive(Debug)]
pub struct Draft {
    /// The file, open for writing.
    pub file: File,
    made: Made,
    named: Named,
}

/// The name that a draft has.
#[derive(Debug)]
enum Named {
    /// Its final one, in a hidden directory.
    Finally,
    /// None yet.
    Not,
    /// A temporary one.
    Temporarily(Name),
    /// Its final one, where it stood before with another content.
    AsBefore,
}

impl<'a> Destination<'a> {
    /// Opens or makes the directory `at`, which is what `into` says.
    ///
    /// # Errors
    /// Those of opening or making it.
    pub fn open(at: &'a Dir, into: CopyInto, manner: &'a Manner) -> Result<Self, Error> {
        let preserve = manner.preserve;
        let dir = match into {
            CopyInto::Existing => Place::Existing(dir::open_readable(at)?),
            CopyInto::Staged => Place::Hidden(dir::open(at, Access::Read)?),
            CopyInto::New(over) => new_place(at, over)?,
        };
        let mut inherits =
            sys::acl_is_inherited(dir.get()).map_err(At::dir(at).failed("read the ACL of"))?;
        if inherits && !matches!(dir, Place::Existing(_)) && (preserve.mode || preserve.acls) {
            let failed = At::dir(at).failed("remove the inherited ACL of");
            metadata::strip_acls(dir.get().into()).map_err(failed)?;
            inherits = false;
        }
        let keeper = Keeper::new(preserve, inherits);
        Ok(Self {
            at,
            aside: manner.aside.as_ref().map(Aside::new),
            manner,
            dir,
            keeper,
            has_unnamed: Cell::new(true),
            is_begun_again: false,
            remains: RefCell::default(),
            copied: Copied::default(),
        })
    }

    /// Creates a file for the content of `entry`.
    ///
    /// # Errors
    /// Those of creating it.
    pub fn create(&self, entry: &Entry, over: Over) -> Result<Draft, Error> {
        let at = At::entry(self.at, &entry.name);
        let dir = self.dir.get();
        if !matches!(self.dir, Place::Existing(_)) {
            let made = self.keeper.made(&entry.meta, true);
            let file = self.create_hidden(entry, made.mode).map_err(at.failed("create"))?;
            return Ok(Draft { file, made, named: Named::Finally });
        }
        if self.manner.in_place
            && over == Over::Entry
            && let Some(draft) = self.overwrite(entry)?
        {
            return Ok(draft);
        }
        if over == Over::Nothing && self.has_unnamed.get() {
            let made = self.keeper.made(&entry.meta, true);
            match sys::create_unnamed(dir, made.mode) {
                Ok(file) => return Ok(Draft { file, made, named: Named::Not }),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.has_unnamed.set(false);
                }
                Err(error) => return Err(at.failed("create")(error)),
            }
        }
        let made = self.keeper.made(&entry.meta, false);
        let (file, name) = create_locked(dir, made.mode).map_err(at.failed("create"))?;
        Ok(Draft { file, made, named: Named::Temporarily(name) })
    }

    /// Opens what stands there to be overwritten. Nothing where that is no file, or has other names that would change too.
    fn overwrite(&self, entry: &Entry) -> Result<Option<Draft>, Error> {
        let at = At::entry(self.at, &entry.name);
        let dir = self.dir.get();
        let is_lonely = |meta: &Meta| meta.kind == Kind::File && meta.nlink == 1;
        match sys::stat_at(dir, &entry.name) {
            Ok(meta) if is_lonely(&meta) => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at.failed("examine")(error)),
        }
        let opened = sys::open_to_write(dir, &entry.name);
        let file = opened.map_err(at.failed("open for writing"))?;
        let meta = sys::stat((&file).into()).map_err(at.failed("examine"))?;
        if !is_lonely(&meta) {
            return Ok(None);
        }
        let made = self.keeper.made(&entry.meta, false);
        if self.keeper.keeps_mode() && meta.mode & made.mode != meta.mode {
            // Nobody is to read the new content who was only meant to read the old one.
            let narrowed = sys::set_mode((&file).into(), meta.mode & made.mode);
            narrowed.map_err(at.failed("set mode of"))?;
        }
        Ok(Some(Draft { file, made, named: Named::AsBefore }))
    }

    /// Creates a file under its final name in a hidden directory. What a stream that broke has brought of it gives way.
    fn create_hidden(&self, entry: &Entry, mode: u32) -> io::Result<File> {
        let dir = self.dir.get();
        match sys::create_new(dir, &entry.name, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_begun_again => {
                sys::remove_file(dir, &entry.name)?;
                sys::create_new(dir, &entry.name, mode)
            }
            other => other,
        }
    }

    /// Says that what the task finds in its hidden directory under its own names is of its first, failed beginning.
    pub(crate) fn begin_again(&mut self) {
        self.is_begun_again = true;
    }

    /// Gives `draft` the metadata of `entry` and its final name. On failure it is gone.
    ///
    /// # Errors
    /// Those of setting metadata, of making it durable, and of naming it.
    pub fn publish(&self, draft: Draft, entry: &Entry, over: Over) -> Result<(), Error> {
        match self.dress_and_name(&draft, entry, over) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.discard(draft, entry);
                Err(error)
            }
        }
    }

    /// Removes `draft`.
    pub fn discard(&self, draft: Draft, entry: &Entry) {
        // If even this fails, what remains has a temporary name, or is in a directory that is not published.
        match &draft.named {
            Named::Finally => drop(sys::remove_file(self.dir.get(), &entry.name)),
            Named::Temporarily(name) => drop(sys::remove_file(self.dir.get(), name)),
            Named::Not | Named::AsBefore => {}
        }
    }

    /// Writes a file whose whole content is at hand, and publishes it. The caller has made sure that `bytes` are what the
    /// file held while it was as `entry` says.
    ///
    /// # Errors
    /// Those of [`Destination::create`] and [`Destination::publish`], and of writing.
    pub fn put(&self, entry: &Entry, over: Over, bytes: &[u8]) -> Result<(), Error> {
        let draft = self.create(entry, over)?;
        if !bytes.is_empty()
            && let Err(error) = sys::write_at(&draft.file, bytes, 0)
        {
            self.discard(draft, entry);
            return Err(At::entry(self.at, &entry.name).failed("write")(error));
        }
        self.publish(draft, entry, over)
    }

    /// Counts what became of the file at `index` of the page.
    pub fn record(&mut self, index: usize, result: Result<Written, Error>) {
        match result {
            Ok(written) => {
                self.copied.files += 1;
                self.copied.bytes += written.bytes;
                self.copied.bytes_cloned += written.cloned;
            }
            Err(error) => self.copied.failures.push((index, error)),
        }
    }

    /// Whether nothing of the task shows anywhere yet.
    pub fn is_untouched(&self) -> bool {
        self.copied.files == 0 || matches!(self.dir, Place::New { .. })
    }

    /// Publishes a new directory, makes names durable where asked, and says what became of the files.
    ///
    /// # Errors
    /// Those of publishing: nothing of the task counts then.
    pub fn finish(mut self) -> Result<Copied, Error> {
        self.copied.lost = self.keeper.lost().list();
        let at = At::dir(self.at);
        if self.manner.fsync {
            sync_dir(self.dir.get()).map_err(at.failed("sync"))?;
        }
        if let Place::New { parent, name, staged, over } = &self.dir {
            let remains = staged.publish(parent, (name, at), *over)?;
            self.remains.get_mut().extend(remains);
            if self.manner.fsync {
                sync_dir(parent).map_err(at.failed("sync the directory of"))?;
            }
        }
        self.copied.remains = self.remains.take();
        Ok(self.copied)
    }

    /// The device of the directory.
    pub(crate) fn device(&self) -> Option<u64> {
        sys::stat(self.dir.get().into()).ok().map(|meta| meta.id.dev)
    }

    /// What is known of copying from the device `source` to where `draft` is.
    pub(crate) fn route(&self, source: u64, draft: &Draft) -> Result<Arc<Route>, Error> {
        if let Named::AsBefore = draft.named {
            let meta = sys::stat((&draft.file).into());
            return Ok(Route::between(
                source,
                meta.map_err(At::dir(self.at).failed("examine"))?.id.dev,
            ));
        }
        let device = self.keeper.device((&draft.file).into());
        let device = device.map_err(|fault| At::dir(self.at).failed(fault.op)(fault.error))?;
        Ok(Route::between(source, device))
    }

    /// How files are written.
    pub(crate) fn manner(&self) -> &Manner {
        self.manner
    }

    fn dress_and_name(&self, draft: &Draft, entry: &Entry, over: Over) -> Result<(), Error> {
        let at = At::entry(self.at, &entry.name);
        let object = (&draft.file).into();
        let dressed = if let Named::AsBefore = draft.named {
            draft.file.set_len(entry.meta.size).map_err(at.failed("truncate"))?;
            self.keeper.repair(object, &entry.meta, Changes::all(&self.manner.preserve))
        } else {
            self.keeper.dress(object, &entry.meta, draft.made)
        };
        dressed.map_err(|fault| at.failed(fault.op)(fault.error))?;
        if self.manner.fsync {
            sys::sync(object).map_err(at.failed("sync"))?;
        }
        let dir = self.dir.get();
        match &draft.named {
            Named::Finally | Named::AsBefore => Ok(()),
            Named::Not => {
                sys::link_unnamed(&draft.file, dir, &entry.name).map_err(at.failed("create"))
            }
            Named::Temporarily(temporary) => {
                if let Some(aside) = self.aside.as_ref().filter(|_| over != Over::Nothing) {
                    aside.keep(dir, &entry.name, at)?;
                }
                let replace = Replace { dir, temporary, name: &entry.name, at };
                self.remains.borrow_mut().extend(replace.with_entry(over)?);
                Ok(())
            }
        }
    }
}

impl Place {
    fn get(&self) -> &OpenDir {
        match self {
            Self::Existing(dir) | Self::Hidden(dir) => dir,
            Self::New { staged, .. } => staged.dir(),
        }
    }
}

impl Draft {
    /// Whether something is in it already, that holes would show.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.named, Named::AsBefore)
    }
}

/// A file that was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of its content.
    pub bytes: u64,
    /// How many of them are shared with the source.
    pub cloned: u64,
}

/// Makes the names in a directory durable; one that may not be read cannot be opened for that.
pub(crate) fn sync_dir(dir: &OpenDir) -> io::Result<()> {
    match sys::sync(dir.into()) {
        Err(error) if sys::is_bad_handle(&error) => {
            sys::sync((&sys::open_dir(dir, b"", Access::Read)?).into())
        }
        other => other,
    }
}

/// Creates a file under a temporary name and locks it, which says to other runs that it is no leftover. One that takes it
/// for a leftover before that has it locked, or has removed it already; then there is another one.
fn create_locked(dir: &OpenDir, mode: u32) -> io::Result<(File, Name)> {
    for _ in 0..dir::NAME_ATTEMPTS_MAX {
        let name = dir::next_temporary();
        let file = sys::create_new(dir, &name, mode)?;
        match sys::try_lock((&file).into()) {
            Ok(false) => {}
            Ok(true) if sys::stat((&file).into())?.nlink == 0 => {}
            // A file system without locks has no such protection.
            Ok(true) | Err(_) => return Ok((file, name)),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn new_place(at: &Dir, over: Over) -> Result<Place, Error> {
    let Some((above, name)) = at.path.split_last() else {
        return Err(At::dir(at).because(ErrorKind::Internal, "create", "it is the root itself"));
    };
    let parent = dir::open_readable(&Dir::new(&at.root, above))?;
    let staged = Staged::new(&parent).map_err(At::dir(at).failed("create"))?;
    Ok(Place::New { parent, name, staged, over })
}
