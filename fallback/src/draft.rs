//! The unpublished file that a large file from another machine is collected in. Its name is the same in every run, so that the
//! next run goes on with what a killed one has left. It must not know where the content comes from.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use blit_core::entry::{Entry, Kind, Meta};
use blit_core::event::Control;
use blit_core::header::BLOCK_BYTES;
use blit_core::path::Name;
use blit_core::task::{Blocks, Dir, Held, Manner, Over};
use blit_core::{Error, ErrorKind};
use xxhash_rust::xxh3::xxh3_128;

use crate::content;
use crate::destination::sync_dir;
use crate::dir::{self, At, OpenedDir};
use crate::metadata::{Keeper, Made};
use crate::replace::{Remains, Replace};
use crate::sys::{self, OpenDir};

/// A large file without its final name. Dropped before it is sealed, it stays for the next run, if that can find it.
#[derive(Debug)]
pub(crate) struct Drafted {
    dir: OpenedDir,
    file: File,
    name: Name,
    /// The file that it will replace, where blocks of it are used.
    old: Option<Old>,
    /// It has a name that the next run knows.
    is_lasting: bool,
    is_gone: AtomicBool,
}

/// The file that a draft replaces.
#[derive(Debug)]
struct Old {
    file: File,
    /// As it was before any of it was read.
    meta: Meta,
    /// Blocks whose digests were told because the draft had nothing at their places: a bit for each. What the draft has
    /// changes as it is filled, and where there are no holes it seems to have all before its end.
    told: Mutex<Vec<u64>>,
    /// Blocks of it went into the draft.
    is_used: AtomicBool,
}

impl Old {
    /// The regular file `name`, if there is one that can be read.
    fn open(dir: &OpenDir, name: &Name) -> Option<Self> {
        let file = sys::open_file(dir, name, true).ok()?;
        let meta = sys::stat((&file).into()).ok()?;
        let (told, is_used) = (Mutex::default(), AtomicBool::new(false));
        (meta.kind == Kind::File).then_some(Self { file, meta, told, is_used })
    }

    /// Takes note that the digest of the block at `offset` is told.
    fn tell(&self, offset: u64) {
        let (word, bit) = place(offset);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() <= word {
            told.resize(word + 1, 0);
        }
        told[word] |= bit;
    }

    fn is_told(&self, offset: u64) -> bool {
        let (word, bit) = place(offset);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether blocks of it were used that may not be those whose digests were told.
    fn is_unsound(&self) -> bool {
        let now = sys::stat((&self.file).into());
        self.is_used.load(Ordering::Acquire)
            && !now.is_ok_and(|now| now.is_unchanged_since(&self.meta))
    }
}

impl Drafted {
    /// Makes the draft of `entry` in `dir`, or finds what an earlier run has left of it.
    pub(crate) fn open(dir: OpenedDir, entry: &Entry, reuse: bool) -> io::Result<Self> {
        let lasting = Name::partial(&entry.name);
        let (file, name, is_lasting) = match lasting_file(&dir, &lasting, reuse)? {
            Some(file) => (file, lasting, true),
            // Another run writes it: whichever publishes last wins whole.
            None => {
                let name = dir::next_temporary();
                drop(sys::create_new(&dir, &name, OWNER_ONLY)?);
                let file = sys::open_to_update(&dir, &name)?;
                sys::try_lock((&file).into())?;
                (file, name, false)
            }
        };
        let old = match reuse {
            true => Old::open(&dir, &entry.name),
            false => None,
        };
        Ok(Self { dir, file, name, old, is_lasting, is_gone: AtomicBool::new(false) })
    }

    /// How many bytes there are to begin with.
    pub(crate) fn begun(&self) -> u64 {
        let len = |file: &File| file.metadata().map_or(0, |meta| meta.len());
        len(&self.file).max(self.old.as_ref().map_or(0, |old| old.meta.size))
    }

    /// Writes a piece.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        sys::write_at(&self.file, bytes, offset)
    }

    /// Keeps what there is of a range whose blocks were found equal: as it is in the draft, else copied from the old file.
    pub(crate) fn keep(&self, offset: u64, len: u64) -> io::Result<()> {
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let stop = end.min((at / BLOCK_BYTES + 1) * BLOCK_BYTES);
            if let Some(old) = self.old.as_ref().filter(|old| old.is_told(at)) {
                old.is_used.store(true, Ordering::Release);
                // A hole of the old file is one of the draft already.
                if has(&old.file, at, stop) {
                    copy(&old.file, &self.file, at..stop)?;
                }
            }
            at = stop;
        }
        Ok(())
    }

    /// Gives it its length, metadata and final name. `Changed` if the file whose blocks it uses was changed meanwhile.
    pub(crate) fn seal(
        &self,
        (entry, over): (&Entry, Over),
        (to, manner): (&Dir, &Manner),
    ) -> Result<(Remains, Keeper), Error> {
        let at = At::entry(to, &entry.name);
        if self.old.as_ref().is_some_and(Old::is_unsound) {
            return Err(at.refused(ErrorKind::Changed, "compare"));
        }
        let inherits = sys::acl_is_inherited(&self.dir).map_err(at.failed("read the ACL of"))?;
        let keeper = Keeper::new(manner.preserve, inherits);
        self.file.set_len(entry.meta.size).map_err(at.failed("write"))?;
        let object = (&self.file).into();
        let made = Made { mode: OWNER_ONLY, hidden: false };
        let dressed = keeper.dress(object, &entry.meta, made);
        dressed.map_err(|fault| at.failed(fault.op)(fault.error))?;
        if manner.fsync {
            sys::sync(object).map_err(at.failed("sync"))?;
        }
        let replace = Replace { dir: &self.dir, temporary: &self.name, name: &entry.name, at };
        let remains = replace.with_entry(over)?;
        self.is_gone.store(true, Ordering::Release);
        if manner.fsync {
            sync_dir(&self.dir).map_err(at.failed("sync the directory of"))?;
        }
        Ok((remains, keeper))
    }

    /// Removes it.
    pub(crate) fn discard(&self) {
        if !self.is_gone.swap(true, Ordering::AcqRel) {
            // What cannot be removed has a name that is never taken for data.
            drop(sys::remove_file(&self.dir, &self.name));
        }
    }

    fn read(&self, offset: u64, space: &mut [u8]) -> io::Result<()> {
        let end = offset + space.len() as u64;
        let file = match &self.old {
            Some(old) if !has(&self.file, offset, end) => {
                old.tell(offset);
                &old.file
            }
            _ => &self.file,
        };
        let mut done = 0;
        while done < space.len() {
            match sys::read_at(file, &mut space[done..], offset + done as u64) {
                Ok(0) => {
                    space[done..].fill(0);
                    return Ok(());
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Drafted {
    fn drop(&mut self) {
        let is_empty = || self.file.metadata().is_ok_and(|meta| meta.len() == 0);
        if !self.is_lasting || is_empty() {
            self.discard();
        }
    }
}

/// The draft that `held` is.
///
/// # Errors
/// `Internal` if it is something else.
pub(crate) fn drafted_of(held: &Held, dir: &Dir) -> Result<Arc<Drafted>, Error> {
    Arc::clone(&held.0).downcast::<Drafted>().map_err(|_| {
        let path = dir.shown(None);
        Error::because(ErrorKind::Internal, "open", &path, "not a draft of this engine")
    })
}

/// Digests what the draft of `task` has of a range, block by block.
///
/// # Errors
/// Those of reading it; `Interrupted`.
pub fn blocks(task: &Blocks, control: &Control) -> Result<Arc<[u128]>, Error> {
    let draft = drafted_of(&task.draft, &task.dir)?;
    let at = At::dir(&task.dir);
    let mut block = vec![0; usize::try_from(BLOCK_BYTES).expect("a block is small")];
    let end = task.offset.saturating_add(task.len);
    let mut digests = Vec::new();
    let mut offset = task.offset;
    while offset < end {
        if control.is_cancelled() {
            return Err(at.refused(ErrorKind::Interrupted, "read"));
        }
        let len = usize::try_from((end - offset).min(BLOCK_BYTES)).expect("a block is small");
        draft.read(offset, &mut block[..len]).map_err(at.failed("read"))?;
        digests.push(xxh3_128(&block[..len]));
        offset += len as u64;
    }
    Ok(digests.into())
}

/// The file under the lasting name, locked; `None` while another run has it.
fn lasting_file(dir: &OpenDir, name: &Name, reuse: bool) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS_MAX {
        match sys::create_new(dir, name, OWNER_ONLY) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let file = match sys::open_to_update(dir, name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return Ok(None),
        };
        if !sys::try_lock((&file).into()).unwrap_or(true) {
            return Ok(None);
        }
        if is_ours(&file)? && sys::stat_at(dir, name).is_ok_and(|now| is_same(&file, now.id)) {
            if !reuse {
                file.set_len(0)?;
            }
            return Ok(Some(file));
        }
        // Somebody has put something else under this name, or another run has just sealed or removed it.
        if !is_ours(&file)? {
            sys::remove_file(dir, name)?;
        }
    }
    Ok(None)
}

/// Whether a file has something at a place, and not a hole.
fn has(file: &File, start: u64, end: u64) -> bool {
    let extent = sys::next_extent(file, start, end);
    // What cannot be told counts as something.
    extent.map_or(true, |extent| extent.is_some_and(|extent| extent.start < end))
}

/// Where the bit of a block is, and which it is.
fn place(offset: u64) -> (usize, u64) {
    let block = offset / BLOCK_BYTES;
    (usize::try_from(block / 64).expect("a file has fewer blocks"), 1 << (block % 64))
}

/// Whether nobody else can have put the file there or reach it by another name.
fn is_ours(file: &File) -> io::Result<bool> {
    let meta = sys::stat(file.into())?;
    let is_owner = meta.uid == sys::identity().uid;
    Ok(meta.kind == Kind::File && meta.nlink == 1 && is_owner && meta.mode & 0o077 == 0)
}

fn is_same(file: &File, id: blit_core::entry::FileId) -> bool {
    sys::stat(file.into()).is_ok_and(|meta| meta.id == id)
}

/// Copies a range to the same place of another file, sharing storage where the system can.
fn copy(from: &File, to: &File, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        match sys::copy_range(from, to, at, len) {
            Ok(0) => break,
            Ok(count) => at += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let rest = content::read_and_write((from, to), at..range.end);
    rest.map(drop).map_err(|fault| fault.error)
}

/// Nobody but the owner.
const OWNER_ONLY: u32 = 0o600;
/// Each attempt fails only if another run seals or removes the very file at this moment.
const ATTEMPTS_MAX: u32 = 8;
