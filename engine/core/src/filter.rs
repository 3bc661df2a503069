//! Which entries of a source exist for a transfer.
//! It must not look at a disk or a clock: it is given names, types, sizes and times, and the text of files.

mod glob;
mod list;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use globset::{Candidate, Glob, GlobSet};

use self::glob::Pattern;
pub use self::list::Separator;
use self::list::{PathList, mark};
use crate::entry::{Entry, Kind, Time};
use crate::error::{Error, ErrorKind};
use crate::path::{Escaped, Name, RelPath};

/// Ordered rules, a list of paths, and limits. Without any of them everything is admitted.
#[derive(Debug, Default)]
pub struct Filter {
    rules: Vec<Rule>,
    /// The globs of `rules`, under the same indices.
    globs: GlobSet,
    list: Option<PathList>,
    limits: Limits,
    /// What it was made of.
    parts: Vec<Part>,
}

/// One thing that a filter is made of, as it was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// See [`FilterBuilder::exclude`].
    Exclude(String),
    /// See [`FilterBuilder::include`].
    Include(String),
    /// See [`FilterBuilder::file_lines`].
    Lines {
        /// How messages call the file.
        name: String,
        /// Its text.
        text: String,
    },
    /// See [`FilterBuilder::files_from`].
    Paths(Vec<u8>, Separator),
    /// See [`FilterBuilder::min_size`].
    MinSize(u64),
    /// See [`FilterBuilder::max_size`].
    MaxSize(u64),
    /// See [`FilterBuilder::newer_than`].
    NewerThan(Time),
    /// See [`FilterBuilder::older_than`].
    OlderThan(Time),
}

impl Filter {
    /// Starts a filter that admits everything.
    pub fn builder() -> FilterBuilder {
        FilterBuilder::default()
    }

    /// What the filter was made of: [`FilterBuilder::part`] makes the same again, on another machine for instance.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The numbers of the rules and then of the listed paths that have matched something so far.
    pub fn matched(&self) -> Vec<u32> {
        let numbered = (0..).zip(self.marks());
        numbered.filter(|(_, seen)| seen.load(Relaxed)).map(|(number, _)| number).collect()
    }

    /// Takes note of what the same filter has matched elsewhere.
    pub fn add_matched(&self, numbers: &[u32]) {
        let numbers: HashSet<u32> = numbers.iter().copied().collect();
        let numbered = (0..).zip(self.marks());
        numbered.filter(|(number, _)| numbers.contains(number)).for_each(|(_, seen)| mark(seen));
    }

    fn marks(&self) -> impl Iterator<Item = &AtomicBool> {
        let of_list = self.list.iter().flat_map(PathList::marks);
        self.rules.iter().map(|rule| &rule.seen).chain(of_list)
    }

    /// Whether the rules and the list of paths leave the entry at `path`, below its source, in the transfer.
    ///
    /// Asked from the top down: what is below a directory that is not admitted is not asked for. Links to directories are
    /// directories only where they are followed.
    pub fn admits(&self, path: &[u8], is_dir: bool) -> bool {
        if path.is_empty() {
            return true;
        }
        let is_listed = self.list.as_ref().is_none_or(|list| list.admits(path, is_dir));
        is_listed && self.rules_admit(path, is_dir)
    }

    /// The same for the entries of one directory, the path of which is put together once.
    pub fn inside(&self, dir: &RelPath) -> Inside<'_> {
        let mut path = dir.to_bytes();
        if !path.is_empty() {
            path.push(b'/');
        }
        Inside { filter: self, dir_len: path.len(), path }
    }

    /// Whether a file is within the limits of size and age. Nothing else has limits.
    pub fn is_within_limits(&self, entry: &Entry) -> bool {
        entry.meta.kind != Kind::File || self.limits.hold(entry.meta.size, entry.meta.mtime)
    }

    /// The rules, and then the entries of the list, that have matched nothing so far: what no call of [`Self::admits`] was
    /// about, whichever end of the transfer made it.
    pub fn unmatched(&self) -> Vec<String> {
        let unseen = self.rules.iter().filter(|rule| !rule.seen.load(Relaxed));
        let mut shown: Vec<String> =
            unseen.map(|rule| Escaped(rule.shown.as_bytes()).to_string()).collect();
        shown.extend(self.list.iter().flat_map(PathList::unmatched));
        shown
    }

    /// The last rule that matches decides. All that match are marked, also those that are overruled.
    fn rules_admit(&self, path: &[u8], is_dir: bool) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        MATCHES.with_borrow_mut(|matches| {
            self.globs.matches_candidate_into(&Candidate::from_bytes(path), matches);
            let mut is_admitted = true;
            for rule in matches.iter().map(|index| &self.rules[*index]) {
                if is_dir || !rule.dirs_only {
                    mark(&rule.seen);
                    is_admitted = rule.includes;
                }
            }
            is_admitted
        })
    }
}

#[derive(Debug)]
struct Rule {
    /// Where it stands and what it says, for people.
    shown: String,
    /// What it matches is admitted; otherwise it is not.
    includes: bool,
    /// It matches only directories.
    dirs_only: bool,
    /// It has matched.
    seen: AtomicBool,
}

/// Bounds on files, each inclusive for sizes and exclusive for times.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    size_min: Option<u64>,
    size_max: Option<u64>,
    newer_than: Option<Time>,
    older_than: Option<Time>,
}

impl Limits {
    fn hold(&self, size: u64, mtime: Time) -> bool {
        self.size_min.is_none_or(|min| size >= min)
            && self.size_max.is_none_or(|max| size <= max)
            && self.newer_than.is_none_or(|bound| mtime > bound)
            && self.older_than.is_none_or(|bound| mtime < bound)
    }

    fn check(&self) -> Result<(), Error> {
        let why = match (self.size_min, self.size_max, self.newer_than, self.older_than) {
            (Some(min), Some(max), ..) if min > max => "the least size is above the greatest",
            (_, _, Some(newer), Some(older)) if newer >= older => {
                "no file is newer than the one time and older than the other"
            }
            _ => return Ok(()),
        };
        Err(Error::because(ErrorKind::Usage, "filter", b"", why))
    }
}

/// Collects what a [`Filter`] is made of, in the order in which it is given.
#[derive(Debug, Default)]
#[must_use]
pub struct FilterBuilder {
    rules: Vec<Rule>,
    globs: Vec<Glob>,
    list: Option<PathList>,
    limits: Limits,
    parts: Vec<Part>,
    /// The first thing that is wrong.
    error: Option<Error>,
}

impl FilterBuilder {
    /// Adds what [`Filter::parts`] gave.
    pub fn part(self, part: &Part) -> Self {
        match part {
            Part::Exclude(glob) => self.exclude(glob),
            Part::Include(glob) => self.include(glob),
            Part::Lines { name, text } => self.file_lines(name, text),
            Part::Paths(list, separator) => self.files_from(list, *separator),
            Part::MinSize(bytes) => self.min_size(*bytes),
            Part::MaxSize(bytes) => self.max_size(*bytes),
            Part::NewerThan(time) => self.newer_than(*time),
            Part::OlderThan(time) => self.older_than(*time),
        }
    }

    /// Leaves out what `glob` matches, in gitignore's syntax but without its `!` and `#`.
    pub fn exclude(mut self, glob: &str) -> Self {
        self.parts.push(Part::Exclude(glob.to_owned()));
        self.glob_rule(glob, false)
    }

    /// Admits what `glob` matches after all, unless a directory above it is left out.
    pub fn include(mut self, glob: &str) -> Self {
        self.parts.push(Part::Include(glob.to_owned()));
        self.glob_rule(glob, true)
    }

    /// Adds the lines of a file in gitignore's syntax; `name` is how messages call the file.
    pub fn file_lines(mut self, name: &str, text: &str) -> Self {
        self.parts.push(Part::Lines { name: name.to_owned(), text: text.to_owned() });
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let rule = without_trailing_spaces(line);
            if rule.is_empty() || rule.starts_with('#') {
                continue;
            }
            let shown = format!("{name}:{}: {rule}", index + 1);
            self = match rule.strip_prefix('!') {
                Some(glob) => self.rule(shown, glob, true),
                None => self.rule(shown, rule, false),
            };
        }
        self
    }

    /// Confines the transfer to the paths of `list`, the directories above them and what is below them. Another list
    /// adds to the first.
    pub fn files_from(mut self, list: &[u8], separator: Separator) -> Self {
        self.parts.push(Part::Paths(list.to_owned(), separator));
        let paths = self.list.get_or_insert_default();
        if let Err((shown, why)) = paths.add(list, separator) {
            self.refuse(&shown, why);
        }
        self
    }

    /// Leaves out files of fewer than `bytes`.
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.parts.push(Part::MinSize(bytes));
        self.limits.size_min = Some(bytes);
        self
    }

    /// Leaves out files of more than `bytes`.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.parts.push(Part::MaxSize(bytes));
        self.limits.size_max = Some(bytes);
        self
    }

    /// Leaves out files last changed at `time` or before.
    pub fn newer_than(mut self, time: Time) -> Self {
        self.parts.push(Part::NewerThan(time));
        self.limits.newer_than = Some(time);
        self
    }

    /// Leaves out files last changed at `time` or after.
    pub fn older_than(mut self, time: Time) -> Self {
        self.parts.push(Part::OlderThan(time));
        self.limits.older_than = Some(time);
        self
    }

    /// Makes the filter.
    ///
    /// # Errors
    /// `Usage` for the first rule that could never match, the first entry of a list that could leave the source, and for
    /// limits that no file is within.
    pub fn build(mut self) -> Result<Filter, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.limits.check()?;
        let globs = GlobSet::new(&self.globs).map_err(|_| self.too_large())?;
        if let Some(list) = &mut self.list {
            list.finish();
        }
        let Self { rules, list, limits, parts, .. } = self;
        Ok(Filter { rules, globs, list, limits, parts })
    }

    fn glob_rule(mut self, glob: &str, includes: bool) -> Self {
        let shown = format!("{} {glob}", if includes { "include" } else { "exclude" });
        if glob.starts_with('!') {
            self.refuse(&shown, "`!` turns a rule round only in a file; `\\!` begins a name");
            return self;
        }
        self.rule(shown, glob, includes)
    }

    fn rule(mut self, shown: String, glob: &str, includes: bool) -> Self {
        match Pattern::parse(glob) {
            Ok(Pattern { glob, dirs_only }) => {
                self.globs.push(glob);
                self.rules.push(Rule { shown, includes, dirs_only, seen: AtomicBool::new(false) });
            }
            Err(why) => self.refuse(&shown, why),
        }
        self
    }

    fn refuse(&mut self, shown: &str, why: impl Into<String>) {
        self.error.get_or_insert_with(|| refused(shown, why));
    }

    /// Finds the rule that is too large for the matcher alone, if it is one and not all of them together.
    fn too_large(&self) -> Error {
        let alone = self.globs.iter().position(|glob| GlobSet::new([glob]).is_err());
        let shown = alone.and_then(|index| self.rules.get(index)).map(|rule| rule.shown.as_str());
        refused(shown.unwrap_or("all rules together"), "too large for the matcher")
    }
}

/// The paths of a list, in order and without those that are below another one; the empty path is the directory that they are below.
///
/// # Errors
/// `Usage`: which entry is not such a path, and why.
pub fn listed(list: &[u8], separator: Separator) -> Result<Vec<RelPath>, Error> {
    let mut paths = PathList::default();
    paths.add(list, separator).map_err(|(shown, why)| refused(&shown, why))?;
    paths.finish();
    paths.topmost().map(RelPath::new).collect()
}

fn refused(shown: &str, why: impl Into<String>) -> Error {
    Error::because(ErrorKind::Usage, "filter by", shown.as_bytes(), why)
}

/// A line of a gitignore file ends before its trailing spaces, unless a backslash is before one.
fn without_trailing_spaces(line: &str) -> &str {
    let mut end = 0;
    let mut chars = line.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            ' ' => {}
            '\\' => end = chars.next().map_or(line.len(), |(at, char)| at + char.len_utf8()),
            char => end = at + char.len_utf8(),
        }
    }
    &line[..end]
}

thread_local! {
    /// Where matches are collected, so that no question allocates.
    static MATCHES: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A filter at a directory.
#[derive(Debug)]
pub struct Inside<'a> {
    filter: &'a Filter,
    /// The path of the directory with a slash behind it, and what was asked for last.
    path: Vec<u8>,
    dir_len: usize,
}

impl Inside<'_> {
    /// As [`Filter::admits`], of the entry `name`.
    pub fn admits(&mut self, name: &Name, is_dir: bool) -> bool {
        self.path.truncate(self.dir_len);
        self.path.extend_from_slice(name.as_bytes());
        self.filter.admits(&self.path, is_dir)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{FileId, Meta};

    fn path(text: &str) -> &[u8] {
        text.as_bytes()
    }

    /// Whether `text` is reached from the top; a `/` at its end makes it a directory.
    fn reaches(filter: &Filter, text: &str) -> bool {
        let (text, is_dir) = match text.strip_suffix('/') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let ancestors =
            text.match_indices('/').all(|(at, _)| filter.admits(path(&text[..at]), true));
        ancestors && filter.admits(path(text), is_dir)
    }

    fn lines(text: &str) -> Filter {
        Filter::builder().file_lines("rules", text).build().expect("valid")
    }

    fn file(size: u64, secs: i64) -> Entry {
        let meta = Meta {
            kind: Kind::File,
            size,
            allocated: size,
            mtime: Time { secs, nanos: 0 },
            ctime: Time::default(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            nlink: 1,
            id: FileId::default(),
            rdev: 0,
            xattrs: None,
            target: None,
            mounted: false,
        };
        Entry { name: Name::new(&b"a"[..]).expect("valid"), meta }
    }

    /// The lines of a file, what they leave out, and what they do not; `/` at the end marks a directory. What git says
    /// of each is the same: `git check-ignore --no-index --stdin` over a tree with these entries.
    const GITIGNORE: &[(&str, &[&str], &[&str])] = &[
        // Comments, blanks, spaces, escapes.
        ("\n# a\n\\#b\n  \n", &["#b"], &["a", "# a"]),
        ("a \nb\\ \nc\t\n", &["a", "b ", "c\t"], &["b", "c"]),
        ("a\r\nb/\r\n\r\n", &["a", "b/"], &["b"]),
        ("\u{feff}a\n", &["a"], &["b"]),
        ("\\!a\n\\ b\n", &["!a", " b"], &["a", "b"]),
        ("a\\b\na\\*c\n", &["ab", "a*c"], &["axc", "a\\b"]),
        // Names without a slash match at any depth.
        ("a", &["a", "a/", "x/a", "x/y/a/", "a/x"], &["aa", "xa", "A", "x/A"]),
        ("a/", &["a/", "x/a/", "a/x/y"], &["a", "x/a"]),
        ("*.o", &[".o", "a.o", "x/a.o", "a.o/", "a.o/b"], &["a.oo", "ao", "a.o.c"]),
        ("a?c", &["abc", "x/a.c"], &["ac", "abbc", "a/c"]),
        (".*", &[".a", "x/.a", ".a/b"], &["a", "a."]),
        ("*", &["a", "a/", "a/b"], &[]),
        ("*/", &["a/", "a/b"], &["a"]),
        ("**", &["a", "a/b"], &[]),
        ("a**", &["a", "ab", "x/ab"], &["b", "x/b"]),
        // A slash at the front or in the middle anchors.
        ("/a", &["a", "a/", "a/x"], &["x/a", "aa"]),
        ("/a/", &["a/", "a/x"], &["a", "x/a/"]),
        ("a/b", &["a/b", "a/b/", "a/b/c"], &["x/a/b", "a/x/b", "a/", "b"]),
        ("/a/b", &["a/b"], &["x/a/b"]),
        ("a/b/", &["a/b/", "a/b/c"], &["a/b", "x/a/b/"]),
        ("/*", &["a", "a/", ".a", "a/b"], &[]),
        ("/*.c", &["a.c", ".c"], &["x/a.c"]),
        ("a/*", &["a/b", "a/b/c"], &["a/", "a", "x/a/b"]),
        ("a/*/c", &["a/b/c", "a/.b/c"], &["a/c", "a/b/b/c"]),
        ("a/?b", &["a/bb"], &["a/b"]),
        ("x/[ab]", &["x/a", "x/b/"], &["x/c", "a"]),
        // Two stars.
        ("**/a", &["a", "x/a", "x/y/a/"], &["xa", "x/xa"]),
        ("**/a/b", &["a/b", "x/a/b", "x/y/a/b"], &["a/x/b", "xa/b"]),
        ("a/**", &["a/b", "a/b/", "a/b/c"], &["a", "a/", "x/a/b"]),
        ("a/**/", &["a/b/", "a/b/c"], &["a/", "a/b"]),
        ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["x/a/b", "a/xb", "ab"]),
        ("**/a/**", &["a/b", "x/a/b"], &["a/", "x/a/"]),
        ("/**/a", &["a", "x/a"], &["xa"]),
        ("/**", &["a", "a/b"], &[]),
        ("**/", &["a/", "x/a/", "a/b"], &["a"]),
        ("**/**/a", &["a", "x/a", "x/y/a"], &["b"]),
        ("a/**/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab"]),
        ("***/a", &["a", "x/a"], &["xa"]),
        ("x/*a**b", &["x/ab", "x/aab", "x/a.b"], &["x/a/b", "ab"]),
        ("x/**b", &["x/b", "x/ab"], &["b"]),
        ("**a/b", &["a/b", "xa/b"], &["x/a/b"]),
        ("a\\/b", &["a/b"], &["x/a/b", "b"]),
        // Classes.
        ("[ab]c", &["ac", "bc", "x/ac"], &["c", "cc", "abc"]),
        ("[!ab]c", &["cc", ".c"], &["ac", "bc", "c"]),
        ("[^ab]c", &["cc"], &["ac"]),
        ("[a-c]", &["a", "b", "c"], &["d", "-"]),
        ("[a-c-e]", &["a", "b", "c", "-", "e"], &["d"]),
        ("[]a]", &["]", "a"], &["b", "["]),
        ("[]-a]", &["]", "^", "_", "`", "a"], &["b", "-", "["]),
        ("[!]a-]", &["b", "["], &["]", "a", "-"]),
        ("[--0]", &["-", "0"], &["1", "a"]),
        ("[a\\]]", &["a", "]"], &["\\", "b"]),
        ("[\\-a]", &["-", "a"], &["b"]),
        ("[[]", &["["], &["]", "a"]),
        ("[[:digit:]x]", &["1", "x"], &["a", ":", "d"]),
        ("[[:upper:][:punct:]]", &["A", "_", "!"], &["a", "1"]),
        ("[![:alnum:]]", &["_", "~"], &["a", "1"]),
        ("[[:ab]", &["[", ":", "a", "b"], &["c"]),
        ("x/[!a]y", &["x/by"], &["x/ay", "xy"]),
        // What other tools would expand means itself.
        ("{a,b}", &["{a,b}"], &["a", "b"]),
        ("a,b", &["a,b"], &["a", "b"]),
        ("(a|b)+", &["(a|b)+"], &["a", "b"]),
        ("a.b", &["a.b"], &["axb"]),
        ("$a", &["$a"], &["a"]),
        ("~", &["~"], &["a"]),
        // The last match decides, but nothing returns below what is left out.
        ("*.o\n!a.o", &["b.o", "x/b.o"], &["a.o", "x/a.o", "b.c"]),
        ("!a.o\n*.o", &["a.o"], &["b.c"]),
        ("a\n!a/b", &["a/", "a/b"], &["b"]),
        ("a/\n!a/b", &["a/b"], &["a", "b"]),
        ("a/*\n!a/b", &["a/c"], &["a/", "a/b", "a/b/c"]),
        ("/*\n!/a\n/a/*\n!/a/b", &["x", "x/y", "a/c"], &["a/", "a/b", "a/b/c"]),
        ("*\n!*/\n!*.c", &["a", "x/a.o"], &["x/", "a.c", "x/y/a.c"]),
        ("!!a\n*b\n", &["b", "xb"], &["a"]),
        ("a\n!a\na", &["a"], &["b"]),
        ("a\n!a/", &["a"], &["a/", "a/b"]),
    ];

    #[test]
    fn lines_of_a_file_mean_what_they_mean_to_git() {
        for (text, excluded, admitted) in GITIGNORE {
            let filter = lines(text);
            for path in *excluded {
                assert!(!reaches(&filter, path), "{text:?} leaves {path} in");
            }
            for path in *admitted {
                assert!(reaches(&filter, path), "{text:?} leaves {path} out");
            }
        }
    }

    #[test]
    fn a_filter_is_made_again_of_its_parts() {
        let first = Filter::builder()
            .exclude("*.o")
            .include("a.o")
            .file_lines("rules", "# no\n*.tmp\n!b.tmp\n")
            .files_from(b"x\ny/z\n", Separator::Newline)
            .min_size(3)
            .older_than(Time { secs: 9, nanos: 1 })
            .build()
            .expect("valid");
        let again = first.parts().iter().fold(Filter::builder(), FilterBuilder::part);
        let again = again.build().expect("valid");
        assert_eq!(first.parts(), again.parts());
        assert_eq!(first.unmatched(), again.unmatched());
        assert!(!again.admits(path("x/q.o"), false) && again.admits(path("y/z"), false));
        first.add_matched(&again.matched());
        assert_eq!(first.unmatched(), again.unmatched());
        assert!(!first.matched().is_empty() && !first.unmatched().is_empty());
    }

    #[test]
    fn without_rules_everything_is_admitted() {
        for filter in
            [Filter::default(), Filter::builder().build().expect("valid"), lines("\n# a\n \n")]
        {
            assert!(filter.admits(b"", true));
            assert!(reaches(&filter, "a/b"));
            assert!(filter.is_within_limits(&file(0, 0)));
            assert_eq!(filter.unmatched(), Vec::<String>::new());
        }
    }

    #[test]
    fn the_root_is_admitted_whatever_the_rules_say() {
        let filter = Filter::builder().exclude("*").exclude("/**").files_from(b"", Separator::Nul);
        assert!(filter.build().expect("valid").admits(b"", true));
    }

    #[test]
    fn the_last_matching_rule_decides_across_options_and_files() {
        let filter = Filter::builder()
            .exclude("*.o")
            .include("keep.o")
            .file_lines("rules", "!x.o\n/sub/*.o\n")
            .include("/sub/y.o")
            .build()
            .expect("valid");
        for (path, admitted) in [
            ("a.o", false),
            ("keep.o", true),
            ("x.o", true),
            ("sub/x.o", false),
            ("sub/keep.o", false),
            ("sub/y.o", true),
            ("sub/z.c", true),
        ] {
            assert_eq!(reaches(&filter, path), admitted, "{path}");
        }
    }

    #[test]
    fn rules_of_options_take_hashes_and_spaces_literally() {
        let filter =
            Filter::builder().exclude("#a").exclude("b ").exclude("\\!c").build().expect("valid");
        for path in ["#a", "b ", "!c"] {
            assert!(!reaches(&filter, path), "{path}");
        }
        assert!(reaches(&filter, "b"));
    }

    #[test]
    fn names_that_are_not_utf_8_are_filtered_too() {
        let filter = Filter::builder().exclude("*.tmp").build().expect("valid");
        let bad = Name::new(&b"\xff\xfe.tmp"[..]).expect("valid");
        assert!(!filter.admits(bad.as_bytes(), false));
        assert!(!filter.inside(&RelPath::new(b"a/b").expect("valid")).admits(&bad, false));
    }

    #[test]
    fn a_list_and_rules_must_both_admit() {
        let filter = Filter::builder()
            .files_from(b"src\n", Separator::Newline)
            .files_from(b"doc/a\0", Separator::Nul)
            .exclude("*.o")
            .build()
            .expect("valid");
        assert!(reaches(&filter, "src/a.c"));
        assert!(!reaches(&filter, "src/a.o"));
        assert!(reaches(&filter, "doc/a"));
        assert!(!reaches(&filter, "doc/b"));
    }

    #[test]
    fn limits_hold_for_files_alone_and_include_their_sizes_but_not_their_times() {
        let time = |secs| Time { secs, nanos: 0 };
        let filter =
            Filter::builder().min_size(10).max_size(20).newer_than(time(-5)).older_than(time(5));
        let filter = filter.build().expect("valid");
        for (size, secs, within) in [
            (10, 0, true),
            (20, 0, true),
            (9, 0, false),
            (21, 0, false),
            (10, -5, false),
            (10, -4, true),
            (10, 5, false),
            (10, 4, true),
        ] {
            assert_eq!(filter.is_within_limits(&file(size, secs)), within, "{size} {secs}");
        }
        let mut dir = file(0, 9);
        for kind in [Kind::Dir, Kind::Symlink, Kind::Fifo] {
            dir.meta.kind = kind;
            assert!(filter.is_within_limits(&dir));
        }
        assert!(filter.admits(path("a"), false));
    }

    #[test]
    fn what_has_matched_nothing_is_told_in_order() {
        let filter = Filter::builder()
            .exclude("*.o")
            .file_lines("lists/rules", "\n# comment\n*.bak\n!a.o  \ncache/\n")
            .include("b.o")
            .files_from(b"a.o\nb.o\ngone\n", Separator::Newline)
            .build()
            .expect("valid");
        assert!(filter.admits(path("a.o"), false));
        assert!(!filter.admits(path("cache"), false));
        let unmatched = [
            "lists/rules:3: *.bak",
            "lists/rules:5: cache/",
            "include b.o",
            "files-from entry 2: b.o",
        ];
        assert_eq!(filter.unmatched()[..4], unmatched);
        assert!(filter.admits(path("b.o"), false));
        let last = ["lists/rules:3: *.bak", "lists/rules:5: cache/", "files-from entry 3: gone"];
        assert_eq!(filter.unmatched(), last);
    }

    #[test]
    fn what_is_wrong_is_a_usage_error_that_names_the_first_rule_and_why() {
        let time = |secs| Time { secs, nanos: 0 };
        let new = Filter::builder;
        for (builder, message) in [
            (new().exclude("a[").exclude("/"), "filter by exclude a[: its `[` is not closed"),
            (new().include(""), "filter by include : it names nothing"),
            (
                new().exclude("!a"),
                "filter by exclude !a: `!` turns a rule round only in a file; `\\!` begins a name",
            ),
            (
                new().file_lines("my\nrules", "a\n\n!b//c\n"),
                "filter by my\\nrules:3: !b//c: no name between its slashes is empty",
            ),
            (
                new().files_from(b"a\n../b", Separator::Newline),
                "filter by files-from entry 2: ../b: `..` would leave the source",
            ),
            (new().min_size(2).max_size(1), "filter: the least size is above the greatest"),
            (
                new().newer_than(time(1)).older_than(time(1)),
                "filter: no file is newer than the one time and older than the other",
            ),
        ] {
            let error = builder.build().expect_err(message);
            assert_eq!((error.kind, error.to_string().as_str()), (ErrorKind::Usage, message));
        }
    }

    #[test]
    fn a_rule_that_is_too_large_for_the_matcher_is_named() {
        let large = format!("a{}", "?*[ab]*".repeat(100_000));
        let error = Filter::builder().exclude("b").exclude(&large).build().expect_err("too large");
        assert_eq!(error.kind, ErrorKind::Usage);
        let message = format!("filter by exclude {large}: too large for the matcher");
        assert!(error.to_string() == message);
    }

    #[test]
    fn a_filter_is_shared_between_threads() {
        fn assert_shared<T: Send + Sync + std::fmt::Debug>() {}
        assert_shared::<Filter>();
    }

    fn rule() -> impl Strategy<Value = (String, bool)> {
        let glob = prop::sample::select(vec![
            "a", "b", "a/", "/a", "a/b", "/a/*", "**/b", "a/**", "*", "*/", "[ab]", "?b", "b/a/",
            "ab*",
        ]);
        (glob.prop_map(str::to_owned), any::<bool>())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn many_rules_decide_as_each_alone_in_turn_would(
            rules in prop::collection::vec(rule(), 1..8),
            paths in prop::collection::vec(("(a|b|ab)(/(a|b|ab)){0,3}", any::<bool>()), 1..16),
        ) {
            let add = |builder: FilterBuilder, (glob, includes): &(String, bool)| match includes {
                true => builder.include(glob),
                false => builder.exclude(glob),
            };
            let filter = rules.iter().fold(Filter::builder(), add).build().expect("valid");
            let alone: Vec<Filter> = rules
                .iter()
                .map(|(glob, _)| Filter::builder().exclude(glob).build().expect("valid"))
                .collect();
            for (text, is_dir) in &paths {
                let hits = alone.iter().map(|filter| !filter.admits(path(text), *is_dir));
                let hits: Vec<bool> = hits.collect();
                let last = hits.iter().zip(&rules).rfind(|(hit, _)| **hit);
                let expected = last.is_none_or(|(_, (_, includes))| *includes);
                prop_assert_eq!(filter.admits(path(text), *is_dir), expected, "{} {:?}", text, rules);
            }
            let unmatched = alone.iter().map(|filter| filter.unmatched().len()).sum::<usize>();
            prop_assert_eq!(filter.unmatched().len(), unmatched);
        }
    }
}
