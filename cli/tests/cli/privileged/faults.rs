//! Disks that run out of what they grant, turn read-only, fail or go away in the middle of a run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use crate::support::compare::read;
use crate::support::mount::{Mount, must};
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::file;

/// Bytes that no file system can make smaller.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
}

/// A btrfs whose directory `sub` takes ten megabytes.
fn limited(sandbox: &Sandbox) -> Mount {
    let mount = Mount::new(sandbox, "disk", "btrfs", 300);
    let btrfs = |args: &[&str], path: &Path| must(Command::new("btrfs").args(args).arg(path));
    btrfs(&["-q", "quota", "enable"], &mount.path(""));
    btrfs(&["-q", "subvolume", "create"], &mount.path("sub"));
    btrfs(&["-q", "qgroup", "limit", "10M"], &mount.path("sub"));
    mount
}

/// No file below is anything but what stands at the same place in the source, and none has a temporary name.
#[track_caller]
fn assert_whole_or_absent(source: &Path, destination: &Path) {
    let source = read(source);
    for (path, facts) in read(destination) {
        let name = String::from_utf8_lossy(&path).into_owned();
        assert!(!name.contains(".blit-"), "{name} is left");
        if facts.kind == "file" {
            assert_eq!(
                source.get(&path).map(|facts| &facts.content),
                Some(&facts.content),
                "{name}"
            );
        }
    }
}

/// Starts a run that tells its changes, and does `harm` when it has told one.
fn harmed(sandbox: &Sandbox, args: &[&str], harm: impl FnOnce()) -> Run {
    let mut child = sandbox.start(&[args, &["-v"]].concat());
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    drop(lines.next());
    harm();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let mut run = Run::from(child.wait_with_output().expect("ends"));
    run.stdout = rest.join("\n");
    run
}

fn many(below: &str, count: usize) -> Vec<crate::support::tree::Node> {
    (0..count).map(|n| file(format!("{below}/d{}/f{n}", n % 50), format!("content {n}"))).collect()
}

on_every_engine! {
    fn privileged_a_quota_ends_the_run_like_a_full_disk(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = limited(sandbox);
        fs::create_dir(mount.path("sub/dst")).expect("own directory");
        fs::write(mount.path("sub/dst/big"), "old").expect("room for it");
        sandbox.make(&[file("src/big", noise(30 << 20, 5))]);
        let args = [Path::new("copy"), Path::new("--fsync"), Path::new("src/")];
        let run = sandbox.blit(&[args[0], args[1], args[2], &mount.path("sub/dst")]).code(4);
        run.says("quota").says("hint: ");
        assert_eq!(fs::read_to_string(mount.path("sub/dst/big")).expect("there"), "old");
        let small: Vec<_> = (0..400).map(|n| file(format!("small/{}/{n}", n % 9), noise(60_000, n))).collect();
        sandbox.make(&small);
        let run = sandbox.blit(&[Path::new("copy"), Path::new("small/"), &mount.path("sub/many")]).code(4);
        run.says("quota").says("hint: ");
        assert_whole_or_absent(&sandbox.path("small"), &mount.path("sub/many"));
    }

    fn privileged_a_disk_that_turns_read_only_ends_the_run(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "ext4", 200);
        mount.remount("errors=remount-ro");
        sandbox.make(&many("src", 20_000));
        let to = mount.path("dst");
        let device = fs::canonicalize(mount.source()).expect("a device");
        let name = device.file_name().expect("a device").to_str().expect("text");
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        let args = ["copy", "src/", to.to_str().expect("text")];
        let run = harmed(sandbox, &args, || fs::write(trigger, "1").expect("the kernel lets us"));
        let run = run.code(4).says("read-only file system").says("hint: ");
        assert!(!run.stdout.contains("copied 20 000"), "it ended before the disk did: {run:?}");
        // Nothing can be removed there any more, temporary names included.
        let source = read(&sandbox.path("src"));
        for (path, facts) in read(&to) {
            let name = String::from_utf8_lossy(&path).into_owned();
            if facts.kind == "file" && !name.contains(".blit-") {
                assert_eq!(source.get(&path).map(|facts| &facts.content), Some(&facts.content), "{name}");
            }
        }
    }

    fn privileged_what_could_not_be_made_durable_is_never_told_to_be_copied(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let flag = sandbox.path("fail");
        let Some(mount) = Mount::failing(sandbox, "disk", &flag) else { return };
        sandbox.make(&many("src", 40));
        nix::unistd::sync();
        fs::write(&flag, "").expect("own file");
        let args = ["copy", "-v", "--fsync", "--progress=json", "src/"].map(Path::new);
        let run = sandbox.blit(&[&args[..], &[&mount.path("dst")]].concat());
        fs::remove_file(&flag).expect("own file");
        assert!(run.code == 1 || run.code == 4, "{run:?}");
        assert!(!run.stderr.contains(r#""action":"copied""#), "{run:?}");
        assert!(run.stdout.contains("copied 0 files"), "{run:?}");
        // A move must not take away what it could not make durable either.
        fs::write(&flag, "").expect("own file");
        let run = sandbox.blit(&[Path::new("move"), Path::new("src/"), &mount.path("moved")]);
        fs::remove_file(&flag).expect("own file");
        assert!(run.code == 1 || run.code == 4, "{run:?}");
        assert_eq!(read(&sandbox.path("src")).values().filter(|facts| facts.kind == "file").count(), 40);
    }

    fn privileged_a_source_that_is_unmounted_meanwhile_is_not_taken_for_empty(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "src", "ext4", 200);
        sandbox.make(&many("src/t", 10_000));
        sandbox.make(&many("dst", 10_000));
        let before = read(&sandbox.path("dst"));
        let args = ["mirror", "--yes", "--ignore-times", "src/t/", "dst"];
        let run = harmed(sandbox, &args, || mount.detach());
        assert!([0, 1, 4].contains(&run.code), "{run:?}");
        let after = read(&sandbox.path("dst"));
        for (path, facts) in &before {
            let found = after.get(path).map(|facts| &facts.content);
            assert_eq!(found, Some(&facts.content), "{}", String::from_utf8_lossy(path));
        }
    }
}
