//! Names and relative paths as bytes, checked so that they cannot leave the directory they are below.
//! It must not touch a file system and does not know which names an operating system can hold.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// One component of a path: not empty, not `.` or `..`, without `/` and NUL. Any other byte is allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks `bytes` and takes them as a name.
    ///
    /// # Errors
    /// `InvalidName` when the bytes are empty, `.`, `..`, or contain `/` or NUL.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if component_is_valid(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(Error::new(ErrorKind::InvalidName, "name", &bytes))
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A name for something not yet published. `run` tells runs apart, `sequence` the names within one run.
    pub fn temporary(run: u64, sequence: u32) -> Self {
        let text = format!("{TEMPORARY_PREFIX}{run:016x}{sequence:08x}{TEMPORARY_SUFFIX}");
        Self(text.into_bytes().into_boxed_slice())
    }

    /// The hidden name of what has arrived of a large file so far, the same in every run, so that the next run can go on with
    /// it: made from a digest (XXH3-128) of the final name.
    pub fn partial(of: &Self) -> Self {
        let digest = xxhash_rust::xxh3::xxh3_128(of.as_bytes());
        let digits = format!("{digest:032x}");
        let digits = digits.get(..TEMPORARY_DIGITS).unwrap_or_default();
        let text = format!("{TEMPORARY_PREFIX}{digits}{PARTIAL_SUFFIX}");
        Self(text.into_bytes().into_boxed_slice())
    }

    /// Whether the name is one that [`Name::temporary`] or [`Name::partial`] makes: unpublished, never data.
    pub fn is_temporary(&self) -> bool {
        is_temporary(&self.0)
    }
}

/// Whether `bytes` are a name that [`Name::temporary`] or [`Name::partial`] makes.
pub fn is_temporary(bytes: &[u8]) -> bool {
    temporary_run(bytes).is_some() || is_partial(bytes)
}

/// Whether `bytes` are a name that [`Name::partial`] makes.
pub fn is_partial(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(TEMPORARY_PREFIX.as_bytes());
    let digits = rest.and_then(|rest| rest.strip_suffix(PARTIAL_SUFFIX.as_bytes()));
    digits.is_some_and(|digits| digits.len() == TEMPORARY_DIGITS && digits.iter().all(is_digit))
}

fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The run that has made the temporary name `bytes`, if it is one.
pub fn temporary_run(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(TEMPORARY_PREFIX.as_bytes())?;
    let id = rest.strip_suffix(TEMPORARY_SUFFIX.as_bytes())?;
    if id.len() != TEMPORARY_DIGITS || !id.iter().all(is_digit) {
        return None;
    }
    let run = std::str::from_utf8(id.get(..RUN_DIGITS)?).ok()?;
    u64::from_str_radix(run, 16).ok()
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0))
    }
}

/// A path below a root: names joined by `/`; empty for the root itself. Its length has no bound of its own. It is a chain of
/// names that each path shares with those below it, so that a path is made and kept at the price of its last name, however
/// deep it is; whoever asks for its bytes pays for all of it.
#[derive(Clone, Default)]
pub struct RelPath(Option<Arc<Node>>);

struct Node {
    above: RelPath,
    name: Name,
    /// Bytes of the whole path.
    len: usize,
    /// Names in the whole path.
    depth: usize,
}

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks `bytes` as names joined by single slashes.
    ///
    /// # Errors
    /// `InvalidName` when a component is not a valid [`Name`], so also for absolute paths and `..`.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if !bytes.split(|byte| *byte == b'/').all(component_is_valid) {
            return Err(Error::new(ErrorKind::InvalidName, "path", bytes));
        }
        let names = bytes.split(|byte| *byte == b'/').map(|part| Name(part.into()));
        Ok(names.fold(Self::root(), |above, name| above.join(&name)))
    }

    /// This path with `name` below it.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let above = self.0.as_deref().map_or(0, |node| node.len + 1);
        let (len, depth) = (above + name.0.len(), self.depth() + 1);
        Self(Some(Arc::new(Node { above: self.clone(), name: name.clone(), len, depth })))
    }

    /// What `below` is in this directory.
    #[must_use]
    pub fn descend(&self, below: &Self) -> Self {
        if self.is_root() {
            return below.clone();
        }
        let mut names: Vec<&Name> = below.upwards().map(|node| &node.name).collect();
        names.reverse();
        names.into_iter().fold(self.clone(), |above, name| above.join(name))
    }

    /// The path above and the last name; `None` for the root.
    pub fn split_last(&self) -> Option<(Self, Name)> {
        self.0.as_deref().map(|node| (node.above.clone(), node.name.clone()))
    }

    /// The names from the root down, as bytes.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        let mut names: Vec<&[u8]> = self.upwards().map(|node| node.name.as_bytes()).collect();
        names.reverse();
        names.into_iter()
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// How many names there are.
    pub fn depth(&self) -> usize {
        self.0.as_deref().map_or(0, |node| node.depth)
    }

    /// The path of the first `depth` names; all of it where it has no more.
    #[must_use]
    pub fn ancestor(&self, depth: usize) -> Self {
        let mut at = self;
        while let Some(node) = at.0.as_deref().filter(|node| node.depth > depth) {
            at = &node.above;
        }
        at.clone()
    }

    /// Whether both are one chain and not only equal, which takes one step to tell.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(another)) => Arc::ptr_eq(one, another),
            (one, another) => one.is_none() && another.is_none(),
        }
    }

    /// The bytes of the path, without a leading or trailing slash.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_below(0)
    }

    /// The bytes of what follows the first `depth` names.
    pub fn to_bytes_below(&self, depth: usize) -> Vec<u8> {
        let last = self.0.as_deref().filter(|node| node.depth > depth);
        let Some(last) = last else { return Vec::new() };
        let skipped = self.upwards().find(|node| node.depth == depth).map_or(0, |top| top.len + 1);
        let mut bytes = vec![b'/'; last.len - skipped];
        let mut end = bytes.len();
        for node in self.upwards().take_while(|node| node.depth > depth) {
            let start = end - node.name.0.len();
            bytes[start..end].copy_from_slice(&node.name.0);
            end = start.saturating_sub(1);
        }
        bytes
    }

    /// From the last name up.
    fn upwards(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.0.as_deref(), |node| node.above.0.as_deref())
    }
}

impl PartialEq for RelPath {
    fn eq(&self, other: &Self) -> bool {
        let (mut one, mut another) = (self, other);
        while !one.is_same(another) {
            let (Some(left), Some(right)) = (&one.0, &another.0) else { return false };
            if left.len != right.len || left.name != right.name {
                return false;
            }
            (one, another) = (&left.above, &right.above);
        }
        true
    }
}

impl Eq for RelPath {}

impl Drop for Node {
    /// Lets go of the chain name by name: one within the other, a deep one would not fit on the stack.
    fn drop(&mut self) {
        let mut above = self.above.0.take();
        while let Some(mut node) = above.and_then(Arc::into_inner) {
            above = node.above.0.take();
        }
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { write!(f, "{}", Escaped(&self.to_bytes())) }
    }
}

/// Shows bytes of a name on one line: control characters, bytes that are not UTF-8 and characters that
/// reorder text become `\xNN` or `\u{..}`, so that no name can steer a terminal or forge a log line.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c if is_active(c) => write!(f, "{}", c.escape_unicode())?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a character does something when it is shown: controls, line separators and the bidirectional controls of Unicode
/// (UAX #9). All of them have at most four hexadecimal digits.
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn component_is_valid(bytes: &[u8]) -> bool {
    !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Starts hidden names of what is not yet published. With the 24 digits and the suffix it cannot be met by chance.
const TEMPORARY_PREFIX: &str = ".blit-";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// Ends the name of what the next run can go on with.
const PARTIAL_SUFFIX: &str = ".part";
/// 16 hexadecimal digits of the run and 8 of the sequence number.
const TEMPORARY_DIGITS: usize = RUN_DIGITS + 8;
/// Hexadecimal digits of a run.
const RUN_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        for good in [&b"a"[..], b"...", b".a", b"\xff\xfe", b"a\nb", b"a\\b"] {
            assert!(Name::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn paths_that_could_leave_their_root_are_refused() {
        for bad in [&b"/"[..], b"/a", b"a/", b"a//b", b"a/../b", b"..", b"./a", b"a/\0"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new(&b"a/b/c"[..]).is_ok());
    }

    #[test]
    fn join_and_split_are_inverse() {
        let name = Name::new(&b"c"[..]).expect("valid");
        for parent in [RelPath::root(), RelPath::new(&b"a/b"[..]).expect("valid")] {
            assert_eq!(parent.join(&name).split_last(), Some((parent, name.clone())));
        }
        assert_eq!(RelPath::root().split_last(), None);
    }

    #[test]
    fn paths_are_equal_as_their_bytes_are_however_they_were_made() {
        let paths: Vec<&[u8]> =
            vec![b"", b"a", b"b", b"a/b", b"b/b", b"ab", b"a/b/c", b"b/b/c", b"a/bc"];
        for one in &paths {
            let made = RelPath::new(one).expect("valid");
            let names = one.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
            assert_eq!((made.to_bytes(), made.depth()), (one.to_vec(), names.clone().count()));
            assert!(made.components().eq(names));
            for another in &paths {
                let second = RelPath::new(another).expect("valid");
                assert_eq!(made == second, one == another, "{made} {second}");
                assert_eq!(made.is_same(&second), one.is_empty() && another.is_empty());
            }
            assert!(made.is_same(&made.clone()));
        }
    }

    #[test]
    fn a_path_is_its_ancestor_and_what_is_below_that() {
        let path = RelPath::new(b"a/bb/c").expect("valid");
        let parts: [(&[u8], &[u8]); 5] = [
            (b"", b"a/bb/c"),
            (b"a", b"bb/c"),
            (b"a/bb", b"c"),
            (b"a/bb/c", b""),
            (b"a/bb/c", b""),
        ];
        for (depth, (above, below)) in parts.into_iter().enumerate() {
            assert_eq!(path.ancestor(depth).to_bytes(), above);
            assert_eq!(path.to_bytes_below(depth), below);
        }
    }

    #[test]
    fn a_path_of_a_million_names_is_compared_and_dropped_on_a_small_stack() {
        let name = Name::new(&b"d"[..]).expect("valid");
        let run = move || {
            let make = || (0..1_000_000).fold(RelPath::root(), |above, _| above.join(&name));
            let (one, another) = (make(), make());
            assert!(one == another && one != one.join(&name));
            let kept = one.ancestor(500_000);
            drop(one);
            assert_eq!((kept.depth(), kept.to_bytes().len()), (500_000, 999_999));
        };
        let small = std::thread::Builder::new().stack_size(64 * 1024);
        small.spawn(run).expect("a thread").join().expect("it comes to its end");
    }

    #[test]
    fn escaped_names_never_reach_a_terminal_raw() {
        let shown = Escaped(b"a\x1b[31m\n\xffz\xe2\x80\xae").to_string();
        assert_eq!(shown, "a\\x1b[31m\\n\\xffz\\u{202e}");
    }

    #[test]
    fn temporary_names_are_recognised_and_others_are_not() {
        assert!(Name::temporary(7, 9).is_temporary());
        assert_eq!(temporary_run(Name::temporary(7, 9).as_bytes()), Some(7));
        let partial = Name::partial(&Name::new(&b"f"[..]).expect("valid"));
        assert!(partial.is_temporary() && is_partial(partial.as_bytes()));
        assert_eq!(temporary_run(partial.as_bytes()), None);
        for other in
            [&b".blit-.tmp"[..], b".blit-0123.tmp", b"blit", b".blit-00000000000000070000000g.tmp"]
        {
            assert!(!is_temporary(other), "{other:?}");
        }
    }
}
