//! Counters over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::rig::{Daemon, PATIENCE, Place};

fn start(place: &Place) -> (Daemon, SocketAddr) {
    let daemon =
        Daemon::configured(&place.configure("[metrics]\nlisten = \"127.0.0.1:0\"", &["a"]));
    let line = daemon.logs("telling counters on ");
    let (_, address) = line.split_once("telling counters on ").expect("it was looked for");
    let address = address.trim().parse().expect("an address");
    (daemon, address)
}

fn request(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn counters_are_told() {
    let place = Place::new();
    let (daemon, address) = start(&place);
    let mut peer = daemon.connect();
    assert!(peer.ask("in").is_some());
    let answer = request(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.lines().any(|line| line == "blitd_connections_open 1"), "{body}");
}

#[test]
fn other_requests_are_refused() {
    let place = Place::new();
    let (_daemon, address) = start(&place);
    for (text, status) in [
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("GET / HTTP/1.0\r\n\r\n", "404"),
        ("GET /metricsx HTTP/1.0\r\n\r\n", "404"),
    ] {
        assert!(request(address, text).starts_with(&format!("HTTP/1.0 {status} ")), "{text}");
    }
}

#[test]
fn a_silent_or_endless_client_does_not_keep_others_out() {
    let place = Place::new();
    let (_daemon, address) = start(&place);
    let silent = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    let mut endless = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    endless.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("it is buffered");
    let answer = request(address, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    drop((silent, endless));
}
