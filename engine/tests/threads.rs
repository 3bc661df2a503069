//! Whether threads are left when a plane has ended. Alone in its process, where all threads can be counted.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use blit_core::event::{Control, Port, Seat};
use blit_core::path::RelPath;
use blit_core::spec::{Preserve, Reflink};
use blit_core::stream::Part;
use blit_core::stream::{Attachment, Closer, End, Plane, Slot, Stream, Ticket};
use blit_core::task::{CopyInto, Dir, Manner, Receive, ReceiveInto, Root, Send, Task, TaskId};
use blit_engine::Choice;

/// A stream on which nothing ever comes.
struct Silent(TcpStream);

impl Stream for Silent {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.0, bytes)
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0, space)
    }

    fn is_sealed(&self) -> bool {
        true
    }

    fn closer(&self) -> Closer {
        let socket = self.0.try_clone().expect("a descriptor");
        Box::new(move || drop(socket.shutdown(Shutdown::Both)))
    }
}

/// Threads of this process; nothing where they cannot be counted.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// What waits when the run ends.
fn tasks(plane: &Arc<Plane>, dir: &Dir) -> Vec<(TaskId, Task)> {
    let preserve = Preserve { owner: false, ..Preserve::ALL };
    let manner =
        Manner { preserve, reflink: Reflink::Auto, fsync: false, in_place: false, aside: None };
    let receive = |ticket| {
        Task::Receive(Receive {
            plane: Arc::clone(plane),
            ticket: Ticket(ticket),
            to: dir.clone(),
            into: ReceiveInto::Dir(CopyInto::Existing),
            page: Vec::new().into(),
            picks: Vec::new(),
            manner: manner.clone(),
        })
    };
    // There is no stream to send on, so that these wait too.
    let send = |plane, ticket| {
        Task::Send(Send {
            plane,
            ticket: Ticket(ticket),
            from: dir.clone(),
            page: Vec::new().into(),
            picks: Vec::new(),
            source_name: None,
            part: Part::Whole,
            xattrs: false,
        })
    };
    let sent = Plane::new();
    let receives = (0..20).map(receive);
    let tasks = receives.chain((20..23).map(|ticket| send(Arc::clone(&sent), ticket)));
    (0..).map(TaskId).zip(tasks).collect()
}

/// Lets a run wait on four streams, ends it, and waits until as many threads are left as there were.
fn run(choice: Choice, ends_by_drop: bool) {
    let before = threads().expect("asked before");
    let top = tempfile::tempdir().expect("a directory");
    let dir = Dir::new(&Root::new(top.path()), RelPath::root());
    let engine = blit_engine::start(choice, Some(2)).expect("it starts").engine;
    let (sender, inbox) = channel();
    let control = Arc::<Control>::default();
    let port = Port::new(Seat(0), sender, Arc::clone(&control));
    let plane = Plane::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut peers = Vec::new();
    for slot in 0..4 {
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        peers.push(listener.accept().expect("dialled").0);
        engine.attach(Attachment {
            plane: Arc::clone(&plane),
            slot: Slot(slot),
            stream: Box::new(Silent(near)),
            end: End::Destination,
            port: port.clone(),
        });
    }
    assert!(threads().is_some_and(|now| now >= before + 4), "each stream has a reader");
    let mut expected = 4;
    if !ends_by_drop {
        let tasks = tasks(&plane, &dir);
        expected += tasks.len();
        engine.submit(tasks, &port);
        control.cancel();
    }
    drop(plane);
    for _ in 0..expected {
        inbox.recv_timeout(Duration::from_secs(60)).expect("each task and each stream ends");
    }
    drop((engine, peers));
    let deadline = Instant::now() + Duration::from_secs(60);
    while threads().is_some_and(|now| now > before) {
        assert!(Instant::now() < deadline, "threads are left");
        std::thread::yield_now();
    }
}

#[test]
fn no_thread_outlives_a_plane_that_was_cancelled_or_dropped() {
    if threads().is_none() {
        let name = "no_thread_outlives_a_plane_that_was_cancelled_or_dropped";
        let line = format!("SKIPPED {name}: threads cannot be counted here\n");
        return io::Write::write_all(&mut io::stderr(), line.as_bytes()).expect("stderr takes it");
    }
    for choice in [Choice::Threads, Choice::Auto] {
        // What an engine starts once for the whole process is not counted.
        drop(blit_engine::start(choice, Some(2)).expect("it starts"));
        for ends_by_drop in [false, true] {
            run(choice, ends_by_drop);
        }
    }
}
