//! A receiver and a peer that is not to be trusted, or loses its connection at the worst moment.

use std::fs;
use std::io::Write;
use std::net::Shutdown;

use blit_core::codec::Encoder;
use blit_core::entry::{Entry, Kind, Time};
use blit_core::event::Event;
use blit_core::header::{BODY_BYTES_MAX, HEADER_BYTES, Header, Items};
use blit_core::stream::{End, Ticket};
use blit_core::task::{CopyInto, Over, ReceiveInto, Task};
use blit_core::{Error, ErrorKind};

use crate::peer::{end, file, frame, only, piece};
use crate::rig::{Rig, entry, rigs};

/// Two files: one that comes whole and one that comes in pieces.
fn entries() -> [Entry; 2] {
    [entry("small", 5), entry("large", 10)]
}

/// What an honest peer sends for them, in two frames.
fn honest(ticket: u64) -> Vec<u8> {
    let first = frame(ticket, false, |body| {
        file(body, 0, b"whole");
        piece(body, 1, 0, b"in pi");
    });
    let second = frame(ticket, true, |body| {
        piece(body, 1, 5, b"eces!");
        end(body, 1);
    });
    [first, second].concat()
}

/// Under each final name stands nothing or all of it.
#[track_caller]
fn assert_nothing_half(rig: &Rig, what: &str) {
    for name in rig.names() {
        let content = fs::read(rig.path(&name)).expect("readable");
        match &name[..] {
            "small" => assert_eq!(content, b"whole", "{what}"),
            "large" => assert_eq!(content, b"in pieces!", "{what}"),
            _ => panic!("{what}: {name} is left"),
        }
    }
}

/// Ticket 7 comes on another stream, whatever came before.
#[track_caller]
fn assert_comes_on_another_stream(rig: &Rig, what: &str) {
    rig.bring(1, &honest(7));
    let copied = rig.received();
    assert_eq!((copied.files, copied.bytes), (2, 15), "{what}: {:?}", copied.failures);
    assert!(copied.failures.is_empty(), "{what}: {:?}", copied.failures);
    let progress = rig.control.progress();
    assert_eq!((progress.files, progress.bytes), (2, 15), "{what}: nothing counts twice");
    rig.lost(1);
    assert_eq!(rig.names(), ["large", "small"], "{what}");
    assert_nothing_half(rig, what);
}

/// A frame whose header says what it likes.
fn with_header(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = only(7, |body| file(body, 0, b"whole"));
    change(&mut bytes);
    bytes
}

fn items(items: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    only(7, items)
}

type Case = (&'static str, Vec<u8>);

/// What no honest peer sends outside of the items.
fn bad_frames() -> Vec<Case> {
    let huge = Header {
        ticket: Ticket(7),
        len: u32::try_from(BODY_BYTES_MAX).expect("small") + 1,
        last: true,
        unpacked_len: None,
        digest: None,
    };
    let unprotected = Header { len: 0, ..huge };
    let packed = Header { len: 0, unpacked_len: Some(9), digest: Some(DIGEST_OF_NOTHING), ..huge };
    let other = [&frame(7, false, |body| file(body, 0, b"whole"))[..], &honest(8)].concat();
    vec![
        ("garbage", b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n".to_vec()),
        ("nothing but zeros", vec![0; 100]),
        ("another first byte", with_header(|bytes| bytes[0] ^= 1)),
        ("an unknown flag", with_header(|bytes| bytes[1] |= 0x80)),
        ("a reserved byte", with_header(|bytes| bytes[2] = 1)),
        ("a byte of padding", with_header(|bytes| bytes[HEADER_BYTES - 1] = 1)),
        ("a body that is too long", huge.encode().to_vec()),
        ("no digest", unprotected.encode().to_vec()),
        ("a compressed body", packed.encode().to_vec()),
        ("a digest that does not fit", with_header(|bytes| bytes[16] ^= 1)),
        ("a changed body", with_header(|bytes| *bytes.last_mut().expect("a body") ^= 1)),
        ("a ticket that was not asked for", honest(8)),
        ("a ticket amid another", other),
    ]
}

/// What no honest peer sends as items.
fn bad_items() -> Vec<Case> {
    let failed = Error::new(ErrorKind::Io, "read", b"small");
    vec![
        ("an unknown code", items(|body| body.extend_from_slice(&[9, 0]))),
        ("the code zero", items(|body| body.extend_from_slice(&[0, 0]))),
        ("an index out of range", items(|body| file(body, 2, b"whole"))),
        ("the largest index", items(|body| end(body, u32::MAX))),
        ("a file of another length", items(|body| file(body, 0, b"whole!"))),
        ("a shorter file", items(|body| file(body, 0, b"who"))),
        ("a piece beyond the size", items(|body| piece(body, 1, 6, b"eces!"))),
        ("a piece far beyond", items(|body| piece(body, 1, i64::MAX.cast_unsigned(), b"!"))),
        ("a piece at no offset", items(|body| piece(body, 1, u64::MAX, b"!"))),
        ("what is here already", items(|body| Items(body).same(1, 0, 10))),
        (
            "a file twice",
            items(|body| {
                file(body, 0, b"whole");
                file(body, 0, b"whole");
            }),
        ),
        (
            "a piece after the end",
            items(|body| {
                piece(body, 1, 0, b"in pieces!");
                end(body, 1);
                piece(body, 1, 0, b"!");
            }),
        ),
        (
            "the end after a failure",
            items(|body| {
                Items(body).failed(0, &failed);
                end(body, 0);
            }),
        ),
        (
            "another kind",
            items(|body| {
                let mut meta = entry("small", 5).meta;
                meta.kind = Kind::Fifo;
                Items(body).renewed(0, &meta);
            }),
        ),
        ("a content longer than the frame", items(|body| Items(body).file(0, 5))),
        (
            "a length that no memory holds",
            items(|body| {
                let mut encoder = Encoder(body);
                encoder.byte(2);
                encoder.number(0);
                encoder.number(u64::MAX);
            }),
        ),
        ("half a number", items(|body| body.extend_from_slice(&[2, 0x80]))),
    ]
}

#[test]
fn what_is_not_of_the_protocol_ends_its_stream_alone_and_leaves_nothing_half() {
    for (what, bytes) in bad_frames().into_iter().chain(bad_items()) {
        for mut rig in rigs() {
            println!("{what}");
            let task = rig.receive(7, &entries());
            rig.submit(Task::Receive(task));
            // The peer does not end the stream itself.
            let mut peer = rig.attach(0, End::Destination);
            peer.write_all(&bytes).expect("it is read");
            rig.lost(0);
            assert!(rig.is_silent(), "{what}: the task waits for another stream");
            assert_nothing_half(&rig, what);
            assert_comes_on_another_stream(&rig, what);
        }
    }
}

#[test]
fn a_stream_that_ends_after_any_byte_leaves_nothing_half_and_all_of_it_comes_on_another() {
    let whole = honest(7);
    for keep in 0..whole.len() {
        for mut rig in rigs() {
            let task = rig.receive(7, &entries());
            rig.submit(Task::Receive(task));
            rig.bring(0, &whole[..keep]);
            rig.lost(0);
            assert!(rig.is_silent(), "{keep}: the task waits for another stream");
            assert_nothing_half(&rig, &format!("{keep} bytes"));
            assert_comes_on_another_stream(&rig, &format!("{keep} bytes"));
        }
    }
}

#[test]
fn a_new_directory_that_came_in_part_is_made_anew() {
    for into in [CopyInto::New(Over::Nothing)] {
        for mut rig in rigs() {
            let mut task = rig.receive_into(7, &entries(), ReceiveInto::Dir(into));
            task.to = rig.dir().child(&crate::rig::name_of("new"));
            rig.submit(Task::Receive(task));
            let whole = honest(7);
            rig.bring(0, &whole[..whole.len() - 3]);
            rig.lost(0);
            assert_eq!(rig.names(), [""; 0], "nothing shows");
            rig.bring(1, &whole);
            assert_eq!(rig.received().files, 2);
            rig.lost(1);
            assert_eq!(rig.names(), ["new"]);
            assert_eq!(fs::read(rig.path("new/large")).expect("readable"), b"in pieces!");
        }
    }
}

#[test]
fn a_ticket_that_two_streams_bring_at_once_comes_once() {
    for mut rig in rigs() {
        let task = rig.receive(7, &entries());
        rig.submit(Task::Receive(task));
        let whole = honest(7);
        let (half, rest) = whole.split_at(whole.len() - 3);
        let mut first = rig.attach(0, End::Destination);
        first.write_all(half).expect("it is read");
        let mut second = rig.attach(1, End::Destination);
        second.write_all(&whole).expect("it is read");
        first.write_all(rest).expect("it is read");
        // Whichever began first brings it; the other one has brought what nobody waits for.
        let mut files = None;
        for _ in 0..2 {
            match rig.event() {
                Event::Done(_, Ok(blit_core::task::Output::Received(copied))) => {
                    assert!(files.replace(copied.files).is_none());
                }
                Event::Lost(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(files, Some(2));
        assert_nothing_half(&rig, "at once");
    }
}

#[test]
fn tickets_follow_each_other_on_one_stream_in_any_order() {
    for mut rig in rigs() {
        for ticket in 0..20 {
            let task = rig.receive(ticket, &[entry(&format!("{ticket}"), 5)]);
            rig.submit(Task::Receive(task));
        }
        let bytes = (0..20).rev().flat_map(|ticket| only(ticket, |body| file(body, 0, b"whole")));
        rig.bring(0, &bytes.collect::<Vec<u8>>());
        for _ in 0..20 {
            assert_eq!(rig.received().files, 1);
        }
        rig.lost(0);
        assert_eq!(rig.names().len(), 20);
    }
}

#[test]
fn a_source_that_changed_meanwhile_is_received_as_it_is_now() {
    for mut rig in rigs() {
        let task = rig.receive(7, &entries());
        // The peer's owners have other numbers here.
        let translated = task.plane.translation.set(Box::new(|meta| meta.mtime.nanos = 5));
        assert!(translated.is_ok());
        rig.submit(Task::Receive(task));
        let mut now = entry("large", 3).meta;
        now.mtime = Time { secs: 77, nanos: 0 };
        rig.bring(
            0,
            &only(7, |body| {
                piece(body, 1, 0, b"in pi");
                Items(body).renewed(1, &now);
                piece(body, 1, 0, b"now");
                end(body, 1);
                file(body, 0, b"whole");
            }),
        );
        assert_eq!(rig.received().files, 2);
        rig.lost(0);
        assert_eq!(fs::read(rig.path("large")).expect("readable"), b"now");
        let page = rig.page();
        assert_eq!((page[0].meta.mtime, page[0].meta.size), (Time { secs: 77, nanos: 5 }, 3));
    }
}

#[test]
fn what_the_source_could_not_send_fails_alone() {
    for mut rig in rigs() {
        let files = [entry("a", 5), entry("b", 5), entry("c", 5), entry("d", 5)];
        let task = rig.receive(7, &files);
        rig.submit(Task::Receive(task));
        let error = |kind| Error::new(kind, "open", b"far/b");
        rig.bring(
            0,
            &only(7, |body| {
                Items(body).failed(0, &error(ErrorKind::PermissionDenied));
                piece(body, 1, 0, b"who");
                Items(body).failed(1, &error(ErrorKind::Changed));
                file(body, 2, b"whole");
            }),
        );
        let copied = rig.received();
        rig.lost(0);
        let kinds: Vec<_> = copied.failures.iter().map(|(at, error)| (*at, error.kind)).collect();
        let expected =
            [(0, ErrorKind::PermissionDenied), (1, ErrorKind::Changed), (3, ErrorKind::Protocol)];
        assert_eq!((copied.files, &kinds[..]), (1, &expected[..]));
        assert_eq!(rig.names(), ["c"]);
    }
}

#[test]
fn what_no_piece_brings_is_a_hole() {
    for mut rig in rigs() {
        let size = 64 << 20;
        let task =
            rig.receive(7, &[entry("all", size), entry("begun", size), entry("ended", size)]);
        rig.submit(Task::Receive(task));
        rig.bring(
            0,
            &only(7, |body| {
                end(body, 0);
                piece(body, 1, 0, b"begin");
                end(body, 1);
                piece(body, 2, size - 3, b"end");
                end(body, 2);
            }),
        );
        assert_eq!(rig.received().bytes, 3 * size);
        rig.lost(0);
        for entry in rig.page().iter() {
            assert_eq!(entry.meta.size, size, "{:?}", entry.name);
            assert!(entry.meta.allocated < 1 << 20, "{:?}", entry.meta);
        }
    }
}

#[test]
fn what_takes_a_name_meanwhile_stays() {
    for mut rig in rigs() {
        let task = rig.receive(7, &entries());
        rig.submit(Task::Receive(task));
        fs::write(rig.path("small"), "foreign").expect("written");
        rig.bring(0, &honest(7));
        let copied = rig.received();
        rig.lost(0);
        assert_eq!(copied.failures.len(), 1, "{:?}", copied.failures);
        assert_eq!(copied.failures[0].1.kind, ErrorKind::AlreadyExists);
        assert_eq!(fs::read(rig.path("small")).expect("readable"), b"foreign");
    }
}

#[test]
fn a_run_that_is_cancelled_answers_all_that_waits_and_all_that_has_begun() {
    for mut rig in rigs() {
        for ticket in 0..9 {
            let task = rig.receive(ticket, &entries());
            rig.submit(Task::Receive(task));
        }
        let mut peer = rig.attach(0, End::Destination);
        let whole = honest(3);
        peer.write_all(&whole[..whole.len() - 1]).expect("it is read");
        let waiting = rig.attach(1, End::Destination);
        rig.control.cancel();
        let (mut ended, mut lost) = (0, 0);
        for _ in 0..11 {
            match rig.event() {
                Event::Done(_, result) => {
                    let kind = result.expect_err("nothing came").kind;
                    assert_eq!(kind, ErrorKind::Interrupted);
                    ended += 1;
                }
                Event::Lost(_) => lost += 1,
                other => panic!("an engine has no link: {other:?}"),
            }
        }
        assert_eq!((ended, lost), (9, 2));
        assert_nothing_half(&rig, "cancelled");
        drop(waiting.shutdown(Shutdown::Both));
        let late = rig.receive(10, &entries());
        rig.submit(Task::Receive(late));
        assert_eq!(rig.done().expect_err("it is over").kind, ErrorKind::Interrupted);
    }
}

/// XXH3-64 of no bytes.
const DIGEST_OF_NOTHING: u64 = 0x2d06_8005_38d3_94c2;
