//! Something between a client and a daemon that passes so many connections and so many bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use blit_core::endpoint::Endpoint;

use crate::daemon::endpoint;

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: SocketAddr,
    /// Connections that may still pass.
    allowed: AtomicI64,
    /// Bytes after which a connection is cut.
    bytes_max: AtomicI64,
    /// Only connections that begin as data connections are cut.
    data_only: AtomicBool,
    /// What the daemon has said.
    heard: Mutex<Vec<u8>>,
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr, allowed: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            to,
            allowed: AtomicI64::new(allowed),
            bytes_max: AtomicI64::new(i64::MAX),
            data_only: AtomicBool::new(false),
            heard: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        // It ends with the process.
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.allowed.fetch_sub(1, Ordering::SeqCst) > 0 {
                    let state = Arc::clone(&shared);
                    thread::spawn(move || pass(&state, client));
                }
            }
        });
        Self { address, state }
    }

    /// Lets so many more connections through.
    pub(crate) fn allow(&self, count: i64) {
        self.state.allowed.store(count, Ordering::SeqCst);
    }

    /// What the daemon has said so far, on all connections.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.state.heard.lock().expect("no test panics in it").clone()
    }

    pub(crate) fn cut_data_after(&self, bytes: i64) {
        self.state.bytes_max.store(bytes, Ordering::SeqCst);
        self.state.data_only.store(true, Ordering::SeqCst);
    }

    /// Cuts every connection when one has passed so many bytes.
    pub(crate) fn cut_all_after(&self, bytes: i64) {
        self.state.bytes_max.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn at(&self, path: &str) -> Endpoint {
        endpoint(&format!("127.0.0.1:{}:{path}", self.address.port()))
    }
}

fn pass(state: &Arc<State>, client: TcpStream) {
    let Ok(daemon) = TcpStream::connect(state.to) else { return };
    let mut magic = [0; 8];
    let (mut from, mut to) = (&client, &daemon);
    if from.read_exact(&mut magic).is_err() || to.write_all(&magic).is_err() {
        return;
    }
    let is_data = &magic == b"BLITDAT1";
    thread::scope(|scope| {
        scope.spawn(|| carry((state, is_data), (&client, &daemon), &|_| {}));
        let hear = |bytes: &[u8]| {
            state.heard.lock().expect("no test panics in it").extend_from_slice(bytes);
        };
        carry((state, is_data), (&daemon, &client), &hear);
    });
}

fn carry(
    (state, is_data): (&State, bool),
    (mut from, mut to): (&TcpStream, &TcpStream),
    hear: &dyn Fn(&[u8]),
) {
    let mut bytes = vec![0; 64 << 10];
    let mut passed = 0;
    loop {
        let data_only = state.data_only.load(Ordering::SeqCst);
        let max = state.bytes_max.load(Ordering::SeqCst);
        // A negative number means that another connection has reached the limit.
        if (is_data || !data_only) && (passed >= max || max < 0) {
            break;
        }
        let Ok(len) = from.read(&mut bytes) else { break };
        hear(&bytes[..len]);
        if len == 0 || to.write_all(&bytes[..len]).is_err() {
            break;
        }
        passed += i64::try_from(len).expect("a few bytes");
        if !data_only && passed >= state.bytes_max.load(Ordering::SeqCst) {
            state.bytes_max.store(-1, Ordering::SeqCst);
        }
    }
    from.shutdown(Shutdown::Both).unwrap_or_default();
    to.shutdown(Shutdown::Both).unwrap_or_default();
}
