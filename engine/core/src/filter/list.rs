//! A list of paths to which a transfer is confined.
//! It must not know where the list comes from; it is given its bytes.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::path::Escaped;

/// What stands between the entries of a list of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// A newline; a carriage return before it does not count as part of the name.
    Newline,
    /// A NUL byte, so that names may hold newlines.
    Nul,
}

/// Paths that are admitted with what is below them. Sorted so that a directory is directly before all that is below it,
/// which makes every question one binary search and costs no memory for ancestors.
#[derive(Debug, Default)]
pub(super) struct PathList {
    /// All paths one after the other.
    bytes: Vec<u8>,
    entries: Vec<ListEntry>,
}

#[derive(Debug)]
struct ListEntry {
    /// Its path in `bytes`; empty for the source itself.
    path: Range<usize>,
    /// Its place in the list that it came from, counted from 1.
    number: usize,
    /// The index of the topmost entry that is this path or above it.
    cover: usize,
    /// An entry of this path was asked for.
    seen: AtomicBool,
}

impl PathList {
    /// Adds the entries of one list.
    ///
    /// # Errors
    /// Which entry is refused, and why.
    pub(super) fn add(
        &mut self,
        list: &[u8],
        separator: Separator,
    ) -> Result<(), (String, &'static str)> {
        let end = match separator {
            Separator::Newline => b'\n',
            Separator::Nul => 0,
        };
        if list.is_empty() {
            return Ok(());
        }
        let list = list.strip_suffix(&[end]).unwrap_or(list);
        for (index, raw) in list.split(|byte| *byte == end).enumerate() {
            let raw = match separator {
                Separator::Newline => raw.strip_suffix(b"\r").unwrap_or(raw),
                Separator::Nul => raw,
            };
            let number = index + 1;
            let start = self.bytes.len();
            self.push(raw).map_err(|why| (shown(number, raw), why))?;
            let path = start..self.bytes.len();
            self.entries.push(ListEntry { path, number, cover: 0, seen: AtomicBool::new(false) });
        }
        Ok(())
    }

    fn push(&mut self, raw: &[u8]) -> Result<(), &'static str> {
        match raw {
            [] => return Err("an entry is empty"),
            [b'/', ..] => return Err("paths are relative to the source"),
            _ => {}
        }
        let start = self.bytes.len();
        for name in raw.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err("`..` would leave the source"),
                name if name.contains(&0) => return Err("no name contains a NUL"),
                _ => {}
            }
            if self.bytes.len() > start {
                self.bytes.push(b'/');
            }
            self.bytes.extend_from_slice(name);
        }
        Ok(())
    }

    /// Whether each entry was asked for, in the order of the list.
    pub(super) fn marks(&self) -> impl Iterator<Item = &AtomicBool> {
        self.entries.iter().map(|entry| &entry.seen)
    }

    /// Puts the entries in order, after the last one was added.
    pub(super) fn finish(&mut self) {
        let Self { bytes, entries } = self;
        entries.sort_by(|a, b| {
            path_order(&bytes[a.path.clone()], &bytes[b.path.clone()]).then(a.number.cmp(&b.number))
        });
        entries.dedup_by(|later, first| bytes[later.path.clone()] == bytes[first.path.clone()]);
        let mut cover = 0;
        for index in 0..entries.len() {
            if !is_at_or_below(
                &bytes[entries[index].path.clone()],
                &bytes[entries[cover].path.clone()],
            ) {
                cover = index;
            }
            entries[index].cover = cover;
        }
        entries.shrink_to_fit();
        bytes.shrink_to_fit();
    }

    /// Whether `path` is listed, below a listed path, or a directory above one.
    pub(super) fn admits(&self, path: &[u8], is_dir: bool) -> bool {
        let at = self.entries.partition_point(|entry| path_order(self.path(entry), path).is_lt());
        if let Some(entry) = self.entries.get(at) {
            let listed = self.path(entry);
            if listed == path {
                mark(&entry.seen);
                return true;
            }
            if is_dir && is_at_or_below(listed, path) {
                return true;
            }
        }
        let before = at.checked_sub(1).and_then(|before| self.entries.get(before));
        before.is_some_and(|entry| is_at_or_below(path, self.path(&self.entries[entry.cover])))
    }

    /// The entries that nothing was asked for, in the order of the list.
    pub(super) fn unmatched(&self) -> Vec<String> {
        let is_unseen = |entry: &&ListEntry| !entry.path.is_empty() && !entry.seen.load(Relaxed);
        let mut unseen: Vec<&ListEntry> = self.entries.iter().filter(is_unseen).collect();
        unseen.sort_by_key(|entry| entry.number);
        unseen.into_iter().map(|entry| shown(entry.number, self.path(entry))).collect()
    }

    /// The paths that are not below another one, in order.
    pub(super) fn topmost(&self) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.iter().enumerate();
        entries.filter(|(index, entry)| entry.cover == *index).map(|(_, entry)| self.path(entry))
    }

    fn path(&self, entry: &ListEntry) -> &[u8] {
        &self.bytes[entry.path.clone()]
    }
}

/// Sets a mark that is read far more often than changed.
pub(super) fn mark(seen: &AtomicBool) {
    if !seen.load(Relaxed) {
        seen.store(true, Relaxed);
    }
}

fn shown(number: usize, path: &[u8]) -> String {
    format!("files-from entry {number}: {}", Escaped(path))
}

/// The order of bytes, except that `/` is before all others: a path is followed by what is below it.
fn path_order(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((a, b)) => rank(*a).cmp(&rank(*b)),
        None => a.len().cmp(&b.len()),
    }
}

fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => above.is_empty() || matches!(rest, [] | [b'/', ..]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &[u8], separator: Separator) -> Result<PathList, String> {
        let mut list = PathList::default();
        list.add(text, separator).map_err(|(shown, why)| format!("{shown}: {why}"))?;
        list.finish();
        Ok(list)
    }

    fn lines(text: &str) -> PathList {
        list(text.as_bytes(), Separator::Newline).expect("valid")
    }

    #[test]
    fn a_listed_path_brings_its_ancestors_and_what_is_below_it() {
        let list = lines("a/b\nc\n");
        assert!(list.admits(b"a", true));
        assert!(!list.admits(b"a", false), "an ancestor that is a file");
        assert!(list.admits(b"a/b", false));
        assert!(list.admits(b"a/b", true));
        assert!(list.admits(b"a/b/x/y", false));
        assert!(list.admits(b"c", false));
        for other in [&b"a/c"[..], b"a/b.c", b"a/bb", b"b", b"cc", b"a/", b"\xff"] {
            assert!(!list.admits(other, true), "{}", Escaped(other));
        }
    }

    #[test]
    fn what_is_below_a_listed_path_is_not_topmost() {
        let list = lines("b/c/d\na.b\na\nb/c\na/z\n./a/\n");
        assert_eq!(list.topmost().collect::<Vec<_>>(), [&b"a"[..], b"a.b", b"b/c"]);
    }

    #[test]
    fn names_that_sort_before_a_slash_do_not_come_between_a_directory_and_what_is_below_it() {
        let list = lines("a\na.b\na/z\na-\na!/c\n");
        assert!(list.admits(b"a/y", false));
        assert!(list.admits(b"a.b/y", false));
        assert!(list.admits(b"a!", true));
        assert!(!list.admits(b"a!/b", true));
        assert!(!list.admits(b"a.", true));
    }

    #[test]
    fn slashes_dots_and_carriage_returns_around_a_path_do_not_count() {
        let list = lines("./a/\r\n.//b/./c//\n");
        assert!(list.admits(b"a", false));
        assert!(list.admits(b"b/c", false));
        assert!(!list.admits(b"b/d", false));
        assert_eq!(lines("a").unmatched(), ["files-from entry 1: a"], "no newline at the end");
    }

    #[test]
    fn names_may_hold_newlines_where_a_nul_ends_them() {
        let list = list(b"a\nb\0c\r\0", Separator::Nul).expect("valid");
        assert!(list.admits(b"a\nb", false));
        assert!(list.admits(b"c\r", false));
        assert!(!list.admits(b"a", false));
        assert_eq!(list.unmatched(), Vec::<String>::new());
    }

    #[test]
    fn the_source_itself_may_be_listed() {
        for text in [".", "./", "./.\nb\n", "b\n.\n"] {
            let list = lines(text);
            assert!(list.admits(b"a", false), "{text:?}");
            assert!(list.admits(b"b/c", true), "{text:?}");
        }
        assert_eq!(lines(".\n").unmatched(), Vec::<String>::new());
    }

    #[test]
    fn an_empty_list_admits_nothing() {
        for separator in [Separator::Newline, Separator::Nul] {
            let list = list(b"", separator).expect("valid");
            assert!(!list.admits(b"a", true));
        }
    }

    #[test]
    fn a_path_that_could_leave_the_source_is_refused_with_its_number() {
        for (text, message) in [
            ("a\n\nb\n", "files-from entry 2: : an entry is empty"),
            ("\n", "files-from entry 1: : an entry is empty"),
            ("a\n/b\n", "files-from entry 2: /b: paths are relative to the source"),
            ("/\n", "files-from entry 1: /: paths are relative to the source"),
            ("a\nb\n../c", "files-from entry 3: ../c: `..` would leave the source"),
            ("a/../b", "files-from entry 1: a/../b: `..` would leave the source"),
            ("a\0b\0", "files-from entry 1: a\\x00b\\x00: no name contains a NUL"),
        ] {
            let found = list(text.as_bytes(), Separator::Newline).map(|_| ());
            assert_eq!(found, Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn entries_that_were_not_asked_for_are_told_in_their_order() {
        let list = lines("z\na/b\na\nm/n\na/b\n");
        assert!(list.admits(b"m", true));
        assert!(list.admits(b"a", true));
        assert!(list.admits(b"a/c", false));
        let unmatched =
            ["files-from entry 1: z", "files-from entry 2: a/b", "files-from entry 4: m/n"];
        assert_eq!(list.unmatched(), unmatched);
        assert!(list.admits(b"a/b", false));
        assert_eq!(list.unmatched(), [unmatched[0], unmatched[2]]);
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab][.!b\u{1}]?", 1..4).prop_map(|names| names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_list_admits_what_a_look_at_every_entry_admits(
            listed in prop::collection::vec(path(), 1..12),
            asked in prop::collection::vec((path(), any::<bool>()), 1..24),
        ) {
            let list = lines(&listed.join("\n"));
            for (path, is_dir) in &asked {
                let expected = listed.iter().any(|entry| {
                    entry == path
                        || path.starts_with(&format!("{entry}/"))
                        || *is_dir && entry.starts_with(&format!("{path}/"))
                });
                prop_assert_eq!(list.admits(path.as_bytes(), *is_dir), expected, "{} {:?}", path, listed);
            }
            let mut unseen = Vec::new();
            for (index, entry) in listed.iter().enumerate() {
                let is_new = !listed[..index].contains(entry);
                if is_new && !asked.iter().any(|(path, _)| path == entry) {
                    unseen.push(shown(index + 1, entry.as_bytes()));
                }
            }
            prop_assert_eq!(list.unmatched(), unseen);
        }
    }
}
