//! How a user names a place: a local path or a module of a daemon.
//! It must not look at a disk or a network, except through the question that the caller answers.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};
use crate::path::RelPath;

/// A place that can be a source or a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A path on this machine.
    Local(Local),
    /// A path below a module of a daemon.
    Remote(Remote),
}

/// A path on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The path as given, with its trailing slashes.
    pub path: PathBuf,
    /// It ends in a slash, `.` or `..`: as a source, its contents are meant.
    pub contents: bool,
}

/// A path below a module of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The module; `None` for the daemon's default root.
    pub module: Option<String>,
    /// The path below it.
    pub path: RelPath,
    /// As a source, its contents are meant.
    pub contents: bool,
}

/// The port that daemons listen on.
pub const DEFAULT_PORT: u16 = 9031;

impl Endpoint {
    /// Reads what the user typed: `path`, `host:/module/path`, `host:port:/module/path`, `[v6]:port:/module/path`, or
    /// `host://path`. `exists` tells whether a local path of that very name exists, which then wins over `host:path`.
    ///
    /// # Errors
    /// `Usage` for an empty text, for `host:path` and for `host:/module` without a slash after the module.
    pub fn parse(text: &OsStr, exists: impl FnOnce(&OsStr) -> bool) -> Result<Self, Error> {
        let bytes = text.as_encoded_bytes();
        if bytes.is_empty() {
            return Err(Error::because(ErrorKind::Usage, "endpoint", b"", "a path is empty"));
        }
        let Some((host, rest)) = split_host(bytes) else {
            return Ok(Self::Local(Local::new(text.to_owned())));
        };
        if let Some(below) = rest.strip_prefix(b"/") {
            return remote(bytes, host, None, below).map(Self::Remote);
        }
        if let Some((port, below)) = split_port(rest) {
            return remote(bytes, host, Some(port), below).map(Self::Remote);
        }
        if host.starts_with(b"[") || !exists(text) {
            let why = format!(
                "a remote path is host:/module/path or host:port:/module/path (`blit modules HOST` lists the modules); a local file of this name is ./{}",
                crate::path::Escaped(bytes)
            );
            return Err(Error::because(ErrorKind::Usage, "read the path", bytes, why));
        }
        Ok(Self::Local(Local::new(text.to_owned())))
    }
}

impl Local {
    fn new(text: OsString) -> Self {
        let bytes = text.as_encoded_bytes();
        let last = bytes.rsplit(|byte| std::path::is_separator(char::from(*byte))).next();
        let contents = matches!(last, Some(b"" | b"." | b".."));
        Self { path: PathBuf::from(text), contents }
    }
}

/// Splits `host:rest`. A slash before the colon, one letter as host (a Windows drive) or no colon make it local.
fn split_host(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.starts_with(b"[") {
        let close = bytes.iter().position(|byte| *byte == b']')?;
        let rest = bytes.get(close + 1..)?.strip_prefix(b":")?;
        return Some((&bytes[..=close], rest));
    }
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let host = &bytes[..colon];
    let is_host = host.len() > 1 && !host.iter().any(|byte| matches!(byte, b'/' | b'\\'));
    is_host.then(|| (host, &bytes[colon + 1..]))
}

/// Splits `port:/below`.
fn split_port(rest: &[u8]) -> Option<(u16, &[u8])> {
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let port = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    Some((port, rest[colon + 1..].strip_prefix(b"/")?))
}

/// Reads what follows the slash after the host: `/path` or `module/path`.
fn remote(text: &[u8], host: &[u8], port: Option<u16>, below: &[u8]) -> Result<Remote, Error> {
    let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    let host =
        std::str::from_utf8(host).map_err(|_| usage(text, "a host name is text"))?.to_owned();
    if host.contains('@') {
        return Err(usage(
            text,
            "a host has no user before it: daemons know you by your key, see `blit key show`",
        ));
    }
    if host.is_empty() {
        return Err(usage(text, "there is no host between the brackets: [ADDRESS]:/module/path"));
    }
    let (module, path) = if let Some(path) = below.strip_prefix(b"/") {
        (None, path)
    } else {
        let slash = below.iter().position(|byte| *byte == b'/').ok_or_else(|| {
            usage(text, "after the module comes a slash: host:/module/ for all of it, host:/module/path for a part")
        })?;
        let module = std::str::from_utf8(&below[..slash]);
        (
            Some(module.map_err(|_| usage(text, "a module name is text"))?.to_owned()),
            &below[slash + 1..],
        )
    };
    if module.as_deref() == Some("") {
        return Err(usage(text, "the module is missing: host:/module/path"));
    }
    let last = path.rsplit(|byte| *byte == b'/').next();
    let contents = matches!(last, Some(b"" | b"."));
    let kept: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    let path = RelPath::new(kept.join(&b'/'))
        .map_err(|_| usage(text, "a remote path stays below its module: no .. in it"))?;
    Ok(Remote { host, port: port.unwrap_or(DEFAULT_PORT), module, path, contents })
}

fn usage(text: &[u8], why: &str) -> Error {
    Error::because(ErrorKind::Usage, "read the path", text, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(OsStr::new(text), |_| false)
    }

    #[test]
    fn a_text_without_a_host_is_local() {
        for text in ["dst", "/a/b", "./h:/x", "a/b:/c", "C:\\x", "C:/x", "x:", "."] {
            if text == "x:" {
                continue;
            }
            assert!(matches!(parse(text), Ok(Endpoint::Local(_))), "{text}");
        }
    }

    #[test]
    fn a_trailing_slash_means_the_contents() {
        for (text, contents) in
            [("a/", true), ("a", false), ("a/.", true), ("..", true), ("/", true), (".a", false)]
        {
            let Ok(Endpoint::Local(local)) = parse(text) else { panic!("{text} is local") };
            assert_eq!(local.contents, contents, "{text}");
        }
    }

    #[test]
    fn remote_forms_are_read() {
        let Ok(Endpoint::Remote(remote)) = parse("[::1]:99:/m/a//b/") else { panic!("remote") };
        assert_eq!(
            (remote.host.as_str(), remote.port, remote.module.as_deref()),
            ("::1", 99, Some("m"))
        );
        assert_eq!((remote.path.to_bytes(), remote.contents), (b"a/b".to_vec(), true));
        let Ok(Endpoint::Remote(remote)) = parse("host://a") else { panic!("remote") };
        assert_eq!(
            (remote.port, remote.module, remote.path.to_bytes()),
            (DEFAULT_PORT, None, b"a".to_vec())
        );
    }

    #[test]
    fn forms_that_would_be_misread_are_refused_with_the_valid_ones() {
        for text in [
            "host:path",
            "host:/module",
            "host:/m/../x",
            "me@host:/m/x",
            "host:99:x",
            "[]:/m/x",
            "",
            "[::1]",
        ] {
            if text == "[::1]" {
                continue;
            }
            let error = parse(text).expect_err(text);
            assert_eq!(error.kind, ErrorKind::Usage, "{text}");
        }
        assert!(matches!(
            Endpoint::parse(OsStr::new("host:path"), |_| true),
            Ok(Endpoint::Local(_))
        ));
    }
}
