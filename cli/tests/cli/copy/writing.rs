//! The switches that change how entries come to the destination.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::compare::read;
use crate::support::sandbox::Sandbox;
use crate::support::tree::{dir, file, hard, link, sparse};
use crate::support::{in_every_way, on_every_engine};

fn inode(sandbox: &Sandbox, name: &str) -> u64 {
    sandbox.path(name).symlink_metadata().expect("there").ino()
}

in_every_way! {
    fn in_place_files_stay_the_same_inode(sandbox) {
        sandbox.make(&[
            file("src/long", vec![7; 300_000]).mode(0o640),
            file("src/short", "short"),
            file("src/twin", "new"),
            sparse("src/holes", 1 << 20, &[(0, "start"), (600_000, "middle")]),
            file("src/new", "new"),
            file("dst/long", "old"),
            file("dst/short", vec![9; 100_000]),
            file("dst/twin", "old"),
            hard("dst/other", "dst/twin"),
            file("dst/holes", vec![9; 2 << 20]),
        ]);
        let names = ["dst/long", "dst/short", "dst/holes"];
        let before = names.map(|name| inode(sandbox, name));
        let safely = inode(sandbox, "dst/twin");
        sandbox.blit(&["copy", "--inplace", "src/", "dst"]).code(0);
        assert_eq!(names.map(|name| inode(sandbox, name)), before);
        assert_ne!(inode(sandbox, "dst/twin"), safely);
        assert_eq!(sandbox.read("dst/other"), "old");
        fs::write(sandbox.path("dst/long"), "damaged").expect("own file");
        sandbox.blit(&["mirror", "--yes", "--inplace", "src/", "dst"]).code(0);
        assert_eq!(inode(sandbox, "dst/long"), before[0]);
        sandbox.blit(&["check", "-c", "src/", "dst"]).code(0);
        let [source, copy] = ["src", "dst"].map(|name| read(&sandbox.path(name)));
        assert_eq!(source[&b"long"[..]].mode, copy[&b"long"[..]].mode);
        sandbox.blit(&["move", "--inplace", "src", "dst"]).code(2);
    }

    fn what_is_replaced_or_removed_is_kept_and_never_overwritten(sandbox) {
        sandbox.make(&[
            file("src/a/f", "new"), file("src/same", "same").time(5, 5), link("src/l", "new"), file("src/tree", "x"),
            file("dst/a/f", "old"), file("dst/same", "same").time(5, 5), link("dst/l", "old"),
            file("dst/tree/in/g", "g"), file("dst/extra/deep/h", "h"), dir("dst/kept/backups"),
        ]);
        let args = ["mirror", "--yes", "--backup-dir", "dst/kept/backups", "src/", "dst"];
        sandbox.blit(&args).code(0);
        for (name, content) in [("a/f", "old"), ("tree/in/g", "g"), ("extra/deep/h", "h")] {
            assert_eq!(sandbox.read(&format!("dst/kept/backups/{name}")), content);
        }
        assert_eq!(fs::read_link(sandbox.path("dst/kept/backups/l")).expect("kept").as_os_str(), "old");
        assert_eq!(sandbox.read("dst/a/f"), "new");
        assert!(!sandbox.exists("dst/extra") && !sandbox.exists("dst/kept/backups/same"));
        assert_eq!(sandbox.path("dst/kept/backups/a/f").metadata().expect("kept").nlink(), 1);
        let quiet = sandbox.blit(&[&args[..], &["-i"]].concat()).code(0);
        assert_eq!(quiet.changes(), Vec::<String>::new(), "{quiet:?}");
        for round in 1..3 {
            sandbox.make(&[file("src/a/f", format!("round {round}"))]);
            sandbox.blit(&["copy", "-I", "--backup-dir", "dst/kept/backups", "src/", "dst"]).code(0);
        }
        assert_eq!(sandbox.read("dst/kept/backups/a/f"), "old");
        assert_eq!(sandbox.read("dst/kept/backups/a/f~1"), "new");
        assert_eq!(sandbox.read("dst/kept/backups/a/f~2"), "round 1");
        assert_eq!(sandbox.read("dst/a/f"), "round 2");
    }

    fn directories_beside_the_destination_that_make_no_sense_are_refused(sandbox) {
        sandbox.make(&[file("src/in/f", "new"), file("dst/in/f", "old")]);
        for option in ["--backup-dir", "--link-dest"] {
            for (dir, why) in [("dst", "it is the destination itself"), ("none", "no such file")] {
                sandbox.blit(&["copy", option, dir, "src/", "dst"]).code(2).says(why);
            }
        }
        sandbox.blit(&["copy", "--inplace", "--backup-dir", "src/in", "src/", "dst"]).code(2);
        sandbox.blit(&["copy", "-c", "--link-dest", "src/in", "src/", "dst"]).code(2);
        assert_eq!(sandbox.read("dst/in/f"), "old");
    }

    fn what_an_earlier_snapshot_has_is_linked(sandbox) {
        sandbox.make(&[
            file("src/a/same", "same").time(5, 5), file("src/a/content", "new").time(6, 6),
            file("src/a/mode", "x").mode(0o600).time(5, 5), file("src/top", "top").time(5, 5),
            file("src/one", "x").time(5, 5), hard("src/two", "src/one"), file("src/new/file", "new"),
            file("old/a/same", "same").time(5, 5), file("old/a/content", "old").time(5, 5),
            file("old/a/mode", "x").mode(0o644).time(5, 5), file("old/top", "top").time(5, 5),
            file("old/one", "x").time(5, 5), file("next/a/same", "damaged"),
        ]);
        let args = ["copy", "--link-dest", "old", "src/"];
        let dry = sandbox.blit(&[&args[..], &["dst", "-n", "-i"]].concat()).code(0);
        let run = sandbox.blit(&[&args[..], &["dst", "-i"]].concat()).code(0);
        assert_eq!(dry.changes(), run.changes());
        for name in ["a/same", "top", "one"] {
            assert_eq!(inode(sandbox, &format!("dst/{name}")), inode(sandbox, &format!("old/{name}")));
        }
        assert_eq!(inode(sandbox, "dst/two"), inode(sandbox, "dst/one"));
        for name in ["a/content", "a/mode"] {
            assert_ne!(inode(sandbox, &format!("dst/{name}")), inode(sandbox, &format!("old/{name}")));
        }
        assert_eq!((sandbox.read("old/a/content"), sandbox.read("dst/a/content")), ("old".into(), "new".into()));
        sandbox.blit(&["check", "-c", "src/", "dst"]).code(0);
        // What stands there already is linked too where it would be copied.
        sandbox.blit(&[&args[..], &["next"]].concat()).code(0);
        assert_eq!(inode(sandbox, "next/a/same"), inode(sandbox, "old/a/same"));
        // A snapshot is not changed through a later one.
        sandbox.make(&[file("src/top", "top").time(5, 5).mode(0o600)]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_ne!(inode(sandbox, "dst/top"), inode(sandbox, "old/top"));
    }

    fn a_bounded_rate_is_kept_by_all_workers_together_and_is_no_stall(sandbox) {
        let many = (0..20).map(|n| file(format!("src/{n}"), vec![7; 10_000]));
        sandbox.make(&many.chain([file("src/large", vec![9; 200_000])]).collect::<Vec<_>>());
        let started = std::time::Instant::now();
        let args = ["copy", "--reflink=never", "--stall-timeout", "1", "--bwlimit", "200K", "src/", "dst"];
        sandbox.blit(&args).code(0);
        let took = started.elapsed().as_secs_f64();
        assert!((1.5..8.0).contains(&took), "{took} s for 400 kB at 200 KiB/s");
        sandbox.blit(&["check", "-c", "src/", "dst"]).code(0);
        sandbox.blit(&["copy", "--bwlimit", "10", "src/", "dst"]).code(2).says("at least 1K");
    }
}

on_every_engine! {
    fn directories_beside_the_destination_that_are_elsewhere_are_refused(sandbox) {
        sandbox.make(&[file("src/in/f", "new"), file("dst/in/f", "old")]);
        for option in ["--backup-dir", "--link-dest"] {
            sandbox.blit(&["copy", option, "/dev/shm", "src/", "dst"]).code(2).says("another file system");
        }
        sandbox.blit(&["copy", "--backup-dir", "src/in", "src/", "dst"]).code(2).says("it is in the source");
        assert_eq!(sandbox.read("dst/in/f"), "old");
    }
}
