//! What SRC and DST mean, and which of them are refused.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::compare::assert_same;
use crate::support::sandbox::Run;
use crate::support::tree::{dir, file, link};
use crate::support::{in_every_way, on_every_engine};

in_every_way! {
    fn without_a_slash_the_directory_itself_is_copied(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("dst")]);
        for to in ["dst", "dst/"] {
            sandbox.blit(&["copy", "src", to]).code(0);
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path("dst/src"));
        }
    }

    fn with_a_slash_the_contents_are_copied(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("src/d").mode(0o700)]);
        for (from, to) in [("src/", "d1"), ("src/.", "d2/"), ("src//", "./d3"), ("./src/./", "d4")] {
            sandbox.blit(&["copy", from, to]).code(0);
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(to));
        }
    }

    fn a_directory_goes_below_a_destination_that_does_not_exist_yet(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        sandbox.blit(&["copy", "src", "new"]).code(0);
        assert_eq!(sandbox.read("new/src/a"), "x");
    }

    fn several_sources_go_into_one_directory(sandbox) {
        sandbox.make(&[file("a", "1"), file("src/b", "2"), file("other/c", "3"), dir("dst")]);
        sandbox.blit(&["copy", "a", "src", "other/", "dst"]).code(0);
        for (name, content) in [("dst/a", "1"), ("dst/src/b", "2"), ("dst/c", "3")] {
            assert_eq!(sandbox.read(name), content);
        }
    }

    fn two_sources_of_one_name_are_not_mixed_up(sandbox) {
        sandbox.make(&[file("a/x", "first"), file("b/x", "second"), dir("dst")]);
        let run = sandbox.blit(&["copy", "a/x", "b/x", "dst"]).code(1);
        run.says("b/x: another source already supplies this name").says("hint: two things claim");
        assert_eq!(sandbox.read("dst/x"), "first");
    }

    fn several_sources_make_their_directory(sandbox) {
        sandbox.make(&[file("a", "1"), file("b", "2")]);
        sandbox.blit(&["copy", "a", "b", "new"]).code(0);
        assert_eq!((sandbox.read("new/a"), sandbox.read("new/b")), ("1".into(), "2".into()));
    }

    fn a_file_goes_to_a_name_or_into_a_directory(sandbox) {
        sandbox.make(&[file("a", "x"), dir("dst"), file("old", "to be replaced")]);
        sandbox.blit(&["copy", "a", "b"]).code(0);
        sandbox.blit(&["copy", "a", "dst"]).code(0);
        sandbox.blit(&["copy", "a", "dst/c"]).code(0);
        sandbox.blit(&["copy", "a", "old"]).code(0);
        sandbox.blit(&["copy", "a", "new/"]).code(0);
        for name in ["b", "dst/a", "dst/c", "old", "new/a"] {
            assert_eq!(sandbox.read(name), "x", "{name}");
        }
    }

    fn a_missing_source_is_a_usage_error(sandbox) {
        sandbox.blit(&["copy", "none", "dst"]).code(2).says("none: no such file or directory");
        sandbox.blit(&["copy", "none/", "dst"]).code(2).says("none");
        assert!(!sandbox.exists("dst"), "nothing is made for it");
    }

    fn a_missing_source_among_others_is_one_failure(sandbox) {
        sandbox.make(&[file("a", "x"), dir("dst")]);
        sandbox.blit(&["copy", "none", "a", "dst"]).code(1).says("none: no such file or directory");
        assert_eq!(sandbox.read("dst/a"), "x");
    }

    fn a_destination_without_a_parent_is_a_usage_error(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        sandbox.blit(&["copy", "src", "none/dst"]).code(2).says("none");
        assert!(!sandbox.exists("none"));
    }

    fn several_things_cannot_go_into_a_file(sandbox) {
        sandbox.make(&[file("a", "1"), file("b", "2"), file("f", "kept"), file("src/c", "3")]);
        sandbox.blit(&["copy", "a", "b", "f"]).code(2).says("f");
        sandbox.blit(&["copy", "src/", "f"]).code(2).says("f");
        assert_eq!(sandbox.read("f"), "kept");
    }

    fn a_list_that_is_no_list_is_refused_before_it_fills_the_memory(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        let huge = fs::File::create(sandbox.path("huge")).expect("own directory");
        huge.set_len(600 << 20).expect("sparse");
        let run = sandbox.blit(&["copy", "--files-from", "huge", "src/", "dst"]).code(2);
        run.says("it has more than 512 MiB; give it in parts");
        sandbox.blit(&["copy", "--filter-file", "huge", "src/", "dst"]).code(2).says("512 MiB");
    }
}

in_every_way! {
    fn a_source_that_is_a_link_is_copied_as_a_link(sandbox) {
        sandbox.make(&[file("real/a", "x"), link("l", "real"), link("none", "nowhere"), dir("dst")]);
        sandbox.blit(&["copy", "l", "none", "dst"]).code(0);
        sandbox.blit(&["copy", "none", "dst/one"]).code(0);
        assert!(["dst/l", "dst/none", "dst/one"].iter().all(|name| sandbox.path(name).is_symlink()));
    }

    fn a_source_that_overlaps_its_destination_is_refused(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/sub/b", "y")]);
        for (from, to) in [
            ("src/", "src"),
            ("src", "."),
            ("src/a", "src/a"),
            ("src/a", "src"),
            ("src", "src/sub"),
            ("src/", "src/sub"),
            ("src/", "src/new"),
            ("src/sub/", "src"),
        ] {
            let run = sandbox.blit(&["copy", from, to]).code(2);
            assert!(run.stderr.contains("hint: "), "{from} to {to}: {run:?}");
        }
        let names = || fs::read_dir(sandbox.path("src")).expect("there").count();
        assert_eq!((names(), sandbox.read("src/a")), (2, "x".into()), "nothing was touched");
    }
}

// What a path of this machine means is no question for a daemon.
on_every_engine! {
    fn a_link_with_a_slash_after_it_means_what_it_leads_to(sandbox) {
        sandbox.make(&[file("real/a", "x"), link("l", "real")]);
        sandbox.blit(&["copy", "l/", "contents"]).code(0);
        assert_eq!(sandbox.read("contents/a"), "x");
    }

    fn a_source_that_overlaps_its_destination_by_another_way_is_refused(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("src/sub/b", "y")]);
        symlink("src", sandbox.path("alias")).expect("own directory");
        for (from, to) in [("src/", "alias/sub"), ("alias/", "src")] {
            let run = sandbox.blit(&["copy", from, to]).code(2);
            assert!(run.stderr.contains("hint: "), "{from} to {to}: {run:?}");
        }
        let names = || fs::read_dir(sandbox.path("src")).expect("there").count();
        assert_eq!((names(), sandbox.read("src/a")), (2, "x".into()), "nothing was touched");
    }

    fn what_is_no_path_of_another_machine_is_refused_with_the_reason(sandbox) {
        sandbox.make(&[file("a", "x")]);
        sandbox.blit(&["copy", "host:/m/a", "host:/m/b"]).code(2).says("one side of a run is on this machine");
        sandbox.blit(&["copy", "a", "host:/module"]).code(2).says("after the module comes a slash");
        sandbox.blit(&["copy", "a", "host:b"]).code(2).says("host:/module/path");
        sandbox.blit(&["copy", "a", ""]).code(2).says("empty");
    }

    fn a_local_name_with_a_colon_is_local_if_it_exists(sandbox) {
        sandbox.make(&[file("host:a", "x")]);
        sandbox.blit(&["copy", "host:a", "./host:b"]).code(0);
        assert_eq!(sandbox.read("host:b"), "x");
    }

    fn what_is_wrong_with_a_path_is_said_with_what_helps(sandbox) {
        sandbox.make(&[dir("src"), link("dangling", "nowhere")]);
        let run = sandbox.blit(&["copy", "none", "dst"]).code(2).says("hint: check how the path of the source");
        assert!(!run.stderr.contains("directory that is to hold it"), "{run:?}");
        sandbox.blit(&["copy", "src", "dangling"]).code(2).says("a link that leads to nothing");
        assert!(!sandbox.exists("nowhere"));
        sandbox.blit(&["copy", "host:odd", "dst"]).code(2).says("a local file of this name is ./host:odd");
    }

    fn little_room_for_threads_is_no_failure(sandbox) {
        let many: Vec<_> = (0..200).map(|n| file(format!("src/{n}"), "x")).collect();
        sandbox.make(&many);
        // Asked for by name, io_uring is refused there.
        let engine = if sandbox.engine() == "uring" { "auto" } else { sandbox.engine() };
        for kilobytes in ["20000", "40000"] {
            let script = format!("ulimit -v {kilobytes}; exec \"$@\"");
            let blit = env!("CARGO_BIN_EXE_blit");
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &script, "bash", blit, "copy", "--engine", engine, "src/"]);
            command.arg(format!("dst{kilobytes}")).current_dir(sandbox.path(""));
            let run = Run::of(&mut command).code(0);
            assert!(!run.stderr.contains("internal"), "{run:?}");
        }
    }

    fn no_room_at_all_is_told_as_what_it_is(sandbox) {
        sandbox.make(&(0..200).map(|n| file(format!("src/{n}"), "x")).collect::<Vec<_>>());
        let mut failed = 0;
        // From too little to start at all to enough for everything; where in between it ends is the machine's affair.
        for kilobytes in (900..1400).step_by(50).chain((4000..8000).step_by(400)) {
            let script = format!("ulimit -c 0 -d {kilobytes}; exec \"$@\"");
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_blit"), "copy", "-q", "--engine", sandbox.engine(), "src/"]);
            let run = Run::of(command.arg(format!("dst{kilobytes}")).current_dir(sandbox.path("")));
            assert!(!run.stderr.contains("internal") && !run.stderr.contains("backtrace"), "{kilobytes}: {run:?}");
            if run.code == 4 {
                failed += 1;
                assert!(run.stderr.contains("hint: a limit of the system is reached"), "{kilobytes}: {run:?}");
            }
        }
        assert!(failed > 0, "none of them had too little");
    }
}
