//! File systems of their own: only as root and with BLIT_TEST_PRIVILEGED=1, since a killed test leaves mounts behind.

mod faults;
mod obstinate;
mod power;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::compare::{assert_same_facts, read};
use crate::support::mount::Mount;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::{self, Node, char_device, dir, fifo, file, hard, link, sparse};

fn nodes() -> Vec<Node> {
    vec![
        dir("src").mode(0o751),
        file("src/plain", "content").owner(12, 34),
        file("src/set-id", "x").owner(12, 34).mode(0o6755),
        file("src/large", vec![7; 3 << 20]),
        file("src/listed", "x").acl(1234, 6).xattr("user.tag", "value"),
        dir("src/listed-dir").acl(1234, 5).default_acl(1235, 7),
        file("src/listed-dir/inside", "x").mode(0o640),
        sparse("src/holes", 64 << 20, &[(0, "start"), (32 << 20, "middle")]),
        link("src/link", "plain"),
        hard("src/hard", "src/plain"),
        fifo("src/fifo"),
        char_device("src/device", 1, 3),
        file(b"src/not-\xff-text", "x"),
    ]
}

fn copy_within(sandbox: &Sandbox, from: &Mount, to: &Mount) -> Run {
    tree::make(&from.path(""), &nodes());
    let run = sandbox.blit(&[Path::new("copy"), &from.path("src"), &to.path("dst")]).code(0);
    assert_same_facts(&read(&from.path("src")), &read(&to.path("dst/src")));
    let again = sandbox.blit(&[Path::new("copy"), &from.path("src"), &to.path("dst")]).code(0);
    assert!(
        again.stdout.starts_with("copied 0 files") && !again.stdout.contains("repaired"),
        "{again:?}"
    );
    run
}

fn is_shared(path: &Path) -> bool {
    let output = Command::new("filefrag").arg("-v").arg(path).output().expect("filefrag is there");
    String::from_utf8_lossy(&output.stdout).contains("shared")
}

/// An old file on a small file system, and more than it can hold beside it.
fn make_too_much(sandbox: &Sandbox, mount: &Mount) {
    fs::create_dir(mount.path("dst")).expect("own directory");
    fs::write(mount.path("dst/big"), "old").expect("room for it");
    sandbox.make(&[file("src/a", "x"), file("src/big", vec![9; 80 << 20])]);
}

fn assert_old_file_and_no_leftovers(mount: &Mount) {
    assert_eq!(fs::read_to_string(mount.path("dst/big")).expect("there"), "old");
    let names: Vec<_> = read(&mount.path("dst")).into_keys().collect();
    assert!(!names.iter().any(|name| name.starts_with(b".blit-")), "{names:?}");
}

on_every_engine! {
    fn privileged_xfs_shares_and_keeps_everything(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "xfs", 400);
        let run = copy_within(sandbox, &mount, &mount);
        assert!(is_shared(&mount.path("dst/src/large")), "{run:?}");
        assert!(run.stdout.contains("share their storage"), "{run:?}");
    }

    fn privileged_btrfs_shares_and_keeps_everything(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "btrfs", 400);
        let run = copy_within(sandbox, &mount, &mount);
        assert!(is_shared(&mount.path("dst/src/large")), "{run:?}");
        let args = ["copy", "--reflink=never"].map(Path::new);
        sandbox.blit(&[args[0], args[1], &mount.path("src/large"), &mount.path("bytes")]).code(0);
        assert!(!is_shared(&mount.path("bytes")));
    }

    fn privileged_everything_is_kept_from_one_file_system_to_another(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let (ext4, xfs) =
            (Mount::new(sandbox, "one", "ext4", 200), Mount::new(sandbox, "other", "xfs", 400));
        copy_within(sandbox, &ext4, &xfs);
        let args = [Path::new("copy"), Path::new("--reflink=always")];
        let run = sandbox.blit(&[args[0], args[1], &ext4.path("src/large"), &xfs.path("never")]);
        assert!(run.code != 0 && !xfs.path("never").exists(), "{run:?}");
    }

    fn privileged_a_full_disk_ends_the_run_and_hurts_nothing(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "ext4", 40);
        make_too_much(sandbox, &mount);
        let run = sandbox.blit(&[Path::new("copy"), Path::new("src/"), &mount.path("dst")]).code(4);
        run.says("no space left").says("hint: free some space");
        assert_old_file_and_no_leftovers(&mount);
    }

    fn privileged_a_full_disk_ends_a_run_of_small_files(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "ext4", 20);
        let many: Vec<_> = (0..4000).map(|n| file(format!("src/{}/{n}", n % 20), vec![1; 8000])).collect();
        sandbox.make(&many);
        let run = sandbox.blit(&[Path::new("copy"), Path::new("src"), &mount.path("dst")]).code(4);
        run.says("no space left");
        let names: Vec<_> = read(&mount.path("")).into_keys().collect();
        assert!(!names.iter().any(|name| name.windows(6).any(|part| part == b".blit-")), "{names:?}");
    }

    fn privileged_other_file_systems_are_not_entered_unless_they_may(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        sandbox.make(&[file("src/a", "x"), file("dst/inner/extra", "x")]);
        let mount = Mount::new(sandbox, "src/inner", "ext4", 20);
        fs::write(mount.path("b"), "x").expect("room for it");
        let filter = ["--exclude", "*.img", "--exclude", "lost+found"];
        let args = |verb: &[&'static str]| [verb, &filter[..]].concat();
        sandbox.blit(&args(&["mirror", "--yes", "-x", "src/", "dst"])).code(0);
        assert!(sandbox.exists("dst/a") && !sandbox.exists("dst/inner/b"));
        assert!(sandbox.exists("dst/inner/extra"), "what was not looked at protects what is there");
        let found = |args: &[&str]| sandbox.blit(args).code(0).stdout;
        assert!(!found(&args(&["find", "-x", "src"])).contains("inner/b"));
        assert!(found(&args(&["find", "src"])).contains("src/inner/b"));
        assert!(found(&["du", "-x", "src"]) != found(&["du", "src"]));
        sandbox.blit(&args(&["mirror", "--yes", "src/", "dst"])).code(0);
        assert!(sandbox.exists("dst/inner/b") && !sandbox.exists("dst/inner/extra"));
        sandbox.blit(&["rm", "--yes", "-r", "src/inner"]).code(2).says("root of a file system");
        assert!(mount.path("b").exists());
    }

    fn privileged_what_a_bind_mount_shows_is_not_removed(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        sandbox.make(&[file("kept/f", "x"), file("dst/extra/g", "x"), file("src/a", "x")]);
        let bound = Mount::bind(sandbox, "kept", "dst/extra/shown");
        let says = "shown: something is mounted there; it stays";
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(1).says(says);
        assert!(sandbox.exists("kept/f") && !sandbox.exists("dst/extra/g"));
        sandbox.blit(&["rm", "--yes", "-r", "dst"]).code(1).says(says);
        sandbox.blit(&["rm", "--yes", "-r", "dst/extra/shown"]).code(2).says("root of a file system");
        assert!(sandbox.exists("kept/f"));
        drop(bound);
        sandbox.blit(&["rm", "--yes", "-r", "dst"]).code(0);
        assert!(sandbox.exists("kept/f") && !sandbox.exists("dst"));
    }

    fn privileged_a_full_disk_ends_a_move_and_loses_nothing(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "ext4", 40);
        let files: Vec<_> = (0..20).map(|n| file(format!("src/{n}"), vec![9; 4 << 20])).collect();
        sandbox.make(&files);
        sandbox.blit(&[Path::new("move"), Path::new("src"), &mount.path("")]).code(4).says("no space left");
        for n in 0..20 {
            let (here, there) = (sandbox.path(format!("src/{n}")), mount.path(&format!("src/{n}")));
            let whole = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() == 4 << 20);
            assert!(whole(&here) || whole(&there), "{n} is lost");
        }
    }

    fn privileged_a_read_only_disk_ends_the_run(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let mount = Mount::new(sandbox, "disk", "ext4", 40);
        make_too_much(sandbox, &mount);
        mount.remount("ro");
        let run = sandbox.blit(&[Path::new("copy"), Path::new("src/"), &mount.path("dst")]).code(4);
        run.says("read-only file system").says("hint: ");
        assert_old_file_and_no_leftovers(&mount);
    }

    fn privileged_a_failing_disk_is_told_and_the_old_file_stays(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let flag = sandbox.path("fail");
        let Some(mount) = Mount::failing(sandbox, "disk", &flag) else {
            return;
        };
        fs::create_dir(mount.path("dst")).expect("own directory");
        fs::write(mount.path("dst/big"), "old").expect("room for it");
        fs::File::open(mount.path("dst/big")).and_then(|file| file.sync_all()).expect("still works");
        sandbox.make(&[file("src/big", vec![9; 8 << 20])]);
        fs::write(&flag, "").expect("own file");
        let args = [Path::new("copy"), Path::new("--fsync"), Path::new("src/")];
        let run = sandbox.blit(&[args[0], args[1], args[2], &mount.path("dst")]);
        fs::remove_file(&flag).expect("own file");
        assert!(run.code == 1 || run.code == 4, "{run:?}");
        let run = run.says("input/output error").says("hint: a disk or its cable");
        assert!(run.stdout.contains("copied 0 files"), "what is not durable does not count: {run:?}");
        assert_eq!(fs::read_to_string(mount.path("dst/big")).expect("there"), "old");
    }
}
