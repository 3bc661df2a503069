//! What reads foreign bytes, as functions that take any bytes: none of them may panic, hang, or accept what it would not write.
//! It must not know where the bytes come from: the fuzzer, or the seeds that are run as tests.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use blit_core::codec::{Decoder, Encoder};
use blit_core::endpoint::Endpoint;
use blit_core::header::{BODY_BYTES_MAX, HEADER_BYTES, Header, Item, next_item};
use blit_daemon::config::Config;
use blit_rpc::convert::{Trial, try_message};
use blit_rpc::identity::{Files, Identity};
use blit_rpc::known::KnownHosts;
use blit_rpc::tls::{HELLO_BYTES_MAX, Hello, look_at_hello};
use blit_rpc::token::{Grant, Mint};
use tempfile::TempDir;

/// What takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its program and of the folder with its seeds.
pub const TARGETS: [(&str, Target); 8] = [
    ("data_frame", data_frame),
    ("entries", entries),
    ("endpoint", endpoint),
    ("token", token),
    ("client_hello", client_hello),
    ("known_hosts", known_hosts),
    ("config", config),
    ("message", message),
];

/// A header and the items of its body.
pub fn data_frame(bytes: &[u8]) {
    let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
    if let Ok(header) = Header::decode(head) {
        assert!(header.len as usize <= BODY_BYTES_MAX, "a body is bounded");
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
    let mut items = Decoder(body);
    let mut left = body.len();
    while let Ok(Some(item)) = next_item(&mut items) {
        assert!(items.0.len() < left, "each item takes bytes");
        left = items.0.len();
        if let Item::Piece { offset, .. } | Item::Same { offset, .. } = item {
            assert!(i64::try_from(offset).is_ok(), "an offset is one that a file can have");
        }
    }
}

/// Pages, metadata and errors. What is read can be written, and is then read as the same.
pub fn entries(bytes: &[u8]) {
    if let Ok(page) = Decoder(bytes).entries(PAGE_ENTRIES_MAX) {
        let mut again = Vec::new();
        Encoder(&mut again).entries(&page);
        assert_eq!(Decoder(&again).entries(page.len()), Ok(page));
    }
    if let Ok(meta) = Decoder(bytes).meta() {
        let mut again = Vec::new();
        Encoder(&mut again).meta(&meta);
        assert_eq!(Decoder(&again).meta(), Ok(meta));
    }
    if let Ok(error) = Decoder(bytes).error() {
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "a peer's words are shown as words: {shown:?}");
    }
}

/// What a user types for a place.
pub fn endpoint(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for exists in [false, true] {
        if let Ok(Endpoint::Remote(remote)) = Endpoint::parse(OsStr::new(&*text), |_| exists) {
            assert!(!remote.host.is_empty(), "a host has a name");
        }
    }
}

/// A token that was not issued, however alike.
pub fn token(bytes: &[u8]) {
    let mint = Mint::new([7; 32]);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let grant = Grant { session: 1, slot: 2, peer, binding: None };
    let now = Duration::from_secs(1);
    let issued = mint.issue(grant, now).ok();
    let is_issued = issued.is_some_and(|issued| issued[..] == *bytes);
    assert!(is_issued || mint.redeem(bytes, peer, None, now).is_err(), "it was not issued");
}

/// The first bytes of a connection, all at once and one by one.
pub fn client_hello(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(HELLO_BYTES_MAX)];
    let whole = look_at_hello(bytes);
    assert_eq!(look_at_hello(bytes), whole, "looking changes nothing");
    let half = look_at_hello(&bytes[..bytes.len() / 2]);
    assert!(half != Hello::Foreign || whole == Hello::Foreign, "what is foreign stays so");
}

/// The file of known daemons.
pub fn known_hosts(bytes: &[u8]) {
    thread_local! {
        static TOP: OnceCell<Option<(TempDir, Identity)>> = const { OnceCell::new() };
    }
    TOP.with(|top| {
        let make = || Some((tempfile::tempdir().ok()?, Identity::generate().ok()?));
        let Some((top, identity)) = top.get_or_init(make) else { return };
        let (path, key) = (top.path().join("known_hosts"), identity.public_key());
        if fs::write(&path, bytes).is_err() {
            return;
        }
        let known = KnownHosts::new(path, FILES);
        if let Ok(before) = known.check("example.org", 9031, &key) {
            assert_eq!(known.check("EXAMPLE.org.", 9031, &key).ok(), Some(before));
        }
    });
}

/// The configuration of the daemon.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(fault) = Config::parse(&text) {
        let shown = fault.to_string();
        assert!(!shown.is_empty(), "a fault is told");
    }
}

/// A message of the control connection, as each kind of value that a peer sends.
pub fn message(bytes: &[u8]) {
    for Trial { told, again } in try_message(bytes) {
        assert_ne!(told, "None", "what can be read can be told on");
        assert_eq!(told, again, "and is the same however often it is told");
    }
}

/// Files without owners: whose they are is not what is tried here.
const FILES: Files = Files {
    create_private: |path| File::create_new(path),
    create_private_dir: |path| fs::create_dir_all(path),
    open_private: open,
    open_owned: open,
};

fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// As many as a page has at most.
const PAGE_ENTRIES_MAX: usize = 1024;
