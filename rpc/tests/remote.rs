//! Transfers between this process and a daemon in it, over loopback.

#[path = "remote/daemon.rs"]
mod daemon;
#[path = "remote/jobs.rs"]
mod jobs;
#[path = "remote/proxy.rs"]
mod proxy;

use std::fs;
use std::io::{ErrorKind as ErrorCause, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_core::ErrorKind;
use blit_core::endpoint::Endpoint;
use blit_core::entry::Kind;
use blit_core::event::Control;
use blit_core::path::RelPath;
use blit_core::spec::{Equality, TransferSpec, Verb};
use blit_core::stream::Packing;
use blit_core::summary::Notice;
use blit_rpc::connect::{Access, Trust};
use blit_rpc::identity::{Files, Identity};
use blit_rpc::known::KnownHosts;
use blit_rpc::look;
use blit_rpc::remove::{self, Doomed};
use blit_rpc::tls::{self, Clients, Credentials};
use daemon::{Daemon, access, done, endpoint, engine, plant, request, transfer, tree};
use proxy::Proxy;

struct World {
    top: tempfile::TempDir,
    daemon: Daemon,
}

impl World {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::start(top.path());
        Self { top, daemon }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.top.path().join(name)
    }

    fn local(&self, name: &str) -> Endpoint {
        endpoint(&format!("{}/{name}", self.top.path().display()))
    }

    /// Waits until nothing of any session is left at the daemon.
    fn assert_quiet(&self) {
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

fn warnings(notices: &[Notice]) -> Vec<&str> {
    let texts = notices.iter().filter_map(|notice| match notice {
        Notice::Warning(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn same(a: &Path, b: &Path) {
    assert!(tree(a) == tree(b), "{} and {} differ", a.display(), b.display());
}

#[test]
fn a_push_arrives_whole() {
    let world = World::new();
    plant(&world.path("src"));
    let outcome = done(&request(Verb::Copy, world.local("src/"), world.daemon.at("/m/")));
    same(&world.path("src"), &world.path("m"));
    assert!(outcome.summary.files >= 202, "{:?}", outcome.summary);
    assert!(
        outcome.carried.data > 20 << 20 && outcome.carried.control == 0,
        "{:?}",
        outcome.carried
    );
    let again = done(&request(Verb::Copy, world.local("src/"), world.daemon.at("/m/")));
    assert_eq!((again.summary.files, again.summary.repaired), (0, 0), "{:?}", again.summary);
    world.assert_quiet();
}

#[test]
fn a_pull_arrives_whole() {
    let world = World::new();
    plant(&world.path("r/src"));
    let outcome = done(&request(Verb::Copy, world.daemon.at("/r/src"), world.local("dst")));
    same(&world.path("r/src"), &world.path("dst/src"));
    assert!(outcome.carried.data > 20 << 20, "{:?}", outcome.carried);
    let again = done(&request(Verb::Copy, world.daemon.at("/r/src"), world.local("dst")));
    assert_eq!((again.summary.files, again.summary.repaired), (0, 0), "{:?}", again.summary);
    world.assert_quiet();
}

#[test]
fn a_mirror_removes_what_the_source_does_not_have_at_either_end() {
    let world = World::new();
    plant(&world.path("src"));
    fs::create_dir_all(world.path("m/d1/extra")).expect("a directory");
    fs::write(world.path("m/d1/extra/x"), "x").expect("a file");
    let outcome = done(&request(Verb::Mirror, world.local("src/"), world.daemon.at("/m/")));
    assert_eq!(outcome.summary.removed, 2);
    same(&world.path("src"), &world.path("m"));
    fs::remove_dir_all(world.path("m/d2")).expect("it is there");
    let outcome = done(&request(Verb::Mirror, world.daemon.at("/m/"), world.local("src/")));
    assert!(outcome.summary.removed >= 40, "{:?}", outcome.summary);
    same(&world.path("src"), &world.path("m"));
}

#[test]
fn a_move_takes_out_of_the_source_what_has_arrived_at_either_end() {
    let world = World::new();
    plant(&world.path("src"));
    let before = tree(&world.path("src"));
    let outcome = done(&request(Verb::Move, world.local("src"), world.daemon.at("/m/")));
    assert!(outcome.summary.removed > 200, "{:?}", outcome.summary);
    assert!(!world.path("src").exists());
    assert!(tree(&world.path("m/src")) == before);
    let outcome = done(&request(Verb::Move, world.daemon.at("/m/src"), world.local("back/")));
    assert!(outcome.summary.removed > 200, "{:?}", outcome.summary);
    assert!(!world.path("m/src").exists());
    assert!(tree(&world.path("back/src")) == before);
}

#[test]
fn a_dry_run_tells_what_would_be_done_there_and_does_nothing() {
    let world = World::new();
    plant(&world.path("src"));
    let mut asked = request(Verb::Copy, world.local("src/"), world.daemon.at("/m/"));
    asked.spec.dry_run = true;
    asked.spec.itemise = true;
    let (outcome, notices) = transfer(&asked);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let changes = notices.iter().filter(|notice| matches!(notice, Notice::Change(_))).count();
    assert!(changes > 200, "{changes}");
    assert!(tree(&world.path("m")).is_empty());
}

#[test]
fn digests_find_what_times_do_not() {
    let world = World::new();
    for dir in ["src", "m"] {
        fs::create_dir_all(world.path(dir)).expect("a directory");
        for name in ["a", "b"] {
            let text = if (dir, name) == ("m", "b") { "other" } else { "texts" };
            fs::write(world.path(dir).join(name), text).expect("a file");
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
            let file = fs::File::options().write(true).open(world.path(dir).join(name));
            file.expect("a file").set_modified(time).expect("a time");
        }
    }
    let mut asked = request(Verb::Copy, world.local("src/"), world.daemon.at("/m/"));
    asked.spec.equality = Equality::Checksum;
    asked.spec.dry_run = true;
    asked.spec.itemise = true;
    let (outcome, notices) = transfer(&asked);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let paths: Vec<&[u8]> = notices
        .iter()
        .filter_map(|notice| match notice {
            // The directory itself was made at another time.
            Notice::Change(change) if !change.path.is_empty() => Some(&change.path[..]),
            _ => None,
        })
        .collect();
    assert_eq!(paths, [b"b"]);
}

#[test]
fn a_single_file_is_copied_to_a_name_or_into_a_directory() {
    let world = World::new();
    fs::write(world.path("one"), "text").expect("a file");
    done(&request(Verb::Copy, world.local("one"), world.daemon.at("/m/two")));
    done(&request(Verb::Copy, world.local("one"), world.daemon.at("/m/")));
    done(&request(Verb::Copy, world.daemon.at("/m/two"), world.local("three")));
    for name in ["m/two", "m/one", "three"] {
        assert_eq!(fs::read_to_string(world.path(name)).expect(name), "text");
    }
}

#[test]
fn what_is_at_a_daemon_can_be_looked_at() {
    let world = World::new();
    plant(&world.path("r/src"));
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let mut paths = Vec::new();
    let spec = TransferSpec::new(Verb::Copy);
    let asked: (&dyn blit_core::engine::Engine, &Arc<Control>) = (&*engine, &control);
    let at = world.daemon.at("/r/src");
    let outcome = look::look(&at, &spec, (asked, Some(&access())), &mut |notice| {
        if let Notice::Listing(listing) = notice {
            let from = listing.from.expect("it is told where");
            paths.extend(listing.page.iter().map(|entry| from.shown(Some(&entry.name))));
        }
    });
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(paths.len(), 212, "5 times 2 directories, 200 files, and 2");
    let wanted = format!("127.0.0.1:{}:/r/src/d3/e/f7", world.daemon.address.port());
    assert!(paths.contains(&wanted.into_bytes()));
    let facts = look::space(&at, asked, Some(&access()), &mut |_| {}).expect("it has room");
    assert!(facts.total > 0 && facts.available <= facts.total);
    let host = ("127.0.0.1", world.daemon.address.port());
    let (welcome, modules) =
        look::modules(host, &access(), &control, &mut |_| {}).expect("they are told");
    let names: Vec<(&str, bool)> =
        modules.iter().map(|module| (module.name.as_str(), module.read_only)).collect();
    assert_eq!((welcome.motd.as_str(), &names[..]), ("welcome", &[("m", false), ("r", true)][..]));
}

#[test]
fn what_stands_at_paths_is_told_for_each_of_them_on_either_side() {
    let world = World::new();
    plant(&world.path("m/src"));
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let ask = |places: &[Endpoint]| {
        let asked: (&dyn blit_core::engine::Engine, &Arc<Control>) = (&*engine, &control);
        look::stat(places, asked, Some(&access()), &mut |_| {})
    };
    let names = ["src", "src/d1/e/f7", "src/none", "src/d1/e/f7/x", "src/empty"];
    let far = names.map(|name| world.daemon.at(&format!("/m/{name}")));
    let near = names.map(|name| world.local(&format!("m/{name}")));
    for places in [&far, &near] {
        let found = ask(places).expect("an answer");
        let size = |meta: &blit_core::entry::Meta| (meta.kind, meta.content_bytes());
        let told: Vec<_> = found.iter().map(|found| found.as_ref().map(size)).collect();
        assert_eq!(told[0].as_ref().map(|told| told.0).ok(), Some(Kind::Dir), "{told:?}");
        assert_eq!(told[1].as_ref().ok(), Some(&(Kind::File, 196)), "{told:?}");
        assert_eq!(told[2].as_ref().expect_err("none").kind, ErrorKind::NotFound);
        assert_eq!(told[3].as_ref().expect_err("none").kind, ErrorKind::NotADirectory);
        assert_eq!(told[4].as_ref().ok(), Some(&(Kind::File, 0)));
    }
    let many = vec![far[1].clone(); 1500];
    assert_eq!(ask(&many).expect("an answer").iter().filter(|found| found.is_ok()).count(), 1500);
    let mixed = [far[0].clone(), near[0].clone()];
    assert_eq!(ask(&mixed).expect_err("two runs").kind, ErrorKind::Usage);
}

#[test]
fn a_list_of_paths_is_removed_in_one_session_and_counted_on_either_side() {
    let world = World::new();
    plant(&world.path("m/far"));
    plant(&world.path("near"));
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let mut spec = TransferSpec::new(Verb::Copy);
    let mut go = |base: &Endpoint, recursive: bool, paths: &[&str]| {
        spec.recursive = recursive;
        let paths: Vec<RelPath> =
            paths.iter().map(|path| RelPath::new(path.as_bytes()).expect("valid")).collect();
        let asked: (&dyn blit_core::engine::Engine, &Arc<Control>) = (&*engine, &control);
        let doomed = Doomed::Below(base, &paths);
        remove::remove(doomed, &spec, (asked, Some(&access())), &mut |_| {})
    };
    for (base, top) in [(world.daemon.at("/m/far"), "m/far"), (world.local("near"), "near")] {
        let before = tree(&world.path(top));
        for (recursive, paths, kind) in [
            (true, &["d0", "none"][..], ErrorKind::NotFound),
            (false, &["d0/e/f1", "d1"], ErrorKind::Usage),
            (true, &["d0", ""], ErrorKind::Usage),
        ] {
            let outcome = go(&base, recursive, paths);
            assert_eq!(outcome.error.expect("refused").kind, kind, "{paths:?}");
        }
        assert!(go(&base, true, &[]).error.is_none(), "nothing is listed");
        assert!(tree(&world.path(top)) == before, "nothing was touched");
        let outcome = go(&base, true, &["d0/e/f1", "d0/e/f2", "d1"]);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!((outcome.summary.removed, outcome.summary.failed), (44, 0));
        assert_eq!(tree(&world.path(top)).len(), before.len() - 44);
    }
    assert!(go(&world.daemon.at("/m/none"), true, &["a"]).error.is_some());
}

#[test]
fn entries_at_a_daemon_are_removed_but_never_its_module() {
    let world = World::new();
    plant(&world.path("m/src"));
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let mut spec = TransferSpec::new(Verb::Copy);
    let go = |path: &str, spec: &TransferSpec| {
        let at = [world.daemon.at(path)];
        remove::remove(
            Doomed::Named(&at),
            spec,
            ((&*engine, &control), Some(&access())),
            &mut |_| {},
        )
    };
    spec.recursive = false;
    let kind = |outcome: blit_rpc::transfer::Outcome| outcome.error.map(|error| error.kind);
    assert_eq!(kind(go("/m/src", &spec)), Some(ErrorKind::Usage));
    assert_eq!(kind(go("/m/", &spec)), Some(ErrorKind::Usage));
    assert_eq!(kind(go("/r/", &spec)), Some(ErrorKind::Refused));
    assert_eq!(kind(go("/m/nothing", &spec)), Some(ErrorKind::NotFound));
    spec.recursive = true;
    let outcome = go("/m/src", &spec);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.summary.removed, 213);
    assert!(world.path("m").exists() && !world.path("m/src").exists());
}

#[test]
fn what_a_daemon_does_not_allow_is_refused_and_changes_nothing() {
    let world = World::new();
    plant(&world.path("src"));
    fs::write(world.path("r/kept"), "text").expect("a file");
    let cases = [
        request(Verb::Copy, world.local("src/"), world.daemon.at("/none/")),
        request(Verb::Copy, world.local("src/"), world.daemon.at("/r/")),
        request(Verb::Copy, world.daemon.at("/none/"), world.local("dst")),
        request(Verb::Move, world.daemon.at("/r/kept"), world.local("dst")),
    ];
    for case in cases {
        let (outcome, _) = transfer(&case);
        let error = outcome.error.expect("it is refused");
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
    assert!(world.path("r/kept").exists() && !world.path("dst").exists());
    assert_eq!(tree(&world.path("r")).len(), 1);
    world.assert_quiet();
}

#[test]
fn both_sides_at_daemons_is_a_usage_error() {
    let world = World::new();
    let (outcome, _) =
        transfer(&request(Verb::Copy, world.daemon.at("/r/"), world.daemon.at("/m/")));
    assert_eq!(outcome.error.expect("refused").kind, ErrorKind::Usage);
}

#[test]
fn a_source_that_is_its_own_destination_is_refused() {
    let world = World::new();
    plant(&world.path("m/src"));
    let before = tree(&world.path("m"));
    let cases = [
        request(Verb::Move, world.local("m/src"), world.daemon.at("/m/")),
        request(Verb::Move, world.local("m/src/"), world.daemon.at("/m/src/")),
        request(Verb::Move, world.daemon.at("/m/src"), world.local("m")),
        request(Verb::Move, world.local("m/src"), world.daemon.at("/m/src/d1/")),
        request(Verb::Move, world.daemon.at("/m/src/large"), world.local("m/src")),
    ];
    for (number, case) in cases.iter().enumerate() {
        let (outcome, _) = transfer(case);
        assert_eq!(outcome.error.map(|error| error.kind), Some(ErrorKind::Overlap), "{number}");
    }
    assert!(tree(&world.path("m")) == before);
}

#[test]
fn with_force_rpc_data_there_is_one_connection_and_no_warning() {
    let world = World::new();
    plant(&world.path("src"));
    for (from, to) in [
        (world.local("src/"), world.daemon.at("/m/")),
        (world.daemon.at("/m/"), world.local("dst")),
    ] {
        let before = world.daemon.connections.load(Ordering::SeqCst);
        let mut asked = request(Verb::Copy, from, to);
        asked.access.as_mut().expect("it has one").force_rpc_data = true;
        let (outcome, notices) = transfer(&asked);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(warnings(&notices), Vec::<&str>::new());
        assert_eq!(world.daemon.connections.load(Ordering::SeqCst) - before, 1);
        assert!(outcome.carried.control > 20 << 20 && outcome.carried.data == 0);
    }
    same(&world.path("src"), &world.path("dst"));
}

#[test]
fn through_a_proxy_that_passes_one_connection_a_run_completes_with_one_warning() {
    let world = World::new();
    plant(&world.path("src"));
    let proxy = Proxy::start(world.daemon.address, 1);
    for (from, to) in
        [(world.local("src/"), proxy.at("/m/")), (proxy.at("/m/"), world.local("dst"))]
    {
        proxy.allow(1);
        let (outcome, notices) = transfer(&request(Verb::Copy, from, to));
        assert!(outcome.error.is_none(), "{:?} {notices:?}", outcome.error);
        let warnings = warnings(&notices);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("data connections") && warnings[0].contains("control connection")
        );
        assert!(outcome.carried.control > 20 << 20);
    }
    same(&world.path("src"), &world.path("dst"));
}

#[test]
fn data_connections_that_are_cut_in_the_middle_are_replaced_with_one_warning() {
    let world = World::new();
    plant(&world.path("src"));
    let proxy = Proxy::start(world.daemon.address, 100);
    proxy.cut_data_after(3 << 20);
    for (from, to) in
        [(world.local("src/"), proxy.at("/m/")), (proxy.at("/m/"), world.local("dst"))]
    {
        let (outcome, notices) = transfer(&request(Verb::Copy, from, to));
        assert!(outcome.error.is_none(), "{:?} {notices:?}", outcome.error);
        assert_eq!(warnings(&notices).len(), 1, "{notices:?}");
        assert!(outcome.carried.data > 0 && outcome.carried.control > 0, "{:?}", outcome.carried);
    }
    same(&world.path("src"), &world.path("dst"));
}

#[test]
fn a_connection_that_is_cut_ends_both_sides_with_words() {
    let world = World::new();
    plant(&world.path("src"));
    for (from, to, name) in [("src/", "/m/", true), ("dst", "/m/", false)] {
        let proxy = Proxy::start(world.daemon.address, 100);
        proxy.cut_all_after(2 << 20);
        let (local, far) = (world.local(from), proxy.at(to));
        let asked = match name {
            true => request(Verb::Copy, local, far),
            false => {
                done(&request(Verb::Copy, world.local("src/"), world.daemon.at("/m/")));
                request(Verb::Copy, far, local)
            }
        };
        let (outcome, _) = transfer(&asked);
        let error = outcome.error.expect("it was cut");
        assert_eq!(error.kind, ErrorKind::Disconnected, "{error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        world.assert_quiet();
    }
}

#[test]
fn strangers_do_not_disturb_a_daemon() {
    let world = World::new();
    plant(&world.path("src"));
    let noise = daemon::noise(4096);
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.0\r\n\r\n",
        b"BLITCTL1garbage garbage garbage",
        b"BLITDAT1",
        &noise,
        b"SSH-2.0-x\r\n",
    ];
    for text in texts {
        let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        socket.write_all(text).expect("it reads");
        socket.shutdown(std::net::Shutdown::Write).unwrap_or_default();
        let mut answer = Vec::new();
        // It may be reset, which is an end too.
        drop(socket.read_to_end(&mut answer));
    }
    let mut forged = b"BLITDAT1".to_vec();
    forged.extend_from_slice(&daemon::noise(67 + 32));
    let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
    socket.write_all(&forged).expect("it reads");
    assert_eq!(socket.read(&mut [0; 8]).unwrap_or(0), 0, "a forged token is not welcome");
    let told = || world.daemon.happenings.lock().expect("no test panics in it").clone();
    let is_forged = |text: &String| text.contains("Refused") && text.contains("token");
    wait_for("the operator is told", || told().iter().any(is_forged));
    done(&request(Verb::Copy, world.local("src/"), world.daemon.at("/m/")));
    same(&world.path("src"), &world.path("m"));
}

#[test]
fn a_client_that_says_nothing_or_too_slowly_is_dropped_at_the_deadline() {
    let top = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::with(top.path(), |settings| {
        settings.handshake_timeout = Duration::from_millis(400);
    });
    for begin in [&b""[..], b"BLITC", b"BLITCTL1", b"BLITDAT1abc"] {
        let begun = Instant::now();
        for trickles in [false, true] {
            let mut socket = TcpStream::connect(daemon.address).expect("it listens");
            socket.write_all(begin).expect("it reads");
            socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
            let (mut bytes, mut byte) = (begin.len(), [0]);
            // A farewell may come first; then the end, which may be a reset.
            while match socket.read(&mut byte) {
                Ok(len) => len > 0,
                Err(error) => matches!(error.kind(), ErrorCause::WouldBlock | ErrorCause::TimedOut),
            } {
                assert!(begun.elapsed() < Duration::from_secs(20), "{begin:?} {trickles}");
                // What comes of it is seen when it is read on.
                if trickles && socket.write_all(&TABLE[bytes % TABLE.len()..][..1]).is_ok() {
                    bytes += 1;
                }
            }
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

/// The beginning of a message of 4096 words, over and over.
const TABLE: [u8; 8] = [0, 0, 0, 0, 0, 16, 0, 0];

#[test]
fn many_idle_connections_leave_room_for_work() {
    let world = World::new();
    plant(&world.path("src"));
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(world.daemon.address).expect("it listens");
        socket.write_all(b"BLITCTL1").expect("it reads");
        idle.push(socket);
    }
    done(&request(Verb::Copy, world.local("src/"), world.daemon.at("/m/")));
    same(&world.path("src"), &world.path("m"));
}

fn files() -> Files {
    Files {
        create_private: blit_engine::files::create_private,
        create_private_dir: blit_engine::files::create_private_dir,
        open_private: blit_engine::files::open_private,
        open_owned: blit_engine::files::open_owned,
    }
}

/// A daemon with a key, and access to it for a user with a key.
fn encrypted(top: &Path, known: &str) -> (Daemon, Access) {
    let key = Identity::generate().expect("random numbers");
    let tls = tls::server(Clients::Keys, Credentials::Key(&key)).expect("it fits");
    let daemon = Daemon::with(top, |settings| settings.tls = Some(tls));
    let trust = Trust::Keys {
        identity: Arc::new(Identity::generate().expect("random numbers")),
        known: Arc::new(KnownHosts::new(top.join(known), files())),
        require_known: false,
    };
    (daemon, Access { trust, ..access() })
}

#[test]
fn encrypted_transfers_arrive_whole_and_a_new_key_is_told_once() {
    let top = tempfile::tempdir().expect("a directory");
    plant(&top.path().join("src"));
    let (daemon, access) = encrypted(top.path(), "known");
    let local = |name: &str| endpoint(&format!("{}/{name}", top.path().display()));
    let mut notes = 0;
    for (plaintext_data, from, to) in [
        (false, local("src/"), daemon.at("/m/a/")),
        (false, daemon.at("/m/a/"), local("b")),
        (true, local("src/"), daemon.at("/m/c/")),
        (true, daemon.at("/m/c/"), local("d")),
    ] {
        let mut asked = request(Verb::Copy, from, to);
        asked.access = Some(Access { plaintext_data, ..access.clone() });
        let (outcome, notices) = transfer(&asked);
        assert!(outcome.error.is_none(), "{:?} {notices:?}", outcome.error);
        assert!(outcome.carried.data > 20 << 20, "{:?} {notices:?}", outcome.carried);
        notes += notices.iter().filter(|notice| matches!(notice, Notice::Note(_))).count();
    }
    assert_eq!(notes, 1);
    for name in ["m/a", "b", "m/c", "d"] {
        same(&top.path().join("src"), &top.path().join(name));
    }
}

#[test]
fn compressed_contents_arrive_whole_and_fewer_bytes_travel() {
    const CONTENT: &str = "what is said again and again is soon told; ";
    let world = World::new();
    let text = CONTENT.repeat((8 << 20) / CONTENT.len());
    fs::create_dir(world.path("src")).expect("made");
    fs::write(world.path("src/large"), &text).expect("written");
    fs::write(world.path("src/small"), &text[..50_000]).expect("written");
    for (packing, force_rpc_data, name, is_packed) in [
        (Packing::Always, false, "always", true),
        (Packing::Always, true, "carried", true),
        // No network is between the two: nothing is gained.
        (Packing::WherePays, false, "auto", false),
        (Packing::Never, false, "never", false),
    ] {
        let there = world.daemon.at(&format!("/m/{name}/"));
        for (from, to) in [(world.local("src/"), there.clone()), (there, world.local(name))] {
            let mut asked = request(Verb::Copy, from, to);
            asked.access = Some(Access { packing, force_rpc_data, ..access() });
            let (outcome, notices) = transfer(&asked);
            assert!(outcome.error.is_none(), "{:?} {notices:?}", outcome.error);
            let carried = outcome.carried.data + outcome.carried.control;
            assert_eq!(carried < 1 << 20, is_packed, "{name}: {carried} bytes");
        }
        same(&world.path("src"), &world.path(&format!("m/{name}")));
        same(&world.path("src"), &world.path(name));
    }
}

#[test]
fn a_daemon_whose_key_has_changed_is_refused() {
    let top = tempfile::tempdir().expect("a directory");
    plant(&top.path().join("src"));
    let (daemon, access) = encrypted(top.path(), "known");
    let other = Identity::generate().expect("random numbers").public_key();
    let known = KnownHosts::new(top.path().join("known"), files());
    known.pin("127.0.0.1", daemon.address.port(), &other).expect("written");
    let from = endpoint(&format!("{}/src/", top.path().display()));
    let mut asked = request(Verb::Copy, from, daemon.at("/m/"));
    asked.access = Some(access);
    let error = transfer(&asked).0.error.expect("it is refused");
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains(&other.fingerprint().to_string()), "{error}");
    assert!(tree(&top.path().join("m")).is_empty());
}

#[test]
fn what_is_not_a_daemon_is_unreachable() {
    let world = World::new();
    plant(&world.path("src"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answering = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        socket
            .write_all(b"SSH-2.0-OpenSSH\r\n and much more that is no message at all\r\n")
            .expect("sent");
        let mut rest = Vec::new();
        drop(socket.read_to_end(&mut rest));
    });
    let to = endpoint(&format!("127.0.0.1:{port}:/m/"));
    let (outcome, _) = transfer(&request(Verb::Copy, world.local("src/"), to.clone()));
    assert_eq!(outcome.error.expect("it is none").kind, ErrorKind::Unreachable);
    answering.join().expect("it answered");
    let (outcome, _) = transfer(&request(Verb::Copy, world.local("src/"), to));
    let error = outcome.error.expect("nobody is there");
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

/// Without encryption, so that all that is said can be searched for what is not to be told.
#[cfg(unix)]
#[test]
fn no_message_to_a_client_tells_where_a_module_is() {
    let world = World::new();
    fs::create_dir_all(world.path("r/src/d")).expect("a directory");
    fs::create_dir_all(world.path("m/d/in")).expect("a directory");
    for name in ["r/src/d/f", "r/src/e", "m/d/in/f", "m/kept", "src/d"] {
        fs::create_dir_all(world.path(name).parent().expect("it has one")).expect("a directory");
        fs::write(world.path(name), "text").expect("a file");
    }
    std::os::unix::fs::symlink("/", world.path("r/link")).expect("a link");
    let proxy = Proxy::start(world.daemon.address, i64::MAX);
    let here = |name: &str| world.local(name);
    let mut failed = 0;
    for (verb, from, to) in [
        (Verb::Copy, proxy.at("/r/src/"), here("got")),
        (Verb::Copy, proxy.at("/r/none"), here("got")),
        (Verb::Copy, proxy.at("/r/link/"), here("got")),
        (Verb::Copy, proxy.at("/r/src/e/more"), here("got")),
        (Verb::Copy, proxy.at("/none/x"), here("got")),
        (Verb::Move, proxy.at("/r/src/"), here("got")),
        (Verb::Move, proxy.at("/m/kept"), here("got")),
        (Verb::Copy, here("src/"), proxy.at("/m/")),
        (Verb::Copy, here("src/"), proxy.at("/m/none/more/")),
        (Verb::Mirror, here("src/"), proxy.at("/m/d/in/f/")),
        (Verb::Mirror, here("src/"), proxy.at("/r/")),
    ] {
        let mut asked = request(verb, from, to);
        asked.spec.itemise = true;
        let (outcome, _) = transfer(&asked);
        failed += usize::from(outcome.error.is_some() || outcome.summary.failed > 0);
    }
    let (engine, control) = (engine(), Arc::new(Control::default()));
    let asked: (&dyn blit_core::engine::Engine, &Arc<Control>) = (&*engine, &control);
    let spec = TransferSpec { recursive: false, ..TransferSpec::new(Verb::Copy) };
    for path in ["/r/none", "/r/link/", "/r/src/e/more", "/r/"] {
        look::look(&proxy.at(path), &spec, (asked, Some(&access())), &mut |_| {});
        failed +=
            usize::from(look::space(&proxy.at(path), asked, Some(&access()), &mut |_| {}).is_err());
        let at = [proxy.at(path)];
        let outcome =
            remove::remove(Doomed::Named(&at), &spec, (asked, Some(&access())), &mut |_| {});
        failed += usize::from(outcome.error.is_some());
    }
    assert!(failed >= 15, "{failed}");
    let (heard, real) = (proxy.heard(), world.path(""));
    let holds = |text: &[u8]| heard.windows(text.len()).any(|part| part == text);
    assert!(holds(b"/r/none"), "what went wrong is told");
    let real = real.as_os_str().as_encoded_bytes();
    assert!(!holds(real.strip_suffix(b"/").unwrap_or(real)));
}
