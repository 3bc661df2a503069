//! Copying simulated files: each file is created, filled in parts, proven unchanged and published, a call a piece.
//! It must not let anything incomplete be seen under a final name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outsider;
use super::publish::{Unpublished, count_lost, default_mode, remove_old, replace, set_metadata};
use super::remove::Tree;
use super::volume::{Body, Call, Ino, Lock, READ};
use super::work::{Work, World};
use crate::entry::{Changes, Kind, Meta};
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::spec::Reflink;
use crate::task::{Copied, Copy, CopyInto, Output, Over, Pick};

/// A copy in work.
pub(super) struct Copying {
    task: Copy,
    ends: Option<Ends>,
    next: usize,
    file: Option<File>,
    /// What was replaced and is being removed, and where it was.
    old: Option<(Tree, Vec<u8>)>,
    /// Why each further file would fail.
    end: Option<ErrorKind>,
    is_published: bool,
    copied: Copied,
}

/// The two directories, opened.
struct Ends {
    from: Ino,
    to: Ino,
    /// Where `to` is while it is not published: above, its temporary name, and its lock.
    hidden: Option<(Ino, Name, Arc<Lock>)>,
}

/// One file in work.
struct File {
    pick: Pick,
    source: Ino,
    start: Meta,
    /// Where the content goes.
    target: Target,
    offset: usize,
    tries: u32,
    step: Step,
}

enum Target {
    /// Not yet to be seen.
    Unpublished(Unpublished),
    /// Under its final name in a directory that is not yet to be seen.
    Direct(Ino),
}

impl Target {
    fn ino(&self) -> Ino {
        match self {
            Self::Unpublished(unpublished) => unpublished.ino,
            Self::Direct(ino) => *ino,
        }
    }
}

/// What is done next to a file. Fill -> Prove -> Describe -> Publish; from Prove back to Fill where the source changed.
#[derive(Clone, Copy)]
enum Step {
    Fill,
    Prove,
    Describe,
    Publish,
}

impl Copying {
    pub(super) fn new(task: Copy) -> Self {
        Self {
            task,
            ends: None,
            next: 0,
            file: None,
            old: None,
            end: None,
            is_published: false,
            copied: Copied::default(),
        }
    }

    fn open(&self, world: &mut World<'_>) -> Result<Ends, Error> {
        let from = world.open(&self.task.from, "open")?;
        if !matches!(self.task.into, CopyInto::New(_)) {
            let to = world.open(&self.task.to, "open")?;
            return Ok(Ends { from, to, hidden: None });
        }
        let (above, _) = self.split_to()?;
        let made = self.parent(world, above).and_then(|parent| {
            let ino = world.volume.create(parent, Body::Dir(BTreeMap::new()), 0o700)?;
            let name = world.own.temporary();
            world.volume.attach(parent, &name, ino)?;
            let lock = world.own.lock();
            world.volume.inode_mut(ino)?.lock = Arc::downgrade(&lock);
            Ok((parent, name, lock, ino))
        });
        let (parent, name, lock, to) =
            made.map_err(|kind| Error::new(kind, "make", &self.task.to.shown(None)))?;
        Ok(Ends { from, to, hidden: Some((parent, name, lock)) })
    }

    fn parent(&self, world: &World<'_>, above: Vec<Vec<u8>>) -> Call<Ino> {
        world.below_root(&self.task.to, above.into_iter())
    }

    /// The way to the directory above the new one, and its final name.
    fn split_to(&self) -> Result<(Vec<Vec<u8>>, Name), Error> {
        let (above, name) = self.task.to.path.split_last().ok_or_else(|| {
            Error::new(ErrorKind::AlreadyExists, "make", &self.task.to.shown(None))
        })?;
        Ok((above.components().map(<[u8]>::to_vec).collect(), name))
    }

    fn begin(&self, world: &mut World<'_>, ends: &Ends, pick: Pick) -> Call<File> {
        let entry = self.task.page.get(pick.index).ok_or(ErrorKind::Internal)?;
        let source_name = self.task.source_name.as_ref().unwrap_or(&entry.name);
        if world.rng.chance(world.faults.vanish) {
            let _ = outsider::remove(world.volume, ends.from, source_name);
        }
        let source = world.source(&self.task.from, ends.from, source_name).map_err(vanished)?;
        let start = world.volume.meta(source, true)?;
        if start.kind != Kind::File {
            return Err(ErrorKind::Changed);
        }
        world.volume.allow(source, READ)?;
        if world.rng.chance(world.faults.open_denied) {
            return Err(ErrorKind::PermissionDenied);
        }
        let ino = world.volume.create(ends.to, Body::File(Vec::new()), 0o600)?;
        let target = if self.task.into == CopyInto::Existing {
            let can_be = world.volume.fs_of(ends.to)?.anonymous;
            let anonymous = can_be && pick.over == Over::Nothing;
            Target::Unpublished(Unpublished::new(world, ends.to, ino, anonymous)?)
        } else {
            if let Err(kind) = world.volume.attach(ends.to, &entry.name, ino) {
                world.volume.free_nameless(ino)?;
                return Err(kind);
            }
            Target::Direct(ino)
        };
        Ok(File { pick, source, start, target, offset: 0, tries: 0, step: Step::Fill })
    }

    /// Does one piece of a file; `true` when only publishing is left.
    fn go_on(&mut self, world: &mut World<'_>, file: &mut File) -> Call<bool> {
        match file.step {
            Step::Fill => self.fill(world, file)?,
            Step::Prove => prove(world, file)?,
            Step::Describe => {
                let preserve = &self.task.manner.preserve;
                let mut meta = file.start.clone();
                let mut changes = Changes::all(preserve);
                if !preserve.mode {
                    meta.mode = default_mode(meta.mode);
                    changes.mode = true;
                }
                let lost = set_metadata(world, file.target.ino(), &meta, (changes, preserve))?;
                count_lost(&mut self.copied.lost, lost);
                file.step = Step::Publish;
            }
            Step::Publish => return Ok(true),
        }
        Ok(false)
    }

    fn fill(&mut self, world: &mut World<'_>, file: &mut File) -> Call<()> {
        if world.rng.chance(world.faults.read_fails) {
            return Err(ErrorKind::Io);
        }
        let shares = self.shares(world, file)?;
        let content = world.volume.content(file.source).map_err(vanished)?;
        let rest = content.get(file.offset..).unwrap_or_default();
        let part =
            if shares { rest.len() } else { rest.len() / 2 + 1 + world.rng.below(rest.len()) };
        let part = rest[..part.min(rest.len())].to_vec();
        if !part.is_empty() && world.rng.chance(world.faults.write_full) {
            return Err(ErrorKind::NoSpace);
        }
        world.volume.append(file.target.ino(), &part)?;
        file.offset += part.len();
        if world.rng.chance(world.faults.change) {
            let content = outsider::rewrite(world.volume, world.rng, file.source)?;
            outsider::record_source(world.volume, &self.task, &content, file.pick);
        }
        let end = world.volume.content(file.source).map_err(vanished)?.len();
        if file.offset >= end {
            file.step = Step::Prove;
        }
        Ok(())
    }

    fn shares(&self, world: &World<'_>, file: &File) -> Call<bool> {
        let [from, to] = [file.source, file.target.ino()].map(|ino| world.volume.inode(ino));
        let fs = from.map_err(vanished)?.fs;
        let can = fs == to?.fs && world.volume.mounts[fs].options.reflinks;
        match self.task.manner.reflink {
            Reflink::Always if !can => Err(ErrorKind::Unsupported),
            Reflink::Never => Ok(false),
            Reflink::Always | Reflink::Auto => Ok(can),
        }
    }

    fn settle(&mut self, world: &mut World<'_>, file: File) {
        let Some(entry) = self.task.page.get(file.pick.index) else { return };
        let name = entry.name.clone();
        let shares = self.shares(world, &file).unwrap_or(false);
        let kept = match &self.task.manner.aside {
            Some(aside) if file.pick.over != Over::Nothing => {
                let to = self.ends.as_ref().map_or(0, |ends| ends.to);
                world.keep(aside, (to, &name), false)
            }
            _ => Ok(()),
        };
        if let Err(kind) = kept {
            return self.give_up(world, file, kind);
        }
        let published = match file.target {
            Target::Unpublished(unpublished) if self.task.manner.in_place => {
                unpublished.publish_in_place(world, &name, file.pick.over)
            }
            Target::Unpublished(unpublished) => unpublished.publish(world, &name, file.pick.over),
            Target::Direct(_) => Ok(None),
        };
        match published {
            Ok(old) => {
                self.old = old.map(|old| (old, self.task.to.shown(Some(&name))));
                let bytes = file.offset as u64;
                self.copied.files += 1;
                self.copied.bytes += bytes;
                self.copied.bytes_cloned += if shares { bytes } else { 0 };
                world.control.settle(1, bytes);
            }
            Err(kind) => self.fail(world, file.pick.index, kind),
        }
    }

    fn give_up(&mut self, world: &mut World<'_>, file: File, kind: ErrorKind) {
        let index = file.pick.index;
        match (file.target, &self.ends, self.task.page.get(index)) {
            (Target::Unpublished(unpublished), _, _) => unpublished.discard(world),
            (Target::Direct(_), Some(ends), Some(entry)) => {
                let _ = world.volume.detach(ends.to, &entry.name);
            }
            (Target::Direct(_), _, _) => {}
        }
        self.fail(world, index, kind);
    }

    fn fail(&mut self, world: &World<'_>, index: usize, kind: ErrorKind) {
        // A pick of nothing is no entry, so it counts as none.
        let Some(entry) = self.task.page.get(index) else { return };
        world.control.settle(1, entry.meta.size);
        let error = Error::new(kind, "copy", &self.task.to.shown(Some(&entry.name)));
        self.copied.failures.push((index, error));
        let ends = matches!(kind, ErrorKind::NoSpace | ErrorKind::Quota | ErrorKind::ReadOnly);
        self.end = self.end.or(ends.then_some(kind));
    }

    /// Gives the new directory its name, or takes it away.
    fn publish_dir(&mut self, world: &mut World<'_>) -> Result<(), Error> {
        self.is_published = true;
        let CopyInto::New(over) = self.task.into else { return Ok(()) };
        let Some(Ends { hidden: Some((parent, temporary, _)), .. }) = &self.ends else {
            return Ok(());
        };
        let (parent, temporary) = (*parent, temporary.clone());
        let (_, name) = self.split_to()?;
        if world.rng.chance(world.faults.taken) {
            let _ = outsider::create(world.volume, parent, &name);
        }
        match replace(world.volume, parent, (&temporary, &name), over) {
            Ok(old) => {
                self.old = old.map(|old| (old, self.task.to.shown(None)));
                Ok(())
            }
            Err(kind) => {
                self.remove_hidden(world);
                Err(Error::new(kind, "rename", &self.task.to.shown(None)))
            }
        }
    }

    /// Does one piece of removing what was replaced.
    fn remove_old(&mut self, world: &mut World<'_>) {
        let Some((old, shown)) = &mut self.old else { return };
        if remove_old(world, old, (shown, &mut self.copied.remains)) {
            self.old = None;
        }
    }

    fn remove_hidden(&self, world: &mut World<'_>) {
        let Some(Ends { to, hidden: Some((parent, temporary, _)), .. }) = &self.ends else {
            return;
        };
        let names: Vec<Name> =
            world.volume.entries(*to).into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in names {
            let _ = world.volume.detach(*to, &name);
        }
        let _ = world.volume.detach(*parent, temporary);
    }
}

impl Work for Copying {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let Some(ends) = &self.ends else {
            return match self.open(world) {
                Ok(ends) => {
                    self.ends = Some(ends);
                    None
                }
                Err(error) => Some(Err(error)),
            };
        };
        if self.old.is_some() {
            self.remove_old(world);
        } else if let Some(mut file) = self.file.take() {
            match self.go_on(world, &mut file) {
                Ok(false) => self.file = Some(file),
                Ok(true) => self.settle(world, file),
                Err(kind) => self.give_up(world, file, kind),
            }
        } else if let Some(pick) = self.task.picks.get(self.next).copied() {
            let begun = match self.end {
                Some(kind) => Err(kind),
                None => self.begin(world, ends, pick),
            };
            self.next += 1;
            match begun {
                Ok(file) => self.file = Some(file),
                Err(kind) => self.fail(world, pick.index, kind),
            }
        } else if !self.is_published
            && let Err(error) = self.publish_dir(world)
        {
            return Some(Err(error));
        }
        let is_done = self.is_published && self.old.is_none();
        is_done.then(|| Ok(Output::Copied(std::mem::take(&mut self.copied))))
    }

    fn abandon(&mut self, world: &mut World<'_>) -> Result<Output, Error> {
        while self.old.is_some() {
            self.remove_old(world);
        }
        if self.is_published {
            return Ok(Output::Copied(std::mem::take(&mut self.copied)));
        }
        if let Some(file) = self.file.take() {
            self.give_up(world, file, ErrorKind::Interrupted);
        }
        if self.copied.files == 0 || matches!(self.task.into, CopyInto::New(_)) {
            self.remove_hidden(world);
            return Err(super::interrupted("copy", &self.task.to.shown(None)));
        }
        for pick in self.task.picks.clone().into_iter().skip(self.next) {
            self.fail(world, pick.index, ErrorKind::Interrupted);
        }
        Ok(Output::Copied(std::mem::take(&mut self.copied)))
    }
}

/// Goes on if the source is what it was at the start, begins again if not.
fn prove(world: &mut World<'_>, file: &mut File) -> Call<()> {
    let end = world.volume.meta(file.source, true).map_err(vanished)?;
    if end.is_unchanged_since(&file.start) {
        file.step = Step::Describe;
        return Ok(());
    }
    file.tries += 1;
    if file.tries >= TRIES_MAX {
        return Err(ErrorKind::Changed);
    }
    world.volume.truncate(file.target.ino())?;
    file.start = end;
    file.offset = 0;
    file.step = Step::Fill;
    Ok(())
}

fn vanished(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::NotFound { ErrorKind::Vanished } else { kind }
}

/// How often a changing source is read.
const TRIES_MAX: u32 = 3;
