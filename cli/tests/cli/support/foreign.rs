//! A file system that shows a directory of the sandbox and behaves as it is told (`obstinate.py`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::device::wait_until;
use super::sandbox::{Sandbox, skip};

/// The mounted file system; unmounted at the end.
pub(crate) struct Foreign {
    point: PathBuf,
    server: Child,
}

impl Foreign {
    /// Shows `NAME.real` at `NAME`. `None`, and said so, where the interpreter or its module is not installed.
    pub(crate) fn mount(sandbox: &Sandbox, name: &str, switches: &[&str]) -> Option<Self> {
        let (real, point) = (sandbox.path(format!("{name}.real")), sandbox.path(name));
        fs::create_dir_all(&real).expect("own directory");
        fs::create_dir(&point).expect("own directory");
        let has_module = Command::new(PYTHON).args(["-c", "import fusepy"]).output();
        if !has_module.is_ok_and(|output| output.status.success()) {
            skip("python3-fusepy is not installed");
            return None;
        }
        let mut command = Command::new(PYTHON);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/support/obstinate.py"));
        command.arg(&real).arg(&point).args(switches);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().expect("it answered just now");
        let foreign = Self { point, server };
        let outer = real.metadata().expect("own directory").dev();
        wait_until("the file system is there", || {
            foreign.point.metadata().is_ok_and(|meta| meta.dev() != outer)
        });
        Some(foreign)
    }

    /// It goes away without a word, as a server does that crashes.
    pub(crate) fn crash(&mut self) {
        self.server.kill().expect("own process");
        self.server.wait().expect("own process");
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // What still waits for an answer gets an error.
        drop((self.server.kill(), self.server.wait()));
        drop(Command::new("umount").arg("-l").arg(&self.point).output());
    }
}

/// The one that packages of the system are made for.
const PYTHON: &str = "/usr/bin/python3";
