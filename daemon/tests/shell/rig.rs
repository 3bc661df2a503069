//! A daemon in a process of its own, and an end of a connection to it.
//! It must not wait without a bound.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_daemon::service::{Connection, Offer, Service};
use blit_daemon::state::State;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The variable with the daemon's arguments, one a line.
pub(crate) const ARGS: &str = "BLITD_TEST_ARGS";

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Echoes lines.
pub(crate) const ECHO: Offer = Offer { start: echo, show_key: |_| Ok("blit1key".to_owned()) };

fn echo(state: &Arc<State>) -> Result<Arc<dyn Service>, Error> {
    Ok(Arc::new(Echo { state: Arc::clone(state), streams: Mutex::default() }))
}

struct Echo {
    state: Arc<State>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Service for Echo {
    fn serve(&self, connection: Connection) {
        let stream = connection.stream.try_clone().expect("a descriptor is left");
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        let mut lines = BufReader::new(&connection.stream).lines();
        while let Some(Ok(line)) = lines.next() {
            let answer = match line.as_str() {
                "modules" => {
                    let config = self.state.config();
                    let names = config.modules.iter().map(|module| module.name.clone());
                    names.collect::<Vec<_>>().join(" ")
                }
                "panic" => panic!("asked to\x1b[2J"),
                other => other.to_owned(),
            };
            if (&connection.stream).write_all(format!("{answer}\n").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn drain(&self) {}

    fn end(&self) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // One that is closed already is ended.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// A running daemon. Dropped, it is killed.
pub(crate) struct Daemon {
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// A directory with a configuration file.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the configuration with one module for each of `modules`.
    pub(crate) fn configure(&self, head: &str, modules: &[&str]) -> PathBuf {
        let mut text = format!("listen = \"127.0.0.1:0\"\n{head}\n");
        for name in modules {
            let top = self.0.path().display();
            text += &format!("[[module]]\nname = \"{name}\"\npath = \"{top}\"\n");
        }
        self.write("blitd.toml", &text)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("own directory");
        self.path(name)
    }
}

/// The command that is a daemon with these arguments.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it is known"));
    command
        .args(["--exact", "a_daemon_that_other_tests_start", "--nocapture"])
        .env(ARGS, args.join("\n"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null());
    command
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

impl Daemon {
    /// Starts one that listens at so many addresses.
    pub(crate) fn start(args: &[&str], addresses: usize) -> Self {
        Self::spawn(&mut command(args), addresses)
    }

    /// One that a configuration describes.
    pub(crate) fn configured(file: &Path) -> Self {
        Self::start(&["--config", file.to_str().expect("a text")], 1)
    }

    pub(crate) fn spawn(command: &mut Command, addresses: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this binary can be started");
        let out = lines_of(child.stdout.take().expect("piped"));
        let log = lines_of(child.stderr.take().expect("piped"));
        let mut daemon = Self { child, out, log, addresses: Vec::new() };
        for _ in 0..addresses {
            let address = daemon.next_address();
            daemon.addresses.push(address);
        }
        daemon
    }

    fn next_address(&mut self) -> SocketAddr {
        loop {
            let Ok(line) = self.out.recv_timeout(PATIENCE) else {
                panic!("it does not listen: {:?}", self.log.try_iter().collect::<Vec<_>>());
            };
            if let Some((_, address)) = line.split_once("listening on ") {
                return address.trim().parse().expect("an address");
            }
        }
    }

    /// Waits for a line of the log with `words` in it.
    pub(crate) fn logs(&self, words: &str) -> String {
        let begun = Instant::now();
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("{words:?} was not logged: {seen:?}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a small number");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for its end; its exit code.
    pub(crate) fn code(mut self) -> i32 {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("own child") {
                return status.code().unwrap_or(-1);
            }
            std::thread::yield_now();
        }
        panic!("it does not end");
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.addresses[0])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The client's end of a connection.
pub(crate) struct Peer(BufReader<TcpStream>);

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Self(BufReader::new(stream))
    }

    /// What it answers to `line`; nothing if it is closed.
    pub(crate) fn ask(&mut self, line: &str) -> Option<String> {
        self.tell(line);
        self.answer()
    }

    /// Sends `line`; that it has been closed meanwhile is seen by who waits for an answer.
    pub(crate) fn tell(&mut self, line: &str) {
        drop(self.0.get_ref().write_all(format!("{line}\n").as_bytes()));
    }

    pub(crate) fn answer(&mut self) -> Option<String> {
        let mut answer = String::new();
        match self.0.read_line(&mut answer) {
            Ok(0) => None,
            Ok(_) => Some(answer.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
}
