//! One engine, one plane, and sockets whose far ends the test holds.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use blit_core::Error;
use blit_core::engine::Engine;
use blit_core::entry::{Entry, FileId, Kind, Meta, Time};
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::{Name, RelPath};
use blit_core::spec::{Preserve, Reflink};
use blit_core::stream::{Attachment, Closer, End, Plane, Slot, Stream, Ticket};
use blit_core::task::{
    Copied, CopyInto, Dir, Held, List, Manner, Output, Over, Page, Pick, Place, Placed, Receive,
    ReceiveInto, Root, Step, Survey, Task, TaskId, What,
};
use blit_engine::Choice;
use tempfile::TempDir;

/// How files are written: with what any user can set.
pub(crate) const MANNER: Manner = Manner {
    preserve: Preserve { owner: false, ..Preserve::ALL },
    reflink: Reflink::Auto,
    fsync: false,
    in_place: false,
    aside: None,
};

/// An engine with an empty directory.
pub(crate) struct Rig {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: Arc<Control>,
    port: Port,
    inbox: Receiver<(Seat, Event)>,
    next: u64,
    top: TempDir,
}

/// One for each engine that runs here.
pub(crate) fn rigs() -> impl Iterator<Item = Rig> {
    [Choice::Threads, Choice::Auto].into_iter().map(Rig::new)
}

impl Rig {
    pub(crate) fn new(choice: Choice) -> Self {
        let engine = blit_engine::start(choice, Some(2)).expect("it starts").engine;
        println!("{}", engine.describe());
        let (sender, inbox) = channel();
        let control = Arc::<Control>::default();
        let port = Port::new(Seat(0), sender, Arc::clone(&control));
        let top = tempfile::tempdir().expect("a directory");
        Self { engine, plane: Plane::new(), control, port, inbox, next: 0, top }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub(crate) fn dir(&self) -> Dir {
        dir_at(self.top.path())
    }

    /// All names in the directory, temporary ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.top.path())
    }

    pub(crate) fn submit(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.next);
        self.next += 1;
        self.engine.submit(vec![(id, task)], &self.port);
        id
    }

    /// The next thing that the engine tells.
    pub(crate) fn event(&self) -> Event {
        self.inbox.recv_timeout(PATIENCE).expect("the engine answers").1
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.inbox.try_recv().is_err()
    }

    /// What became of the only task.
    #[track_caller]
    pub(crate) fn done(&self) -> Result<Output, Error> {
        match self.event() {
            Event::Done(_, result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn received(&self) -> Copied {
        match self.done() {
            Ok(Output::Received(copied)) => copied,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the stream has ended, and nothing else.
    #[track_caller]
    pub(crate) fn lost(&self, slot: u16) {
        match self.event() {
            Event::Lost(lost) => assert_eq!(lost, Slot(slot)),
            other => panic!("{other:?}"),
        }
    }

    /// Runs one task to its end.
    #[track_caller]
    pub(crate) fn run(&mut self, task: Task) -> Output {
        self.submit(task);
        self.done().expect("it can be done")
    }

    #[track_caller]
    pub(crate) fn place(&mut self, step: Step) -> Placed {
        let to = self.dir();
        match self.run(Task::Place(Place { to, steps: vec![step], manner: MANNER })) {
            Output::Placed(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    /// All that is in the directory.
    pub(crate) fn page(&mut self) -> Page {
        let what = What::Next { after: None, entries_max: 1000 };
        let dir = self.dir();
        let list = List { dir, what, xattrs: false, survey: Survey::Nothing };
        let Output::Listed(mut listed) = self.run(Task::List(list)) else { panic!("no listing") };
        listed.entries.sort_by(|left, right| left.name.cmp(&right.name));
        listed.entries.into()
    }

    /// A task that receives all of `entries` into the directory.
    pub(crate) fn receive(&self, ticket: u64, entries: &[Entry]) -> Receive {
        self.receive_into(ticket, entries, ReceiveInto::Dir(CopyInto::Existing))
    }

    pub(crate) fn receive_into(
        &self,
        ticket: u64,
        entries: &[Entry],
        into: ReceiveInto,
    ) -> Receive {
        let picks = (0..entries.len()).map(|index| Pick { index, over: Over::Nothing });
        Receive {
            plane: Arc::clone(&self.plane),
            ticket: Ticket(ticket),
            to: self.dir(),
            into,
            page: entries.into(),
            picks: picks.collect(),
            manner: MANNER,
        }
    }

    /// Makes the draft of a file and gives it with how many bytes it can begin with.
    #[track_caller]
    pub(crate) fn draft(&mut self, entry: &Entry, reuse: bool) -> (Held, u64) {
        let placed = self.place(Step::Draft { entry: entry.clone(), reuse });
        assert!(placed.failures.is_empty(), "{placed:?}");
        (placed.staged.expect("a draft is held"), placed.begun)
    }

    /// Attaches a stream and gives the peer's end of it.
    pub(crate) fn attach(&self, slot: u16, end: End) -> TcpStream {
        let (near, far) = sockets();
        self.attach_stream(slot, end, Box::new(Wire(near)));
        far
    }

    pub(crate) fn attach_stream(&self, slot: u16, end: End, stream: Box<dyn Stream>) {
        self.engine.attach(Attachment {
            plane: Arc::clone(&self.plane),
            slot: Slot(slot),
            stream,
            end,
            port: self.port.clone(),
        });
    }

    /// A peer that has sent all that it ever will.
    pub(crate) fn bring(&self, slot: u16, bytes: &[u8]) {
        let mut peer = self.attach(slot, End::Destination);
        // The engine may have ended the stream already for what it was told first.
        drop(peer.write_all(bytes));
        drop(peer.shutdown(Shutdown::Write));
        drain(peer);
    }
}

/// Waits until the other end is closed.
fn drain(mut peer: TcpStream) {
    drop(peer.read(&mut [0]));
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
    (near, listener.accept().expect("dialled").0)
}

/// An open stream: what is sent on it needs digests.
struct Wire(TcpStream);

impl Stream for Wire {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.read(space)
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn closer(&self) -> Closer {
        let socket = self.0.try_clone().expect("a descriptor");
        Box::new(move || drop(socket.shutdown(Shutdown::Both)))
    }
}

pub(crate) fn dir_at(path: &Path) -> Dir {
    Dir::new(&Root::new(path), RelPath::root())
}

pub(crate) fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("read").file_name();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(crate) fn name_of(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a valid name")
}

/// A file as a source lists it.
pub(crate) fn entry(name: &str, size: u64) -> Entry {
    let meta = Meta {
        kind: Kind::File,
        size,
        allocated: size,
        mtime: Time { secs: 1_234_567_890, nanos: 0 },
        ctime: Time::default(),
        mode: 0o640,
        uid: 0,
        gid: 0,
        nlink: 1,
        id: FileId::default(),
        mounted: false,
        rdev: 0,
        xattrs: None,
        target: None,
    };
    Entry { name: name_of(name), meta }
}

/// How long an engine may take; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
