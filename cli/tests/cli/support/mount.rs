//! File systems of a test's own, in image files; and one on a device that fails when told to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::sandbox::Sandbox;

/// A mounted image; unmounted at the end.
pub(crate) struct Mount {
    point: PathBuf,
    /// What is to be unmounted after it: the FUSE file system that gives the device.
    beneath: Option<PathBuf>,
}

impl Mount {
    /// Makes a file system of `kind` with `megabytes` and mounts it below the sandbox. The image and the directory are
    /// named after `name`.
    pub(crate) fn new(sandbox: &Sandbox, name: &str, kind: &str, megabytes: u64) -> Self {
        let image = sandbox.path(format!("{name}.img"));
        let file = fs::File::create(&image).expect("own directory");
        file.set_len(megabytes << 20).expect("sparse image");
        Self::of_device(sandbox, name, kind, &image)
    }

    /// The same on a memory device each write to which fails while the file at `flag` exists. `None` where nbdkit is
    /// not installed.
    pub(crate) fn failing(sandbox: &Sandbox, name: &str, flag: &Path) -> Option<Self> {
        let beneath = sandbox.path(format!("{name}.nbd"));
        fs::create_dir(&beneath).expect("own directory");
        let device = beneath.join("disk");
        let flag = format!("error-file={}", flag.display());
        let started = Command::new("nbdfuse")
            .arg(&device)
            .args(["--command", "nbdkit", "-s", "--filter=error", "memory", "64M", "error=EIO"])
            .args(["error-pwrite-rate=100%", &flag])
            .stderr(Stdio::null())
            .spawn();
        started.ok()?;
        // It answers when the file is there; its own end tells nothing, since it stays.
        for _ in 0..500 {
            if device.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut mount = Self::of_device(sandbox, name, "ext4", &device);
        mount.beneath = Some(beneath);
        Some(mount)
    }

    /// Shows the directory `shown` of the sandbox a second time at `name`.
    pub(crate) fn bind(sandbox: &Sandbox, shown: &str, name: &str) -> Self {
        let point = sandbox.path(name);
        fs::create_dir(&point).expect("own directory");
        must(Command::new("mount").arg("--bind").arg(sandbox.path(shown)).arg(&point));
        Self { point, beneath: None }
    }

    fn of_device(sandbox: &Sandbox, name: &str, kind: &str, device: &Path) -> Self {
        let point = sandbox.path(name);
        fs::create_dir(&point).expect("own directory");
        let quiet = if kind == "btrfs" || kind == "xfs" { "-f" } else { "-F" };
        must(Command::new(format!("mkfs.{kind}")).arg("-q").arg(quiet).arg(device));
        must(Command::new("mount").args(["-o", "loop"]).arg(device).arg(&point));
        Self { point, beneath: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.point.join(name)
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        must(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.point));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.point).output());
        if let Some(beneath) = &self.beneath {
            drop(Command::new("fusermount3").arg("-u").arg(beneath).output());
        }
    }
}

#[track_caller]
fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}
