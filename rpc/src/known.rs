//! known_hosts: the keys of daemons that were talked to before, by host and port.
//! It must not know what follows from a changed key.
//!
//! A line is `host:port key`; empty lines and those that begin with `#` stay as they are. A change is made under a lock
//! on a file beside it and put in place by a rename, so that readers see it whole and two runs lose nothing.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use blit_core::{Error, ErrorKind};

use crate::identity::{Files, PublicKey, beside, bytes};

/// What is known of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has the key that it had.
    Same,
    /// It was never talked to.
    New,
    /// It has another key than it had.
    Changed {
        /// The key that it had.
        old: PublicKey,
    },
}

/// The file of known daemons. It need not exist.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    path: PathBuf,
    files: Files,
}

/// The name of the file beside a user's key.
pub const KNOWN_FILE: &str = "known_hosts";

impl KnownHosts {
    /// The file at `path`.
    pub fn new(path: PathBuf, files: Files) -> Self {
        Self { path, files }
    }

    /// What is known of the daemon at `host` and `port`, which shows `key`.
    ///
    /// # Errors
    /// Those of reading; `Usage` for a line that says nothing or a host that is none.
    pub fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<Known, Error> {
        let place = self.place(host, port)?;
        let lines = self.lines()?;
        Ok(match lines.iter().find(|line| line.is_of(&place)) {
            None => Known::New,
            Some(Line::Pin { key: old, .. }) if old == key => Known::Same,
            Some(Line::Pin { key: old, .. }) => Known::Changed { old: *old },
            Some(Line::Other(_)) => Known::New,
        })
    }

    /// Writes the key down unless the daemon is known, and says what was known before. A changed key changes nothing:
    /// [`KnownHosts::forget`] comes first.
    ///
    /// # Errors
    /// Those of reading and writing; `Usage` for a line that says nothing or a host that is none.
    pub fn pin(&self, host: &str, port: u16, key: &PublicKey) -> Result<Known, Error> {
        let place = self.place(host, port)?;
        let _lock = self.lock()?;
        let known = self.check(host, port, key)?;
        if known == Known::New {
            let mut lines = self.lines()?;
            lines.push(Line::Pin { place, key: *key });
            self.replace(&lines)?;
        }
        Ok(known)
    }

    /// Forgets the daemon; whether it was known.
    ///
    /// # Errors
    /// Those of reading and writing; `Usage` for a line that says nothing or a host that is none.
    pub fn forget(&self, host: &str, port: u16) -> Result<bool, Error> {
        let place = self.place(host, port)?;
        let _lock = self.lock()?;
        let mut lines = self.lines()?;
        let before = lines.len();
        lines.retain(|line| !line.is_of(&place));
        let was_known = lines.len() < before;
        if was_known {
            self.replace(&lines)?;
        }
        Ok(was_known)
    }

    fn place(&self, host: &str, port: u16) -> Result<String, Error> {
        canonical(host, port).ok_or_else(|| {
            let why = "it is neither a name nor an address";
            Error::because(ErrorKind::Usage, "look up host", host.as_bytes(), why)
        })
    }

    fn lines(&self) -> Result<Vec<Line>, Error> {
        let text = match self.read() {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read known hosts", bytes(&self.path), error)),
        };
        parse(&text).map_err(|(line, why)| {
            let why = format!("line {line}: {why}; mend or remove that line");
            Error::because(ErrorKind::Usage, "read known hosts", bytes(&self.path), why)
        })
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        (self.files.open_owned)(&self.path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("it is larger than any list of hosts"));
        }
        Ok(text)
    }

    /// Keeps others from changing the file until it is dropped. The file that is locked stays: whoever removed it would
    /// let two others lock two different ones.
    fn lock(&self) -> Result<File, Error> {
        let path = self.path.with_extension("lock");
        let failed = |e| Error::io("lock", bytes(&path), e);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            (self.files.create_private_dir)(parent).map_err(failed)?;
        }
        let file = match (self.files.create_private)(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (self.files.open_owned)(&path)
            }
            made => made,
        };
        let file = file.map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn replace(&self, lines: &[Line]) -> Result<(), Error> {
        let mut text = String::new();
        for line in lines {
            match line {
                Line::Pin { place, key } => writeln!(text, "{place} {key}"),
                Line::Other(other) => writeln!(text, "{other}"),
            }
            .expect("a string takes all text");
        }
        let staged = beside(&self.path)?;
        let result = self.stage(&staged, &text).and_then(|()| fs::rename(&staged, &self.path));
        result.map_err(|error| {
            // What is left over harms nobody.
            fs::remove_file(&staged).unwrap_or_default();
            Error::io("write known hosts", bytes(&self.path), error)
        })
    }

    fn stage(&self, staged: &Path, text: &str) -> io::Result<()> {
        let mut file = (self.files.create_private)(staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Pin {
        place: String,
        key: PublicKey,
    },
    /// A comment or nothing.
    Other(String),
}

impl Line {
    fn is_of(&self, wanted: &str) -> bool {
        matches!(self, Self::Pin { place, .. } if place == wanted)
    }
}

/// The lines, or the number of a bad one and why it is bad. Its text is not told: it may hold anything.
fn parse(text: &[u8]) -> Result<Vec<Line>, (usize, &'static str)> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let bad = |why| (index + 1, why);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| bad("it is no UTF-8"))?;
        lines.push(parse_line(line).map_err(bad)?);
    }
    // What follows the last end of line is no line.
    if lines.last() == Some(&Line::Other(String::new())) {
        lines.pop();
    }
    Ok(lines)
}

fn parse_line(line: &str) -> Result<Line, &'static str> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(Line::Other(line.to_owned()));
    }
    let (place, key) =
        trimmed.split_once(char::is_whitespace).ok_or("it is not `host:port key`")?;
    let (host, port) = place.rsplit_once(':').ok_or("it has no port")?;
    let port = port.parse().map_err(|_| "its port is no number up to 65535")?;
    let place = canonical(host, port).ok_or("its host is neither a name nor an address")?;
    let key = key.trim().parse().map_err(|_| "its key is wrong; a letter may be missing")?;
    Ok(Line::Pin { place, key })
}

/// One spelling for each place: small letters, no final dot, addresses as they are always written, IPv6 in brackets.
fn canonical(host: &str, port: u16) -> Option<String> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (address, zone) = match inner.unwrap_or(host).split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (inner.unwrap_or(host), None),
    };
    let is_word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if let (Ok(address), Some(zone)) = (address.parse::<Ipv6Addr>(), zone) {
        return is_word(zone).then(|| format!("[{address}%{zone}]:{port}"));
    }
    match inner.unwrap_or(host).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => return Some(format!("{address}:{port}")),
        Ok(IpAddr::V6(address)) => return Some(format!("[{address}]:{port}")),
        Err(_) => {}
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    (!name.is_empty() && name.chars().all(is_name)).then(|| format!("{name}:{port}"))
}

/// Some ten thousand hosts.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use proptest::prelude::*;

    use super::*;
    use crate::identity::tests::PLAIN;

    const ONE: PublicKey = PublicKey([1; 32]);
    const TWO: PublicKey = PublicKey([2; 32]);

    fn empty() -> (tempfile::TempDir, KnownHosts) {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let known = KnownHosts::new(dir.path().join("new/known_hosts"), PLAIN);
        (dir, known)
    }

    #[test]
    fn a_daemon_is_new_then_the_same_then_changed_then_forgotten() {
        let (_dir, known) = empty();
        assert_eq!(known.check("host", 1, &ONE).expect("no file"), Known::New);
        assert_eq!(known.pin("host", 1, &ONE).expect("written"), Known::New);
        assert_eq!(known.check("host", 1, &ONE).expect("read"), Known::Same);
        assert_eq!(known.check("host", 2, &ONE).expect("read"), Known::New);
        let changed = Known::Changed { old: ONE };
        assert_eq!(known.pin("host", 1, &TWO).expect("read"), changed);
        assert_eq!(known.check("host", 1, &TWO).expect("nothing was overwritten"), changed);
        assert!(known.forget("host", 1).expect("written"));
        assert!(!known.forget("host", 1).expect("read"));
        assert_eq!(known.pin("host", 1, &TWO).expect("written"), Known::New);
        assert_eq!(known.check("host", 1, &TWO).expect("read"), Known::Same);
    }

    #[test]
    fn one_place_has_one_spelling() {
        for (host, expected) in [
            ("HOST.Example.", Some("host.example:9")),
            ("host.example", Some("host.example:9")),
            ("::1", Some("[::1]:9")),
            ("[::1]", Some("[::1]:9")),
            ("[0:0:0:0:0:0:0:1]", Some("[::1]:9")),
            ("::ffff:192.0.2.1", Some("192.0.2.1:9")),
            ("fe80::1%eth0", Some("[fe80::1%eth0]:9")),
            ("fe80::1%e 0", None),
            ("", None),
            ("a b", None),
            ("a\nb", None),
            ("#a", None),
            ("[a]", None),
            (".", None),
        ] {
            assert_eq!(canonical(host, 9).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn comments_stay_and_a_bad_line_is_named_but_not_shown() {
        let (_dir, known) = empty();
        fs::create_dir_all(known.path.parent().expect("has one")).expect("made");
        fs::write(&known.path, format!("# mine\n\nHOST:1 {ONE}\r\n")).expect("written");
        known.pin("other", 2, &TWO).expect("written");
        let text = fs::read_to_string(&known.path).expect("text");
        assert_eq!(text, format!("# mine\n\nhost:1 {ONE}\nother:2 {TWO}\n"));
        for (bad, part) in [
            ("secret", "not `host:port key`"),
            ("host blit1x", "no port"),
            ("host:70000 blit1x", "up to 65535"),
            ("host:1 secret", "key is wrong"),
        ] {
            fs::write(&known.path, format!("# mine\n{bad}\n")).expect("written");
            let error = known.check("host", 1, &ONE).expect_err(bad).to_string();
            assert!(error.contains("known_hosts: line 2: ") && error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn runs_that_pin_at_once_lose_nothing() {
        let (dir, known) = empty();
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for port in 1..=8 {
                let (known, start) = (&known, &start);
                scope.spawn(move || {
                    start.wait();
                    known.pin("host", port, &ONE).expect("written");
                });
            }
        });
        for port in 1..=8 {
            assert_eq!(known.check("host", port, &ONE).expect("read"), Known::Same, "{port}");
        }
        let names = fs::read_dir(dir.path().join("new")).expect("there").count();
        assert_eq!(names, 2, "the list and its lock");
    }

    proptest! {
        #[test]
        fn no_file_makes_reading_panic(text in any::<Vec<u8>>(), line in ".{0,40}:[0-9]{0,6} .{0,70}") {
            drop(parse(&text));
            drop(parse(line.as_bytes()));
        }

        #[test]
        fn no_host_makes_a_second_line(host in any::<String>(), port: u16) {
            if let Some(place) = canonical(&host, port) {
                let text = format!("{place} {ONE}\n");
                let lines = parse(text.as_bytes()).expect("its own text");
                prop_assert_eq!(lines, vec![Line::Pin { place, key: ONE }]);
            }
        }
    }
}
