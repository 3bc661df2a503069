//! Both roles of a transfer, each with an engine of its own, joined by data streams over TCP: what two machines do, in one process.
//! It must not know how peers find and trust each other.
#![expect(clippy::panic, reason = "what a test may do, its rig may too")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use blit_core::codec::{Decoder, Encoder};
use blit_core::drive::Drive;
use blit_core::engine::Engine;
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::frame::Frame;
use blit_core::link::Link;
use blit_core::path::RelPath;
use blit_core::session::Session;
use blit_core::spec::{Equality, SourceItem, Target, TransferSpec, Verb};
use blit_core::stream::{Attachment, Closer, End, Plane, Slot, Stream};
use blit_core::summary::Summary;
use blit_core::task::{Dir, List, Output, Root, Space, SpaceFacts, Survey, Task, TaskId, What};
use blit_engine::Choice;

/// A TCP stream that counts, and may break after so many bytes.
struct Wire {
    socket: TcpStream,
    carried: Arc<AtomicU64>,
    breaks_after: u64,
}

impl Stream for Wire {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let carried = self.carried.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if carried > self.breaks_after {
            self.socket.shutdown(Shutdown::Both)?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.socket.write_all(bytes)
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.socket.read(space)
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn closer(&self) -> Closer {
        let socket = self.socket.try_clone().expect("a descriptor");
        Box::new(move || drop(socket.shutdown(Shutdown::Both)))
    }
}

/// Frames as they get across: their entries as bytes, and nothing that only one machine can use.
struct Across(Sender<(Seat, Event)>);

impl Link for Across {
    fn send(&mut self, mut frame: Frame) {
        if let Frame::Listing(listing) = &mut frame {
            let mut bytes = Vec::new();
            Encoder(&mut bytes).entries(&listing.page);
            let entries = Decoder(&bytes).entries(listing.page.len());
            listing.page = entries.expect("what was encoded").into();
            listing.from = None;
        }
        drop(self.0.send((Seat(0), Event::Frame(frame))));
    }
}

fn streams(count: u16, breaks_after: u64) -> (Vec<Wire>, Vec<Wire>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let carried = Arc::new(AtomicU64::new(0));
    let wire = |socket: TcpStream, breaks_after| {
        socket.set_nodelay(true).expect("an option");
        Wire { socket, carried: Arc::clone(&carried), breaks_after }
    };
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for slot in 0..count {
        let address = listener.local_addr().expect("an address");
        // The last one holds.
        let breaks_after = if slot + 1 == count { u64::MAX } else { breaks_after };
        near.push(wire(TcpStream::connect(address).expect("connect"), breaks_after));
        far.push(wire(listener.accept().expect("accept").0, u64::MAX));
    }
    (near, far, carried)
}

fn run(engine: &dyn Engine, task: Task) -> Output {
    let (sender, inbox) = channel();
    let port = Port::new(Seat(0), sender, Arc::default());
    engine.submit(vec![(TaskId(0), task)], &port);
    match inbox.recv() {
        Ok((_, Event::Done(_, Ok(output)))) => output,
        other => panic!("{other:?}"),
    }
}

fn facts(engine: &dyn Engine, path: &Path) -> SpaceFacts {
    let dir = Dir::new(&Root::new(path), RelPath::root());
    match run(engine, Task::Space(Space { dir, probe_times: true })) {
        Output::Space(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// How many bytes the files of a directory take, by name.
fn allocated(path: &Path) -> Vec<(String, u64)> {
    let engine = blit_engine::start(Choice::Threads, Some(1)).expect("it starts").engine;
    let dir = Dir::new(&Root::new(path), RelPath::root());
    let what = What::Next { after: None, entries_max: 1000 };
    let list = List { dir, what, xattrs: false, survey: Survey::Nothing };
    let Output::Listed(listed) = run(&*engine, Task::List(list)) else { panic!("no listing") };
    let of = |entry: &blit_core::entry::Entry| (entry.name.to_string(), entry.meta.allocated);
    let mut allocated: Vec<_> = listed.entries.iter().map(of).collect();
    allocated.sort();
    allocated
}

/// Runs both roles and gives the bytes that the streams carried.
fn transfer(
    engine: Choice,
    (from, to): (&Path, &Path),
    spec: &TransferSpec,
    breaks_after: u64,
) -> (Summary, u64) {
    let start = || blit_engine::start(engine, Some(2)).expect("it starts").engine;
    let (near, far) = (start(), start());
    let facts = facts(&*far, to);
    let (near_streams, far_streams, carried) = streams(3, breaks_after);
    let [near_control, far_control] =
        [(); 2].map(|()| Arc::new(Control::default().patient(Some(20))));
    let mut near_drive = Drive::new(&*near, &near_control);
    let mut far_drive = Drive::new(&*far, &far_control);
    let (near_plane, far_plane) = (Plane::new(), Plane::new());
    let source_dir = Dir::new(&Root::new(from), RelPath::root());
    let items = vec![SourceItem::Contents(source_dir)];
    let target = Target { root: Root::new(to), path: RelPath::root(), absent: false };
    let source = Session::source(items, spec.clone(), near.limits()).over(&near_plane);
    let target = Session::destination(target, &facts, spec.clone(), far.limits()).over(&far_plane);
    let ends = [
        (&near, near_streams, &near_plane, near_drive.port(Seat(0)), End::Source),
        (&far, far_streams, &far_plane, far_drive.port(Seat(0)), End::Destination),
    ];
    for (engine, streams, plane, port, end) in ends {
        for (slot, stream) in (0..).zip(streams) {
            engine.attach(Attachment {
                plane: Arc::clone(plane),
                slot: Slot(slot),
                stream: Box::new(stream),
                end,
                port: port.clone(),
            });
        }
    }
    let (near_sender, far_sender) = (near_drive.sender(), far_drive.sender());
    near_drive.add(source, Box::new(Across(far_sender)));
    far_drive.add(target, Box::new(Across(near_sender)));
    drop((near_plane, far_plane));
    std::thread::scope(|scope| {
        scope.spawn(|| near_drive.run(&mut |_| {}).expect("the source does not stall"));
        far_drive.run(&mut |_| {}).expect("the destination does not stall");
    });
    let session = far_drive.session(Seat(0));
    assert!(session.error().is_none(), "{:?}", session.error());
    let mut summary = session.summary().clone();
    summary.add(near_drive.session(Seat(0)).summary());
    (summary, carried.load(Ordering::Relaxed))
}

fn tree(dir: &Path) {
    for sub in ["a", "a/b", "c"] {
        fs::create_dir_all(dir.join(sub)).expect("mkdir");
        for file in 0..300_usize {
            let content = format!("{sub}/{file}").repeat(file % 40);
            fs::write(dir.join(sub).join(format!("f{file}")), content).expect("write");
        }
    }
    let pattern: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(dir.join("large"), &pattern).expect("write");
    fs::write(dir.join("a/middle"), &pattern[..3_000_000]).expect("write");
    let sparse = fs::File::create(dir.join("sparse")).expect("create");
    sparse.set_len(40 << 20).expect("truncate");
    fs::hard_link(dir.join("a/f7"), dir.join("c/again")).expect("link");
}

fn assert_same(from: &Path, to: &Path) {
    let diff = std::process::Command::new("diff").arg("-r").args([from, to]).output();
    let diff = diff.expect("diff runs");
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

fn choices() -> [Choice; 2] {
    [Choice::Threads, Choice::Auto]
}

#[test]
fn a_tree_gets_across_and_a_second_run_finds_nothing_to_do() {
    for choice in choices() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&to).expect("mkdir");
        tree(&from);
        let spec = TransferSpec::new(Verb::Copy);
        let (summary, _) = transfer(choice, (&from, &to), &spec, u64::MAX);
        assert_eq!((summary.failed, summary.files, summary.links), (0, 903, 1));
        assert_same(&from, &to);
        let (again, carried) = transfer(choice, (&from, &to), &spec, u64::MAX);
        assert_eq!((again.files, again.same, carried), (0, 904, 0));
        let checked = TransferSpec { equality: Equality::Checksum, dry_run: true, ..spec };
        let (checked, carried) = transfer(choice, (&from, &to), &checked, u64::MAX);
        assert_eq!((checked.files, checked.failed, carried), (0, 0, 0));
    }
}

#[test]
fn what_was_on_a_stream_that_broke_is_sent_again_on_another() {
    for choice in choices() {
        for breaks_after in [0, 1_000_000, 12_000_000] {
            let dir = tempfile::tempdir().expect("a directory");
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            fs::create_dir(&to).expect("mkdir");
            tree(&from);
            let spec = TransferSpec::new(if breaks_after == 0 { Verb::Move } else { Verb::Copy });
            let copy = dir.path().join("copy");
            let copied = std::process::Command::new("cp").arg("-a").args([&from, &copy]).status();
            assert!(copied.is_ok_and(|status| status.success()));
            let (summary, _) = transfer(choice, (&from, &to), &spec, breaks_after);
            assert_eq!(summary.failed, 0, "{breaks_after} {choice:?} {:?}", summary.failures);
            assert_same(&copy, &to);
            let left = fs::read_dir(&from).map_or(0, Iterator::count);
            assert_eq!(left == 0, spec.verb == Verb::Move, "a move leaves nothing behind");
        }
    }
}

#[test]
fn only_blocks_that_differ_are_carried() {
    for choice in choices() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).expect("mkdir");
        fs::create_dir(&to).expect("mkdir");
        let mut content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(to.join("large"), &content).expect("write");
        content[10_000_000] ^= 1;
        content.extend_from_slice(b"and more");
        fs::write(from.join("large"), &content).expect("write");
        let spec = TransferSpec::new(Verb::Copy);
        let (summary, carried) = transfer(choice, (&from, &to), &spec, u64::MAX);
        assert_eq!((summary.failed, summary.files), (0, 1));
        assert!(carried < 1_000_000, "{carried} bytes");
        assert_same(&from, &to);
        assert_eq!(fs::read_dir(&to).expect("list").count(), 1, "no draft is left");
    }
}

#[test]
fn an_early_end_leaves_no_partial_file_under_a_final_name_and_the_next_run_goes_on() {
    for choice in choices() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).expect("mkdir");
        fs::create_dir(&to).expect("mkdir");
        let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(from.join("large"), &content).expect("write");
        // What a killed run leaves: the beginning, under the name that every run gives it.
        let name = blit_core::path::Name::new(&b"large"[..]).expect("a name");
        let partial = to.join(blit_core::path::Name::partial(&name).to_string());
        fs::write(&partial, &content[..12_000_000]).expect("write");
        set_private(&partial);
        let spec = TransferSpec::new(Verb::Copy);
        let (summary, carried) = transfer(choice, (&from, &to), &spec, u64::MAX);
        assert_eq!((summary.failed, summary.files), (0, 1));
        assert!(carried < 8_500_000, "{carried} bytes");
        assert_same(&from, &to);
        assert_eq!(fs::read_dir(&to).expect("list").count(), 1, "no draft is left");
    }
}

fn set_private(path: &Path) {
    let status = std::process::Command::new("chmod").arg("600").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Makes a file of `size` bytes with four kibibytes of content at each of these places.
fn islands(path: &Path, size: u64, places: &[u64]) {
    let file = fs::File::create(path).expect("create");
    file.set_len(size).expect("truncate");
    for place in places {
        let mut file = &file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(*place)).expect("seek");
        file.write_all(&[7; 4096]).expect("write");
    }
}

#[test]
fn holes_stay_holes_in_files_of_every_size_and_when_only_a_part_is_sent() {
    for choice in choices() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).expect("mkdir");
        fs::create_dir(&to).expect("mkdir");
        let mib = 1 << 20;
        islands(&from.join("small"), mib / 2, &[mib / 4]);
        islands(&from.join("middle"), 5 * mib, &[0, 3 * mib]);
        islands(&from.join("large"), 90 * mib, &[0, 31 * mib, 64 * mib, 90 * mib - 4096]);
        islands(&from.join("hole"), 70 * mib, &[]);
        if allocated(&from).iter().any(|(_, bytes)| *bytes >= mib / 2) {
            println!("this file system has no holes");
            return;
        }
        for round in 0..2 {
            let spec = TransferSpec::new(Verb::Copy);
            let (summary, carried) = transfer(choice, (&from, &to), &spec, u64::MAX);
            assert_eq!(summary.failed, 0, "{:?}", summary.failures);
            assert!(carried < mib, "round {round}: {carried} bytes");
            assert_same(&from, &to);
            for (name, bytes) in allocated(&to) {
                // Blocks that differ are sent whole.
                assert!(bytes < mib, "round {round}: {name} takes {bytes} bytes");
            }
            islands(&from.join("large"), 91 * mib, &[0, 50 * mib, 64 * mib]);
            islands(&from.join("middle"), 4 * mib, &[mib]);
        }
    }
}
