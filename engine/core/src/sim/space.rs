//! Facts of a simulated directory and its file system.
//! It must not guess: all of them are the disk's options.

use super::volume::{Call, Ino, ROOT, Volume};
use super::work::{Work, World};
use crate::entry::FileId;
use crate::error::Error;
use crate::task::{Output, Space, SpaceFacts};

/// A question in work.
pub(super) struct Examining {
    task: Space,
}

impl Examining {
    pub(super) fn new(task: Space) -> Self {
        Self { task }
    }
}

impl Work for Examining {
    fn advance(&mut self, world: &mut World<'_>) -> Option<Result<Output, Error>> {
        let facts = world.open(&self.task.dir, "open").and_then(|dir| {
            facts(world.volume, dir, self.task.probe_times)
                .map_err(|kind| Error::new(kind, "examine", &self.task.dir.shown(None)))
        });
        Some(facts.map(Output::Space))
    }

    fn abandon(&mut self, _world: &mut World<'_>) -> Result<Output, Error> {
        Err(super::interrupted("examine", &self.task.dir.shown(None)))
    }
}

fn facts(volume: &Volume, dir: Ino, probe_times: bool) -> Call<SpaceFacts> {
    let mount = &volume.mounts[volume.inode(dir)?.fs];
    let can_probe = probe_times && !mount.options.read_only;
    let mut ancestors = Vec::new();
    let mut at = dir;
    loop {
        let inode = volume.inode(at)?;
        ancestors.push(FileId { dev: inode.fs as u64 + 1, ino: at });
        if at == ROOT {
            break;
        }
        at = inode.parent;
    }
    Ok(SpaceFacts {
        dir: volume.meta(dir, true)?,
        ancestors,
        available: mount.options.capacity.saturating_sub(mount.used),
        total: mount.options.capacity,
        holds_xattrs: !can_probe || mount.options.xattrs,
        canonical: None,
        granularity_ns: if can_probe { mount.options.granularity_ns } else { 1 },
        may_chown: volume.user.privileged,
        own_uid: volume.user.uid,
        groups: volume.user.groups.clone(),
    })
}
