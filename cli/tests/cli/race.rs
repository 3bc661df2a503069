//! A directory that turns into a link to a place outside, and back, as fast as the kernel can do it: whatever a run makes of
//! that, nothing outside is read, written or removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::on_every_engine;
use crate::support::sandbox::Sandbox;

/// Names that are inside and outside alike, so that a path that is followed leads somewhere.
const FILES: [&str; 5] = ["f0", "f1", "f2", "deep/f3", "deep/deeper/f4"];
const DIRS: [&str; 3] = ["", "deep", "deep/deeper"];

/// A tree that nobody may touch, and what can be seen of it without touching it.
struct Canary {
    root: PathBuf,
    seen: Vec<(i64, i64, i64, i64, u64)>,
}

impl Canary {
    fn new(sandbox: &Sandbox) -> Self {
        let root = sandbox.path("outside");
        fill(&root, "CANARY");
        // More than a run would copy: what a mirror would remove.
        fs::write(root.join("deep/only-here"), "CANARY").expect("own directory");
        // Older than the last change, so that the next look at it is kept even where most are not.
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for name in FILES.iter().chain(&DIRS) {
            let times = fs::FileTimes::new().set_accessed(long_ago);
            let file = fs::File::open(root.join(name)).expect("own entry");
            file.set_times(times).expect("own entry");
        }
        let seen = look(&root);
        Self { root, seen }
    }

    #[track_caller]
    fn assert_untouched(&self, what: &str) {
        assert_eq!(
            look(&self.root),
            self.seen,
            "{what}: something outside was read, written or removed"
        );
    }
}

/// Times of access and change, and sizes; does not list directories, which would change them.
fn look(root: &Path) -> Vec<(i64, i64, i64, i64, u64)> {
    let facts = |name: &&str| {
        let meta = root
            .join(name)
            .symlink_metadata()
            .unwrap_or_else(|error| panic!("outside {name}: {error}"));
        (meta.atime(), meta.atime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.size())
    };
    FILES.iter().chain(&DIRS).chain(&["deep/only-here"]).map(facts).collect()
}

fn fill(root: &Path, text: &str) {
    for name in FILES {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("own directory");
        fs::write(path, format!("{text} {name}")).expect("own directory");
    }
}

/// Exchanges `dir` with `link` until told to stop; makes anew what a run has removed.
fn swap(root: &Path, outside: &Path, stop: &AtomicBool, swaps: &AtomicU64) {
    let (dir, link) = (root.join("d"), root.join("l"));
    let spare = root.with_file_name("spare");
    while !stop.load(Ordering::Relaxed) {
        if renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
            swaps.fetch_add(1, Ordering::Relaxed);
        } else if root.is_dir() {
            // Each may fail because a run has just made something there, or has taken the directory away. The new one
            // is filled elsewhere, since what has its name may be the link.
            drop(symlink(outside, &link));
            fill(&spare, "inside again");
            renameat_with(CWD, &spare, CWD, &dir, RenameFlags::NOREPLACE).ok();
        }
    }
}

/// Everything below `root`, links not followed; fails if content from outside is there.
#[track_caller]
fn assert_nothing_from_outside(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let kind = entry.file_type().expect("just listed");
        if kind.is_dir() {
            assert_nothing_from_outside(&entry.path());
        } else if kind.is_file() {
            let content = fs::read(entry.path()).expect("readable");
            assert!(
                !content.starts_with(b"CANARY"),
                "{} came from outside",
                entry.path().display()
            );
        }
    }
}

fn prepare(sandbox: &Sandbox, side: &str) {
    for name in ["src", "dst"] {
        drop(fs::remove_dir_all(sandbox.path(name)));
        for dir in ["d", "e", "g/h"] {
            fill(&sandbox.path(name).join(dir), &format!("{name} has"));
        }
    }
    fs::write(sandbox.path("dst/d/deep/extra"), "extra").expect("own directory");
    symlink(sandbox.path("outside"), sandbox.path(side).join("l")).expect("own directory");
}

/// Runs `args` again and again while `side` is being swapped.
fn race(sandbox: &Sandbox, side: &str, args: &[&str]) {
    let runs_min = if sandbox.is_slow() { 60 } else { 3 };
    let (mut runs, swaps) = (0, AtomicU64::new(0));
    let canary = Canary::new(sandbox);
    while runs < runs_min || swaps.load(Ordering::Relaxed) < SWAPS_MIN {
        assert!(runs < 20 * runs_min, "too few swaps");
        prepare(sandbox, side);
        let (root, stop) = (sandbox.path(side), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| swap(&root, &canary.root, &stop, &swaps));
            let run = sandbox.blit(args);
            stop.store(true, Ordering::Relaxed);
            assert!([0, 1, 4].contains(&run.code), "{args:?}: {run:?}");
        });
        canary.assert_untouched(&format!("{args:?} while {side} changes"));
        assert_nothing_from_outside(&sandbox.path("src"));
        assert_nothing_from_outside(&sandbox.path("dst"));
        runs += 1;
    }
}

on_every_engine! {
    fn a_source_that_is_swapped_for_a_link_leads_nowhere(sandbox) {
        for args in [
            &["copy", "src/", "dst"][..],
            &["copy", "--checksum", "src/", "dst"],
            &["mirror", "--yes", "src/", "dst"],
            &["mirror", "--yes", "--checksum", "src/", "dst"],
            &["move", "--exclude", "no-such", "src/", "dst"],
            &["check", "--checksum", "src/", "dst"],
            &["rm", "-r", "--yes", "src"],
        ] {
            race(sandbox, "src", args);
        }
    }

    fn a_destination_that_is_swapped_for_a_link_leads_nowhere(sandbox) {
        for args in [
            &["copy", "src/", "dst"][..],
            &["copy", "--checksum", "src/", "dst"],
            &["mirror", "--yes", "src/", "dst"],
            &["mirror", "--yes", "--allow-empty-source", "src/g/h/deep/deeper", "dst"],
            &["move", "--exclude", "no-such", "src/", "dst"],
            &["check", "--checksum", "src/", "dst"],
        ] {
            race(sandbox, "dst", args);
        }
    }
}

const SWAPS_MIN: u64 = 10_000;
