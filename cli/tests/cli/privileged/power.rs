//! Machines that lose power during a run: what was told to be done is there, and whole, on the disk that such a machine
//! would find.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::device::{Device, snapshot, wait_until};
use crate::support::mount::Mount;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};

/// One file of the tree: both of its contents follow from its path.
struct Spec {
    path: String,
    len: usize,
    has_old: bool,
}

fn specs() -> Vec<Spec> {
    let spec = |n: usize| Spec {
        // Every other directory is new, so that both ways of publishing are used.
        path: format!("d{}/e{}/f{n}", n % 6, n % 3),
        len: if n.is_multiple_of(30) { 2 << 20 } else { n * 131 % 9000 },
        has_old: n.is_multiple_of(2),
    };
    (0..FILES).map(spec).collect()
}

fn content(spec: &Spec, version: &str) -> Vec<u8> {
    let line = format!("{version} {}\n", spec.path);
    line.bytes().cycle().take(spec.len + line.len()).collect()
}

fn write(root: &Path, spec: &Spec, version: &str) {
    let path = root.join(&spec.path);
    fs::create_dir_all(path.parent().expect("in a directory")).expect("own directory");
    fs::write(&path, content(spec, version)).expect("room for it");
    // Both versions of a file may be written within one tick of the clock, and have the same size.
    let age = if version == "old" { Duration::from_secs(1000) } else { Duration::ZERO };
    let file = fs::File::options().write(true).open(path).expect("own file");
    file.set_modified(SystemTime::now() - age).expect("own file");
}

/// Whether the complete content of `version` is there.
fn has(root: &Path, spec: &Spec, version: &str) -> bool {
    fs::read(root.join(&spec.path)).is_ok_and(|found| found == content(spec, version))
}

/// A disk whose image can be looked at, with a file system on it. With `volatile`, what was not flushed is not in the image.
fn disk(sandbox: &Sandbox, name: &str, kind: &str, is_volatile: bool) -> Option<Mount> {
    let image = image(sandbox, name);
    let file = fs::File::create(image).expect("own directory");
    file.set_len(if kind == "xfs" { 320 << 20 } else { 128 << 20 }).expect("sparse image");
    let path = sandbox.path(format!("{name}.img"));
    let path = path.to_str().expect("own name");
    let args: &[&str] =
        if is_volatile { &["--filter=cache", "file", path] } else { &["file", path] };
    Some(Mount::of_device(sandbox, name, kind, Device::start(sandbox, name, args)?))
}

fn image(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.path(format!("{name}.img"))
}

/// A run that tells each change, and what it has told.
struct Telling {
    child: Child,
    told: Arc<Mutex<HashSet<String>>>,
    reader: std::thread::JoinHandle<String>,
}

impl Telling {
    fn start(sandbox: &Sandbox, args: &[&Path]) -> Self {
        let mut command = sandbox.command(args);
        command.args(["--progress=json", "--stall-timeout=0"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let told: Arc<Mutex<HashSet<String>>> = Arc::default();
        let seen = Arc::clone(&told);
        let reader = std::thread::spawn(move || {
            let mut all = String::new();
            for line in lines.map_while(Result::ok) {
                let event: serde_json::Value =
                    serde_json::from_str(&line).expect("events are JSON");
                let is_content = event["action"] == "copied" || event["action"] == "replaced";
                if event["event"] == "change" && is_content {
                    let path = event["path"].as_str().expect("text").to_owned();
                    seen.lock().expect("not poisoned").insert(path);
                }
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        Self { child, told, reader }
    }

    fn told(&self) -> HashSet<String> {
        self.told.lock().expect("not poisoned").clone()
    }

    /// Waits until `count` changes were told; false if it ended before.
    fn reaches(&mut self, count: usize) -> bool {
        let mut has_ended = false;
        wait_until("a change is told", || {
            has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            has_ended || self.told().len() >= count
        });
        !has_ended
    }

    fn end(mut self) -> (Run, HashSet<String>) {
        let status = self.child.wait().expect("ends");
        let stderr = self.reader.join().expect("reads to the end");
        let told = self.told.lock().expect("not poisoned").clone();
        (Run { code: status.code().unwrap_or(-1), stdout: String::new(), stderr }, told)
    }
}

/// Moments within a run, as the number of changes told before and a time after that.
fn moments(seed: u64) -> Vec<(usize, Duration)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |max: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % max
    };
    let counts = (0..CUTS_PER_RUN).map(|_| random(FILES as u64));
    let mut counts: Vec<_> = counts.collect();
    counts.sort_unstable();
    let moment =
        |count: u64| (usize::try_from(count).expect("small"), Duration::from_micros(random(5000)));
    counts.into_iter().map(moment).collect()
}

/// What is on the image of a disk whose machine loses power now.
fn after_a_cut(sandbox: &Sandbox, copy: &Path, kind: &str) -> Mount {
    let options = if kind == "xfs" { "loop,nouuid" } else { "loop" };
    Mount::of_image(sandbox, "found", copy, options)
}

/// The paths of a told change begin with what was asked for; the rest is the path in the tree.
fn was_told(told: &HashSet<String>, spec: &Spec) -> bool {
    told.iter().any(|path| {
        path.strip_suffix(&spec.path).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    })
}

fn no_parts(root: &Path, told: &HashSet<String>) {
    for spec in specs() {
        let is_told = was_told(told, &spec);
        let (is_new, is_old) = (has(root, &spec, "new"), has(root, &spec, "old"));
        let is_absent = root.join(&spec.path).symlink_metadata().is_err();
        assert!(is_new || !is_told, "{} was told to be copied and is not there", spec.path);
        assert!(
            is_new || is_old && spec.has_old || is_absent && !spec.has_old,
            "{} is neither old nor new",
            spec.path
        );
    }
}

/// Copies over an older tree and cuts the power `CUTS_PER_RUN` times; says how often it did before the run ended.
fn cut_copies(sandbox: &Sandbox, kind: &str, seed: u64) -> usize {
    let Some(mount) = disk(sandbox, "disk", kind, !seed.is_multiple_of(2)) else {
        return CUTS_PER_RUN;
    };
    let source = sandbox.path("src");
    for spec in specs() {
        write(&source, &spec, "new");
        if spec.has_old {
            write(&mount.path("dst"), &spec, "old");
        }
    }
    nix::unistd::sync();
    let args = [Path::new("copy"), Path::new("--fsync"), &source.join(""), &mount.path("dst")];
    let mut run = Telling::start(sandbox, &args);
    let mut cuts = Vec::new();
    for (index, (count, moment)) in moments(seed).into_iter().enumerate() {
        if !run.reaches(count) {
            break;
        }
        std::thread::sleep(moment);
        let told = run.told();
        mount.device().stop();
        let copy = sandbox.path(format!("cut{index}.img"));
        snapshot(&image(sandbox, "disk"), &copy);
        mount.device().go_on();
        cuts.push((copy, told));
    }
    let (run, told) = run.end();
    run.code(0);
    no_parts(&mount.path("dst"), &told);
    assert_eq!(told.len(), FILES, "every file is told");
    drop(mount);
    let count = cuts.len();
    for (copy, told) in cuts {
        let found = after_a_cut(sandbox, &copy, kind);
        no_parts(&found.path("dst"), &told);
        // The next run ends the work and leaves nothing of the one that was cut.
        sandbox
            .blit(&[Path::new("mirror"), Path::new("--yes"), &source.join(""), &found.path("dst")])
            .code(0);
        sandbox
            .blit(&[
                Path::new("check"),
                Path::new("--checksum"),
                &source.join(""),
                &found.path("dst"),
            ])
            .code(0);
        drop(found);
        fs::remove_file(copy).expect("own file");
    }
    count
}

/// Moves from one disk to another and cuts the power of both.
fn cut_moves(sandbox: &Sandbox, kind: &str, seed: u64) -> usize {
    let is_volatile = !seed.is_multiple_of(2);
    let Some(from) = disk(sandbox, "from", "ext4", is_volatile) else { return CUTS_PER_RUN };
    let Some(to) = disk(sandbox, "to", kind, is_volatile) else { return CUTS_PER_RUN };
    for spec in specs() {
        write(&from.path("src"), &spec, "new");
    }
    nix::unistd::sync();
    let mut run =
        Telling::start(sandbox, &[Path::new("move"), &from.path("src").join(""), &to.path("dst")]);
    let mut cuts = Vec::new();
    for (index, (count, moment)) in moments(seed).into_iter().enumerate() {
        if !run.reaches(count) {
            break;
        }
        std::thread::sleep(moment);
        let told = run.told();
        // First where it is taken away: what is gone there must have arrived before.
        from.device().stop();
        to.device().stop();
        let copies = ["from", "to"].map(|side| sandbox.path(format!("{side}-cut{index}.img")));
        snapshot(&image(sandbox, "from"), &copies[0]);
        snapshot(&image(sandbox, "to"), &copies[1]);
        from.device().go_on();
        to.device().go_on();
        cuts.push((copies, told));
    }
    let (run, told) = run.end();
    run.code(0);
    for spec in specs() {
        assert!(
            has(&to.path("dst"), &spec, "new") && was_told(&told, &spec),
            "{} has arrived",
            spec.path
        );
    }
    drop((from, to));
    let count = cuts.len();
    for ([from, to], told) in cuts {
        let source = Mount::of_image(sandbox, "left", &from, "loop");
        let found = after_a_cut(sandbox, &to, kind);
        for spec in specs() {
            let has_arrived = has(&found.path("dst"), &spec, "new");
            assert!(
                has_arrived || !was_told(&told, &spec),
                "{} was told and is not there",
                spec.path
            );
            assert!(
                has_arrived || has(&source.path("src"), &spec, "new"),
                "{} is lost from both sides",
                spec.path
            );
        }
        drop((source, found));
        drop((fs::remove_file(from), fs::remove_file(to)));
    }
    count
}

/// Runs `cut` in sandboxes of their own until there were enough cuts.
fn many(sandbox: &Sandbox, cut: fn(&Sandbox, &str, u64) -> usize) {
    if !sandbox.can(Capability::Mount) {
        return;
    }
    let cuts_min = if sandbox.is_slow() { 30 } else { 1 };
    let mut cuts = 0;
    for seed in 0.. {
        assert!(seed < 300, "only {cuts} runs lasted until they were cut");
        let kind = if seed % 4 < 2 { "ext4" } else { "xfs" };
        let own = Sandbox::new(sandbox.engine());
        cuts += cut(&own, kind, seed);
        if cuts >= cuts_min {
            break;
        }
    }
}

on_every_engine! {
    fn privileged_what_a_copy_told_survives_power_cuts(sandbox) {
        many(sandbox, cut_copies);
    }

    fn privileged_a_move_loses_nothing_to_power_cuts(sandbox) {
        many(sandbox, cut_moves);
    }
}

const FILES: usize = 240;
const CUTS_PER_RUN: usize = 3;
