//! A directory of its own for each test, and the command in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::tree::{self, Node};
use super::way::Way;

/// A directory, an engine, and the command that runs there.
pub(crate) struct Sandbox {
    dir: TempDir,
    engine: &'static str,
    way: Way,
    /// The command's keys, and the daemons that it knows; apart from the directory, of which tests look at everything.
    config: TempDir,
    daemon: OnceLock<Daemon>,
}

/// What the machine may not let a test do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Give files away and make devices.
    Root,
    /// Run the command as a user without rights.
    NobodyElse,
    /// Set `user.*` attributes and ACLs.
    Xattrs,
    /// Ask rsync for its opinion.
    Rsync,
    /// Mount images; only on request, since it leaves traces when it is killed.
    Mount,
    /// The slow stages.
    Patience,
}

impl Sandbox {
    pub(crate) fn new(engine: &'static str) -> Self {
        let dir =
            tempfile::Builder::new().prefix("sandbox-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let dir = dir.expect("the build has a directory for tests");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("own directory");
        let config = tempfile::tempdir().expect("a temporary directory");
        Self { dir, engine, way: Way::Local, config, daemon: OnceLock::new() }
    }

    /// Another one of this kind.
    pub(crate) fn another(&self) -> Self {
        Self { way: self.way, ..Self::new(self.engine) }
    }

    /// Runs `body` in a new sandbox, unless the machine has no such engine.
    pub(crate) fn with_engine(engine: &'static str, body: fn(&Self)) {
        Self::in_way(Way::Local, engine, body);
    }

    /// The same, with one end of each transfer at a daemon on that engine.
    pub(crate) fn in_way(way: Way, engine: &'static str, body: fn(&Self)) {
        let sandbox = Self { way, ..Self::new(engine) };
        if engine == "uring" && !sandbox.has_uring() {
            skip("the kernel refuses io_uring");
            return;
        }
        body(&sandbox);
    }

    /// Whether the machine can do this; if not, says so where it is seen.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        let can = match capability {
            Capability::Root => geteuid().is_root(),
            Capability::NobodyElse => self.has_nobody(),
            Capability::Xattrs => self.has_xattrs(),
            Capability::Rsync => answers(Command::new("rsync").arg("--version")),
            Capability::Mount => {
                geteuid().is_root() && std::env::var_os("BLIT_TEST_PRIVILEGED").is_some()
            }
            Capability::Patience => self.is_slow(),
        };
        if !can {
            skip(&format!("no {capability:?} here"));
        }
        can
    }

    /// Whether there is time for many rounds; unlike a capability, this only says how many.
    pub(crate) fn is_slow(&self) -> bool {
        std::env::var_os("BLIT_TEST_SLOW").is_some()
    }

    pub(crate) fn engine(&self) -> &'static str {
        self.engine
    }

    /// Where the ends of its transfers are.
    pub(crate) fn way(&self) -> Way {
        self.way
    }

    /// The daemon that exports this sandbox; started, and known to the command, when it is first needed.
    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.get_or_init(|| {
            let daemon = Daemon::of_root(self.dir.path(), self.engine);
            self.meet(&daemon);
            daemon
        })
    }

    /// Makes a daemon known to the command, so that no later run has to say that it is new.
    #[track_caller]
    pub(crate) fn meet(&self, daemon: &Daemon) {
        self.blit(&["modules", &daemon.address.to_string()]).code(0);
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(Path::new(name.as_ref()))
    }

    /// Makes a tree below the sandbox.
    pub(crate) fn make(&self, nodes: &[Node]) {
        tree::make(self.dir.path(), nodes);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The command on this sandbox's engine and in its way, ready to be changed.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut args: Vec<OsString> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        if self.way.is_remote(&args) {
            args = self.way.turn(&args, self.dir.path(), self.daemon());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_blit"));
        self.settle(&mut command);
        command.args(args);
        command
    }

    /// The command as a user who owns nothing, if the tests run as root; else as who they run as.
    pub(crate) fn command_as_nobody(&self, args: &[&str]) -> Command {
        if !geteuid().is_root() {
            return self.command(args);
        }
        let mut command = Command::new("setpriv");
        command.args(AS_NOBODY).arg(env!("CARGO_BIN_EXE_blit")).args(args);
        self.settle(&mut command);
        command
    }

    /// Runs the command to its end.
    pub(crate) fn blit<A: AsRef<OsStr>>(&self, args: &[A]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Runs the command with `input` on its standard input.
    pub(crate) fn blit_reads(&self, args: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        child.stdin.take().expect("piped").write_all(input).expect("it reads");
        Run::from(child.wait_with_output().expect("ends"))
    }

    /// Starts the command with its standard output in a pipe.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the command starts")
    }

    fn settle(&self, command: &mut Command) {
        command.current_dir(self.dir.path()).env("BLIT_ENGINE", self.engine);
        command.env("BLIT_CONFIG_DIR", self.config.path());
        command.env_remove("COLUMNS").stdin(Stdio::null());
    }

    /// Only the words that the engine has for a refusal count: another failure is not to be skipped over.
    fn has_uring(&self) -> bool {
        fs::create_dir(self.path("probe")).expect("own directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_blit"));
        self.settle(&mut command);
        let run = Run::of(command.args(["copy", "probe", "probed"]));
        for name in ["probe", "probed"] {
            fs::remove_dir(self.path(name)).ok();
        }
        run.code == 0 || !run.stderr.contains("start engine uring")
    }

    fn has_nobody(&self) -> bool {
        if !geteuid().is_root() {
            return true;
        }
        let mut command = Command::new("setpriv");
        command.args(AS_NOBODY).arg(env!("CARGO_BIN_EXE_blit")).arg("--version");
        answers(command.current_dir(self.dir.path()))
    }

    fn has_xattrs(&self) -> bool {
        let probe = self.path("probe");
        fs::write(&probe, "").expect("own directory");
        let flags = rustix::fs::XattrFlags::empty();
        let can = rustix::fs::setxattr(&probe, "user.probe", b"", flags).is_ok()
            && rustix::fs::setxattr(&probe, tree::ACCESS_ACL, &tree::acl(65534, 4), flags).is_ok();
        fs::remove_file(&probe).expect("own file");
        can
    }
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the command starts"))
    }

    /// Fails with all that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {self:#?}");
        self
    }

    /// Fails unless standard error has `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Fails unless standard output starts with `text`.
    #[track_caller]
    pub(crate) fn sums_up(self, text: &str) -> Self {
        assert!(self.stdout.starts_with(text), "no {text:?} at the start of {self:#?}");
        self
    }
}

impl Run {
    /// The lines about changes, in the words of a run, sorted.
    pub(crate) fn changes(&self) -> Vec<String> {
        let told = self.stdout.lines().filter_map(|line| line.split_once("  "));
        let mut lines: Vec<String> = told
            .map(|(word, path)| {
                let word = match word.trim() {
                    "would copy" => "copied",
                    "would replace" => "replaced",
                    "would create" => "created",
                    "would link" => "linked",
                    "would repair" => "repaired",
                    "would remove" => "removed",
                    "would rename" => "renamed",
                    word => word,
                };
                format!("{word} {}", path.trim_start())
            })
            .collect();
        lines.sort();
        lines
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Tells past the test runner, which would keep it to itself, that something was not tested.
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    drop(io::stderr().lock().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()));
}

fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

const AS_NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
