//! A long or narrow way between a client and a daemon: bytes arrive later, only so many a second, and of each connection only
//! so many are on the way at a time.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use blit_core::endpoint::Endpoint;

use crate::daemon::endpoint;

/// What a way is like.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// All connections together, in either direction.
    pub(crate) bytes_per_sec: u64,
    /// Bytes of one connection that are not acknowledged.
    pub(crate) window_bytes: usize,
    /// Of every other connection, one chunk in so many comes three delays late, and what follows it too.
    pub(crate) late_every: Option<u64>,
}

impl Default for Manner {
    fn default() -> Self {
        let delay = Duration::from_millis(50);
        Self { delay, bytes_per_sec: 1 << 40, window_bytes: 8 << 20, late_every: None }
    }
}

pub(crate) struct Way {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// One direction of all connections: when the next bytes have room.
type Lane = Arc<Mutex<Instant>>;

impl Way {
    pub(crate) fn start(to: SocketAddr, manner: Manner) -> Self {
        // Another address than the client's: the two ends are not on one machine then. Not every system has it.
        let listener =
            TcpListener::bind("127.0.0.2:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let lanes: [Lane; 2] = std::array::from_fn(|_| Arc::new(Mutex::new(Instant::now())));
        // It ends with the process.
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let Ok(daemon) = TcpStream::connect(to) else { continue };
                let manner = match number % 2 {
                    0 => Manner { late_every: None, ..manner },
                    _ => manner,
                };
                // To be accepted takes a turn, which a listener on this machine does not.
                begin((&client, &daemon), (manner, 2 * manner.delay), &lanes[0]);
                begin((&daemon, &client), (manner, Duration::ZERO), &lanes[1]);
            }
        });
        Self { address, connections }
    }

    pub(crate) fn at(&self, path: &str) -> Endpoint {
        endpoint(&format!("{}:{}:{path}", self.address.ip(), self.address.port()))
    }

    /// Whether the two ends seem to be on different machines.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.address.ip().to_string() == "127.0.0.2"
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Passes one direction of one connection on.
fn begin((from, to): (&TcpStream, &TcpStream), (manner, late): (Manner, Duration), lane: &Lane) {
    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    to.set_nodelay(true).unwrap_or_default();
    let (sender, receiver) = sync_channel(1024);
    let lane = Arc::clone(lane);
    thread::spawn(move || take(&from, (manner, late), &lane, &sender));
    thread::spawn(move || give(&to, &receiver));
}

/// Reads what is sent, while the window allows it, and says when it arrives.
fn take(
    mut from: &TcpStream,
    (manner, late): (Manner, Duration),
    lane: &Lane,
    to: &SyncSender<(Instant, Vec<u8>)>,
) {
    let mut under_way: VecDeque<(Instant, usize)> = VecDeque::new();
    let (mut unanswered, mut last, mut count) = (0, Instant::now() + late, 0_u64);
    let mut space = vec![0; CHUNK_BYTES.min(manner.window_bytes)];
    loop {
        while let Some((answered, len)) = under_way.front().copied()
            && (unanswered + space.len() > manner.window_bytes || answered <= Instant::now())
        {
            wait_until(answered);
            under_way.pop_front();
            unanswered -= len;
        }
        let len = from.read(&mut space).unwrap_or(0);
        let mut free = lane.lock().expect("no test panics in it");
        let takes = len as u64 * 1_000_000_000 / manner.bytes_per_sec;
        *free = (*free).max(Instant::now()) + Duration::from_nanos(takes);
        let mut arrives = last.max(*free + manner.delay);
        drop(free);
        count += 1;
        if manner.late_every.is_some_and(|every| count.is_multiple_of(every)) {
            arrives += 3 * manner.delay;
        }
        last = arrives;
        under_way.push_back((arrives + manner.delay, len));
        unanswered += len;
        if to.send((arrives, space[..len].to_vec())).is_err() || len == 0 {
            return;
        }
    }
}

/// Writes what arrives when it does; nothing is the end.
fn give(mut to: &TcpStream, from: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((arrives, bytes)) = from.recv() {
        wait_until(arrives);
        if bytes.is_empty() {
            to.shutdown(Shutdown::Write).unwrap_or_default();
            return;
        }
        if to.write_all(&bytes).is_err() {
            to.shutdown(Shutdown::Both).unwrap_or_default();
            return;
        }
    }
}

fn wait_until(then: Instant) {
    while let Some(left) =
        then.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}

/// What is read at once: a few segments.
const CHUNK_BYTES: usize = 64 << 10;
