//! Something between the command and a daemon that passes so many connections, and counts what it passes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy. It ends with the process.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: Mutex<SocketAddr>,
    /// Connections that may still pass.
    allowed: AtomicUsize,
    /// Bytes that have passed, in either direction.
    passed: AtomicU64,
}

impl Proxy {
    /// Passes every connection to `to`.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            to: Mutex::new(to),
            allowed: AtomicUsize::new(usize::MAX),
            passed: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let less = |left: usize| left.checked_sub(1);
                if shared.allowed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                    let state = Arc::clone(&shared);
                    thread::spawn(move || pass(&state, &client));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The endpoint of `path` in the default root of the daemon behind it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}://{path}", self.address)
    }

    /// Passes later connections to another daemon.
    pub(crate) fn lead(&self, to: SocketAddr) {
        *self.state.to.lock().expect("no holder panics") = to;
    }

    /// Lets only so many more connections through.
    pub(crate) fn allow(&self, count: usize) {
        self.state.allowed.store(count, Ordering::SeqCst);
    }

    /// How many bytes have passed.
    pub(crate) fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }
}

fn pass(state: &State, client: &TcpStream) {
    let to = *state.to.lock().expect("no holder panics");
    let Ok(daemon) = TcpStream::connect(to) else { return };
    thread::scope(|scope| {
        scope.spawn(|| carry(state, client, &daemon));
        carry(state, &daemon, client);
    });
}

fn carry(state: &State, mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
        state.passed.fetch_add(len as u64, Ordering::SeqCst);
    }
    // Who is gone needs no end.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
