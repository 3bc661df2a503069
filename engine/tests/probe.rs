//! The choice of the engine where the system refuses io_uring in one way or another.
//! Each case runs in a process of its own, which a wrapper in Python has restricted: this test binary, executed again.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it skips and did")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;
use std::{env, fs};

use blit_core::ErrorKind;
use blit_core::engine::Engine;
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::RelPath;
use blit_core::task::{Dir, List, Root, Survey, Task, TaskId, What};
use blit_engine::{Choice, start};

#[test]
fn auto_and_uring_are_refused_where_a_filter_forbids_the_set_up() {
    expect_refusal("seccomp:425:1", "ring set-up: Operation not permitted");
    expect_refusal("seccomp:425:38", "ring set-up: Function not implemented");
}

#[test]
fn auto_and_uring_are_refused_where_a_filter_forbids_the_use() {
    expect_refusal("seccomp:426:1", "first operation: Operation not permitted");
    expect_refusal("seccomp:426:38", "first operation: Function not implemented");
}

#[test]
fn auto_and_uring_are_refused_where_a_filter_forbids_registering() {
    expect_refusal("seccomp:427:1", "opcode probe: Operation not permitted");
    expect_refusal("seccomp:427:38", "opcode probe: Function not implemented");
}

#[test]
fn auto_and_uring_are_refused_with_little_locked_memory() {
    expect_refusal("memlock:65536", "locked memory: RLIMIT_MEMLOCK is 64 KiB");
}

#[test]
fn privileged_auto_and_uring_are_refused_where_the_system_forbids_io_uring() {
    if env::var_os("BLIT_TEST_PRIVILEGED").is_none() {
        eprintln!("SKIPPED: needs root and BLIT_TEST_PRIVILEGED=1 (it sets a sysctl for a moment)");
        return;
    }
    let _alone = SYSTEM.write().unwrap_or_else(PoisonError::into_inner);
    let _restored = Disabled::set("2");
    expect_refusal_now("plain", "ring set-up: Operation not permitted");
    fs::write(DISABLED, "1").expect("set the sysctl");
    expect_refusal_now("nobody", "ring set-up: Operation not permitted");
}

#[test]
fn a_small_job_starts_no_thread_and_no_ring() {
    let _unchanged = SYSTEM.read().unwrap_or_else(PoisonError::into_inner);
    let Some(said) = run_child("plain", "small") else { return };
    assert!(said.contains("small: threads +0 rings 0: calling thread"), "{said}");
}

#[test]
fn a_large_job_runs_on_executors_where_they_are_allowed() {
    let _unchanged = SYSTEM.read().unwrap_or_else(PoisonError::into_inner);
    let Some(said) = run_child("plain", "large") else { return };
    if said.contains("uring refused") {
        eprintln!("SKIPPED: io_uring is refused here:\n{said}");
        return;
    }
    assert!(said.contains("uring: uring (2 executors)"), "{said}");
    assert!(said.contains("auto: uring ("), "{said}");
    assert!(said.contains("threads: threads"), "{said}");
}

/// What the executed-again binary does; nothing in an ordinary run.
#[test]
fn child() {
    match env::var(ROLE).as_deref() {
        Ok("small") => small_job(),
        Ok("large") => large_jobs(),
        _ => {}
    }
}

fn small_job() {
    let threads = || fs::read_dir("/proc/self/task").expect("list threads").count();
    let before = threads();
    let engine = start(Choice::Auto, None).expect("auto always starts").engine;
    list_many(&engine, 3);
    let descriptors = fs::read_dir("/proc/self/fd").expect("list descriptors");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let rings = targets.filter(|target| target.to_string_lossy().contains("io_uring")).count();
    println!("small: threads +{} rings {rings}: {}", threads() - before, engine.describe());
}

fn large_jobs() {
    for choice in [Choice::Auto, Choice::Threads, Choice::Uring] {
        match start(choice, Some(2)) {
            Ok(started) => {
                list_many(&started.engine, 200);
                wait_for_executors(choice, &started.engine);
                println!("{choice}: {}", started.engine.describe());
            }
            Err(error) => {
                assert_eq!((choice, error.kind), (Choice::Uring, ErrorKind::Unsupported));
                println!("{choice} refused: {error}");
            }
        }
    }
}

/// An explicit choice makes both executors at once, but each in its own time.
fn wait_for_executors(choice: Choice, engine: &Arc<dyn Engine>) {
    for _ in 0..1000 {
        if choice != Choice::Uring || !engine.describe().contains(" of ") {
            break;
        }
        list_many(engine, 1);
    }
}

/// Lists a directory so many times and expects as many answers.
fn list_many(engine: &Arc<dyn Engine>, count: u64) {
    let (sender, receiver) = mpsc::channel();
    let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
    let root = Root::new(env::temp_dir());
    let list = List {
        dir: Dir::new(&root, RelPath::root()),
        what: What::Itself,
        xattrs: false,
        survey: Survey::Nothing,
    };
    let tasks = (0..count).map(|id| (TaskId(id), Task::List(list.clone()))).collect();
    engine.submit(tasks, &port);
    for _ in 0..count {
        let (_, event) = receiver.recv_timeout(ANSWER_TIMEOUT).expect("each task is answered");
        assert!(matches!(event, Event::Done(_, Ok(_))), "{event:?}");
    }
}

fn expect_refusal(restriction: &str, reason: &str) {
    let _unchanged = SYSTEM.read().unwrap_or_else(PoisonError::into_inner);
    expect_refusal_now(restriction, reason);
}

fn expect_refusal_now(restriction: &str, reason: &str) {
    let Some(said) = run_child(restriction, "large") else { return };
    assert!(said.contains(&format!("auto: threads (io_uring refused: {reason}")), "{said}");
    assert!(said.contains("threads: threads\n"), "{said}");
    let refusal = format!("uring refused: start engine uring: io_uring refused: {reason}");
    assert!(said.contains(&refusal), "{said}");
    assert!(said.contains("`--engine threads` works here"), "{said}");
}

/// Runs this binary again as `role` under `restriction` and returns what it printed.
fn run_child(restriction: &str, role: &str) -> Option<String> {
    let scratch = Scratch::new();
    // Where it lies, another user may not be allowed to execute it.
    let copy = scratch.0.join("child");
    fs::copy(env::current_exe().expect("this binary"), &copy).expect("copy this binary");
    let output = Command::new("python3")
        .args(["-c", WRAPPER, restriction])
        .arg(&copy)
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .current_dir("/")
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {restriction} needs python3");
            return None;
        }
        output => output.expect("start the wrapper"),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{restriction}: {said}{complaint}");
    Some(said)
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let thread = format!("{:?}", std::thread::current().id());
        let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
        let path = env::temp_dir().join(format!("blit-probe-{}-{digits}", std::process::id()));
        fs::create_dir_all(&path).expect("make a scratch directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// `kernel.io_uring_disabled` as it was, put back whatever happens.
struct Disabled(String);

impl Disabled {
    fn set(value: &str) -> Self {
        let before = fs::read_to_string(Path::new(DISABLED)).expect("read the sysctl");
        fs::write(DISABLED, value).expect("set the sysctl");
        Self(before)
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        drop(fs::write(DISABLED, &self.0));
    }
}

/// Whether the system allows io_uring: read by every case, changed by the privileged one.
static SYSTEM: RwLock<()> = RwLock::new(());
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";
const ROLE: &str = "BLIT_PROBE_ROLE";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Restricts itself as its first argument says and becomes the program that follows. A seccomp filter answers one
/// system call (425 sets an io_uring up, 426 enters it, 427 registers with it, on every architecture) with an error.
const WRAPPER: &str = r#"
import ctypes, os, resource, struct, sys
kind, *values = sys.argv[1].split(":")
if kind == "seccomp":
    call, errno = map(int, values)
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x00050000 | errno), (0x06, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if libc.prctl(38, one, zero, zero, zero) or libc.prctl(22, ctypes.c_ulong(2), program):
        sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
elif kind == "memlock":
    limit = int(values[0])
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
elif kind == "nobody":
    os.chmod(os.path.dirname(sys.argv[2]), 0o755)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.execv(sys.argv[2], sys.argv[2:])
"#;
