//! How files are named, headed, sized and found by the build.

use super::{Finding, Source};

/// A file is one noun; beyond this it holds two.
const LINES_BEFORE_TESTS_MAX: usize = 500;

/// With its tests a file must still be read in one sitting.
const LINES_MAX: usize = 900;

/// Names under which anything could be put, so that nothing can be found.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "manager", "managers"];

/// What only the io_uring engine has: its machinery, not a job that the thread engine shares.
const RING_ONLY: &[&str] =
    &["buffers", "executor", "facade", "pool", "probe", "queue", "ring", "stream", "watchdog"];

pub(super) fn name(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for part in source.path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if EMPTY_NAMES.contains(&stem) {
            findings.push(Finding::new(source, 1, format!("the name {stem} says nothing")));
        }
    }
    if source.path.ends_with("/mod.rs") {
        findings.push(Finding::new(source, 1, "no mod.rs: a module is folder.rs beside folder/"));
    }
    findings
}

pub(super) fn header(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![Finding::new(source, 1, "the first line must be a `//!` that says what this is")]
}

pub(super) fn length(source: &Source) -> Vec<Finding> {
    let whole = source.text.lines().count();
    let before_tests = lines_before_tests(&source.text);
    if whole > LINES_MAX {
        let message = format!("{whole} lines; at most {LINES_MAX}");
        return vec![Finding::new(source, LINES_MAX + 1, message)];
    }
    if before_tests > LINES_BEFORE_TESTS_MAX && !source.is_test() {
        let message =
            format!("{before_tests} lines before its tests; at most {LINES_BEFORE_TESTS_MAX}");
        return vec![Finding::new(source, LINES_BEFORE_TESTS_MAX + 1, message)];
    }
    Vec::new()
}

/// Every module file is named by a `mod` above it or a `#[path]`; otherwise it is never compiled.
pub(super) fn unnamed_modules(tree: &[Source]) -> Vec<Finding> {
    let rust = || tree.iter().filter(|source| source.is_rust());
    rust()
        .filter(|source| !is_root(&source.path))
        .filter(|source| !rust().any(|other| declares(other, &source.path)))
        .filter(|source| !rust().any(|other| has_path_to(other, &source.path)))
        .map(|source| Finding::new(source, 1, "no `mod` names this file"))
        .collect()
}

/// Where a manifest turns off the search for tests, it lists every one of them.
pub(super) fn unnamed_tests(tree: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lists_its_tests = |source: &&Source| {
        source.path.ends_with("Cargo.toml") && source.text.contains("autotests = false")
    };
    for manifest in tree.iter().filter(lists_its_tests) {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        for source in tree.iter().filter(|source| source.is_rust()) {
            let Some(file) = source.path.strip_prefix(folder) else { continue };
            let is_listed = || manifest.text.contains(&format!("path = \"{file}\""));
            if is_test_root(file) && !is_listed() {
                let message = format!("{} does not list this test", manifest.path);
                findings.push(Finding::new(source, 1, message));
            }
        }
    }
    findings
}

/// Both engines have the same jobs in files of the same name.
pub(super) fn twins(tree: &[Source]) -> Vec<Finding> {
    let has = |path: &str| tree.iter().any(|source| source.path == path);
    tree.iter()
        .filter_map(|source| {
            let job = source.path.strip_prefix("engine/src/uring/")?.strip_suffix(".rs")?;
            let twin = format!("fallback/src/{job}.rs");
            let is_alone = !job.contains('/') && !RING_ONLY.contains(&job) && !has(&twin);
            is_alone.then(|| Finding::new(source, 1, format!("has no {twin} beside it")))
        })
        .collect()
}

/// Counts up to the first test module, so that `#[cfg(test)]` on an import ends nothing.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "))
        .unwrap_or(lines.len())
}

/// Whether cargo finds the file by itself.
fn is_root(path: &str) -> bool {
    let in_crate = path.rsplit_once("/src/").map(|(_, inside)| inside);
    matches!(in_crate, Some("lib.rs" | "main.rs"))
        || in_crate.is_some_and(|inside| inside.starts_with("bin/"))
        || path.ends_with("/build.rs")
        || ["tests", "benches", "examples"].iter().any(|kind| {
            path.split_once(&format!("{kind}/")).is_some_and(|(before, inside)| {
                (before.is_empty() || before.ends_with('/'))
                    && (!inside.contains('/') || inside.ends_with("/main.rs"))
            })
        })
}

fn is_test_root(file_in_crate: &str) -> bool {
    file_in_crate.strip_prefix("tests/").is_some_and(|file| !file.contains('/'))
}

/// Whether `other` stands where a `mod` for `path` can stand, and has one.
fn declares(other: &Source, path: &str) -> bool {
    let (folder, module) = split(path);
    let is_parent = other.path == format!("{folder}.rs")
        || (split(&other.path).0 == folder && other.path != path && is_root(&other.path));
    is_parent && {
        let words: Vec<&str> = other.idents().map(|(_, word)| word).collect();
        words.windows(2).any(|pair| pair == ["mod", module])
    }
}

fn has_path_to(other: &Source, path: &str) -> bool {
    let file = format!("{}.rs\"", split(path).1);
    other.text.lines().any(|line| line.contains("path = \"") && line.contains(&file))
}

/// The folder and the name without its ending.
fn split(path: &str) -> (&str, &str) {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    (folder, file.trim_end_matches(".rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for path in ["cli/src/util.rs", "cli/tests/common/tree.rs", "ci/helpers.sh", "a/Manager.rs"]
        {
            assert_eq!(name(&source(&path.to_lowercase(), "")).len(), 1, "{path}");
        }
        assert_eq!(name(&source("cli/src/ui/mod.rs", "")).len(), 1);
        assert_eq!(name(&source("cli/src/utility_of_copies.rs", "")), []);
        assert_eq!(name(&source("cli/src/model.rs", "")), []);
    }

    #[test]
    fn a_file_begins_by_saying_what_it_is() {
        assert_eq!(header(&source("a.rs", "use std::io;\n//! Late.\n")).len(), 1);
        assert_eq!(header(&source("a.rs", "")).len(), 1);
        assert_eq!(header(&source("a.rs", "//! A noun.\n")), []);
    }

    #[test]
    fn length_counts_code_and_tests_apart() {
        let lines = |count: usize| "x\n".repeat(count);
        let tests = "#[cfg(test)]\nmod tests {\n";
        assert_eq!(length(&source("a/src/b.rs", &lines(500))), []);
        assert_eq!(length(&source("a/src/b.rs", &lines(501))).len(), 1);
        let both = format!("{}{tests}{}", lines(500), lines(398));
        assert_eq!(length(&source("a/src/b.rs", &both)), []);
        let too_long = format!("{both}x\n");
        assert_eq!(length(&source("a/src/b.rs", &too_long)).len(), 1);
        assert_eq!(length(&source("a/tests/b.rs", &lines(900))), []);
        assert_eq!(length(&source("a/tests/b.rs", &lines(901))).len(), 1);
        let import = format!("#[cfg(test)]\nuse x;\n{}", lines(499));
        assert_eq!(length(&source("a/src/b.rs", &import)).len(), 1);
    }

    #[test]
    fn a_module_that_nothing_names_is_found() {
        let tree = |extra: Source| {
            vec![
                source("cli/src/main.rs", "//! X.\nmod ui;\n"),
                source("cli/src/ui.rs", "//! X.\npub mod table;\n// mod lost;\n"),
                source("cli/src/ui/table.rs", "//! X.\n"),
                source("cli/tests/copy.rs", "//! X.\nmod sandbox;\n"),
                source("cli/tests/sandbox/main.rs", "//! X.\n"),
                extra,
            ]
        };
        for lost in ["cli/src/ui/lost.rs", "cli/src/table.rs", "cli/tests/deep/lost.rs"] {
            let found = unnamed_modules(&tree(source(lost, "//! X.\n")));
            assert_eq!(found.len(), 1, "{lost}");
            assert_eq!(found[0].path, lost);
        }
        let mut by_path = tree(source("cli/src/ui/lost.rs", "//! X.\n"));
        by_path[0].text.push_str("#[cfg_attr(test, path = \"ui/lost.rs\")] mod x;\n");
        assert_eq!(unnamed_modules(&by_path), []);
        assert_eq!(unnamed_modules(&tree(source("cli/benches/speed.rs", ""))), []);
        assert_eq!(unnamed_modules(&tree(source("cli/build.rs", ""))), []);
    }

    #[test]
    fn a_test_that_a_manifest_forgets_is_found() {
        let manifest = "[package]\nautotests = false\n[[test]]\npath = \"tests/copy.rs\"\n";
        let tests = || [source("cli/tests/copy.rs", ""), source("cli/tests/move.rs", "")];
        let mut tree = vec![source("cli/Cargo.toml", manifest)];
        tree.extend(tests());
        let found = unnamed_tests(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "cli/tests/move.rs");
        let mut tree = vec![source("cli/Cargo.toml", "[package]\n")];
        tree.extend(tests());
        assert_eq!(unnamed_tests(&tree), []);
    }

    #[test]
    fn a_job_of_one_engine_only_is_found() {
        let tree = vec![
            source("engine/src/uring/copy.rs", ""),
            source("engine/src/uring/hash.rs", ""),
            source("engine/src/uring/buffers.rs", ""),
            source("fallback/src/copy.rs", ""),
        ];
        let found = twins(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "engine/src/uring/hash.rs");
    }
}
