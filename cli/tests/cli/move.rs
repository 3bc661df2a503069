//! `blit move`: what has arrived leaves, everything else stays.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::compare::{assert_same_facts, read};
use crate::support::sandbox::{Sandbox, skip};
use crate::support::schema::object;
use crate::support::tree::{self, Node, dir, fifo, file, hard, link, socket, sparse};
use crate::support::{in_every_way, on_every_engine};

fn everything() -> Vec<Node> {
    vec![
        dir("src").mode(0o751),
        file("src/plain", "content").mode(0o640),
        file("src/large", vec![7; 3 << 20]),
        sparse("src/holes", 8 << 20, &[(4 << 20, "middle")]),
        file("src/a/b/c/deep", "x"),
        dir("src/a/empty").mode(0o700),
        link("src/link", "plain"),
        link("src/dangling", "no/such/place"),
        hard("src/hard", "src/plain"),
        hard("src/a/hard", "src/plain"),
        fifo("src/fifo"),
        socket("src/socket"),
        file(b"src/not-\xff-text", "x"),
    ]
}

/// A directory on another file system than the sandbox.
fn elsewhere(sandbox: &Sandbox) -> Option<TempDir> {
    let dir = tempfile::Builder::new().prefix("blit-test-").tempdir_in("/dev/shm").ok()?;
    let dev = |path: PathBuf| path.metadata().expect("own directory").dev();
    if dev(dir.path().to_owned()) == dev(sandbox.path("")) {
        return None;
    }
    Some(dir)
}

fn inode(sandbox: &Sandbox, name: &str) -> u64 {
    sandbox.path(name).symlink_metadata().expect("there").ino()
}

in_every_way! {
    fn a_name_that_two_sources_supply_is_moved_once_and_the_other_stays(sandbox) {
        for second in ["b/x", "b/"] {
            for name in ["a", "b", "dst"] {
                drop(fs::remove_dir_all(sandbox.path(name)));
            }
            sandbox.make(&[file("a/x", "one"), file("b/x", "second"), dir("dst")]);
            sandbox.blit(&["move", "a/x", second, "dst"]).code(1).says("already supplies this name");
            assert_eq!((sandbox.read("dst/x"), sandbox.read("b/x")), ("one".into(), "second".into()));
        }
    }

    fn what_exists_is_merged_and_the_rest_stays(sandbox) {
        sandbox.make(&[
            file("src/a", "new"),
            file("src/d/b", "x"),
            file("dst/src/a", "old"),
            file("dst/src/d/kept", "x"),
        ]);
        sandbox.blit(&["move", "src", "dst"]).code(0);
        assert!(!sandbox.exists("src"));
        assert_eq!(sandbox.read("dst/src/a"), "new");
        assert!(sandbox.exists("dst/src/d/b") && sandbox.exists("dst/src/d/kept"));
    }

    fn what_is_there_already_only_leaves(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/d/b", "y")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        sandbox.blit(&["move", "src/", "dst"]).code(0).sums_up("moved 0 files");
        assert_eq!(fs::read_dir(sandbox.path("src")).expect("it was not named itself").count(), 0);
        assert_eq!((sandbox.read("dst/a"), sandbox.read("dst/d/b")), ("x".into(), "y".into()));
    }

    fn a_failed_entry_stays_and_so_do_the_directories_above_it(sandbox) {
        sandbox.make(&[
            file("src/d/e/a", "x"),
            file("src/d/b", "x"),
            file("src/c", "x"),
            file("dst/src/d/e", "in the way"),
        ]);
        let run = sandbox.blit(&["move", "src", "dst"]).code(1).says("dst/src/d/e");
        assert_eq!(sandbox.read("src/d/e/a"), "x", "{run:?}");
        assert_eq!(sandbox.read("dst/src/d/e"), "in the way");
        for name in ["d/b", "c"] {
            assert!(!sandbox.exists(&format!("src/{name}")), "{name}: {run:?}");
            assert!(sandbox.exists(&format!("dst/src/{name}")), "{name}: {run:?}");
        }
    }

    fn what_is_left_out_stays(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/b.tmp", "x"), file("src/d/c", "x"), dir("dst")]);
        sandbox.blit(&["move", "--exclude", "*.tmp", "src", "dst"]).code(0);
        assert!(sandbox.exists("src/b.tmp") && !sandbox.exists("src/a") && !sandbox.exists("src/d"));
        assert!(sandbox.exists("dst/src/d/c") && !sandbox.exists("dst/src/b.tmp"));
    }

    fn what_a_switch_leaves_alone_stays(sandbox) {
        sandbox.make(&[file("src/a", "new"), file("src/b", "x"), file("dst/a", "old")]);
        sandbox.blit(&["move", "--ignore-existing", "src/", "dst"]).code(0);
        assert_eq!((sandbox.read("src/a"), sandbox.read("dst/a")), ("new".into(), "old".into()));
        assert!(!sandbox.exists("src/b") && sandbox.exists("dst/b"));
        sandbox.make(&[fifo("src/p")]);
        sandbox.blit(&["move", "--no-specials", "src/", "dst"]).code(0);
        assert!(sandbox.exists("src/p"), "a pipe that was not moved stays");
    }

    fn several_sources_are_moved_into_a_directory(sandbox) {
        sandbox.make(&[file("a", "1"), file("d/b", "2"), dir("dst")]);
        sandbox.blit(&["move", "a", "d", "dst"]).code(0);
        assert_eq!((sandbox.read("dst/a"), sandbox.read("dst/d/b")), ("1".into(), "2".into()));
        assert!(!sandbox.exists("a") && !sandbox.exists("d"));
    }

    fn a_missing_source_among_others_is_one_failure(sandbox) {
        sandbox.make(&[file("a", "x"), dir("dst")]);
        sandbox.blit(&["move", "none", "a", "dst"]).code(1).says("none: no such file");
        assert!(sandbox.exists("dst/a") && !sandbox.exists("a"));
        sandbox.blit(&["move", "none", "dst"]).code(2);
    }

    fn a_dry_run_moves_nothing(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("dst"), dir("dst2/src")]);
        for to in ["dst", "dst2"] {
            let dry = sandbox.blit(&["move", "-n", "src", to]).code(0);
            assert!(sandbox.exists("src/a"), "{dry:?}");
            assert!(!sandbox.exists(&format!("{to}/src/a")), "{dry:?}");
        }
        let dry = sandbox.blit(&["move", "-n", "src", "dst2"]).code(0);
        let run = sandbox.blit(&["move", "-v", "src", "dst2"]).code(0);
        assert_eq!(dry.changes(), run.changes());
    }

    fn what_leaves_the_source_is_told(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/b.tmp", "x")]);
        let run = sandbox.blit(&["move", "--exclude", "*.tmp", "src/", "dst"]).code(0);
        assert!(run.stdout.contains("moved 1 file") && run.stdout.contains("; 1 removed from the source"), "{run:?}");
    }
}

// Nothing is renamed between two machines, and file systems are one machine's.
on_every_engine! {
    fn what_stays_on_its_file_system_is_renamed(sandbox) {
        sandbox.make(&everything());
        sandbox.make(&[dir("dst")]);
        let (before, ino) = (read(&sandbox.path("src")), inode(sandbox, "src"));
        let run = sandbox.blit(&["move", "-v", "src", "dst"]).code(0);
        assert!(run.stdout.contains("renamed   src\n"), "{run:?}");
        let run = run.sums_up("renamed");
        assert!(run.stdout.contains("moved 1 entry by renaming"), "{run:?}");
        assert!(!sandbox.exists("src") && inode(sandbox, "dst/src") == ino);
        assert_same_facts(&before, &read(&sandbox.path("dst/src")));
    }

    fn a_file_gets_another_name(sandbox) {
        sandbox.make(&[file("a", "x"), file("old", "y")]);
        let ino = inode(sandbox, "a");
        let value = object(&sandbox.blit(&["move", "--json", "a", "b"]).code(0));
        assert_eq!((&value["renamed"], &value["files"]), (&1.into(), &0.into()));
        assert!(!sandbox.exists("a") && inode(sandbox, "b") == ino);
        sandbox.blit(&["move", "b", "old"]).code(0);
        assert_eq!((sandbox.exists("b"), sandbox.read("old")), (false, "x".into()));
    }

    fn everything_arrives_on_another_file_system(sandbox) {
        let Some(there) = elsewhere(sandbox) else { return skip("/dev/shm is no other file system") };
        sandbox.make(&everything());
        let before = read(&sandbox.path("src"));
        let there = there.path().to_str().expect("text").to_owned();
        let dry = sandbox.blit(&["move", "-n", "src", &there]).code(0);
        assert_same_facts(&before, &read(&sandbox.path("src")));
        let run = sandbox.blit(&["move", "-v", "src", &there]).code(0);
        assert_eq!(dry.changes(), run.changes());
        assert!(!sandbox.exists("src"), "{run:?}");
        assert_same_facts(&before, &read(&PathBuf::from(there).join("src")));
    }

    fn everything_arrives_from_another_file_system(sandbox) {
        let Some(there) = elsewhere(sandbox) else { return skip("/dev/shm is no other file system") };
        tree::make(there.path(), &everything());
        sandbox.make(&[dir("dst")]);
        let before = read(&there.path().join("src"));
        let from = there.path().join("src");
        sandbox.blit(&["move", from.to_str().expect("text"), "dst"]).code(0);
        assert!(!from.exists());
        assert_same_facts(&before, &read(&sandbox.path("dst/src")));
    }

    fn a_move_into_itself_is_refused(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("src/sub")]);
        for (from, to) in [("src", "src/sub"), ("src/", "src/sub"), ("src/a", "src"), ("src", ".")] {
            sandbox.blit(&["move", from, to]).code(2);
        }
        assert_eq!(sandbox.read("src/a"), "x");
    }

    fn a_directory_gets_a_new_name_by_one_rename_when_its_contents_are_moved(sandbox) {
        sandbox.make(&[file("d/a/f", "x").time(5, 5), file("d/g", "y"), link("l", "d")]);
        let before = sandbox.path("d/a").metadata().expect("there").ino();
        let dry = sandbox.blit(&["move", "-n", "-i", "d/", "new"]).code(0);
        let run = sandbox.blit(&["move", "-i", "d/", "new"]).code(0);
        assert_eq!(dry.changes(), run.changes());
        assert!(run.stdout.contains("1 entry by renaming"), "{run:?}");
        assert_eq!(sandbox.path("new/a").metadata().expect("moved").ino(), before);
        assert!(!sandbox.exists("d"));
        // Through a link only the contents are meant; the link stays.
        sandbox.make(&[file("d/a", "x")]);
        sandbox.blit(&["move", "l/", "other"]).code(0);
        assert!(sandbox.exists("l") && sandbox.exists("other/a"));
    }

    fn whoever_expects_a_rename_is_told_how_to_get_it(sandbox) {
        sandbox.make(&[file("d/f", "x"), file("e/f", "x"), file("single", "x")]);
        let run = sandbox.blit(&["move", "d", "new"]).code(0);
        let run = run.says("note: the new directory new holds d; to give d the name new: blit move d/ new");
        assert!(sandbox.exists("new/d/f"), "{run:?}");
        for args in [["move", "e", "new"], ["move", "single", "renamed"]] {
            assert!(!sandbox.blit(&args).code(0).stderr.contains("note:"));
        }
    }
}
