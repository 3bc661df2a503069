//! Somebody at a terminal: the command's standard input and standard error are one, its standard output is a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use nix::pty::openpty;

use super::sandbox::{Run, Sandbox};

/// A command that runs at a terminal.
pub(crate) struct Seated {
    child: Child,
    terminal: File,
    seen: String,
}

impl Seated {
    pub(crate) fn new(sandbox: &Sandbox, args: &[&str]) -> Self {
        let pair = openpty(None, None).expect("the system has terminals");
        let slave = File::from(pair.slave);
        let mut command = sandbox.command(args);
        command.stdin(slave.try_clone().expect("open")).stderr(slave).stdout(Stdio::piped());
        let child = command.spawn().expect("the command starts");
        Self { child, terminal: File::from(pair.master), seen: String::new() }
    }

    /// Waits until `text` was said.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.read_more(), "it ended before it said {text:?}: {:?}", self.seen);
        }
    }

    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Types `text`.
    pub(crate) fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("the terminal is there");
    }

    /// Waits for the end; what was said at the terminal is taken for standard error.
    pub(crate) fn ends(mut self) -> Run {
        while self.read_more() {}
        let mut run = Run::from(self.child.wait_with_output().expect("ends"));
        run.stderr = self.seen.replace("\r\n", "\n");
        run
    }

    /// When nobody holds the other end any more, reading fails.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let len = self.terminal.read(&mut buffer).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&buffer[..len]);
        len > 0
    }
}
