//! Sizes at which things break: a directory of a million entries, a file of a tebibyte, and lengths on both sides of a
//! boundary.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::compare::{below, open_dir};
use crate::support::mount::Mount;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Sandbox};
use crate::support::tree::{self, Node, file, sparse};

/// Runs the command to its end and tells the most memory that it had, in KiB.
fn peak_kib(sandbox: &Sandbox, args: &[&str]) -> u64 {
    let mut command = sandbox.command(args);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the command starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("own process") {
            break status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(code, Some(0), "{args:?}");
    assert!(peak > 0, "the peak of {args:?} was seen");
    peak
}

/// One file of each length that a boundary may lie at; the large ones are holes with something at both ends.
fn lengths() -> Vec<Node> {
    let small = [0, 1, 4095, 4096, 4097];
    let mut nodes: Vec<_> =
        small.iter().map(|len| file(format!("src/{len}"), vec![7; *len])).collect();
    nodes.extend([
        sparse("src/2-31", 1 << 31, &[(0, "start"), ((1 << 31) - 3, "end")]),
        sparse("src/2-31-and-1", (1 << 31) + 1, &[(1 << 31, "!")]),
        sparse("src/2-32", 1 << 32, &[(0, "start"), ((1 << 32) - 3, "end")]),
        sparse("src/2-32-and-1", (1 << 32) + 1, &[(1 << 32, "!")]),
    ]);
    nodes
}

/// What is at `offset` of a file.
fn at(path: &Path, offset: u64, len: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; len];
    let file = fs::File::open(path).expect("readable");
    file.read_exact_at(&mut bytes, offset).expect("readable");
    bytes
}

on_every_engine! {
    fn lengths_at_every_boundary_are_kept(sandbox) {
        sandbox.make(&lengths());
        for args in [&["copy", "src/", "dst"][..], &["copy", "--reflink=never", "src/", "bytes"]] {
            sandbox.blit(args).code(0).sums_up("copied 9 files");
            let to = args[args.len() - 1];
            for node in lengths() {
                let name = String::from_utf8_lossy(node.path()).replace("src/", "");
                let (from, to) = (sandbox.path(format!("src/{name}")), sandbox.path(format!("{to}/{name}")));
                let (wanted, found) = (from.metadata().expect("there"), to.metadata().expect("there"));
                assert_eq!(wanted.len(), found.len(), "{name}");
                assert!(found.blocks() <= wanted.blocks() + 64, "{name} has lost its holes");
                let ends = [0, wanted.len().saturating_sub(8)];
                let len = usize::try_from(wanted.len().min(8)).expect("small");
                for offset in ends {
                    assert_eq!(at(&from, offset, len), at(&to, offset, len), "{name} at {offset}");
                }
            }
        }
        sandbox.blit(&["check", "src/", "bytes"]).code(0);
    }

    fn privileged_a_sparse_tebibyte_takes_seconds(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let (xfs, other) = (Mount::new(sandbox, "xfs", "xfs", 400), Mount::new(sandbox, "other", "xfs", 400));
        let node = sparse("huge", 1 << 40, &[(0, "start"), (1 << 39, "middle"), ((1 << 40) - 3, "end")]);
        tree::make(&xfs.path(""), &[node]);
        let start = Instant::now();
        for to in [xfs.path("copy"), other.path("copy")] {
            for reflink in ["auto", "never"] {
                let args = [Path::new("copy"), Path::new("--reflink"), Path::new(reflink), &xfs.path("huge"), &to];
                sandbox.blit(&args).code(0).sums_up("copied 1 file");
                let meta = to.metadata().expect("there");
                assert_eq!(meta.len(), 1 << 40);
                assert!(meta.blocks() < 1000, "{} blocks", meta.blocks());
                assert_eq!(at(&to, 1 << 39, 6), b"middle");
                assert_eq!(at(&to, (1 << 40) - 3, 3), b"end");
                fs::remove_file(&to).expect("own file");
            }
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    fn a_million_entries_in_one_directory_take_little_memory(sandbox) {
        if !sandbox.can(Capability::Patience) {
            return;
        }
        // In memory where there is such a place: this is not about disks.
        let shm = tempfile::Builder::new().prefix("blit-test-").tempdir_in("/dev/shm");
        let root = shm.as_ref().map_or_else(|_| sandbox.path(""), |dir| dir.path().to_owned());
        for dir in ["src/d", "empty/d"] {
            fs::create_dir_all(root.join(dir)).expect("own directory");
        }
        for n in 0..ENTRIES {
            let name = format!("src/d/entry-number-{n:07}");
            fs::File::create(root.join(name)).expect("own directory");
        }
        let [src, dst, empty] = ["src/", "dst", "empty/"].map(|name| format!("{}/{name}", root.display()));
        for args in [
            &["copy", &src, &dst][..],
            &["copy", &src, &dst],
            &["mirror", "--yes", &src, &dst],
            &["check", &src, &dst],
            &["check", "--checksum", &src, &dst],
            &["find", &dst],
            &["mirror", "--yes", &empty, &dst],
            &["rm", "-r", "--yes", src.trim_end_matches('/')],
        ] {
            let peak = peak_kib(sandbox, args);
            assert!(peak < PEAK_KIB_MAX, "{args:?} took {} MiB", peak / 1024);
        }
        assert!(fs::read_dir(root.join("dst/d")).expect("stays").next().is_none());
        assert!(!root.join("src").exists());
    }
}

/// Makes so many directories one in the other below the directory `top`, with a file in the last one.
fn make_deep(top: &Path) {
    fs::create_dir(top).expect("own directory");
    let mut at = open_dir(top);
    for _ in 0..LEVELS {
        fs::create_dir(below(&at, LEVEL.as_ref())).expect("own directory");
        at = open_dir(&below(&at, LEVEL.as_ref()));
    }
    fs::write(below(&at, "file".as_ref()), "at the bottom").expect("own file");
}

#[test]
fn ten_thousand_levels_take_seconds_and_little_memory() {
    let sandbox = &Sandbox::new("threads");
    // In memory where there is such a place: this is not about disks.
    let shm = tempfile::Builder::new().prefix("blit-test-").tempdir_in("/dev/shm");
    let root = shm.as_ref().map_or_else(|_| sandbox.path(""), |dir| dir.path().to_owned());
    let [src, dst] = ["src", "dst"].map(|name| root.join(name).display().to_string());
    let contents = format!("{src}/");
    make_deep(Path::new(&src));
    let start = Instant::now();
    let run = |args: &[&str]| {
        let peak = peak_kib(sandbox, args);
        assert!(peak < DEEP_KIB_MAX, "{args:?} took {} MiB", peak / 1024);
    };
    for verb in ["copy", "copy", "check"] {
        run(&[verb, &contents, &dst]);
    }
    run(&["rm", "-r", "--yes", &src]);
    assert!(!Path::new(&src).exists());
    let mut at = open_dir(Path::new(&dst));
    for level in 0..LEVELS {
        assert!(below(&at, LEVEL.as_ref()).is_dir(), "level {level} is missing");
        at = open_dir(&below(&at, LEVEL.as_ref()));
    }
    assert_eq!(fs::read(below(&at, "file".as_ref())).expect("copied"), b"at the bottom");
    run(&["rm", "-r", "--yes", &dst]);
    assert!(!Path::new(&dst).exists());
    assert!(start.elapsed() < DEEP_MAX, "{:?}", start.elapsed());
}

const LEVELS: u32 = 10_000;
const LEVEL: &str = "a-name";
const DEEP_KIB_MAX: u64 = 100 << 10;
/// Many times what it takes on a busy machine; quadratic time would be many times that.
const DEEP_MAX: Duration = Duration::from_secs(240);
const ENTRIES: u32 = 1_000_000;
const PEAK_KIB_MAX: u64 = 300 << 10;
