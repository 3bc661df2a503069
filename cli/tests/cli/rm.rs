//! `blit rm`: removes what is named, and only that.

use crate::support::compare::read;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Sandbox};
use crate::support::schema::object;
use crate::support::terminal::Seated;
use crate::support::tree::{dir, fifo, file, link};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("d/a", "x"),
        file("d/e/f/b", "x"),
        link("d/out", "../outside"),
        link("d/e/up", ".."),
        fifo("d/p"),
        dir("d/empty"),
        file("outside/kept", "x"),
        file("f", "x"),
    ]);
}

on_every_engine! {
    fn files_and_trees_are_removed_and_links_are_not_followed(sandbox) {
        make_work(sandbox);
        sandbox.make(&[link("l", "outside")]);
        let dry = sandbox.blit(&["rm", "-n", "-r", "d", "f", "l"]).code(0);
        assert!(sandbox.exists("d/e/f/b") && sandbox.exists("f"), "{dry:?}");
        let run = sandbox.blit(&["rm", "--yes", "-v", "-r", "d", "f", "l"]).code(0);
        assert_eq!(dry.changes(), run.changes());
        assert!(run.stdout.contains("removed 11 entries"), "{run:?}");
        assert!(!sandbox.exists("d") && !sandbox.exists("f") && !sandbox.exists("l"));
        assert!(sandbox.exists("outside/kept"));
    }

    fn refusals_remove_nothing(sandbox) {
        make_work(sandbox);
        let before = read(&sandbox.path(""));
        for (args, why) in [
            (&["--yes", "f", "d"][..], "-r"),
            (&["--yes", "-r", "."], "name the directory itself"),
            (&["--yes", "-r", "d/.."], "name the directory itself"),
            (&["--yes", "-r", "d/e/."], "name the directory itself"),
            (&["--yes", "-r", "/"], "name the directory itself"),
            (&["--yes", "f", "none"], "none: no such file"),
            (&["--yes", "f", ""], "empty"),
            (&["f"], "--yes"),
            (&["-r", "d"], "--yes"),
            (&["--yes", "f", "host:/module/x"], "local and remote entries are removed by runs of their own"),
        ] {
            let run = sandbox.blit(&[&["rm"], args].concat()).code(2);
            assert!(run.stderr.contains(why), "{args:?}: {run:?}");
        }
        assert_eq!(read(&sandbox.path("")), before);
    }

    fn a_list_of_paths_is_removed_the_same_here_and_at_a_daemon(sandbox) {
        for base in ["w".to_owned(), sandbox.daemon().at("w")] {
            sandbox.make(&[file("w/a", "x"), file("w/d/b", "x"), file("w/d/c", "x"), file("w/e\nf", "x"), file("w/kept", "x")]);
            let remove = |words: &[&str], list: &str| {
                let words = [&["rm", "--yes", "--files-from", "-", &base][..], words].concat();
                sandbox.blit_reads(&words, list.as_bytes())
            };
            remove(&[], "a\nnone\n").code(2).says("none: no such file");
            remove(&[], "a\nd\n").code(2).says("-r");
            remove(&["-r"], "a\n../w/d\n").code(2).says("`..`");
            remove(&["-r"], ".\n").code(2).says("name what is in it");
            remove(&[], "").code(0).sums_up("removed 0 entries");
            assert!(sandbox.exists("w/a") && sandbox.exists("w/d/b"));
            remove(&[], "a\n./d/b\r\nd/b\n").code(0).sums_up("removed 2 entries");
            remove(&["-r", "-0"], "d/c\0d\0e\nf\0").code(0).sums_up("removed 3 entries");
            assert!(sandbox.exists("w/kept"));
            assert_eq!(std::fs::read_dir(sandbox.path("w")).expect("it stands").count(), 1);
        }
    }

    fn an_empty_directory_needs_r_too(sandbox) {
        sandbox.make(&[dir("d")]);
        sandbox.blit(&["rm", "--yes", "d"]).code(2);
        sandbox.blit(&["rm", "--yes", "-r", "d/"]).code(0);
        assert!(!sandbox.exists("d"));
    }

    fn the_root_of_a_file_system_is_refused(sandbox) {
        if sandbox.can(Capability::Root) {
            for root in ["/proc", "/dev/shm"] {
                sandbox.blit(&["rm", "-n", "-r", root]).code(2).says("root of a file system");
            }
        }
    }

    fn at_a_terminal_it_asks(sandbox) {
        make_work(sandbox);
        for (answer, code) in [("n\n", 2), ("y\n", 0)] {
            let mut seated = Seated::new(sandbox, &["rm", "-r", "d"]);
            seated.wait_for("remove 9 entries? [y/N] ");
            assert!(sandbox.exists("d/a"));
            seated.types(answer);
            seated.ends().code(code);
            assert_eq!(sandbox.exists("d"), code == 2);
        }
    }

    fn programs_get_an_object(sandbox) {
        make_work(sandbox);
        let value = object(&sandbox.blit(&["rm", "--json", "--yes", "-r", "d"]).code(0));
        assert_eq!((&value["verb"], &value["removed"]), (&"rm".into(), &9.into()));
    }
}
