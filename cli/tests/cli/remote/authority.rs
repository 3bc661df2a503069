//! An organisation's authority in place of keys: its certificates let in, and whatever is wrong with one is told.

use crate::support::compare::{assert_same, read};
use crate::support::daemon::Daemon;
use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::tree::{dir, file};

/// The files of two authorities: the certificates of all but `other` and `stranger` come from `ca`. The daemon's is for
/// 127.0.0.1 and localhost, that of `nameless` for another host; `past` and `past-client` ended in 2001, the others
/// are valid until 9940.
const FILES: [(&str, &str); 14] = [
    ("ca.pem", include_str!("../../authority/ca.pem")),
    ("other.pem", include_str!("../../authority/other.pem")),
    ("daemon.pem", include_str!("../../authority/daemon.pem")),
    ("daemon.key", include_str!("../../authority/daemon.key")),
    ("nameless.pem", include_str!("../../authority/nameless.pem")),
    ("nameless.key", include_str!("../../authority/nameless.key")),
    ("past.pem", include_str!("../../authority/past.pem")),
    ("past.key", include_str!("../../authority/past.key")),
    ("client.pem", include_str!("../../authority/client.pem")),
    ("client.key", include_str!("../../authority/client.key")),
    ("past-client.pem", include_str!("../../authority/past-client.pem")),
    ("past-client.key", include_str!("../../authority/past-client.key")),
    ("stranger.pem", include_str!("../../authority/stranger.pem")),
    ("stranger.key", include_str!("../../authority/stranger.key")),
];

/// A daemon with the certificate `name` and, where it says whose certificates clients must have, the authority `ca`.
fn office(sandbox: &Sandbox, name: &str, ca: bool, allow: &str) -> Daemon {
    for (name, text) in FILES {
        sandbox.make(&[file(name, text).mode(0o600)]);
    }
    sandbox.make(&[file("src/a", "x"), file("src/large", vec![7; 3 << 20]), dir("module")]);
    let path = |name: &str| sandbox.path(name).display().to_string();
    let ca = if ca { format!("ca_file = \"{}\"\n", path("ca.pem")) } else { String::new() };
    let config = format!(
        "listen = \"127.0.0.1:0\"\n[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n{ca}[[module]]\nname = \"m\"\npath = \"{}\"\nread_only = false\n{allow}",
        path(&format!("{name}.pem")),
        path(&format!("{name}.key")),
        path("module"),
    );
    sandbox.make(&[file("blitd.toml", config)]);
    Daemon::start(&["--config", &path("blitd.toml")], sandbox.engine())
}

/// Pushes with the certificate `name`, trusting the authority `ca`.
fn push(sandbox: &Sandbox, daemon: &Daemon, ca: &str, name: &str) -> Run {
    let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
    let to = daemon.below("m/new");
    sandbox.blit(&["copy", "--ca-file", ca, "--cert-file", &cert, "--key-file", &key, "src/", &to])
}

/// That a run was refused with these words and a next step, and has changed nothing at the daemon.
#[track_caller]
fn is_refused(sandbox: &Sandbox, run: Run, says: &str) {
    run.code(3).says(says).says("hint: ");
    assert!(read(&sandbox.path("module")).keys().all(Vec::is_empty), "nothing was changed");
}

on_every_engine! {
    fn certificates_of_one_authority_let_both_sides_in(sandbox) {
        let daemon = office(sandbox, "daemon", true, "");
        let run = push(sandbox, &daemon, "ca.pem", "client").code(0);
        assert_eq!(run.stderr, "", "no key is noted, no data connection is refused");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("module/new"));
        let shown = ["--ca-file", "ca.pem", "--cert-file", "client.pem", "--key-file", "client.key"];
        let from = daemon.below("m/new/");
        let run = sandbox.blit(&[&["copy"], &shown[..], &[&from, "back"]].concat()).code(0);
        assert_eq!(run.stderr, "");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("back"));
        let run = sandbox.blit(&[&["list"], &shown[..], &[&from]].concat()).code(0);
        assert!(run.stdout.contains("large"), "{run:?}");
    }

    fn a_daemon_with_a_certificate_takes_keys_where_it_names_no_authority(sandbox) {
        let daemon = office(sandbox, "daemon", false, "");
        let to = daemon.below("m/new");
        let run = sandbox.blit(&["copy", "--ca-file", "ca.pem", "src/", &to]).code(0);
        assert_eq!(run.stderr, "");
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("module/new"));
    }

    fn a_certificate_of_a_daemon_that_is_not_right_is_refused_with_the_reason(sandbox) {
        let daemon = office(sandbox, "daemon", true, "");
        is_refused(sandbox, push(sandbox, &daemon, "other.pem", "client"), "has signed it");
        drop(daemon);
        let daemon = office(sandbox, "past", true, "");
        is_refused(sandbox, push(sandbox, &daemon, "ca.pem", "client"), "it has expired");
        drop(daemon);
        let daemon = office(sandbox, "nameless", true, "");
        is_refused(sandbox, push(sandbox, &daemon, "ca.pem", "client"), "not for a host of this name");
    }

    fn a_certificate_of_a_client_that_is_not_right_is_refused_with_the_reason(sandbox) {
        let daemon = office(sandbox, "daemon", true, "");
        is_refused(sandbox, push(sandbox, &daemon, "ca.pem", "stranger"), "none of its authorities has signed it");
        is_refused(sandbox, push(sandbox, &daemon, "ca.pem", "past-client"), "it has expired");
        let to = daemon.below("m/new");
        for shown in [&["--ca-file", "ca.pem"][..], &[]] {
            let args = [&["copy"], shown, &["src/", &to]].concat();
            is_refused(sandbox, sandbox.blit(&args), "--cert-file");
        }
        push(sandbox, &daemon, "ca.pem", "client").code(0);
    }

    fn with_an_authority_a_module_may_still_name_keys(sandbox) {
        let daemon = office(sandbox, "daemon", true, "allow = []\n");
        is_refused(sandbox, push(sandbox, &daemon, "ca.pem", "client"), "m");
        drop(daemon);
        let daemon = office(sandbox, "daemon", true, &format!("allow = [\"{CLIENT_KEY}\"]\n"));
        push(sandbox, &daemon, "ca.pem", "client").code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("module/new"));
    }
}

/// The key of `client`, as the daemon's log shows it.
const CLIENT_KEY: &str = "blit1txwlz6qzsvf3tufhclauzajftmkzwq2tgtfrkl9d3chdmz4z3zjqdzz3qa";
