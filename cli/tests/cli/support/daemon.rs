//! A daemon in a process of its own, which is this test binary started again. Killed when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The variable with the daemon's arguments, one a line.
pub(crate) const ARGS: &str = "BLITD_TEST_ARGS";

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Its key and its log.
    dir: TempDir,
}

impl Daemon {
    /// Exports `root`, to be written too, at a free port of this machine.
    pub(crate) fn of_root(root: &Path, engine: &str) -> Self {
        let root = root.to_str().expect("own name");
        Self::start(&["--root", root, "--listen", "127.0.0.1:0"], engine)
    }

    /// Starts one that listens at one address.
    pub(crate) fn start(args: &[&str], engine: &str) -> Self {
        Self::spawn(&[], args, engine, tempfile::tempdir().expect("a temporary directory"))
    }

    /// The same with the key of one that has ended.
    pub(crate) fn again(mut self, args: &[&str], engine: &str) -> Self {
        self.end();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a directory"));
        Self::spawn(&[], args, engine, dir)
    }

    /// Starts one by `wrapper`, a command that runs what follows it.
    pub(crate) fn wrapped(wrapper: &[&str], args: &[&str], engine: &str) -> Self {
        Self::spawn(wrapper, args, engine, tempfile::tempdir().expect("a temporary directory"))
    }

    fn spawn(wrapper: &[&str], args: &[&str], engine: &str, dir: TempDir) -> Self {
        let this = std::env::current_exe().expect("it is known").into_os_string();
        let mut words = wrapper.iter().map(|word| OsStr::new(*word)).chain([this.as_os_str()]);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).args(["--exact", "a_daemon_that_other_tests_start", "--nocapture"]);
        command.env(ARGS, args.join("\n")).env("BLIT_ENGINE", engine);
        command.env("BLIT_CONFIG_DIR", dir.path()).env_remove("NOTIFY_SOCKET");
        let log = File::create(dir.path().join("log")).expect("own directory");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("this binary can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split_once("listening on ").map(|(_, address)| address.trim().to_owned())
        });
        let log = || fs::read_to_string(dir.path().join("log"));
        let address = address.unwrap_or_else(|| panic!("it does not listen: {:?}", log()));
        // What it says later is not read by anyone, and is not to block it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address: address.parse().expect("an address"), dir }
    }

    /// The endpoint of `path` in its default root.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}://{path}", self.address)
    }

    /// The endpoint of what is in one of its modules: `module/path`.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}:/{path}", self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a small number");
        kill(Pid::from_raw(pid), signal).expect("it is not waited for yet");
    }

    /// Ends it like a power cut.
    pub(crate) fn end(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
