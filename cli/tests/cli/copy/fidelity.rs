//! A copy is the same as its source in every respect, and stays so when it is brought up to date.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::compare::{assert_same, assert_same_facts, below, open_dir, read};
use crate::support::sandbox::{Capability, Sandbox};
use crate::support::tree::{Node, char_device, dir, fifo, file, hard, link, socket, sparse};
use crate::support::way::Way;
use crate::support::{in_every_way, on_every_engine};

/// Every kind of entry with every kind of metadata that the machine lets a test make.
fn everything(sandbox: &Sandbox) -> Vec<Node> {
    let long = [b"src/".as_slice(), &[b'n'; 255]].concat();
    let mut nodes = vec![
        dir("src").mode(0o751),
        file("src/plain", "content"),
        file("src/empty", ""),
        file("src/script", "#!/bin/sh\n").mode(0o755),
        file("src/set-id", "x").mode(0o6755),
        file("src/sticky", "x").mode(0o1600),
        file("src/secret", "x").mode(0o000),
        file("src/ancient", "x").time(-1_000_000, 999_999_999),
        file("src/future", "x").time(4_000_000_000, 1),
        file("src/large", vec![7; 3 << 20]),
        file("src/page", vec![1; 4096]),
        file("src/page-and-one", vec![2; 4097]),
        sparse("src/holes", 64 << 20, &[(0, "start"), (32 << 20, "middle")]),
        sparse("src/only-a-hole", 16 << 20, &[]),
        sparse("src/ends-in-data", (8 << 20) + 3, &[(8 << 20, "end")]),
        dir("src/empty-dir").mode(0o700),
        dir("src/shared").mode(0o3777),
        dir("src/closed").mode(0o500),
        file("src/closed/inside", "x").mode(0o400),
        file("src/a/b/c/d/deep", "x"),
        link("src/link", "plain"),
        link("src/link-to-dir", "a"),
        link("src/dangling", "no/such/place"),
        link("src/link-to-root", "/"),
        link("src/link-to-self", "link-to-self"),
        link("src/odd-link", b"\xff\xfe\n"),
        hard("src/hard-1", "src/plain"),
        hard("src/a/hard-2", "src/plain"),
        fifo("src/fifo").mode(0o620),
        hard("src/fifo-2", "src/fifo"),
        socket("src/socket").mode(0o777),
        file(b"src/not-\xff-text", "x"),
        file("src/with\nnewline", "x"),
        file("src/-n", "looks like an option"),
        file("src/ space ", "x"),
        file("src/.hidden", "x"),
        file("src/.blit-is-not-a-leftover", "x"),
        file("src/ünïcödé-😀", "x"),
        file(&long, "x"),
    ];
    if sandbox.can(Capability::Xattrs) {
        nodes.extend([
            file("src/tagged", "x").xattr("user.tag", "value").xattr("user.bin", [0, 255, 10]),
            file("src/tagged-empty", "x").xattr("user.empty", ""),
            dir("src/tagged-dir").xattr("user.of", "dir"),
            file("src/tagged-read-only", "x").mode(0o444).xattr("user.tag", "kept"),
            file("src/listed", "x").acl(1234, 6),
            dir("src/listed-dir").acl(1234, 5).default_acl(1235, 7),
            file("src/listed-dir/inside", "x").mode(0o640),
        ]);
    }
    if sandbox.can(Capability::Root) {
        nodes.extend([
            file("src/given", "x").owner(1234, 4321),
            file("src/given-set-id", "x").owner(1234, 4321).mode(0o6750),
            dir("src/given-dir").owner(1, 2),
            link("src/given-link", "given").owner(3, 4),
            char_device("src/device", 1, 3).mode(0o666),
        ]);
    }
    nodes
}

in_every_way! {
    fn a_copy_is_the_same_as_its_source_in_every_respect(sandbox) {
        sandbox.make(&everything(sandbox));
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        for name in ["holes", "only-a-hole", "ends-in-data"] {
            let allocated = |tree| sandbox.path(tree).join(name).metadata().expect("there").blocks();
            assert!(allocated("dst") <= allocated("src") + 16, "{name} lost its holes");
        }
    }

    fn a_second_run_transfers_nothing(sandbox) {
        sandbox.make(&everything(sandbox));
        sandbox.blit(&["copy", "src", "dst"]).code(0);
        for to in ["dst", "dst/"] {
            let run = sandbox.blit(&["copy", "-v", "src", to]).code(0).sums_up("copied 0 files in ");
            assert!(!run.stdout.contains("repaired") && !run.stdout.contains("created"), "{run:?}");
        }
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst/src"));
    }

    fn changed_content_is_copied_and_nothing_else(sandbox) {
        sandbox.make(&[file("src/a", "old"), file("src/b", "same"), file("src/c/d", "same")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        fs::write(sandbox.path("src/a"), "new").expect("own file");
        let run = sandbox.blit(&["copy", "-v", "src/", "dst"]).code(0);
        assert!(run.stdout.starts_with("replaced  a\ncopied 1 file, 3 B in "), "{run:?}");
        assert_eq!(sandbox.read("dst/a"), "new");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
    }

    fn an_older_source_replaces_a_newer_copy(sandbox) {
        sandbox.make(&[
            file("src/a", "source").time(1_000_000_000, 0),
            file("dst/a", "newer!").time(1_500_000_000, 0),
        ]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_eq!(sandbox.read("dst/a"), "source");
    }

    fn metadata_alone_are_repaired_without_copying(sandbox) {
        sandbox.make(&everything(sandbox));
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        let script = || sandbox.path("dst/script").metadata().expect("there");
        let (inode, mtime) = (script().ino(), script().modified().expect("kept"));
        for name in ["dst/script", "dst/a"] {
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(sandbox.path(name), mode).expect("own entry");
        }
        let run = sandbox.blit(&["copy", "-v", "src/", "dst"]).code(0);
        assert!(run.stdout.contains("copied 0 files"), "{run:?}");
        assert!(run.stdout.contains("repaired  script (mode)\n"), "{run:?}");
        assert!(run.stdout.contains("repaired  a (mode)\n"), "{run:?}");
        assert_eq!((script().ino(), script().modified().expect("kept")), (inode, mtime));
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
    }

    fn what_is_only_at_the_destination_stays(sandbox) {
        sandbox.make(&[file("src/a", "new"), file("dst/extra", "kept"), file("dst/dir/extra", "kept")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_eq!((sandbox.read("dst/extra"), sandbox.read("dst/dir/extra")), ("kept".into(), "kept".into()));
    }

    fn paths_longer_than_the_system_takes_at_once_are_copied(sandbox) {
        let name = OsString::from("d".repeat(250));
        fs::create_dir(sandbox.path("src")).expect("own directory");
        let mut at = open_dir(&sandbox.path("src"));
        for _ in 0..40 {
            fs::create_dir(below(&at, &name)).expect("own directory");
            at = open_dir(&below(&at, &name));
            fs::write(below(&at, OsStr::new("file")), "deep").expect("own file");
        }
        for _ in 0..2 {
            sandbox.blit(&["copy", "src/", "dst"]).code(0);
            assert_same_facts(&read(&sandbox.path("src")), &read(&sandbox.path("dst")));
        }
    }

    fn names_that_are_not_text_can_be_typed(sandbox) {
        let odd = OsString::from_vec(b"odd-\xff".to_vec());
        fs::write(sandbox.path(&odd), "x").expect("own file");
        sandbox.blit(&[OsStr::new("copy"), &odd, OsStr::new("dst")]).code(0);
        assert_eq!(sandbox.read("dst"), "x");
        let copy = OsString::from_vec(b"copy-\xfe/".to_vec());
        sandbox.blit(&[OsStr::new("copy"), OsStr::new("dst"), &copy]).code(0);
        assert_eq!(fs::read_to_string(sandbox.path(&copy).join("dst")).expect("copied"), "x");
    }

    fn hard_links_across_directories_and_runs_stay_one_file(sandbox) {
        sandbox.make(&[
            file("src/z/first", "content"),
            hard("src/a/second", "src/z/first"),
            hard("src/third", "src/z/first"),
        ]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        sandbox.make(&[hard("src/a/fourth", "src/z/first")]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
        fs::write(sandbox.path("src/third"), "changed through one name").expect("own file");
        sandbox.blit(&["copy", "src/", "dst"]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
    }

    fn many_small_files_in_one_directory_are_copied(sandbox) {
        let nodes: Vec<Node> = (0..3000).map(|n| file(format!("src/f{n}"), format!("{n}"))).collect();
        sandbox.make(&nodes);
        let run = sandbox.blit(&["copy", "src/", "dst"]).code(0).sums_up("copied 3 000 files, ");
        assert_eq!(run.stderr, "");
        let run = sandbox.blit(&["copy", "--json", "src", "dst2"]).code(0);
        // A run with a daemon may have nothing to do here but to list, and to send or to receive.
        let wanted = format!("\"engine\":\"{}", sandbox.engine());
        let is_this = sandbox.way() != Way::Local || run.stdout.contains(&wanted);
        assert!(is_this, "another engine than {wanted}: {run:?}");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst"));
    }

    fn what_is_left_out_is_not_copied(sandbox) {
        sandbox.make(&[
            file("src/a", "x").mode(0o4755).time(1_000_000_000, 5),
            hard("src/b", "src/a"),
            fifo("src/fifo"),
        ]);
        let run = sandbox.blit(&["copy", "--data-only", "src/", "dst"]).code(0);
        let meta = sandbox.path("dst/a").metadata().expect("copied");
        assert_eq!((meta.nlink(), sandbox.exists("dst/fifo")), (1, false));
        assert!(meta.mtime() > 1_000_000_000, "the time was kept");
        assert_eq!(meta.mode() & 0o7000, 0, "the set-id bit was kept");
        assert!(run.stdout.contains("left out"), "{run:?}");
    }

    fn fsync_and_the_ways_of_sharing_give_the_same_copy(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/b/c", vec![3; 2 << 20]), link("src/l", "a")]);
        for (index, args) in
            [&["--fsync"][..], &["--reflink=never"], &["--max-threads=1"]].into_iter().enumerate()
        {
            let to = format!("dst{index}");
            let args = [&["copy"], args, &["src/", &to]].concat();
            sandbox.blit(&args).code(0);
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(&to));
        }
    }
}

// Such contents are this machine's, outside of what a daemon exports.
on_every_engine! {
    fn contents_that_are_made_up_arrive_whole(sandbox) {
        for made_up in ["/proc/version", "/proc/filesystems", "/proc/sys/kernel/ostype"] {
            let Ok(content) = fs::read(made_up) else {
                crate::support::sandbox::skip("no /proc here");
                return;
            };
            sandbox.blit(&["copy", made_up, "dst"]).code(0);
            assert_eq!(fs::read(sandbox.path("dst")).expect("there"), content, "{made_up}");
            assert!(!content.is_empty());
            sandbox.blit(&["rm", "--yes", "dst"]).code(0);
        }
    }
}
