//! Asks what a directory's file system is and holds, and what the user may do there.
//! It must not know what is decided by it.

use std::fs::File;

use blit_core::Error;
use blit_core::entry::{FileId, Time};
use blit_core::path::Name;
use blit_core::task::{Space, SpaceFacts};

use crate::dir::{self, At};
use crate::sys::{self, Access, Names, OpenDir};

/// Examines the directory of `task`.
///
/// # Errors
/// Those of opening and examining it.
pub fn space(task: &Space) -> Result<SpaceFacts, Error> {
    let at = At::dir(&task.dir);
    let opened = dir::open(&task.dir, Access::Search)?;
    let capacity = sys::file_system(&opened).map_err(at.failed("examine"))?;
    let mut meta = sys::stat((&*opened).into()).map_err(at.failed("examine"))?;
    meta.xattrs = sys::xattrs_of((&*opened).into()).map_err(at.failed("read attributes of"))?;
    let identity = sys::identity();
    let probe = if task.probe_times { Probe::of(&opened) } else { Probe::default() };
    Ok(SpaceFacts {
        ancestors: ancestors(&opened, meta.id).map_err(at.failed("look above"))?,
        dir: meta,
        available: capacity.available,
        total: capacity.total,
        granularity_ns: probe.granularity_ns,
        holds_xattrs: probe.holds_xattrs,
        canonical: sys::canonical_place(&opened),
        may_chown: identity.may_chown,
        own_uid: identity.uid,
        groups: identity.groups.to_vec(),
    })
}

/// The directory and all above it. One above that may not be searched ends the list: nothing is known beyond it.
fn ancestors(dir: &OpenDir, id: FileId) -> std::io::Result<Vec<FileId>> {
    let mut found = vec![id];
    let mut above = sys::open_parent(dir, Access::Search);
    while let Ok(dir) = above {
        let id = sys::stat((&dir).into())?.id;
        if found.last() == Some(&id) {
            break;
        }
        found.push(id);
        above = sys::open_parent(&dir, Access::Search);
    }
    Ok(found)
}

/// What a file system shows on a file without a name.
struct Probe {
    granularity_ns: u64,
    holds_xattrs: bool,
}

impl Default for Probe {
    /// Nothing is known.
    fn default() -> Self {
        Self { granularity_ns: 1, holds_xattrs: true }
    }
}

impl Probe {
    fn of(dir: &OpenDir) -> Self {
        let Ok(file) = sys::create_unnamed(dir, 0o600) else {
            return Self { granularity_ns: seen_step_ns(dir), ..Self::default() };
        };
        let set = sys::set_xattr((&file).into(), PROBE_XATTR, b"");
        let holds_xattrs = !set.is_err_and(|error| sys::is_unsupported(&error));
        let kept = kept_time(&file);
        let granularity_ns =
            kept.map_or_else(|_| seen_step_ns(dir), |kept| infer_step_ns(PROBE, kept));
        Self { granularity_ns, holds_xattrs }
    }
}

/// What can be told without writing: by the type of the file system, or by the times that it keeps already. Where all of
/// them are whole seconds although it could keep more, a source is still compared with them to the second.
fn seen_step_ns(dir: &OpenDir) -> u64 {
    match sys::time_step_ns(dir) {
        1 => kept_times(dir).map_or(1, |kept| common_step_ns(&kept)),
        known => known,
    }
}

/// The times of the directory and of some entries in it.
fn kept_times(dir: &OpenDir) -> std::io::Result<Vec<Time>> {
    let mut kept = vec![sys::stat(dir.into())?.mtime];
    let mut names = Names::of(dir)?;
    while kept.len() <= ENTRIES_SEEN_MAX {
        let Some((bytes, _)) = names.next_name()? else { break };
        let Ok(name) = Name::new(bytes) else { continue };
        kept.extend(sys::stat_at(names.dir(), &name).map(|meta| meta.mtime));
    }
    Ok(kept)
}

/// The largest usual step that all of `kept` are whole multiples of.
fn common_step_ns(kept: &[Time]) -> u64 {
    let holds = |step: &&u64| kept.iter().all(|time| time.floor_to(**step) == *time);
    STEPS_NS.iter().rev().find(holds).copied().unwrap_or(1)
}

fn kept_time(file: &File) -> std::io::Result<Time> {
    sys::set_times(file.into(), PROBE)?;
    Ok(sys::stat(file.into())?.mtime)
}

/// The smallest usual step that turns `set` into `kept`; 1 if none does.
fn infer_step_ns(set: Time, kept: Time) -> u64 {
    let is_step = |step: &&u64| set.floor_to(**step) == kept;
    STEPS_NS.iter().find(is_step).copied().unwrap_or(1)
}

/// An odd second and no round fraction, so that each step shows.
const PROBE: Time = Time { secs: 1_000_000_001, nanos: 123_456_789 };
/// Entries whose times are looked at. Only file systems that cannot make a file without a name pay for them.
const ENTRIES_SEEN_MAX: usize = 32;
const PROBE_XATTR: &[u8] = b"user.blit";
/// Nanoseconds, NTFS's 100 ns, microseconds, milliseconds, exFAT's 10 ms, seconds, FAT's two seconds.
const STEPS_NS: [u64; 7] = [1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_usual_step_is_inferred_from_what_was_kept() {
        for step in STEPS_NS {
            assert_eq!(infer_step_ns(PROBE, PROBE.floor_to(step)), step);
        }
        assert_eq!(infer_step_ns(PROBE, Time { secs: 7, nanos: 7 }), 1);
    }

    #[test]
    fn one_time_that_is_finer_tells_the_step_of_all() {
        let whole = |secs| Time { secs, nanos: 0 };
        assert_eq!(common_step_ns(&[whole(4), whole(-2)]), 2_000_000_000);
        assert_eq!(common_step_ns(&[whole(4), whole(7)]), 1_000_000_000);
        assert_eq!(common_step_ns(&[whole(4), Time { secs: 7, nanos: 70_000_000 }]), 10_000_000);
        assert_eq!(common_step_ns(&[whole(4), PROBE]), 1);
    }
}
