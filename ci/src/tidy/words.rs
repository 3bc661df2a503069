//! Words that do not belong in the project: leftovers, and traces of one machine.

use super::{Finding, Source};

/// The one file that has to spell the words out.
const THIS_FILE: &str = "ci/src/tidy/words.rs";

/// Found anywhere in a line, in any case.
const LEFTOVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Found where no letter, digit or underscore touches them, in any case.
const WHOLE_WORDS: &[&str] = &["fixme", "xxx"];

/// Found where a path begins.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/"];

pub(super) fn banned(source: &Source) -> Vec<Finding> {
    let file = source.path.rsplit('/').next().unwrap_or(&source.path);
    if source.path == THIS_FILE || file.starts_with("LICENSE") || file.ends_with(".lock") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in all().filter(|word| is_in(&line, word)) {
            let message = format!("`{word}` does not belong here");
            findings.push(Finding::new(source, index + 1, message));
        }
    }
    findings
}

/// An exception to a lint is an `expect` with its reason: it goes when it is no longer needed.
pub(super) fn bare_allow(source: &Source) -> Vec<Finding> {
    let is_bare = |line: &&str| line.contains("#[allow(") || line.contains("#![allow(");
    let lines = source.code.lines().enumerate();
    lines
        .filter(|(_, line)| is_bare(line))
        .map(|(index, _)| Finding::new(source, index + 1, "allow: use expect with a reason"))
        .collect()
}

fn all() -> impl Iterator<Item = &'static str> {
    LEFTOVERS.iter().chain(WHOLE_WORDS).chain(MACHINE_PATHS).copied()
}

fn is_in(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        if WHOLE_WORDS.contains(&word) {
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        } else if MACHINE_PATHS.contains(&word) {
            !before.is_some_and(|c| is_part(c) || "./-}~".contains(c))
        } else {
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        banned(&Source::new(path, text)).len()
    }

    #[test]
    fn every_banned_word_is_found_in_any_text_file() {
        for word in all() {
            for path in ["cli/src/main.rs", "README.md", "ci/check.sh"] {
                assert_eq!(found(path, &format!("first\nhere {word}\n")), 1, "{word}");
                assert_eq!(found(path, &word.to_uppercase()), 1, "{word}");
            }
        }
    }

    #[test]
    fn the_line_is_reported() {
        let source = Source::new("README.md", "one\ntwo FIXME\n");
        assert_eq!(banned(&source)[0].line, 2);
    }

    #[test]
    fn words_and_paths_that_only_look_alike_pass() {
        let text = "mktemp -d name.XXXXXX; $HOME/work/x ../root/y srv/root/ work/ todo\n\
                    prefixme\n";
        assert_eq!(found("ci/check.sh", text), 0);
    }

    #[test]
    fn licences_and_lock_files_are_not_read() {
        assert_eq!(found("Cargo.lock", "FIXME\n"), 0);
        assert_eq!(found("LICENSE-MIT", "FIXME\n"), 0);
    }

    #[test]
    fn a_bare_allow_is_found_and_an_expect_passes() {
        let count = |text: &str| bare_allow(&Source::new("a.rs", text)).len();
        assert_eq!(count("#[allow(dead_code)]\nfn f() {}\n"), 1);
        assert_eq!(count("#![allow(dead_code)]\n"), 1);
        assert_eq!(count("#[expect(dead_code, reason = \"x\")]\nfn f() {}\n"), 0);
        assert_eq!(count("// #[allow(dead_code)]\n"), 0);
    }
}
