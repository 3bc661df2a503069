//! What a supervisor hands over and is told.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal::{SIGHUP, SIGTERM};

use crate::rig::{self, Daemon, PATIENCE, Peer, Place};

/// Runs `command` with what it has as standard input as descriptor 3, handed over as supervisors do.
fn with_descriptor(command: &Command, names: &str) -> Command {
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(key, value),
            None => shell.env_remove(key),
        };
    }
    shell.env("LISTEN_FDNAMES", names);
    shell
}

#[test]
fn a_socket_that_is_handed_over_is_served_in_place_of_the_configured_address() {
    let place = Place::new();
    let file = place.configure("", &["a"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    // A connection from before the daemon.
    let early = TcpStream::connect(address).expect("it listens");
    let command = rig::command(&["--config", file.to_str().expect("a text")]);
    let mut command = with_descriptor(&command, "blit");
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    let daemon = Daemon::spawn(&mut command, 1);
    // Only the daemon has the socket from here on.
    drop(command);
    assert_eq!(daemon.addresses, [address]);
    drop(early);
    assert_eq!(Peer::connect(address).ask("modules").as_deref(), Some("a"));
    daemon.signal(SIGTERM);
    assert_eq!(daemon.code(), 0);
}

#[test]
fn what_is_handed_over_and_is_no_listening_socket_is_refused() {
    let place = Place::new();
    let file = place.configure("", &["a"]);
    let command = rig::command(&["--config", file.to_str().expect("a text")]);
    let mut command = with_descriptor(&command, "blit");
    command.stdin(Stdio::from(std::fs::File::open(&file).expect("it is there")));
    let daemon = Daemon::spawn(&mut command, 0);
    daemon.logs("take over sockets LISTEN_FDS: ");
    assert_eq!(daemon.code(), 4);
}

#[test]
fn the_supervisor_is_told_what_the_daemon_does() {
    let place = Place::new();
    let file = place.configure("", &["a"]);
    let socket = UnixDatagram::bind(place.path("notify")).expect("own directory");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let told = || {
        let mut buffer = [0; 512];
        let len = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    let mut command = rig::command(&["--config", file.to_str().expect("a text")]);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", place.path("notify")), 1);
    assert!(told().starts_with("READY=1\n"));
    daemon.signal(SIGHUP);
    let reloading = told();
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("as documented");
    assert!(micros.parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
    assert!(told().starts_with("READY=1\n"));
    daemon.signal(SIGTERM);
    assert!(told().starts_with("STOPPING=1\n"));
    assert_eq!(daemon.code(), 0);
}
