//! Who is not the daemon that was meant, or does not allow it: nothing is changed, and the exit code says so.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use crate::support::compare::read;
use crate::support::daemon::Daemon;
use crate::support::device::wait_until;
use crate::support::on_every_engine;
use crate::support::proxy::Proxy;
use crate::support::sandbox::Sandbox;
use crate::support::tree::{dir, file, link};

/// Runs each verb that changes something with `far` as one of its places; each ends with `code` and changes nothing.
#[track_caller]
fn is_refused(sandbox: &Sandbox, far: &str, code: i32, says: &str) {
    let before = read(&sandbox.path(""));
    for args in [
        &["copy", "src/", far][..],
        &["mirror", "--yes", "src/", far],
        &["move", "src/", far],
        &["copy", far, "new"],
        &["move", far, "new"],
        &["rm", "-r", "--yes", far],
        &["list", far],
        &["du", far],
    ] {
        let run = sandbox.blit(args);
        assert_eq!(run.code, code, "{args:?}: {run:#?}");
        run.says(says);
    }
    assert_eq!(before, read(&sandbox.path("")));
}

/// A daemon with the module `ro`, which may be read, and `rw`, which may be written too.
fn with_modules(sandbox: &Sandbox) -> Daemon {
    sandbox.make(&[file("src/a", "x"), file("ro/kept", "x"), dir("rw"), file("ro/d/kept", "x")]);
    let path = |name: &str| sandbox.path(name).display().to_string();
    let config = format!(
        "listen = \"127.0.0.1:0\"\n[[module]]\nname = \"ro\"\npath = \"{}\"\n[[module]]\nname = \"rw\"\npath = \"{}\"\nread_only = false\n",
        path("ro"),
        path("rw"),
    );
    sandbox.make(&[file("blitd.toml", config)]);
    let daemon = Daemon::start(&["--config", &path("blitd.toml")], sandbox.engine());
    sandbox.meet(&daemon);
    daemon
}

on_every_engine! {
    fn where_nobody_listens_nothing_is_changed(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        is_refused(sandbox, &format!("{address}://x"), 3, "connection refused");
    }

    fn what_is_no_daemon_is_told_from_one(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
            }
        });
        is_refused(sandbox, &format!("{address}://x"), 3, &address.to_string());
    }

    fn an_unknown_module_is_refused(sandbox) {
        let daemon = with_modules(sandbox);
        is_refused(sandbox, &daemon.below("none/d"), 3, "none");
    }

    fn a_read_only_module_can_be_read_and_nothing_else(sandbox) {
        let daemon = with_modules(sandbox);
        let far = daemon.below("ro/d");
        let before = read(&sandbox.path(""));
        for args in [
            &["copy", "src/", &far][..],
            &["mirror", "--yes", "src/", &far],
            &["move", "src/", &far],
            &["move", &far, "new"],
            &["rm", "-r", "--yes", &far],
        ] {
            let run = sandbox.blit(args);
            assert_eq!(run.code, 3, "{args:?}: {run:#?}");
            run.says("read");
        }
        assert_eq!(before, read(&sandbox.path("")));
        sandbox.blit(&["copy", &far, "new"]).code(0);
        sandbox.blit(&["copy", "src/", &daemon.below("rw/")]).code(0);
        assert_eq!((sandbox.read("new/d/kept"), sandbox.read("rw/a")), ("x".into(), "x".into()));
    }

    fn a_key_that_is_not_on_the_list_is_refused(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("ro/kept", "x")]);
        let top = sandbox.path("ro").display().to_string();
        let config = format!("listen = \"127.0.0.1:0\"\n[[module]]\nname = \"m\"\npath = \"{top}\"\nallow = []\n");
        sandbox.make(&[file("blitd.toml", config)]);
        let file = sandbox.path("blitd.toml").display().to_string();
        let daemon = Daemon::start(&["--config", &file], sandbox.engine());
        sandbox.meet(&daemon);
        is_refused(sandbox, &daemon.below("m/d"), 3, "blit key show");
    }

    fn a_module_with_as_many_sessions_as_it_may_have_refuses_one_more(sandbox) {
        sandbox.make(&[file("src/a", "x"), file("large/file", vec![7; 8 << 20]), dir("rw")]);
        let top = sandbox.path("rw").display().to_string();
        let config = format!("listen = \"127.0.0.1:0\"\n[[module]]\nname = \"m\"\npath = \"{top}\"\nread_only = false\nmax_sessions = 1\n");
        sandbox.make(&[file("blitd.toml", config)]);
        let file = sandbox.path("blitd.toml").display().to_string();
        let daemon = Daemon::start(&["--config", &file], sandbox.engine());
        sandbox.meet(&daemon);
        let (first, second) = (daemon.below("m/first"), daemon.below("m/second"));
        let mut run = sandbox.start(&["copy", "--bwlimit", "1M", "large/", &first]);
        wait_until("it is at work", || sandbox.exists("rw/first"));
        sandbox.blit(&["copy", "src/", &second]).code(3).says("as many as it may").says("max_sessions");
        sandbox.blit(&["list", &daemon.below("m/")]).code(3).says("as many as it may");
        assert!(!sandbox.exists("rw/second"));
        run.kill().expect("own child");
        run.wait().expect("own child");
        wait_until("its place is free", || sandbox.blit(&["copy", "src/", &second]).code == 0);
        assert_eq!(sandbox.read("rw/second/a"), "x");
    }

    fn a_daemon_whose_key_changed_is_refused_until_it_is_forgotten(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("out")]);
        let out = sandbox.path("out");
        let first = Daemon::of_root(&out, sandbox.engine());
        let second = Daemon::of_root(&out, sandbox.engine());
        let proxy = Proxy::start(first.address);
        let run = sandbox.blit(&["copy", "src/", &proxy.at("x")]).code(0);
        assert_eq!(run.stderr.lines().count(), 1, "a new daemon is announced once: {run:?}");
        let quiet = sandbox.blit(&["copy", "src/", &proxy.at("x")]).code(0);
        assert_eq!(quiet.stderr, "");
        proxy.lead(second.address);
        is_refused(sandbox, &proxy.at("y"), 3, "its key has changed");
        let run = sandbox.blit(&["list", &proxy.at("")]).code(3);
        let words = run.stderr.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        let mut prints: Vec<&str> = words.filter(|word| word.matches('-').count() == 3).collect();
        prints.dedup();
        assert_eq!(prints.len(), 2, "both fingerprints are shown: {run:?}");
        let run = run.says("blit key forget");
        assert!(run.stderr.contains(&proxy.address()), "{run:?}");
        sandbox.blit(&["key", "forget", &proxy.address()]).code(0);
        sandbox.blit(&["copy", "src/", &proxy.at("y")]).code(0);
        sandbox.blit(&["copy", "--require-known", "src/", &second.at("z")]).code(3);
        assert!(sandbox.exists("out/y/a") && !sandbox.exists("out/z"));
    }

    fn what_a_daemon_cannot_do_is_refused_with_the_reason(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("dst"), dir("old"), link("link", "dst")]);
        let daemon = sandbox.daemon();
        let (from, to) = (daemon.at("src/"), daemon.at("dst"));
        for (args, why) in [
            (&["copy", "-L", &from, "dst"][..], "a daemon follows no links"),
            (&["check", "-L", &from, "dst"], "a daemon follows no links"),
            (&["copy", "src/", &daemon.at("link")], "it is a link"),
            (&["copy", "--backup-dir", "../..", "src/", &to], "outside the module"),
            (&["copy", "--link-dest", "/..", "src/", &to], "outside the module"),
            (&["copy", "--link-dest", "other:/m/old", "src/", &to], "the same module"),
            (&["copy", "--link-dest", &daemon.at("old"), &from, "dst"], "on this machine"),
            (&["copy", &from, &to], "one side of a run is on this machine"),
        ] {
            sandbox.blit(args).code(2).says(why);
        }
        assert!(!sandbox.exists("dst/a"));
    }

    fn paths_out_of_a_module_are_refused(sandbox) {
        let daemon = with_modules(sandbox);
        for path in ["rw/../src", "rw/a/../../src", "rw/.."] {
            sandbox.blit(&["copy", &daemon.below(path), "new"]).code(2);
        }
        assert!(!sandbox.exists("new"));
    }
}
