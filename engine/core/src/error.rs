//! The one error type: what was done to which path, and why it failed.
//! It must not know exit codes or hints; only `ErrorKind` decides those, in the command.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::path::Escaped;

/// Why an operation failed. This alone decides retry, exit code and hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The path does not exist.
    NotFound,
    /// A source entry that was listed is gone; a note, not a failure.
    Vanished,
    /// The source kept changing while it was read; nothing was published.
    Changed,
    /// Something exists where it must not.
    AlreadyExists,
    /// An entry of another type is in the way.
    TypeClash,
    /// The system refused access.
    PermissionDenied,
    /// A directory was needed.
    NotADirectory,
    /// Something other than a directory was needed.
    IsADirectory,
    /// The directory still has entries.
    NotEmpty,
    /// The name cannot be held there.
    InvalidName,
    /// The two paths are on different file systems.
    CrossDevice,
    /// The file system cannot do this.
    Unsupported,
    /// The file system is full.
    NoSpace,
    /// The user's quota is used up.
    Quota,
    /// The file system is read-only.
    ReadOnly,
    /// The device failed.
    Io,
    /// A limit of the process or the system, such as open files or memory.
    Exhausted,
    /// Source and destination overlap.
    Overlap,
    /// The request contradicts itself or names what cannot be.
    Usage,
    /// Nothing moved for too long.
    Stalled,
    /// The user or a signal stopped the run.
    Interrupted,
    /// The peer cannot be reached.
    Unreachable,
    /// The peer refused.
    Refused,
    /// The connection to the peer broke.
    Disconnected,
    /// The peer does not keep to the protocol.
    Protocol,
    /// A broken invariant of blit itself.
    Internal,
    /// Somebody who may do that ended the session at the daemon.
    Cancelled,
    /// None of the above; the text says it.
    Other,
}

impl ErrorKind {
    /// Every kind, in the order of its number on the wire: new ones are added at the end.
    pub const ALL: [Self; 28] = [
        Self::Other,
        Self::NotFound,
        Self::Vanished,
        Self::Changed,
        Self::AlreadyExists,
        Self::TypeClash,
        Self::PermissionDenied,
        Self::NotADirectory,
        Self::IsADirectory,
        Self::NotEmpty,
        Self::InvalidName,
        Self::CrossDevice,
        Self::Unsupported,
        Self::NoSpace,
        Self::Quota,
        Self::ReadOnly,
        Self::Io,
        Self::Exhausted,
        Self::Overlap,
        Self::Usage,
        Self::Stalled,
        Self::Interrupted,
        Self::Unreachable,
        Self::Refused,
        Self::Disconnected,
        Self::Protocol,
        Self::Internal,
        Self::Cancelled,
    ];

    /// Whether one such failure ends the whole session, since each further entry would fail alike.
    pub fn ends_session(self) -> bool {
        matches!(
            self,
            Self::NoSpace
                | Self::Quota
                | Self::ReadOnly
                | Self::Stalled
                | Self::Interrupted
                | Self::Overlap
                | Self::Usage
                | Self::Unreachable
                | Self::Refused
                | Self::Disconnected
                | Self::Protocol
                | Self::Internal
                | Self::Cancelled
        )
    }
}

/// An operation that failed.
#[derive(Clone, Debug)]
pub struct Error {
    /// Why.
    pub kind: ErrorKind,
    /// What was done, one lowercase word or two: `open`, `rename`.
    pub op: Cow<'static, str>,
    /// To which path, as bytes; shown escaped.
    pub path: Box<[u8]>,
    /// What lies beneath, where there is something.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause beneath it.
    pub fn new(kind: ErrorKind, op: &'static str, path: &[u8]) -> Self {
        Self { kind, op: op.into(), path: path.into(), source: None }
    }

    /// An error whose cause is told in words.
    pub fn because(kind: ErrorKind, op: &'static str, path: &[u8], why: impl Into<String>) -> Self {
        Self { kind, op: op.into(), path: path.into(), source: Some(Arc::new(Why(why.into()))) }
    }

    /// An error of the operating system.
    pub fn io(op: &'static str, path: &[u8], source: io::Error) -> Self {
        let kind = kind_of(&source);
        Self { kind, op: op.into(), path: path.into(), source: Some(Arc::new(source)) }
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error of another path.
    #[must_use]
    pub fn with_path(mut self, path: &[u8]) -> Self {
        self.path = path.into();
        self
    }

    /// The same error, told with how many bytes were to be written where there was no room for them.
    #[must_use]
    pub fn wanting(self, bytes: u64) -> Self {
        if !matches!(self.kind, ErrorKind::NoSpace | ErrorKind::Quota) {
            return self;
        }
        let why = Why(format!("{}; the whole file has {bytes} bytes", self.reason()));
        Self { source: Some(Arc::new(why)), ..self }
    }

    /// The reason alone, without operation and path.
    pub fn reason(&self) -> String {
        match &self.source {
            Some(source) => lowercase_first(without_number(&source.to_string())),
            None => words(self.kind).to_owned(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.op)?;
        if !self.path.is_empty() {
            write!(f, " {}", Escaped(&self.path))?;
        }
        write!(f, ": {}", self.reason())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A cause told in words.
#[derive(Debug)]
struct Why(String);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Why {}

fn kind_of(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound => ErrorKind::NotFound,
        Io::AlreadyExists => ErrorKind::AlreadyExists,
        Io::PermissionDenied => ErrorKind::PermissionDenied,
        Io::NotADirectory => ErrorKind::NotADirectory,
        Io::IsADirectory => ErrorKind::IsADirectory,
        Io::CrossesDevices => ErrorKind::CrossDevice,
        Io::DirectoryNotEmpty => ErrorKind::NotEmpty,
        Io::InvalidFilename => ErrorKind::InvalidName,
        Io::StorageFull => ErrorKind::NoSpace,
        Io::QuotaExceeded => ErrorKind::Quota,
        Io::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        Io::Unsupported => ErrorKind::Unsupported,
        Io::OutOfMemory => ErrorKind::Exhausted,
        Io::Interrupted => ErrorKind::Interrupted,
        _ => match error.raw_os_error() {
            // EIO, EMFILE and ENFILE have these numbers on every Unix and no std kind of their own.
            Some(5) => ErrorKind::Io,
            Some(23 | 24) => ErrorKind::Exhausted,
            _ => ErrorKind::Other,
        },
    }
}

fn words(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "no such file or directory",
        ErrorKind::Vanished => "vanished before it could be copied",
        ErrorKind::Changed => "changed while it was read",
        ErrorKind::AlreadyExists => "already exists",
        ErrorKind::TypeClash => "an entry of another type is in the way",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::NotADirectory => "not a directory",
        ErrorKind::IsADirectory => "is a directory",
        ErrorKind::NotEmpty => "directory not empty",
        ErrorKind::InvalidName => "not a valid name",
        ErrorKind::CrossDevice => "on another file system",
        ErrorKind::Unsupported => "not supported here",
        ErrorKind::NoSpace => "no space left on the file system",
        ErrorKind::Quota => "quota exceeded",
        ErrorKind::ReadOnly => "read-only file system",
        ErrorKind::Io => "input/output error",
        ErrorKind::Exhausted => "out of resources",
        ErrorKind::Overlap => "source and destination overlap",
        ErrorKind::Usage => "not a valid request",
        ErrorKind::Stalled => "nothing moved for too long",
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Unreachable => "cannot be reached",
        ErrorKind::Refused => "refused by the peer",
        ErrorKind::Disconnected => "the connection broke",
        ErrorKind::Protocol => "not of this protocol",
        ErrorKind::Internal => "internal error",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Other => "failed",
    }
}

/// The system's number says nothing to people, and something else on another system.
fn without_number(text: &str) -> &str {
    let parts = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error "));
    parts.map_or(text, |(words, _)| words)
}

/// System messages begin with a capital; blit's do not.
fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_operation_path_and_reason() {
        let error = Error::io("open", b"a/b\n", io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "open a/b\\n: permission denied");
    }

    #[test]
    fn an_error_of_the_system_has_no_number_and_says_what_had_no_room() {
        let error = Error::io("write", b"a", io::Error::from_raw_os_error(28));
        assert_eq!(error.to_string(), "write a: no space left on device");
        let error = error.with_path(b"b").wanting(7);
        assert_eq!(
            error.to_string(),
            "write b: no space left on device; the whole file has 7 bytes"
        );
    }

    #[test]
    fn system_messages_lose_their_capital() {
        assert_eq!(lowercase_first("No space left"), "no space left");
        assert_eq!(lowercase_first("EIO happened"), "EIO happened");
    }
}
