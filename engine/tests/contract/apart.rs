//! A second, small file system, for what only shows between two or on a full one.
//! It must not be needed: where none can be mounted, a test skips.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use blit_core::path::RelPath;
use blit_core::sim::{Disk, FsOptions};
use blit_core::task::{Dir, Root};

use crate::rig::skip;

/// A file system of its own, gone when dropped.
pub(crate) struct Apart {
    root: Arc<Root>,
    mounted: Option<PathBuf>,
}

impl Apart {
    /// One at `path`, where mounts may be made: a killed test leaves its own behind.
    pub(crate) fn mount(path: PathBuf) -> Option<Self> {
        if std::env::var_os("BLIT_TEST_PRIVILEGED").is_none() {
            skip("a second file system: needs root and BLIT_TEST_PRIVILEGED=1");
            return None;
        }
        std::fs::create_dir_all(&path).expect("made");
        let options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&path).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip("a second file system: it cannot be mounted");
            return None;
        }
        Some(Self { root: Root::new(&path), mounted: Some(path) })
    }

    /// One on a simulated disk.
    pub(crate) fn simulate(disk: &Disk) -> Self {
        let mut paths = (0..).map(|index| format!("/apart{index}"));
        let path = paths.find(|path| disk.see(path).is_none()).expect("without end");
        disk.mount(&path, FsOptions { capacity: BYTES, ..FsOptions::default() });
        Self { root: Root::new(path), mounted: None }
    }

    /// Its top.
    pub(crate) fn dir(&self) -> Dir {
        Dir::new(&self.root, RelPath::root())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(path) = self.mounted.take() {
            let unmounted = Command::new("umount").arg("-l").arg(path).status();
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }
}

/// As much as each of them holds.
const BYTES: u64 = 64 << 10;
