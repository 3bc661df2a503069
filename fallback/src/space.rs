//! Asks what a directory's file system is and holds, and what the user may do there.
//! It must not know what is decided by it.

use std::fs::File;

use blit_core::Error;
use blit_core::entry::{FileId, Time};
use blit_core::task::{Space, SpaceFacts};

use crate::dir::{self, At};
use crate::sys::{self, Access, OpenDir};

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
            return Self { granularity_ns: sys::time_step_ns(dir), ..Self::default() };
        };
        let set = sys::set_xattr((&file).into(), PROBE_XATTR, b"");
        let holds_xattrs = !set.is_err_and(|error| sys::is_unsupported(&error));
        let kept = kept_time(&file);
        let granularity_ns =
            kept.map_or_else(|_| sys::time_step_ns(dir), |kept| infer_step_ns(PROBE, kept));
        Self { granularity_ns, holds_xattrs }
    }
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
}
