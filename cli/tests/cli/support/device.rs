//! A disk that obeys: a block device that a program of its own serves, which can be stopped like a machine that loses power,
//! or told to fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::sandbox::{Sandbox, skip};

/// A file that is a disk.
pub(crate) struct Device {
    dir: PathBuf,
    server: Child,
}

impl Device {
    /// Starts nbdkit with `args`. `None`, and said so, where it is not installed.
    pub(crate) fn start(sandbox: &Sandbox, name: &str, args: &[&str]) -> Option<Self> {
        let dir = sandbox.path(format!("{name}.nbd"));
        fs::create_dir(&dir).expect("own directory");
        let mut command = Command::new("nbdfuse");
        command.arg(dir.join("disk")).args(["--command", "nbdkit", "-s"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(server) = command.spawn() else {
            skip("nbdkit and nbdfuse are not installed");
            return None;
        };
        let device = Self { dir, server };
        let path = device.path();
        wait_until("the disk is served", || path.exists());
        Some(device)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// Nothing is written any more until it goes on. When this returns, what was being written has been.
    pub(crate) fn stop(&self) {
        let server = self.nbdkit();
        kill(server, Signal::SIGSTOP).expect("own process");
        wait_until("nbdkit is stopped", || threads_are_stopped(server));
    }

    pub(crate) fn go_on(&self) {
        kill(self.nbdkit(), Signal::SIGCONT).expect("own process");
    }

    /// The process that serves the bytes; nbdfuse only hands them over.
    fn nbdkit(&self) -> Pid {
        let id = self.server.id();
        let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
        let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("it runs");
        let all: Vec<String> = tasks.flatten().filter_map(children).collect();
        let mut ids = all.iter().flat_map(|text| text.split_whitespace());
        Pid::from_raw(ids.next().and_then(|id| id.parse().ok()).expect("nbdfuse started it"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(Command::new("fusermount3").arg("-u").arg(&self.dir).output());
        // Without a mount it ends by itself; whatever keeps it mounted would keep it for ever.
        let end = Instant::now() + PATIENCE;
        while !matches!(self.server.try_wait(), Ok(Some(_))) {
            if Instant::now() > end {
                drop(self.server.kill());
                break;
            }
            std::thread::sleep(TICK);
        }
        drop(self.server.wait());
    }
}

fn threads_are_stopped(process: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let state = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).ok();
    // The state follows the name, which is in parentheses.
    let is_stopped = |stat: String| {
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    };
    tasks.flatten().filter_map(state).all(is_stopped)
}

/// Waits for what another process does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(TICK);
    }
}

/// Copies the image of a disk, holes as holes.
#[track_caller]
pub(crate) fn snapshot(image: &Path, copy: &Path) {
    let mut command = Command::new("cp");
    let output = command.arg("--sparse=always").arg(image).arg(copy).output().expect("cp is there");
    assert!(output.status.success(), "{output:?}");
}

const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(2);
