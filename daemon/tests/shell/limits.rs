//! Who is let in.

use std::time::Instant;

use crate::rig::{Daemon, PATIENCE, Peer, Place};

#[test]
fn a_connection_too_many_is_closed_and_others_are_not_disturbed() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("[limits]\nmax_connections = 2", &["a"]));
    let mut peers = [daemon.connect(), daemon.connect()];
    assert!(peers.iter_mut().all(|peer| peer.ask("in").is_some()));
    assert_eq!(daemon.connect().answer(), None);
    let line = daemon.logs("refused connections");
    assert!(line.contains("max_connections allows") && line.contains("127.0.0.1"), "{line}");
    assert!(peers.iter_mut().all(|peer| peer.ask("still in").is_some()));
    let [first, second] = peers;
    drop(first);
    assert!(comes_in(&daemon), "the place that became free was not given away");
    drop(second);
}

#[test]
fn one_address_cannot_take_all_connections() {
    let place = Place::new();
    let head = "[limits]\nmax_connections = 100\nmax_connections_per_address = 1";
    let daemon = Daemon::configured(&place.configure(head, &["a"]));
    let mut peer = daemon.connect();
    assert!(peer.ask("in").is_some());
    assert_eq!(daemon.connect().answer(), None);
    daemon.logs("max_connections_per_address allows");
}

#[test]
fn a_thousand_connections_are_logged_in_a_few_lines() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("[limits]\nmax_connections = 1", &["a"]));
    let mut peer = daemon.connect();
    assert!(peer.ask("in").is_some());
    for _ in 0..1000 {
        let refused: Peer = daemon.connect();
        drop(refused);
    }
    assert!(peer.ask("still in").is_some());
    daemon.signal(nix::sys::signal::SIGTERM);
    drop(peer);
    let mut lines = 0;
    loop {
        let line = daemon.logs("");
        lines += usize::from(line.contains("refused connections"));
        if line.contains("ended") {
            break;
        }
    }
    assert!((1..20).contains(&lines), "{lines}");
    assert_eq!(daemon.code(), 0);
}

fn comes_in(daemon: &Daemon) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if daemon.connect().ask("again").is_some() {
            return true;
        }
    }
    false
}
