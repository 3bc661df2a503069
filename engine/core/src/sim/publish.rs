//! How the simulator gives something new its final name, and its metadata before.
//! It must not know how the content came.

use std::sync::Arc;

use super::outsider;
use super::remove::Tree;
use super::volume::{Call, Ino, Lock, Volume};
use super::work::World;
use crate::entry::{Changes, Kind, Meta, Xattr, wanted_mode};
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::spec::{Comparison, Equality, Preserve};
use crate::task::{Lost, Over};

/// Something complete or growing that has not yet its final name.
pub(super) struct Unpublished {
    pub(super) dir: Ino,
    pub(super) ino: Ino,
    /// Under which name it stands; `None` while it is anonymous.
    pub(super) temporary: Option<Name>,
    _lock: Option<Arc<Lock>>,
}

impl Unpublished {
    /// Takes over the nameless inode `ino`: under a temporary name, or anonymous where that is `anonymous`.
    pub(super) fn new(world: &mut World<'_>, dir: Ino, ino: Ino, anonymous: bool) -> Call<Self> {
        // A further name of an inode locks nothing: it would lock the leftovers of that inode too.
        let lock = (world.volume.inode(ino)?.names == 0).then(|| world.own.lock());
        if let Some(lock) = &lock {
            world.volume.inode_mut(ino)?.lock = Arc::downgrade(lock);
        }
        let mut temporary = None;
        if !anonymous {
            let name = world.own.temporary();
            if let Err(kind) = world.volume.attach(dir, &name, ino) {
                free(world.volume, ino);
                return Err(kind);
            }
            temporary = Some(name);
        }
        Ok(Self { dir, ino, temporary, _lock: lock })
    }

    /// Gives it its final name, and tells what has the temporary one now, to be removed. On failure it is gone and what
    /// stands there stays.
    pub(super) fn publish(
        self,
        world: &mut World<'_>,
        name: &Name,
        over: Over,
    ) -> Call<Option<Tree>> {
        let result = self.try_publish(world, name, over);
        if result.is_err() {
            self.discard(world);
        }
        result
    }

    /// The same, but a file with one name that stands there becomes what this is, in one step.
    pub(super) fn publish_in_place(
        self,
        world: &mut World<'_>,
        name: &Name,
        over: Over,
    ) -> Call<Option<Tree>> {
        let standing = world.volume.lookup(self.dir, name.as_bytes());
        let is_file = |ino: &Ino| {
            let inode = world.volume.inode(*ino);
            inode.is_ok_and(|inode| inode.kind() == Kind::File && inode.names == 1)
        };
        let Some(standing) = standing.ok().filter(|ino| over == Over::Entry && is_file(ino)) else {
            return self.publish(world, name, over);
        };
        let taken = world.volume.overwrite(standing, self.ino);
        self.discard(world);
        taken.map(|()| None)
    }

    /// Takes it away.
    pub(super) fn discard(self, world: &mut World<'_>) {
        if let Some(name) = &self.temporary
            && world.volume.lookup(self.dir, name.as_bytes()) == Ok(self.ino)
        {
            // It may stay as a leftover, as after a crash.
            let _ = world.volume.detach(self.dir, name);
        } else {
            free(world.volume, self.ino);
        }
    }

    fn try_publish(&self, world: &mut World<'_>, name: &Name, over: Over) -> Call<Option<Tree>> {
        if over == Over::Nothing && world.rng.chance(world.faults.taken) {
            let _ = outsider::create(world.volume, self.dir, name);
        }
        match &self.temporary {
            None => world.volume.attach(self.dir, name, self.ino).map(|()| None),
            Some(temporary) => replace(world.volume, self.dir, (temporary, name), over),
        }
    }
}

/// Gives the entry `temporary` of `dir` the name `name`. Tells what has the temporary name now, to be removed.
pub(super) fn replace(
    volume: &mut Volume,
    dir: Ino,
    (temporary, name): (&Name, &Name),
    over: Over,
) -> Call<Option<Tree>> {
    let new = volume.lookup(dir, temporary.as_bytes())?;
    let new = volume.inode(new)?.kind();
    let old = match volume.lookup(dir, name.as_bytes()) {
        Ok(old) => Some(volume.inode(old)?.kind()),
        Err(ErrorKind::NotFound) => None,
        Err(kind) => return Err(kind),
    };
    let involves_dir = new == Kind::Dir || old == Some(Kind::Dir);
    match (over, old) {
        (Over::Nothing, _) | (_, None) => {
            volume.rename((dir, temporary), (dir, name), false)?;
        }
        (Over::EmptyDir, Some(_)) if new == Kind::Dir => return Err(ErrorKind::AlreadyExists),
        (Over::EmptyDir, Some(_)) => {
            remove_empty_dir(volume, dir, name)?;
            volume.rename((dir, temporary), (dir, name), true).map_err(clash)?;
        }
        (Over::Entry, Some(Kind::Dir)) => return Err(ErrorKind::TypeClash),
        (Over::Entry | Over::Tree, Some(_)) if involves_dir => {
            volume.exchange(dir, temporary, name)?;
            return Ok(Some(Tree::new(dir, temporary.clone())));
        }
        (Over::Entry | Over::Tree, Some(_)) => {
            volume.rename((dir, temporary), (dir, name), true)?;
        }
    }
    Ok(None)
}

/// Goes on with removing what was replaced; `true` when nothing is left to do. What cannot be removed is added to
/// `remains`, under the path `shown`.
pub(super) fn remove_old(
    world: &mut World<'_>,
    old: &mut Tree,
    (shown, remains): (&[u8], &mut Vec<Error>),
) -> bool {
    if let Err((_, kind)) = old.go_on(world)
        && kind != ErrorKind::NotFound
    {
        remains.push(Error::new(kind, "remove what was replaced at", shown));
    }
    old.is_done()
}

/// Sets metadata in the order owner, mode, extended attributes, times; says what could not be held.
pub(super) fn set_metadata(
    world: &mut World<'_>,
    ino: Ino,
    meta: &Meta,
    wanted: (Changes, &Preserve),
) -> Call<Vec<Lost>> {
    let (changes, preserve) = wanted;
    let user = world.volume.user.clone();
    let rule = Comparison {
        preserve: *preserve,
        equality: Equality::default(),
        holds_xattrs: true,
        granularity_ns: 1,
        may_chown: user.privileged,
        own_uid: user.uid,
        groups: user.groups.into(),
    };
    let fs = *world.volume.fs_of(ino)?;
    let mut lost = Vec::new();
    world.volume.change(ino, |inode| {
        let had = (inode.uid, inode.gid);
        if changes.owner && rule.may_chown {
            inode.uid = meta.uid;
        }
        if changes.owner && rule.may_chgrp(meta.gid) {
            inode.gid = meta.gid;
        }
        if (inode.uid, inode.gid) != had && !fs.owners {
            (inode.uid, inode.gid) = had;
            lost.push(Lost::Owner);
        }
        if changes.mode && inode.kind() != Kind::Symlink {
            let mut mode = wanted_mode(meta, &rule);
            if lost.contains(&Lost::Owner) && inode.kind() != Kind::Dir {
                mode &= !SET_ID;
            }
            if mode != inode.mode && !fs.modes {
                lost.push(Lost::Mode);
            } else {
                inode.mode = mode;
            }
        }
        if changes.xattrs {
            let given = meta.xattrs.as_deref().unwrap_or_default();
            let (acls, plain): (Vec<Xattr>, Vec<Xattr>) = given.iter().cloned().partition(is_acl);
            let parts = [
                (plain, preserve.xattrs, fs.xattrs, Lost::Xattrs),
                (acls, preserve.acls, fs.acls, Lost::Acls),
            ];
            for (part, asked, held, which) in parts {
                if asked && held {
                    inode.xattrs.retain(|xattr| is_acl(xattr) != (which == Lost::Acls));
                    inode.xattrs.extend(part);
                } else if asked && !part.is_empty() {
                    lost.push(which);
                }
            }
            inode.xattrs.sort();
        }
        if changes.times {
            inode.mtime = meta.mtime.floor_to(fs.granularity_ns);
        }
    })?;
    Ok(lost)
}

/// Adds one to what is counted for each of `lost`.
pub(super) fn count_lost(counts: &mut Vec<(Lost, u64)>, lost: Vec<Lost>) {
    for which in lost {
        match counts.iter_mut().find(|(known, _)| *known == which) {
            Some((_, count)) => *count += 1,
            None => counts.push((which, 1)),
        }
    }
}

/// The mode of a new entry whose mode is not preserved.
pub(super) fn default_mode(mode: u32) -> u32 {
    mode & 0o777 & !UMASK
}

fn remove_empty_dir(volume: &mut Volume, dir: Ino, name: &Name) -> Call<()> {
    match volume.lookup(dir, name.as_bytes()) {
        Ok(ino) if volume.inode(ino)?.kind() == Kind::Dir => {
            volume.detach(dir, name).map_err(clash)
        }
        // It is gone, or is no directory any more and can be replaced in one step.
        Ok(_) | Err(ErrorKind::NotFound) => Ok(()),
        Err(kind) => Err(kind),
    }
}

/// Frees a nameless inode that may be gone already.
fn free(volume: &mut Volume, ino: Ino) {
    let _ = volume.free_nameless(ino);
}

fn clash(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::IsADirectory | ErrorKind::NotEmpty => ErrorKind::TypeClash,
        other => other,
    }
}

fn is_acl(xattr: &Xattr) -> bool {
    xattr.name.starts_with(b"system.posix_acl_")
}

/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;
/// What the simulated user does not grant by default.
const UMASK: u32 = 0o022;
