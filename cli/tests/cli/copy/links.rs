//! `--copy-links`: what links lead to is copied.

use std::fs;

use crate::support::sandbox::Sandbox;
use crate::support::tree::{Node, dir, file, link};
use crate::support::{in_every_way, on_every_engine};

fn nodes() -> Vec<Node> {
    vec![
        file("src/plain", "plain"),
        file("src/deep/inner", "inner"),
        link("src/to-file", "plain"),
        link("src/to-dir", "deep"),
        link("src/out", "../outside"),
        file("outside/far/f", "far"),
        link("outside/far/back-to-plain", "../../src/plain"),
    ]
}

fn is_link(sandbox: &Sandbox, name: &str) -> bool {
    sandbox.path(name).symlink_metadata().expect("there").is_symlink()
}

in_every_way! {
    fn a_move_follows_no_link(sandbox) {
        sandbox.make(&nodes());
        sandbox.blit(&["move", "-L", "src", "dst"]).code(2);
        assert!(sandbox.exists("src/plain"));
    }
}

// A daemon follows no link.
on_every_engine! {
    fn links_are_followed_only_when_asked(sandbox) {
        sandbox.make(&nodes());
        sandbox.blit(&["copy", "src/", "as-links"]).code(0);
        assert!(is_link(sandbox, "as-links/to-dir") && is_link(sandbox, "as-links/out"));
        sandbox.blit(&["copy", "-L", "src/", "dst"]).code(0);
        for (name, content) in [
            ("dst/to-file", "plain"),
            ("dst/to-dir/inner", "inner"),
            ("dst/out/far/f", "far"),
            ("dst/out/far/back-to-plain", "plain"),
        ] {
            assert_eq!(sandbox.read(name), content);
            assert!(!is_link(sandbox, name), "{name}");
        }
        assert!(!is_link(sandbox, "dst/to-dir") && !is_link(sandbox, "dst/out"));
        sandbox.blit(&["check", "-L", "-c", "src/", "dst"]).code(0);
        let again = sandbox.blit(&["copy", "-L", "-v", "src/", "dst"]).code(0);
        assert!(again.stdout.contains("copied 0 files"), "{again:?}");
        sandbox.blit(&["mirror", "-L", "--yes", "-c", "src/", "dst"]).code(0);
        assert_eq!(sandbox.read("dst/out/far/f"), "far");
    }

    fn a_named_link_is_followed_too(sandbox) {
        sandbox.make(&nodes());
        sandbox.blit(&["copy", "-L", "src/to-dir", "dst"]).code(0);
        assert_eq!(sandbox.read("dst/to-dir/inner"), "inner");
        sandbox.blit(&["copy", "-L", "src/to-file", "copy"]).code(0);
        assert!(!is_link(sandbox, "copy"));
    }

    fn loops_and_links_to_nothing_fail_alone(sandbox) {
        sandbox.make(&[
            file("src/a/kept", "x"),
            link("src/a/up", ".."),
            link("src/a/self", "."),
            link("src/nothing", "nowhere"),
            link("src/itself", "itself"),
            link("src/first", "../other"),
            file("other/f", "x"),
            link("other/second", "../other/third"),
            dir("other/third"),
            link("other/third/back", "../../other"),
        ]);
        let run = sandbox.blit(&["copy", "-L", "src/", "dst"]).code(1);
        for says in [
            "src/a/up: it leads back to a directory that it is in",
            "src/a/self: it leads back to a directory that it is in",
            "src/nothing: the link leads to nothing",
            "src/itself: the link leads to itself",
            "src/first/second/back: it leads back to a directory that it is in",
            "src/first/third/back: it leads back to a directory that it is in",
        ] {
            assert!(run.stderr.contains(says), "{says}: {run:?}");
        }
        assert_eq!(run.stderr.matches("error: ").count(), 6, "{run:?}");
        assert!(sandbox.exists("dst/a/kept") && sandbox.exists("dst/first/f"));
        assert!(!sandbox.exists("dst/a/up") && !sandbox.exists("dst/nothing"));
        sandbox.blit(&["copy", "-L", "src/nothing", "dst"]).code(2).says("leads to nothing");
    }

    fn a_mirror_keeps_what_is_beside_a_link_to_nothing(sandbox) {
        sandbox.make(&[link("src/nothing", "nowhere"), file("src/a", "x"), file("dst/nothing", "old")]);
        sandbox.blit(&["mirror", "-L", "--yes", "src/", "dst"]).code(1);
        assert_eq!(sandbox.read("dst/nothing"), "old");
    }

    fn the_destination_is_never_copied_into_itself(sandbox) {
        sandbox.make(&[file("src/a", "x"), link("src/there", "../dst"), link("src/up", ".."), link("src/b/in", "../../dst")]);
        for round in 0..2 {
            let run = sandbox.blit(&["copy", "-L", "src/", "dst"]).code(1);
            assert!(run.stderr.contains("there: it leads into the destination"), "{round}: {run:?}");
            assert!(sandbox.exists("dst/a"));
        }
        let deep = fs::read_dir(sandbox.path("dst/up")).map(Iterator::count).unwrap_or(0);
        assert!(deep <= 3, "{deep}");
    }
}
