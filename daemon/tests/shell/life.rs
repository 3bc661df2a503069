//! Starting, reloading and ending.

use std::net::TcpStream;

use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGTERM};

use crate::rig::{Daemon, Place};

const DRAINING: &str = "waiting for at most";

#[test]
fn it_listens_at_each_address_and_serves() {
    let place = Place::new();
    let root = place.path("");
    let root = root.to_str().expect("a text");
    let args = ["--root", root, "--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let daemon = Daemon::start(&args, 2);
    assert!(daemon.addresses.iter().all(|address| address.port() != 0));
    assert!(daemon.addresses[1].is_ipv6());
    for address in &daemon.addresses {
        assert_eq!(crate::rig::Peer::connect(*address).ask("hello").as_deref(), Some("hello"));
    }
    daemon.signal(SIGINT);
    assert_eq!(daemon.code(), 0);
}

#[test]
fn asked_to_end_it_accepts_nothing_and_lets_what_runs_finish() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("", &["a"]));
    let mut peer = daemon.connect();
    assert_eq!(peer.ask("before").as_deref(), Some("before"));
    daemon.signal(SIGTERM);
    daemon.logs(DRAINING);
    assert!(TcpStream::connect(daemon.addresses[0]).is_err(), "it still listens");
    assert_eq!(peer.ask("during").as_deref(), Some("during"));
    drop(peer);
    daemon.logs("ended");
    assert_eq!(daemon.code(), 0);
}

#[test]
fn asked_a_second_time_it_ends_at_once() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("[limits]\ndrain_timeout = \"1h\"", &["a"]));
    let mut peer = daemon.connect();
    assert!(peer.ask("before").is_some());
    daemon.signal(SIGTERM);
    daemon.logs(DRAINING);
    daemon.signal(SIGTERM);
    daemon.logs("ending at once");
    assert_eq!(peer.answer(), None);
    assert_eq!(daemon.code(), 0);
}

#[test]
fn what_does_not_finish_in_time_is_ended() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("[limits]\ndrain_timeout = 1", &["a"]));
    let mut peer = daemon.connect();
    assert!(peer.ask("before").is_some());
    daemon.signal(SIGTERM);
    daemon.logs("the time to end is over");
    assert_eq!(peer.answer(), None);
    assert_eq!(daemon.code(), 0);
}

#[test]
fn a_reload_changes_the_modules_and_a_wrong_one_changes_nothing() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("", &["one"]));
    let mut peer = daemon.connect();
    assert_eq!(peer.ask("modules").as_deref(), Some("one"));
    place.configure("", &["one", "two"]);
    daemon.signal(SIGHUP);
    daemon.logs("configuration reloaded");
    assert_eq!(peer.ask("modules").as_deref(), Some("one two"));
    place.configure("lissten = \"x\"", &["three"]);
    daemon.signal(SIGHUP);
    let line = daemon.logs("the old one stays");
    assert!(
        line.contains("blitd.toml: line 2: ") && line.contains("did you mean listen?"),
        "{line}"
    );
    assert_eq!(peer.ask("modules").as_deref(), Some("one two"));
    std::fs::remove_file(place.path("blitd.toml")).expect("it is there");
    daemon.signal(SIGHUP);
    daemon.logs("the old one stays");
    assert_eq!(daemon.connect().ask("modules").as_deref(), Some("one two"));
}

#[test]
fn a_reload_does_not_move_the_daemon() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("", &["one"]));
    let text = std::fs::read_to_string(place.path("blitd.toml")).expect("it is there");
    place.write("blitd.toml", &text.replace("127.0.0.1:0", "127.0.0.2:0"));
    daemon.signal(SIGHUP);
    daemon.logs("other addresses in the configuration are used after a restart");
    place.write("blitd.toml", &format!("{text}\n[tls]\nca_file = \"/none\"\n"));
    daemon.signal(SIGHUP);
    daemon.logs("other keys and certificates in the configuration are used after a restart");
    assert_eq!(daemon.connect().ask("modules").as_deref(), Some("one"));
}

#[test]
fn a_panic_ends_one_connection_and_its_words_are_harmless() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("", &["a"]));
    let mut peer = daemon.connect();
    peer.tell("panic");
    let line = daemon.logs("a mistake in blitd");
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    assert_eq!(daemon.connect().ask("next").as_deref(), Some("next"));
}

#[test]
fn log_lines_can_be_json() {
    let place = Place::new();
    let file = place.configure("", &["a"]);
    let args = ["--config", file.to_str().expect("a text"), "--log-format", "json"];
    let daemon = Daemon::start(&args, 1);
    daemon.signal(SIGTERM);
    let line = daemon.logs(DRAINING);
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&value["level"], &value["connections"]), (&"INFO".into(), &0.into()));
    assert_eq!(daemon.code(), 0);
}
