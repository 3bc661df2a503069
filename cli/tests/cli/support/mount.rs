//! File systems of a test's own, in image files or on devices that obey.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::device::Device;
use super::sandbox::Sandbox;

/// A mounted image; unmounted at the end.
pub(crate) struct Mount {
    point: PathBuf,
    /// What is to end after it.
    device: Option<Device>,
}

impl Mount {
    /// Makes a file system of `kind` with `megabytes` and mounts it below the sandbox. The image and the directory are
    /// named after `name`.
    pub(crate) fn new(sandbox: &Sandbox, name: &str, kind: &str, megabytes: u64) -> Self {
        let image = sandbox.path(format!("{name}.img"));
        let file = fs::File::create(&image).expect("own directory");
        file.set_len(megabytes << 20).expect("sparse image");
        make(kind, &image);
        Self::of_image(sandbox, name, &image, "loop")
    }

    /// The same on a memory device each write to which fails while the file at `flag` exists. `None` where nbdkit is
    /// not installed.
    pub(crate) fn failing(sandbox: &Sandbox, name: &str, flag: &Path) -> Option<Self> {
        let flag = format!("error-file={}", flag.display());
        let args =
            ["--filter=error", "memory", "64M", "error=EIO", "error-pwrite-rate=100%", &flag];
        Some(Self::of_device(sandbox, name, "ext4", Device::start(sandbox, name, &args)?))
    }

    /// Shows the directory `shown` of the sandbox a second time at `name`.
    pub(crate) fn bind(sandbox: &Sandbox, shown: &str, name: &str) -> Self {
        let point = sandbox.path(name);
        fs::create_dir(&point).expect("own directory");
        must(Command::new("mount").arg("--bind").arg(sandbox.path(shown)).arg(&point));
        Self { point, device: None }
    }

    /// The same on a device.
    pub(crate) fn of_device(sandbox: &Sandbox, name: &str, kind: &str, device: Device) -> Self {
        make(kind, &device.path());
        let mut mount = Self::of_image(sandbox, name, &device.path(), "loop");
        mount.device = Some(device);
        mount
    }

    /// Mounts what is in an image already.
    pub(crate) fn of_image(sandbox: &Sandbox, name: &str, image: &Path, options: &str) -> Self {
        let point = sandbox.path(name);
        fs::create_dir_all(&point).expect("own directory");
        must(Command::new("mount").args(["-o", options]).arg(image).arg(&point));
        Self { point, device: None }
    }

    /// The device that it is on.
    pub(crate) fn device(&self) -> &Device {
        self.device.as_ref().expect("made with one")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.point.join(name)
    }

    /// The loop device that it is mounted from.
    pub(crate) fn source(&self) -> PathBuf {
        let table = fs::read_to_string("/proc/self/mounts").expect("readable");
        let point = self.point.to_str().expect("own name");
        let line = table.lines().find(|line| line.split(' ').nth(1) == Some(point));
        line.and_then(|line| line.split(' ').next()).expect("it is mounted").into()
    }

    /// Takes it away from under whoever uses it.
    pub(crate) fn detach(&self) {
        must(Command::new("umount").arg("-l").arg(&self.point));
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        must(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.point));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that another test is starting may hold a file of it for a moment.
        let umount = || Command::new("umount").arg(&self.point).output();
        let is_gone = || umount().is_ok_and(|output| output.status.success());
        for _ in 0..100 {
            if is_gone() {
                return;
            }
            std::thread::sleep(TICK);
        }
        drop(Command::new("umount").arg("-l").arg(&self.point).output());
    }
}

#[track_caller]
fn make(kind: &str, image: &Path) {
    let quiet = if kind == "ext4" { "-F" } else { "-f" };
    must(Command::new(format!("mkfs.{kind}")).arg("-q").arg(quiet).arg(image));
}

#[track_caller]
pub(crate) fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

const TICK: Duration = Duration::from_millis(20);
