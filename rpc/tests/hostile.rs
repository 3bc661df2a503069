//! Peers that do not keep to the protocol, or abuse it: nothing outside the module is reached, and others are served on.

#[path = "remote/daemon.rs"]
mod daemon;
#[path = "hostile/liar.rs"]
mod liar;
#[path = "hostile/stranger.rs"]
mod stranger;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_core::ErrorKind;
use blit_core::event::Control;
use blit_core::spec::{TransferSpec, Verb};
use blit_rpc::look;
use blit_rpc::remove::{self, Doomed};
use blit_schema::session_capnp::{Verb as Asked, session};
use capnp::any_pointer;
use capnp::capability::Request;
use capnp::traits::HasTypeId;
use daemon::{
    Daemon, access, done, endpoint, engine, plant, request, transfer, transfer_within, tree,
};
use liar::{Lie, lie};
use stranger::Ear;

const STALLED: u8 = 20;
const REFUSED: u8 = 23;
const PROTOCOL: u8 = 25;
const EXHAUSTED: u8 = 17;
const CANCELLED: u8 = 27;

struct World {
    top: tempfile::TempDir,
    daemon: Daemon,
}

impl World {
    fn new() -> Self {
        let top = Self::top();
        let daemon = Daemon::start(top.path());
        Self { top, daemon }
    }

    fn top() -> tempfile::TempDir {
        let top = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(top.path().join("r/dir")).expect("a directory");
        fs::write(top.path().join("r/kept"), "secret").expect("a file");
        fs::write(top.path().join("r/dir/kept"), "secret").expect("a file");
        top
    }

    fn with(stall_timeout: Duration) -> Self {
        let top = Self::top();
        let daemon = Daemon::with(top.path(), |settings| settings.stall_timeout = stall_timeout);
        Self { top, daemon }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// What no test may change is as it was, and somebody else is served.
    fn assert_unharmed(&self, before: &[(String, Option<Vec<u8>>)]) {
        assert!(tree(&self.path("r")) == before, "{:?}", tree(&self.path("r")));
        let names: Vec<String> = fs::read_dir(self.top.path())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| !["m", "r", "fine", "got", "src"].contains(&name.as_str()))
            .collect();
        assert_eq!(names, Vec::<String>::new(), "nothing is beside the modules");
        fs::write(self.path("fine"), "fine").expect("a file");
        let here = endpoint(&self.path("fine").display().to_string());
        done(&request(Verb::Copy, here, self.daemon.at("/m/served")));
        wait_for("no session is left", || self.daemon.sessions.load(Ordering::SeqCst) == 0);
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

/// Waits for the daemon to say how its role ended.
async fn end_of(ear: &Ear) -> Option<u8> {
    let ended = async {
        loop {
            if let Some(end) = ear.ended.get() {
                return end;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the session ends")
}

#[test]
fn no_field_of_an_order_leads_out_of_its_module() {
    let world = World::new();
    let before = tree(&world.path("r"));
    let paths: [&[u8]; 10] = [
        b"..",
        b"../r",
        b"../r/kept",
        b"a/../../r/kept",
        b"/etc/passwd",
        b"/",
        b"a//b",
        b"./a",
        b"a/.",
        b"a\0b",
    ];
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let ear = Ear::default();
        for path in paths {
            let shown = String::from_utf8_lossy(path);
            let push = stranger::push(&room, path, &ear).await.err();
            let pull = stranger::pull(&room, path, Asked::Copy, &ear).await.err();
            let take = stranger::pull(&room, path, Asked::Move, &ear).await.err();
            let look = stranger::look(&room, path, Asked::Copy, &ear).await.err();
            let remove = stranger::remove(&room, path, &ear).await.err();
            let space = stranger::space(&room, path).await.err();
            let stat = stranger::stat(&room, path, 1).await.err();
            let answers = [push, pull, take, look, remove, space, stat];
            assert_eq!(answers, [Some(REFUSED); 7], "{shown}");
        }
        fs::write(world.path("m/one"), "one").expect("a file");
        let session = stranger::pull(&room, b"one", Asked::Copy, &ear).await.expect("it is there");
        for name in [&b".."[..], b".", b"../x", b"a/b", b"a\0"] {
            assert_eq!(stranger::begin(&session, name).await, Err(REFUSED));
        }
    });
    world.assert_unharmed(&before);
}

#[test]
fn names_that_no_directory_has_end_a_push() {
    let world = World::new();
    let before = tree(&world.path("r"));
    let names: [&[u8]; 7] =
        [b"..", b".", b"", b"a/b", b"../r/x", b"a\0", b".blit-0123456789abcdef01234567.tmp"];
    for name in names {
        stranger::run(async {
            let room = stranger::room(world.daemon.address, "m").await;
            let ear = Ear::default();
            let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
            stranger::begin(&session, b"").await.expect("it begins");
            let entries = [stranger::entry(1, name, b"")];
            // It may be refused at once, or when the role has looked at it.
            drop(stranger::list(&session, (0, 0, 1), &entries).await);
            assert_eq!(end_of(&ear).await, Some(PROTOCOL), "{}", String::from_utf8_lossy(name));
        });
    }
    assert!(tree(&world.path("m")).is_empty(), "{:?}", tree(&world.path("m")));
    world.assert_unharmed(&before);
}

#[test]
fn pages_that_no_honest_source_sends_end_a_push() {
    let world = World::new();
    let before = tree(&world.path("r"));
    for (dir, number, first_child) in [(9, 0, 1), (0, 1, 1), (0, 0, 0), (0, 0, 9), (u64::MAX, 0, 1)]
    {
        stranger::run(async {
            let room = stranger::room(world.daemon.address, "m").await;
            let ear = Ear::default();
            let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
            stranger::begin(&session, b"").await.expect("it begins");
            let entries = [stranger::entry(1, b"d", b"")];
            drop(stranger::list(&session, (dir, number, first_child), &entries).await);
            let end = end_of(&ear).await;
            assert_eq!(end, Some(PROTOCOL), "{dir} {number} {first_child}");
        });
    }
    world.assert_unharmed(&before);
}

#[test]
fn a_link_that_was_pushed_is_not_followed_by_what_is_pushed_after_it() {
    let world = World::new();
    let before = tree(&world.path("r"));
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let ear = Ear::default();
        let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
        stranger::begin(&session, b"").await.expect("it begins");
        // The same name twice: a link out of the module, and a directory with a directory in it.
        let entries = [stranger::entry(2, b"x", b"../r"), stranger::entry(1, b"x", b"")];
        drop(stranger::list(&session, (0, 0, 1), &entries).await);
        drop(stranger::list(&session, (1, 1, 2), &[stranger::entry(1, b"evil", b"")]).await);
        drop(stranger::list(&session, (2, 2, 3), &[]).await);
        let mut request = session.frames_request();
        request.get().init_batch(1).get(0).set_scanned(());
        drop(request.send().await);
        // Whether the daemon finds a mistake or makes one of the two.
        end_of(&ear).await;
    });
    world.assert_unharmed(&before);
}

#[cfg(unix)]
#[test]
fn links_in_a_module_are_not_followed_by_any_order() {
    let world = World::new();
    plant(&world.path("src"));
    std::os::unix::fs::symlink("../r", world.path("m/out")).expect("a link");
    let before = tree(&world.path("r"));
    let local = |name: &str| endpoint(&format!("{}/{name}", world.top.path().display()));
    for case in [
        request(Verb::Copy, local("src/"), world.daemon.at("/m/out/")),
        request(Verb::Mirror, local("src/"), world.daemon.at("/m/out/dir/")),
        request(Verb::Copy, local("fine"), world.daemon.at("/m/out/kept")),
        request(Verb::Copy, world.daemon.at("/m/out/"), local("got")),
        request(Verb::Copy, world.daemon.at("/m/out/kept"), local("got")),
        request(Verb::Move, world.daemon.at("/m/out/kept"), local("got")),
    ] {
        fs::write(world.path("fine"), "fine").expect("a file");
        let (outcome, _) = transfer(&case);
        assert!(outcome.error.is_some(), "{outcome:?}");
        assert!(!world.path("got").exists() || tree(&world.path("got")).is_empty());
    }
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let asked: (&dyn blit_core::engine::Engine, &Arc<Control>) = (&*engine, &control);
    let mut spec = TransferSpec::new(Verb::Copy);
    spec.recursive = true;
    for path in ["/m/out/", "/m/out/dir/", "/m/out/kept"] {
        let at = world.daemon.at(path);
        let looked = look::look(&at, &spec, (asked, Some(&access())), &mut |_| {});
        // The link itself can be shown, what it leads to cannot.
        let seen = looked.summary.entries;
        assert!(looked.error.is_some() || seen == 0, "{path}: {looked:?}");
        if path != "/m/out/" {
            let gone =
                remove::remove(Doomed::Named(&[at]), &spec, (asked, Some(&access())), &mut |_| {});
            assert!(gone.error.is_some(), "{path}: {gone:?}");
        }
    }
    fs::remove_file(world.path("m/out")).expect("it is still a link");
    world.assert_unharmed(&before);
}

#[test]
fn a_read_only_module_is_not_changed_by_any_order() {
    let world = World::new();
    let before = tree(&world.path("r"));
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "r").await;
        let ear = Ear::default();
        for path in [&b""[..], b"kept", b"dir", b"new"] {
            let push = stranger::push(&room, path, &ear).await.err();
            let take = stranger::pull(&room, path, Asked::Move, &ear).await.err();
            let remove = stranger::remove(&room, path, &ear).await.err();
            assert_eq!([push, take, remove], [Some(REFUSED); 3]);
        }
    });
    // Whoever looks, or copies, cannot have anything removed by saying that it has arrived.
    for verb in [Asked::Copy, Asked::Mirror, Asked::Move] {
        for looks in [true, false] {
            if !looks && verb == Asked::Move {
                continue;
            }
            stranger::run(async {
                let room = stranger::room(world.daemon.address, "r").await;
                let ear = Ear::default();
                let session = match looks {
                    true => stranger::look(&room, b"", verb, &ear).await,
                    false => stranger::pull(&room, b"", verb, &ear).await,
                };
                let session = session.expect("it may be read");
                stranger::begin(&session, b"").await.expect("it begins");
                while ear.frames.borrow().is_empty() {
                    tokio::task::yield_now().await;
                }
                let mut request = session.frames_request();
                let mut batch = request.get().init_batch(5);
                for number in 0..2 {
                    let mut settled = batch.reborrow().get(number).init_settled();
                    settled.set_number(u64::from(number));
                    settled.set_entries(2);
                }
                for (at, dir) in [(2, 1), (3, 0)] {
                    let mut closed = batch.reborrow().get(at).init_closed();
                    closed.set_dir(dir);
                    closed.set_stands(true);
                }
                batch.get(4).init_finished();
                drop(request.send().await);
                end_of(&ear).await;
            });
        }
    }
    world.assert_unharmed(&before);
}

#[test]
fn a_job_that_has_not_begun_is_ended_by_its_client_when_it_begins() {
    let world = World::new();
    stranger::run(async {
        let daemon = stranger::greet(world.daemon.address).await;
        let jobs = stranger::jobs(&daemon).await;
        let (room, ear) = (stranger::room(world.daemon.address, "m").await, Ear::default());
        let session = stranger::look(&room, b"", Asked::Copy, &ear).await.expect("it may be read");
        let answer = jobs.list_request().send().promise.await.expect("it answers");
        let list = answer.get().expect("an answer").get_jobs().expect("a list");
        assert_eq!((list.len(), list.get(0).get_ended()), (1, false));
        for (id, told) in [(list.get(0).get_id(), Ok(())), (0, Err(REFUSED)), (99, Err(REFUSED))] {
            let mut request = jobs.cancel_request();
            request.get().set_id(id);
            let answer = request.send().promise.await.expect("it answers");
            assert_eq!(stranger::kind(answer.get().expect("an answer").get_error()), told, "{id}");
        }
        stranger::begin(&session, b"").await.expect("it begins");
        assert_eq!(end_of(&ear).await, Some(CANCELLED));
    });
    world.assert_unharmed(&tree(&world.path("r")));
}

#[test]
fn a_connection_watches_jobs_one_call_at_a_time_and_may_leave_in_the_middle() {
    let world = World::new();
    stranger::run(async {
        let jobs = stranger::jobs(&stranger::greet(world.daemon.address).await).await;
        let waiting = jobs.watch_request().send().promise;
        let second = jobs.watch_request().send().promise.await.expect("it answers");
        let kind = stranger::kind(second.get().expect("an answer").get_error());
        assert_eq!(kind, Err(EXHAUSTED));
        drop(waiting);
        let mut request = jobs.watch_request();
        request.get().set_moved(1);
        let answer = request.send().promise.await.expect("it answers");
        assert_eq!(stranger::kind(answer.get().expect("an answer").get_error()), Ok(()));
        drop(jobs.watch_request().send().promise);
    });
    world.assert_unharmed(&tree(&world.path("r")));
}

/// Shows a token at the daemon's port; whether it was taken.
fn shows(world: &World, token: &[u8], binding: [u8; 32]) -> bool {
    let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket.write_all(&[b"BLITDAT1", token, &binding].concat()).expect("it reads");
    let mut answer = [0];
    // It may be reset, which is an end too.
    socket.read(&mut answer).unwrap_or(0) == 1 && answer == [1]
}

#[test]
fn a_token_is_good_once_unchanged_and_while_its_session_lives() {
    let world = World::new();
    let before = tree(&world.path("r"));
    let after = stranger::run(async {
        let room = stranger::room(world.daemon.address, "r").await;
        let ear = Ear::default();
        let session = stranger::pull(&room, b"", Asked::Copy, &ear).await.expect("it may be read");
        assert_eq!(stranger::token(&session, u16::MAX).await, Err(REFUSED), "it is no slot");
        let good = stranger::token(&session, 0).await.expect("a token");
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            assert!(!shows(&world, &forged, [0; 32]), "byte {at}");
        }
        assert!(!shows(&world, &good, [7; 32]), "of another connection");
        let connections = world.daemon.connections.load(Ordering::SeqCst);
        assert!(connections > good.len(), "each attempt was one");
        let told = world.daemon.happenings.lock().expect("no test panics in it").clone();
        let forged = told.iter().filter(|text| text.contains("Forged")).count();
        assert!(forged >= good.len() - 1, "the operator is told: {forged}");
        assert!(shows(&world, &good, [0; 32]));
        assert!(!shows(&world, &good, [0; 32]), "a second time");
        let late = stranger::token(&session, 1).await.expect("a token");
        let mut shown = 0;
        while let Ok(token) = stranger::token(&session, 2 + shown).await {
            shows(&world, &token, [0; 32]);
            shown += 1;
            assert!(shown < 100, "it has four streams at a time");
        }
        late
    });
    wait_for("no session is left", || world.daemon.sessions.load(Ordering::SeqCst) == 0);
    assert!(!shows(&world, &after, [0; 32]), "its session has ended");
    world.assert_unharmed(&before);
}

#[test]
fn a_flood_of_frames_that_nobody_handles_is_cut_off() {
    let world = World::new();
    let before = tree(&world.path("r"));
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let session = stranger::push(&room, b"", &Ear::default()).await.expect("it may be written");
        // It has not begun, so that nothing is handled.
        let mut answers = Vec::new();
        for _ in 0..3000 {
            let mut request: Request<session::frames_params::Owned, any_pointer::Owned> =
                session.client.new_call(session::Client::TYPE_ID, 3, None);
            let mut batch = request.get().init_batch(1024);
            for index in 0..1024 {
                batch.reborrow().get(index).set_scanned(());
            }
            answers.push(request.send().promise);
        }
        let mut taken = 0;
        for answer in answers {
            match tokio::time::timeout(Duration::from_secs(60), answer).await.expect("it answers") {
                Ok(_) => taken += 1,
                Err(_) => break,
            }
        }
        assert!((10..2900).contains(&taken), "some are taken, not all: {taken}");
    });
    world.assert_unharmed(&before);
}

#[test]
fn more_frames_in_a_message_than_there_may_be_end_a_session() {
    let world = World::new();
    let before = tree(&world.path("r"));
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let ear = Ear::default();
        let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
        stranger::begin(&session, b"").await.expect("it begins");
        let mut request = session.frames_request();
        let mut batch = request.get().init_batch(1025);
        for index in 0..1025 {
            batch.reborrow().get(index).init_closed().set_dir(1);
        }
        drop(request.send().await);
        assert_eq!(end_of(&ear).await, Some(PROTOCOL));
    });
    world.assert_unharmed(&before);
}

#[test]
fn an_order_of_more_paths_than_there_may_be_is_refused() {
    let world = World::new();
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let mut request = room.pull_request();
        let mut params = request.get();
        stranger::order(params.reborrow().init_spec(), Asked::Copy);
        params.set_peer(Ear::default().client());
        params.init_sources(100_000);
        let answer = request.send().promise.await.expect("it answers");
        assert_eq!(stranger::kind(answer.get().expect("an answer").get_error()), Err(REFUSED));
        let mut request = room.remove_request();
        let mut params = request.get();
        stranger::order(params.reborrow().init_spec(), Asked::Copy);
        params.set_peer(Ear::default().client());
        params.init_paths(100_000);
        let answer = request.send().promise.await.expect("it answers");
        assert_eq!(stranger::kind(answer.get().expect("an answer").get_error()), Err(REFUSED));
        assert_eq!(stranger::stat(&room, b"", 1025).await, Err(REFUSED));
        assert!(stranger::stat(&room, b"", 1024).await.is_ok());
    });
}

#[test]
fn messages_that_are_too_large_or_cut_short_end_a_connection() {
    let world = World::new();
    let before = tree(&world.path("r"));
    // Segments, and words of the first one: more than there may be, or more than come.
    for (segments, words) in
        [(0, u32::MAX), (0, (8 << 20) + 1), (u32::MAX, 1), (1 << 20, 1), (0, 64)]
    {
        let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut bytes = b"BLITCTL1".to_vec();
        bytes.extend_from_slice(&u32::to_le_bytes(segments));
        bytes.extend_from_slice(&u32::to_le_bytes(words));
        bytes.extend_from_slice(&[0; 64]);
        socket.write_all(&bytes).expect("it reads");
        socket.shutdown(std::net::Shutdown::Write).unwrap_or_default();
        let mut rest = Vec::new();
        let end = socket.read_to_end(&mut rest);
        assert!(
            end.is_ok() || end.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
        );
    }
    world.assert_unharmed(&before);
}

#[test]
fn who_was_given_no_module_may_not_announce_long_messages() {
    let world = World::new();
    for words in [(8 << 10) + 1, 8 << 20] {
        let begun = Instant::now();
        let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let table = [[0; 4], u32::to_le_bytes(words)].concat();
        socket.write_all(&[&b"BLITCTL1"[..], &table].concat()).expect("it reads");
        // It may be reset, which is an end too.
        drop(socket.read_to_end(&mut Vec::new()));
        assert!(begun.elapsed() < Duration::from_secs(5), "it waits for what was announced");
    }
}

#[test]
fn versions_that_the_daemon_does_not_speak_are_refused() {
    let world = World::new();
    for (min, max, required) in [(2, 9, 0), (0, 0, 0), (9, 1, 0), (1, 1, 1 << 63)] {
        stranger::run(async {
            let mut request = stranger::dial(world.daemon.address).await.hello_request();
            let mut greeting = request.get().init_greeting();
            greeting.set_version_min(min);
            greeting.set_version_max(max);
            greeting.set_required(required);
            let answer = request.send().promise.await.expect("it answers");
            let error = stranger::kind(answer.get().expect("an answer").get_error());
            assert_eq!(error, Err(REFUSED), "{min} {max} {required}");
        });
    }
}

#[test]
fn a_client_that_falls_silent_in_a_session_is_let_go_with_all_it_had() {
    let world = World::with(Duration::from_secs(2));
    let before = tree(&world.path("r"));
    for begins in [true, false] {
        stranger::run(async {
            let room = stranger::room(world.daemon.address, "m").await;
            let ear = Ear::default();
            let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
            if begins {
                stranger::begin(&session, b"").await.expect("it begins");
            }
            let token = stranger::token(&session, 0).await.expect("a token");
            assert!(shows(&world, &token, [0; 32]));
            assert_eq!(world.daemon.sessions.load(Ordering::SeqCst), 1);
            // From here on this thread answers nothing: the connection stands, and nobody is there.
            wait_for("the session ends", || world.daemon.sessions.load(Ordering::SeqCst) == 0);
        });
    }
    world.assert_unharmed(&before);
}

#[test]
fn a_client_that_only_says_that_it_moves_is_let_go() {
    let world = World::with(Duration::from_secs(1));
    let before = tree(&world.path("r"));
    stranger::run(async {
        let room = stranger::room(world.daemon.address, "m").await;
        let ear = Ear::default();
        let session = stranger::push(&room, b"", &ear).await.expect("it may be written");
        stranger::begin(&session, b"").await.expect("it begins");
        let begun = Instant::now();
        let mut moved = 0;
        let mut beats = tokio::time::interval(Duration::from_millis(50));
        while ear.ended.get().is_none() {
            beats.tick().await;
            assert!(begun.elapsed() < Duration::from_secs(30), "it is still believed");
            moved += 1;
            let mut request = session.ping_request();
            request.get().set_moved(moved);
            if request.send().promise.await.is_err() {
                break;
            }
        }
        assert!(begun.elapsed() > Duration::from_secs(3), "it is believed for a while");
        assert_eq!(end_of(&ear).await, Some(STALLED));
    });
    world.assert_unharmed(&before);
}

#[test]
fn of_two_who_write_the_same_path_the_last_one_wins_whole() {
    let world = World::new();
    let before = tree(&world.path("r"));
    let contents = ["a", "b"].map(|letter| letter.repeat(300_000));
    fs::create_dir_all(world.path("src")).expect("a directory");
    for (number, content) in contents.iter().enumerate() {
        fs::create_dir_all(world.path(&format!("src/{number}"))).expect("a directory");
        fs::write(world.path(&format!("src/{number}/same")), content).expect("a file");
    }
    for round in 0..20 {
        std::thread::scope(|scope| {
            for number in 0..2 {
                let from =
                    endpoint(&world.path(&format!("src/{number}/same")).display().to_string());
                let mut asked = request(Verb::Copy, from, world.daemon.at("/m/same"));
                asked.spec.equality = blit_core::spec::Equality::Never;
                scope.spawn(move || done(&asked));
            }
        });
        let found = fs::read_to_string(world.path("m/same")).expect("a file");
        assert!(contents.contains(&found), "{round}: a mixture of {} bytes", found.len());
        assert_eq!(fs::read_dir(world.path("m")).expect("a directory").count(), 1, "{round}");
    }
    world.assert_unharmed(&before);
}

/// What comes of a pull from a daemon that lies, and what is below the destination afterwards.
fn pulled(told: Lie, verb: Verb) -> ErrorKind {
    let top = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(top.path().join("dst")).expect("a directory");
    fs::write(top.path().join("kept"), "kept").expect("a file");
    let shown = format!("{told:?}");
    let (address, serving) = lie(told);
    let from = endpoint(&format!("127.0.0.1:{}:/m/src/", address.port()));
    let to = endpoint(&format!("{}/dst/", top.path().display()));
    let (outcome, _) = transfer_within(3, &request(verb, from, to));
    let error = outcome.error.expect("it is not believed");
    let found = tree(top.path());
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dst", "kept"], "{shown}: {error}");
    serving.join().expect("it ends with its client");
    error.kind
}

#[test]
fn a_daemon_that_lists_what_cannot_be_is_not_believed() {
    let one = |entry: Vec<u8>| Lie::Entries([vec![1], entry].concat());
    let mut lies: Vec<Lie> = [&b".."[..], b".", b"", b"a/b", b"../kept", b"a\0"]
        .iter()
        .map(|name| one(stranger::entry(1, name, b"")))
        .collect();
    lies.push(one(stranger::entry(1, b".blit-0123456789abcdef01234567.tmp", b"")));
    lies.push(one(stranger::entry(2, b"link", b"a\0b")));
    lies.push(one(stranger::entry(7, b"what", b"")));
    // A size that no file has, more entries than bytes, more entries than a page has, bytes behind the last one.
    lies.push(one([&b"\x01f\x80\xed\x03"[..], &[0xff; 9], &[1, 0, 0]].concat()));
    lies.push(Lie::Entries(vec![0xff, 0x07]));
    lies.push(Lie::Entries(vec![0xff, 0xff, 0xff, 0xff, 0x0f]));
    lies.push(Lie::Entries(vec![0, 1]));
    lies.push(Lie::Entries(Vec::new()));
    for numbers in [(7, 0, 1), (0, 7, 1), (0, 0, 7), (u64::MAX, u64::MAX, u64::MAX)] {
        lies.push(Lie::Numbers(numbers.0, numbers.1, numbers.2));
    }
    for told in lies {
        let shown = format!("{told:?}");
        for verb in [Verb::Copy, Verb::Mirror] {
            assert_eq!(pulled(told.clone(), verb), ErrorKind::Protocol, "{shown}");
        }
    }
}

#[test]
fn a_daemon_that_answers_what_was_not_asked_is_not_believed() {
    assert_eq!(pulled(Lie::Version(7), Verb::Copy), ErrorKind::Refused);
    assert_eq!(pulled(Lie::Found(0), Verb::Copy), ErrorKind::Protocol);
    assert_eq!(pulled(Lie::Found(100_000), Verb::Copy), ErrorKind::Protocol);
    let top = tempfile::tempdir().expect("a directory");
    fs::write(top.path().join("one"), "one").expect("a file");
    for name in [&b".."[..], b"a/b", b"../kept", b"a\0"] {
        let (address, serving) = lie(Lie::NewName(name.to_vec()));
        let from = endpoint(&format!("{}/one", top.path().display()));
        let to = endpoint(&format!("127.0.0.1:{}:/m/two", address.port()));
        let (outcome, _) = transfer(&request(Verb::Copy, from, to));
        let error = outcome.error.expect("it is not believed");
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        serving.join().expect("it ends with its client");
    }
}

#[test]
fn a_daemon_that_leaves_in_any_phase_is_missed_at_once() {
    for call in ["hello", "module", "pull", "begin", "token"] {
        let begun = Instant::now();
        let kind = pulled(Lie::Leaves(call), Verb::Copy);
        assert!(begun.elapsed() < Duration::from_secs(20), "{call}: {:?}", begun.elapsed());
        // What is asked first goes out with the greeting, whose answer may be lost with it.
        let is_early = ["hello", "module", "pull"].contains(&call);
        let is_missed = kind == ErrorKind::Disconnected && call != "hello";
        assert!(is_missed || is_early && kind == ErrorKind::Unreachable, "{call}: {kind:?}");
    }
}

#[test]
fn a_daemon_that_falls_silent_is_given_up_after_the_stall_timeout() {
    let begun = Instant::now();
    // That this end stands still comes of it, and is not what is told: whoever is silent may be tried again.
    assert_eq!(pulled(Lie::IsSilent, Verb::Copy), ErrorKind::Disconnected);
    assert_eq!(pulled(Lie::IsSilentAtLast, Verb::Copy), ErrorKind::Disconnected);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
