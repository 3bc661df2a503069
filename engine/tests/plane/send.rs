//! A sender whose files are not what they were listed as, or change while they are read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use blit_core::ErrorKind;
use blit_core::codec::Decoder;
use blit_core::header::{HEADER_BYTES, Header, Item, next_item};
use blit_core::stream::{Closer, End, Part, Range, Slot, Stream, Ticket};
use blit_core::task::{Output, Page, Send, Sent, Task};

use crate::rig::{Rig, rigs};

/// A stream that keeps what is sent on it, and lets somebody edit a file after each frame.
struct Meddler {
    wire: Arc<Mutex<Vec<u8>>>,
    edited: PathBuf,
    edits_left: Arc<AtomicU32>,
}

impl Stream for Meddler {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.lock().expect("not poisoned").extend_from_slice(bytes);
        let left = self.edits_left.load(Ordering::Relaxed);
        if left > 0 {
            self.edits_left.store(left - 1, Ordering::Relaxed);
            OpenOptions::new().append(true).open(&self.edited)?.write_all(b"more")?;
        }
        Ok(())
    }

    fn receive(&mut self, _space: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn is_sealed(&self) -> bool {
        true
    }

    fn closer(&self) -> Closer {
        Box::new(|| {})
    }
}

/// What arrived of one file.
#[derive(Debug, Default)]
struct Arrived {
    content: Vec<u8>,
    renewals: u32,
    is_whole: bool,
    failure: Option<ErrorKind>,
}

/// Puts together what an honest receiver would.
fn arrived(wire: &[u8], files: usize) -> Vec<Arrived> {
    let mut arrived: Vec<Arrived> = (0..files).map(|_| Arrived::default()).collect();
    let mut rest = wire;
    while let Some((head, after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(head).expect("a header");
        assert_eq!(header.ticket, Ticket(5));
        let (body, after) = after.split_at(usize::try_from(header.len).expect("small"));
        let mut body = Decoder(body);
        while let Some(item) = next_item(&mut body).expect("items") {
            let (Item::Renewed { index, .. }
            | Item::File { index, .. }
            | Item::Piece { index, .. }
            | Item::Same { index, .. }
            | Item::End { index }
            | Item::Failed { index, .. }) = item;
            take(&mut arrived[usize::try_from(index).expect("small")], item);
        }
        assert_eq!(header.last, after.is_empty(), "only the last frame says so");
        rest = after;
    }
    assert!(rest.is_empty());
    arrived
}

fn take(file: &mut Arrived, item: Item<'_>) {
    assert!(!file.is_whole && file.failure.is_none(), "nothing follows the end: {item:?}");
    match item {
        Item::Renewed { meta, .. } => {
            file.renewals += 1;
            file.content = vec![0; usize::try_from(meta.size).expect("small")];
        }
        Item::File { bytes, .. } => {
            file.content = bytes.to_vec();
            file.is_whole = true;
        }
        Item::Piece { offset, bytes, .. } => {
            let start = usize::try_from(offset).expect("small");
            let end = start + bytes.len();
            file.content.resize(file.content.len().max(end), 0);
            file.content[start..end].copy_from_slice(bytes);
        }
        Item::Same { .. } => panic!("no digests were told"),
        Item::End { .. } => file.is_whole = true,
        Item::Failed { error, .. } => file.failure = Some(error.kind),
    }
}

/// Sends all of `page` while `name` is edited after the first frames.
fn send(rig: &mut Rig, page: &Page, part: Part, edits: (&str, u32)) -> (Sent, Vec<Arrived>) {
    let (wire, edits_left) = (Arc::default(), Arc::new(AtomicU32::new(edits.1)));
    let edited = rig.path(edits.0);
    let stream = Meddler { wire: Arc::clone(&wire), edited, edits_left };
    rig.attach_stream(0, End::Source, Box::new(stream));
    let task = Send {
        plane: Arc::clone(&rig.plane),
        ticket: Ticket(5),
        from: rig.dir(),
        page: Arc::clone(page),
        picks: (0..page.len()).collect(),
        source_name: None,
        part,
        xattrs: true,
    };
    let Output::Sent(sent) = rig.run(Task::Send(task)) else { panic!("not sent") };
    let wire = wire.lock().expect("not poisoned");
    (sent, arrived(&wire, page.len()))
}

fn large(rig: &mut Rig) -> (Vec<u8>, Page) {
    let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(rig.path("large"), &content).expect("written");
    (content, rig.page())
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_sent_again_as_it_is_now() {
    for edits in 0..3 {
        for mut rig in rigs() {
            let (mut content, page) = large(&mut rig);
            // The first attempt has four pieces, and after each one a frame: all edits happen there.
            let (sent, files) = send(&mut rig, &page, Part::Whole, ("large", edits));
            assert_eq!(sent.slot, Some(Slot(0)));
            content.extend(b"more".repeat(usize::try_from(edits).expect("small")));
            let [file] = &files[..] else { panic!("{files:?}") };
            assert_eq!((file.is_whole, file.renewals), (true, u32::from(edits > 0)));
            assert!(file.content == content, "{edits} edits");
        }
    }
}

#[test]
fn a_file_that_does_not_come_to_rest_is_given_up_and_never_ended() {
    for mut rig in rigs() {
        let (_, page) = large(&mut rig);
        let (sent, files) = send(&mut rig, &page, Part::Whole, ("large", u32::MAX));
        assert_eq!(sent.slot, Some(Slot(0)));
        let [file] = &files[..] else { panic!("{files:?}") };
        assert_eq!(file.failure, Some(ErrorKind::Changed));
        assert!(!file.is_whole);
        assert!((2..=3).contains(&file.renewals), "{}", file.renewals);
    }
}

#[test]
fn a_range_of_a_file_that_changed_fails_whatever_else_would_come() {
    for mut rig in rigs() {
        let (_, page) = large(&mut rig);
        let range = Range { offset: 0, len: 2_000_000, known: None };
        let (_, files) = send(&mut rig, &page, Part::Range(range), ("large", 1));
        let [file] = &files[..] else { panic!("{files:?}") };
        assert_eq!((file.failure, file.renewals), (Some(ErrorKind::Changed), 0));
        assert!(!file.is_whole);
    }
}

#[test]
fn what_cannot_be_sent_fails_alone_and_nothing_else_is_read_in_its_place() {
    for mut rig in rigs() {
        for name in ["a-gone", "b-link", "c-pipe", "d-dir", "e-good", "f-longer"] {
            fs::write(rig.path(name), "words").expect("written");
        }
        let page = rig.page();
        let secret = tempfile::NamedTempFile::new().expect("a file");
        fs::write(secret.path(), "xxxxx").expect("written");
        for name in ["a-gone", "b-link", "c-pipe", "d-dir"] {
            fs::remove_file(rig.path(name)).expect("removed");
        }
        let run = |program: &str, of: &[&std::ffi::OsStr]| {
            assert!(Command::new(program).args(of).status().is_ok_and(|status| status.success()));
        };
        run("ln", &["-s".as_ref(), secret.path().as_os_str(), rig.path("b-link").as_os_str()]);
        run("mkfifo", &[rig.path("c-pipe").as_os_str()]);
        fs::create_dir(rig.path("d-dir")).expect("made");
        fs::write(rig.path("f-longer"), "more words").expect("written");
        let (sent, files) = send(&mut rig, &page, Part::Whole, ("e-good", 0));
        assert_eq!(sent.slot, Some(Slot(0)));
        assert_eq!(files[0].failure, Some(ErrorKind::Vanished));
        for file in &files[1..4] {
            assert!(file.failure.is_some() && file.content.is_empty(), "{files:?}");
        }
        assert_eq!((&files[4].content[..], files[4].is_whole), (&b"words"[..], true));
        assert_eq!((&files[5].content[..], files[5].renewals), (&b"more words"[..], 1));
    }
}

/// A stream that is broken from the start.
struct Broken;

impl Stream for Broken {
    fn send(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn receive(&mut self, _space: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn closer(&self) -> Closer {
        Box::new(|| {})
    }
}

#[test]
fn a_stream_that_breaks_is_told_and_not_used_again() {
    for mut rig in rigs() {
        let (_, page) = large(&mut rig);
        rig.attach_stream(3, End::Source, Box::new(Broken));
        let task = Send {
            plane: Arc::clone(&rig.plane),
            ticket: Ticket(5),
            from: rig.dir(),
            page: Arc::clone(&page),
            picks: vec![0],
            source_name: None,
            part: Part::Whole,
            xattrs: true,
        };
        rig.submit(Task::Send(task));
        let Ok(Output::Sent(sent)) = rig.done() else { panic!("not sent") };
        assert_eq!(sent.slot, None, "it must be asked for again");
        rig.lost(3);
        let (sent, files) = send(&mut rig, &page, Part::Whole, ("large", 0));
        assert_eq!((sent.slot, files[0].is_whole), (Some(Slot(0)), true));
    }
}
