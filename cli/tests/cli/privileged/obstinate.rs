//! File systems with ideas of their own: names without case, coarse times, reads that fail, and answers that never come or
//! come late.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::compare::read;
use crate::support::device::wait_until;
use crate::support::foreign::Foreign;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::{dir, file};

fn foreign(sandbox: &Sandbox, name: &str, switches: &[&str]) -> Option<Foreign> {
    if !sandbox.can(Capability::Mount) {
        return None;
    }
    Foreign::mount(sandbox, name, switches)
}

/// The names in a directory, sorted.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("readable").map(|entry| entry.expect("readable"));
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether a file with content is anywhere below, published or not.
fn has_bytes(path: &Path) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => has_bytes(&path),
        Ok(meta) => meta.len() > 0,
        Err(_) => false,
    })
}

on_every_engine! {
    fn privileged_names_that_differ_in_case_only_do_not_replace_each_other(sandbox) {
        let Some(_mounted) = foreign(sandbox, "dst", &["fold=1"]) else { return };
        sandbox.make(&[
            file("src/new/README", "LARGE"), file("src/new/readme", "small letters"),
            file("src/old/Name", "LARGE"), file("src/old/name", "small letters"),
            file("src/new/other", "x"), dir("dst/old"),
        ]);
        let run = sandbox.blit(&["copy", "src/", "dst"]).code(1);
        for (dir, both) in [("new", ["README", "readme"]), ("old", ["Name", "name"])] {
            let found: Vec<_> = names(&sandbox.path(format!("dst/{dir}")))
                .into_iter().filter(|name| name != "other").collect();
            assert!(found.len() == 1 && both.contains(&found[0].as_str()), "{found:?}");
            let (here, there) = (format!("src/{dir}/{}", found[0]), format!("dst/{dir}/{}", found[0]));
            assert_eq!(sandbox.read(&here), sandbox.read(&there), "a name has its own content");
            let lost = both.iter().find(|name| **name != found[0]).expect("two names");
            assert!(run.stderr.contains(&format!("{dir}/{lost}")), "no word of {lost}: {run:?}");
        }
        assert_eq!(sandbox.read("dst/new/other"), "x");
        let before = read(&sandbox.path("dst"));
        let again = sandbox.blit(&["copy", "src/", "dst"]).code(1).sums_up("copied 0 files");
        assert_eq!(read(&sandbox.path("dst")), before, "{again:?}");
        // The other name is not what a mirror finds too much.
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(1);
        assert_eq!(read(&sandbox.path("dst")), before);
    }

    fn privileged_a_mirror_gives_names_the_case_of_the_source_and_keeps_what_they_name(sandbox) {
        let Some(_mounted) = foreign(sandbox, "dst", &["fold=1"]) else { return };
        sandbox.make(&[
            file("src/Readme", "same").time(1_000_000_000, 0), file("src/Changed", "new"),
            file("src/Dir/Deep", "same").time(1_000_000_000, 0), file("src/Twin", "one"), file("src/twin", "other"),
            file("dst/README", "same").time(1_000_000_000, 0), file("dst/CHANGED", "older"),
            file("dst/DIR/DEEP", "same").time(1_000_000_000, 0), file("dst/extra", "x"), file("dst/DIR/EXTRA", "x"),
            file("dst/TWIN", "third"),
        ]);
        let inode = |name: &str| sandbox.path(format!("dst.real/{name}")).symlink_metadata().expect("there").ino();
        let kept = [inode("README"), inode("DIR/DEEP"), inode("DIR")];
        let exclude = ["--exclude", "[Tt]win", "--exclude", "TWIN"];
        let run = |args: &[&str]| sandbox.blit(&[args, &exclude[..]].concat());
        let check = run(&["check", "src/", "dst"]).code(1);
        assert!(check.stdout.contains("name            Readme\n"), "{check:?}");
        let mirror = run(&["mirror", "--yes", "-v", "src/", "dst"]).code(0);
        assert_eq!(names(&sandbox.path("dst.real")), ["Changed", "Dir", "Readme", "TWIN"], "{mirror:?}");
        assert_eq!(names(&sandbox.path("dst.real/Dir")), ["Deep"], "{mirror:?}");
        assert_eq!([inode("Readme"), inode("Dir/Deep"), inode("Dir")], kept, "they were only renamed");
        assert_eq!(sandbox.read("dst/Changed"), "new");
        assert!(mirror.changes().contains(&"renamed Readme".to_owned()), "{mirror:?}");
        run(&["check", "src/", "dst"]).code(0);
        // Where two names of the source are one there, one of them gets it and the other is told.
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(1);
        let found = names(&sandbox.path("dst.real"));
        let twin = if found.contains(&"Twin".to_owned()) { "Twin" } else { "twin" };
        assert_eq!(found, { let mut all = vec!["Changed", "Dir", "Readme", twin]; all.sort_unstable(); all });
        assert_eq!(sandbox.read(&format!("dst/{twin}")), sandbox.read(&format!("src/{twin}")));
    }

    fn privileged_times_of_two_seconds_are_equal_to_what_they_were_made_from(sandbox) {
        let Some(_mounted) = foreign(sandbox, "dst", &["tick=2"]) else { return };
        let nodes: Vec<_> = (0..20)
            .map(|n| file(format!("src/d{}/f{n}", n % 3), "content").time(1_000_000_000 + n, 999_999_999 - n))
            .collect();
        sandbox.make(&nodes);
        sandbox.blit(&["copy", "src/", "dst"]).code(0).sums_up("copied 20 files");
        for verb in [&["copy", "-v", "src/", "dst"][..], &["mirror", "-v", "--yes", "src/", "dst"]] {
            let again = sandbox.blit(verb).code(0);
            assert_eq!(again.changes(), [""; 0], "{again:?}");
        }
        sandbox.blit(&["check", "src/", "dst"]).code(0);
        // A later time is seen, though.
        sandbox.make(&[file("src/d0/f0", "CONTENT").time(1_000_000_100, 0)]);
        sandbox.blit(&["copy", "src/", "dst"]).code(0).sums_up("copied 1 file");
    }

    fn privileged_a_read_that_fails_in_the_middle_costs_one_file(sandbox) {
        let Some(_mounted) = foreign(sandbox, "src", &["fail_read=300000"]) else { return };
        let content = vec![7; 1 << 20];
        for name in ["bad", "good", "d/bad", "d/good", "d/small-bad"] {
            let path = sandbox.path("src.real").join(name);
            fs::create_dir_all(path.parent().expect("below")).expect("own directory");
            fs::write(path, if name == "d/small-bad" { &content[..10] } else { &content }).expect("own file");
        }
        sandbox.make(&[file("dst/bad", "old")]);
        let run = sandbox.blit(&["copy", "src/", "dst"]).code(1).says("input/output error");
        let run = run.says("src/bad").says("src/d/bad");
        assert!(run.stdout.starts_with("copied 3 files"), "{run:?}");
        assert_eq!(sandbox.read("dst/bad"), "old");
        assert_eq!(names(&sandbox.path("dst")), ["bad", "d", "good"]);
        assert_eq!(names(&sandbox.path("dst/d")), ["good", "small-bad"]);
        // What could not be read is not taken for gone.
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(1);
        assert_eq!(sandbox.read("dst/bad"), "old");
    }

    fn privileged_a_directory_that_never_answers_ends_the_run_and_is_named(sandbox) {
        let Some(mut mounted) = foreign(sandbox, "src", &["hang=stuck"]) else { return };
        fs::create_dir_all(sandbox.path("src.real/a/stuck")).expect("own directory");
        // Enough that it is not all done in one thread.
        for n in 0..200 {
            let path = sandbox.path(format!("src.real/d{}/f{n}", n % 20));
            fs::create_dir_all(path.parent().expect("below")).expect("own directory");
            fs::write(path, "content").expect("own file");
        }
        let said = sandbox.path("said");
        let mut command = sandbox.command(&["copy", "--stall-timeout=2", "src/", "dst"]);
        command.stderr(fs::File::create(&said).expect("own file"));
        let start = Instant::now();
        let mut child = command.spawn().expect("the command starts");
        wait_until("the directory is named", || {
            sandbox.read("said").contains("list src/a/stuck: nothing has moved for 2 s")
        });
        assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
        // A process cannot end while the kernel waits for an answer on its behalf.
        mounted.crash();
        assert_eq!(child.wait().expect("ends").code(), Some(4));
        assert!(sandbox.read("said").contains("hint: a disk or a mount does not answer"));
    }

    fn privileged_a_silent_file_system_ends_every_verb_even_of_one_file(sandbox) {
        let Some(mut mounted) = foreign(sandbox, "src", &["mute=stuck"]) else { return };
        fs::create_dir(sandbox.path("src.real/stuck")).expect("own directory");
        sandbox.make(&[file("other/f", "x"), dir("dst")]);
        let runs = [
            (&["copy", "src/stuck", "dst"][..], "list src/stuck"),
            (&["copy", "other/f", "src/stuck"], "examine src/stuck"),
            (&["mirror", "--yes", "src/stuck/", "dst"], "list src/stuck/"),
            (&["move", "src/stuck", "dst"], "list src/stuck"),
            (&["check", "dst/", "src/stuck"], "examine src/stuck"),
            (&["list", "src/stuck"], "list src/stuck"),
            (&["rm", "--yes", "-r", "src/stuck"], "list src/stuck"),
            (&["df", "src/stuck"], "examine src/stuck"),
        ];
        let start = |(at, (args, says)): (usize, &(&[&str], &'static str))| {
            let said = format!("said{at}");
            let mut command = sandbox.command(&[*args, &["--stall-timeout=1"][..]].concat());
            command.stderr(fs::File::create(sandbox.path(&said)).expect("own file"));
            (command.spawn().expect("the command starts"), said, *says)
        };
        let begun = Instant::now();
        let mut children: Vec<_> = runs.iter().enumerate().map(start).collect();
        for (_, said, says) in &children {
            wait_until(&format!("{says:?} is said"), || {
                sandbox.read(said).contains(&format!("{says}: nothing has moved for 1 s\nhint: a disk"))
            });
        }
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        mounted.crash();
        for (child, said, _) in &mut children {
            assert_eq!(child.wait().expect("ends").code(), Some(4), "{}", sandbox.read(said));
        }
    }

    fn privileged_bytes_move_while_a_slow_source_is_still_listed(sandbox) {
        let Some(_mounted) = foreign(sandbox, "src", &["delay=0.2"]) else { return };
        for n in 0..40 {
            let path = sandbox.path(format!("src.real/d{}/f{n}", n % 4));
            fs::create_dir_all(path.parent().expect("below")).expect("own directory");
            fs::write(path, "content").expect("own file");
        }
        let start = Instant::now();
        let child = sandbox.start(&["copy", "src/", "dst"]);
        wait_until("the first byte is there", || has_bytes(&sandbox.path("dst")));
        let first = start.elapsed();
        Run::from(child.wait_with_output().expect("ends")).code(0);
        // Five looks one after the other are the least that it takes.
        assert!(first < Duration::from_millis(2500), "the first byte took {first:?} of {:?}", start.elapsed());
    }

    fn privileged_a_source_that_vanishes_takes_nothing_with_it(sandbox) {
        for verb in [&["mirror", "--yes", "-v", "src/", "dst"][..], &["move", "-v", "src/", "dst"]] {
            let sandbox = Sandbox::new(sandbox.engine());
            let Some(mut mounted) = foreign(&sandbox, "src", &["delay=0.002"]) else { return };
            for n in 0..600 {
                let path = sandbox.path(format!("src.real/d{}/f{n}", n % 6));
                fs::create_dir_all(path.parent().expect("below")).expect("own directory");
                fs::write(path, format!("content {n}")).expect("own file");
            }
            for n in 0..60 {
                sandbox.make(&[file(format!("dst/d{}/kept{n}", n % 6), "kept")]);
            }
            let child = sandbox.start(verb);
            wait_until("something is copied", || sandbox.exists("dst/d0/f0") || sandbox.exists("dst/d5/f5"));
            mounted.crash();
            let run = Run::from(child.wait_with_output().expect("ends"));
            assert!(run.code == 1 || run.code == 4, "{run:?}");
            for n in 0..60 {
                assert_eq!(sandbox.read(&format!("dst/d{}/kept{n}", n % 6)), "kept", "{run:?}");
            }
            for n in 0..600 {
                let name = format!("d{}/f{n}", n % 6);
                let content = format!("content {n}");
                let here = fs::read_to_string(sandbox.path(format!("src.real/{name}"))).ok();
                let there = fs::read_to_string(sandbox.path(format!("dst/{name}"))).ok();
                assert!(there.iter().chain(&here).all(|found| *found == content), "{name} is damaged");
                assert!(there.is_some() || here.is_some(), "{name} is lost");
            }
        }
    }
}
