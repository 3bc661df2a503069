//! What the paths of a run mean where one end is at a daemon, and how they are told.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::daemon::Daemon;
use crate::support::on_every_engine;
use crate::support::sandbox::skip;
use crate::support::tree::{dir, file};

on_every_engine! {
    fn contents_that_are_made_up_arrive_whole_at_either_end(sandbox) {
        let (kernel, version) = (Path::new("/proc/sys/kernel"), Path::new("/proc/version"));
        let (Ok(name), Ok(told)) = (fs::read(kernel.join("ostype")), fs::read(version)) else {
            return skip("no /proc here");
        };
        assert!(!name.is_empty() && !told.is_empty());
        sandbox.blit(&["copy", "/proc/version", &sandbox.daemon().at("pushed")]).code(0);
        let made_up = Daemon::of_root(kernel, sandbox.engine());
        sandbox.meet(&made_up);
        sandbox.blit(&["copy", &made_up.at("ostype"), "pulled"]).code(0);
        assert_eq!((fs::read(sandbox.path("pushed")).ok(), fs::read(sandbox.path("pulled")).ok()), (Some(told), Some(name)));
    }

    fn directories_beside_a_remote_destination_are_found_from_there(sandbox) {
        sandbox.make(&[file("src/f", "x").time(5, 5), file("far/monday/f", "x").time(5, 5), dir("far/kept")]);
        let inode = |name: &str| sandbox.path(name).symlink_metadata().expect("there").ino();
        let daemon = sandbox.daemon();
        let whole = daemon.at("far/monday");
        for (day, reference) in [("tuesday", "../monday"), ("wednesday", "/far/monday"), ("thursday", &whole)] {
            let to = daemon.at(&format!("far/{day}"));
            sandbox.blit(&["copy", "--link-dest", reference, "src/", &to]).code(0);
            assert_eq!(inode(&format!("far/{day}/f")), inode("far/monday/f"), "{day}");
        }
        sandbox.make(&[file("src/f", "other")]);
        sandbox.blit(&["copy", "--backup-dir", "../kept", "src/", &daemon.at("far/tuesday")]).code(0);
        assert_eq!((sandbox.read("far/tuesday/f"), sandbox.read("far/kept/f")), ("other".into(), "x".into()));
    }

    fn what_leaves_a_source_at_a_daemon_is_told_as_it_is_typed(sandbox) {
        sandbox.make(&[file("src/d/f", "x")]);
        let at = |name: &str| sandbox.daemon().at(name);
        let [dry, run] = [&["-n"][..], &[]].map(|dry| {
            let from = at("src/");
            let args = [&["move", "-i"], dry, &[&from, "dst"]].concat();
            sandbox.blit(&args).code(0).stdout
        });
        for told in [dry, run] {
            let left: Vec<&str> = told.lines().filter(|line| line.starts_with('X')).collect();
            assert_eq!(left, [format!("X  {}", at("src/d/f")), format!("X  {}", at("src/d"))], "{told}");
        }
    }

    fn what_fails_at_a_daemon_is_named_as_it_is_typed(sandbox) {
        sandbox.make(&[file("src/d", "x"), file("far/d/in/f", "x"), dir("gone")]);
        let gone = Daemon::of_root(&sandbox.path("gone"), sandbox.engine());
        sandbox.meet(&gone);
        fs::remove_dir(sandbox.path("gone")).expect("own directory");
        let at = |name: &str| sandbox.daemon().at(name);
        let (none, far) = (at("none/more"), at("far"));
        for (args, path) in [
            (&["copy", "src/", &far][..], at("far/d")),
            (&["copy", &none, "dst"], at("none")),
            (&["list", &none], at("none")),
            (&["du", &none], at("none")),
            (&["df", &none], at("none")),
            (&["rm", "--yes", &far], at("far")),
            (&["copy", "src/", &at("far/d/in/f/x")], at("far/d/in/f")),
            (&["copy", "src/", &gone.at("x")], gone.at("")),
            (&["df", &gone.at("x")], gone.at("")),
        ] {
            let run = sandbox.blit(args);
            assert_ne!(run.code, 0, "{run:?}");
            let run = run.says(&path);
            let real = sandbox.path("");
            let real = real.to_str().expect("own name");
            assert!(!run.stderr.contains(real) && !run.stdout.contains(real), "{args:?}: {run:#?}");
        }
    }
}
