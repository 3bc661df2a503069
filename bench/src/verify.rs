//! Whether a copy equals its source, as far as its class of fidelity promises; it trusts no tool.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

use crate::error::{Error, OnPath, Result};
use crate::interrupt::Interrupt;
use crate::snapshot::{Kind, Snapshot, Stat};
use crate::system;

/// What a tool promises to keep. Each class includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Fidelity {
    /// Names, kinds, contents of files and targets of symlinks.
    #[serde(rename = "data")]
    Data,
    /// And the permissions and modification times of files.
    #[serde(rename = "mode+times")]
    ModeTimes,
    /// And of everything else, owners, hard links, extended attributes, ACLs and holes.
    #[serde(rename = "full")]
    Full,
}

/// The differences that were found; only the first few are kept in words.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) differences: u64,
    pub(crate) examples: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_equal(&self) -> bool {
        self.differences == 0
    }

    fn add(&mut self, path: &Path, what: impl AsRef<str>) {
        self.differences += 1;
        if self.examples.len() < EXAMPLES_MAX {
            // Debug quoting: control bytes in a name must not reach the terminal.
            self.examples.push(format!("{:?}: {}", path, what.as_ref()));
        }
    }

    fn absorb(&mut self, other: Self) {
        self.differences += other.differences;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
    }
}

/// Whether nothing of a tree at `target` is left; an empty directory may be.
pub(crate) fn gone(target: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    match fs::read_dir(target) {
        Ok(items) => items.flatten().for_each(|item| {
            verdict.add(Path::new(&item.file_name()), "still there");
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => verdict.add(Path::new(""), format!("cannot be read: {error}")),
    }
    verdict
}

/// Compares `target` with the tree at `source`, of which `snapshot` was taken before the copy.
pub(crate) fn compare(
    source: &Path,
    snapshot: &Snapshot,
    target: &Path,
    fidelity: Fidelity,
    interrupt: &Interrupt,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let copy = match Snapshot::take(target) {
        Ok(copy) => copy,
        Err(error) => {
            verdict.add(Path::new(""), format!("the copy cannot be read: {error}"));
            return Ok(verdict);
        }
    };
    let mut pairs = Vec::new();
    for (path, wanted) in &snapshot.entries {
        match copy.entries.get(path) {
            Some(found) => {
                compare_stat(path, wanted, found, fidelity, &mut verdict);
                pairs.push((path, wanted, found));
            }
            None => verdict.add(path, "missing"),
        }
    }
    for path in copy.entries.keys().filter(|path| !snapshot.entries.contains_key(*path)) {
        verdict.add(path, "not in the source");
    }
    if fidelity >= Fidelity::Full {
        compare_links(&snapshot.link_groups(), &copy.link_groups(), &mut verdict);
    }
    verdict.absorb(compare_contents(source, target, &pairs, fidelity, interrupt));
    interrupt.check()?;
    Ok(verdict)
}

/// Whether a tree still is what a snapshot shows. A copier that harms the source, or a user who
/// writes to it meanwhile, would make every other verdict worthless; a run that has nothing to do
/// leaves the copy alone.
pub(crate) fn unchanged(root: &Path, snapshot: &Snapshot) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let now = Snapshot::take(root)?;
    for (path, wanted) in &snapshot.entries {
        // Deferred allocation may have settled since; nothing else may change.
        let same = now.entries.get(path).is_some_and(|found| {
            Stat { allocated: 0, ..found.clone() } == Stat { allocated: 0, ..wanted.clone() }
        });
        if !same {
            verdict.add(path, "changed although nothing was to be done");
        }
    }
    for path in now.entries.keys().filter(|path| !snapshot.entries.contains_key(*path)) {
        verdict.add(path, "appeared although nothing was to be done");
    }
    Ok(verdict)
}

/// Reads every file of a tree, so that each arm finds it in memory.
pub(crate) fn warm(root: &Path, snapshot: &Snapshot, interrupt: &Interrupt) -> Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    for (path, _) in snapshot.entries.iter().filter(|(_, stat)| stat.kind() == Kind::File) {
        interrupt.check()?;
        let path = root.join(path);
        let mut file = File::open(&path).on("open", &path)?;
        while file.read(&mut buffer).on("read", &path)? > 0 {}
    }
    Ok(())
}

fn compare_stat(path: &Path, wanted: &Stat, found: &Stat, class: Fidelity, to: &mut Verdict) {
    if wanted.kind() != found.kind() {
        return to.add(path, format!("is {:?}, not {:?}", found.kind(), wanted.kind()));
    }
    if wanted.kind() == Kind::File && wanted.size != found.size {
        to.add(path, format!("size {} instead of {}", found.size, wanted.size));
    }
    let is_timed = class >= Fidelity::Full || wanted.kind() == Kind::File;
    if class >= Fidelity::ModeTimes && is_timed {
        if wanted.kind() != Kind::Symlink && wanted.mode() != found.mode() {
            to.add(path, format!("mode {:o} instead of {:o}", found.mode(), wanted.mode()));
        }
        if wanted.mtime != found.mtime {
            to.add(path, format!("time {:?} instead of {:?}", found.mtime, wanted.mtime));
        }
    }
    if class >= Fidelity::Full {
        // Only root may give files away, so only root's copies can be held to their owners.
        let owners = ((wanted.owner, wanted.group), (found.owner, found.group));
        if system::is_root() && owners.0 != owners.1 {
            to.add(path, format!("owner {:?} instead of {:?}", owners.1, owners.0));
        }
        // Allocations are rounded up, and XFS allocates ahead of a writer: half of it must be left.
        let (holes, holes_found) = (holes(wanted), holes(found));
        if wanted.kind() == Kind::File && holes > SPARSE_SLACK_BYTES && holes_found < holes / 2 {
            to.add(path, format!("{holes_found} bytes of holes instead of {holes}"));
        }
    }
}

/// Bytes that take no room.
fn holes(stat: &Stat) -> u64 {
    stat.size.saturating_sub(stat.allocated)
}

fn compare_links(
    wanted: &BTreeMap<&Path, &Path>,
    found: &BTreeMap<&Path, &Path>,
    to: &mut Verdict,
) {
    for (path, first) in wanted {
        if found.get(path) != Some(first) {
            to.add(path, format!("not the same file as {}", first.display()));
        }
    }
    for (path, first) in found.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
        to.add(path, format!("the same file as {}, but not in the source", first.display()));
    }
}

type Pair<'a> = (&'a PathBuf, &'a Stat, &'a Stat);

fn compare_contents(
    source: &Path,
    target: &Path,
    pairs: &[Pair<'_>],
    fidelity: Fidelity,
    interrupt: &Interrupt,
) -> Verdict {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut verdict = Verdict::default();
        let mut buffers = [vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]];
        while let Some((path, wanted, found)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if interrupt.check().is_err() {
                break;
            }
            if wanted.kind() != found.kind() {
                continue;
            }
            let ends = (source.join(path), target.join(path));
            match compare_content(&ends.0, &ends.1, wanted.kind(), &mut buffers) {
                Ok(true) => {}
                Ok(false) => verdict.add(path, "different content"),
                Err(error) => verdict.add(path, error.to_string()),
            }
            if fidelity >= Fidelity::Full
                && let Err(what) = compare_xattrs(&ends.0, &ends.1)
            {
                verdict.add(path, what);
            }
        }
        verdict
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let mut verdict = Verdict::default();
        for worker in workers {
            verdict.absorb(worker.join().expect("comparing does not panic"));
        }
        verdict
    })
}

fn compare_content(
    source: &Path,
    target: &Path,
    kind: Kind,
    buffers: &mut [Vec<u8>; 2],
) -> Result<bool> {
    match kind {
        Kind::Symlink => {
            let wanted = fs::read_link(source).on("read link", source)?;
            Ok(wanted == fs::read_link(target).on("read link", target)?)
        }
        Kind::File => {
            let mut wanted = File::open(source).on("open", source)?;
            let mut found = File::open(target).on("open", target)?;
            let [left, right] = buffers;
            loop {
                let len = fill(&mut wanted, left).on("read", source)?;
                if fill(&mut found, right).on("read", target)? != len || left[..len] != right[..len]
                {
                    return Ok(false);
                }
                if len < left.len() {
                    return Ok(true);
                }
            }
        }
        _ => Ok(true),
    }
}

/// Fills the buffer unless the file ends first: two files may be read in unlike steps.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..])? {
            0 => break,
            step => len += step,
        }
    }
    Ok(len)
}

fn compare_xattrs(source: &Path, target: &Path) -> std::result::Result<(), String> {
    let read = |path: &Path| -> Result<Vec<(OsString, Vec<u8>)>> {
        let all = system::xattrs(path).on("read attributes", path)?;
        Ok(all.into_iter().filter(|(name, _)| is_carried(name)).collect())
    };
    let wanted = read(source).map_err(|error: Error| error.to_string())?;
    let found = read(target).map_err(|error: Error| error.to_string())?;
    let names = |all: &[(OsString, Vec<u8>)]| -> Vec<OsString> {
        all.iter().map(|(name, _)| name.clone()).collect()
    };
    if names(&wanted) != names(&found) {
        return Err(format!("attributes {:?} instead of {:?}", names(&found), names(&wanted)));
    }
    if wanted != found {
        return Err("attributes with other values".to_owned());
    }
    Ok(())
}

/// Labels that the system gives by policy (SELinux) are not the copier's to carry.
fn is_carried(name: &std::ffi::OsStr) -> bool {
    CARRIED.iter().any(|prefix| system::starts_with(name, prefix))
}

const CARRIED: [&[u8]; 3] = [b"user.", b"system.posix_acl_", b"security.capability"];
/// Enough to see what went wrong, few enough for a terminal.
const EXAMPLES_MAX: usize = 8;
/// Between reading small files in one call and not thrashing the cache.
const BUFFER_BYTES: usize = 256 << 10;
/// Comparing is outside of the measured time; two readers keep a small machine's cores busy.
const WORKERS: usize = 2;
/// Tools find holes at unlike granularities: smaller ones are nobody's fault.
const SPARSE_SLACK_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Mtime;
    use crate::trees::{Recipe, grow};

    /// Two equal trees, of which one is to be tampered with.
    struct Twins {
        _sandbox: tempfile::TempDir,
        source: PathBuf,
        target: PathBuf,
        snapshot: Snapshot,
    }

    impl Twins {
        /// None where the harness does not run.
        fn new() -> Option<Self> {
            if !system::is_supported() {
                return None;
            }
            let sandbox = tempfile::tempdir().expect("a temporary directory");
            let (source, target) = (sandbox.path().join("source"), sandbox.path().join("target"));
            for root in [&source, &target] {
                let recipe = Recipe::Mixed { files: 250 };
                grow(recipe, 5, root, &Interrupt::default()).expect("a tree");
            }
            let snapshot = Snapshot::take(&source).expect("a snapshot");
            Some(Self { _sandbox: sandbox, source, target, snapshot })
        }

        /// The first copied entry, and its stat, that fits.
        fn find(&self, fits: impl Fn(&Path, &Stat) -> bool) -> (PathBuf, Stat) {
            let (path, stat) = self
                .snapshot
                .entries
                .iter()
                .find(|(path, stat)| fits(&self.target.join(path), stat))
                .expect("a mixed tree has one");
            (self.target.join(path), stat.clone())
        }

        fn plain_file(&self) -> (PathBuf, Stat) {
            self.find(|_, stat| {
                stat.kind() == Kind::File
                    && stat.links == 1
                    && stat.size > 5000
                    && stat.size < 100_000
            })
        }

        /// How many differences each class sees.
        fn seen(&self) -> [u64; 3] {
            [Fidelity::Data, Fidelity::ModeTimes, Fidelity::Full].map(|class| {
                let interrupt = Interrupt::default();
                compare(&self.source, &self.snapshot, &self.target, class, &interrupt)
                    .expect("a verdict")
                    .differences
            })
        }
    }

    /// Changes something and puts the time back, so that only the change can be found.
    fn tamper(path: &Path, stat: &Stat, change: impl FnOnce(&Path) -> io::Result<()>) {
        change(path).expect("the change");
        system::set_mtime(path, stat.mtime).expect("the old time");
    }

    #[test]
    fn equal_trees_are_equal_in_every_class() {
        let Some(twins) = Twins::new() else { return };
        assert_eq!(twins.seen(), [0, 0, 0]);
    }

    #[test]
    fn one_flipped_byte_is_seen_by_every_class() {
        let Some(twins) = Twins::new() else { return };
        let (path, stat) = twins.plain_file();
        let mode = stat.mode();
        system::set_mode(&path, 0o600).expect("a mode");
        tamper(&path, &stat, |path| {
            let mut bytes = fs::read(path)?;
            *bytes.last_mut().expect("content") ^= 1;
            fs::write(path, bytes)?;
            system::set_mode(path, mode)
        });
        let [data, times, _] = twins.seen();
        assert_eq!((data, times), (1, 1));
    }

    #[test]
    fn missing_and_additional_entries_are_seen() {
        let Some(twins) = Twins::new() else { return };
        let (empty, _) = twins.find(|path, _| path.ends_with("empty"));
        fs::remove_dir(&empty).expect("an empty directory");
        fs::write(twins.target.join("additional"), "").expect("a file");
        assert_eq!(twins.seen()[0], 2);
        fs::remove_dir_all(&twins.target).expect("the copy");
        assert_eq!(twins.seen(), [1, 1, 1]);
    }

    #[test]
    fn another_kind_and_another_link_target_are_seen() {
        let Some(twins) = Twins::new() else { return };
        let (link, stat) = twins.find(|_, stat| stat.kind() == Kind::Symlink);
        fs::remove_file(&link).expect("a link");
        system::symlink(Path::new("elsewhere"), &link).expect("a link");
        system::set_mtime(&link, stat.mtime).expect("the old time");
        assert_eq!(twins.seen()[0], 1);
        fs::remove_file(&link).expect("a link");
        fs::write(&link, "").expect("a file");
        assert_eq!(twins.seen()[0], 1);
    }

    #[test]
    fn a_mode_and_a_nanosecond_are_seen_from_the_second_class_on() {
        let Some(twins) = Twins::new() else { return };
        let (path, stat) = twins.plain_file();
        let mtime = Mtime { nanoseconds: stat.mtime.nanoseconds ^ 1, ..stat.mtime };
        system::set_mtime(&path, mtime).expect("a time");
        assert_eq!(twins.seen(), [0, 1, 1]);
        system::set_mode(&path, stat.mode() ^ 0o001).expect("a mode");
        assert_eq!(twins.seen(), [0, 2, 2]);
    }

    #[test]
    fn times_of_directories_and_symlinks_belong_to_the_full_class() {
        let Some(twins) = Twins::new() else { return };
        for kind in [Kind::Dir, Kind::Symlink] {
            let (path, _) = twins.find(|_, stat| stat.kind() == kind);
            system::set_mtime(&path, Mtime { seconds: 1, nanoseconds: 1 }).expect("a time");
        }
        assert_eq!(twins.seen(), [0, 0, 2]);
    }

    #[test]
    fn a_broken_hard_link_is_seen() {
        let Some(twins) = Twins::new() else { return };
        let groups = twins.snapshot.link_groups();
        let path = groups.iter().find(|(path, first)| path != first).expect("a group").0;
        let path = twins.target.join(path);
        let stat = system::stat(&path).expect("a stat");
        let bytes = fs::read(&path).expect("content");
        fs::remove_file(&path).expect("a name");
        tamper(&path, &stat, |path| {
            fs::write(path, bytes)?;
            system::set_mode(path, stat.mode())
        });
        let [data, times, full] = twins.seen();
        assert_eq!((data, times), (0, 0));
        assert!(full > 0);
    }

    #[test]
    fn a_filled_hole_is_seen() {
        let Some(twins) = Twins::new() else { return };
        let (path, stat) = twins.find(|_, stat| {
            stat.kind() == Kind::File && stat.allocated * 4 + (1 << 20) < stat.size
        });
        tamper(&path, &stat, |path| fs::write(path, fs::read(path)?));
        assert_eq!(twins.seen(), [0, 0, 1]);
    }

    #[test]
    fn a_lost_attribute_is_seen() {
        let Some(twins) = Twins::new() else { return };
        let (path, stat) = twins.plain_file();
        if system::set_xattr(&path, "user.blit.extra".as_ref(), b"1").is_err() {
            return; // This file system keeps no attributes.
        }
        system::set_mtime(&path, stat.mtime).expect("the old time");
        assert_eq!(twins.seen(), [0, 0, 1]);
    }

    #[test]
    fn a_source_that_changed_is_reported() {
        let Some(twins) = Twins::new() else { return };
        assert!(unchanged(&twins.source, &twins.snapshot).expect("a verdict").is_equal());
        fs::write(twins.source.join("late"), "").expect("a file");
        let verdict = unchanged(&twins.source, &twins.snapshot).expect("a verdict");
        assert_eq!(verdict.differences, 2, "{:?}", verdict.examples);
    }
}
