//! The rules that the shape of the source tree keeps to. A rule sees only paths and text, so that
//! each is tested on text alone; reading the tree is the one thing here that touches the disk.

mod arrows;
mod places;
mod shape;
mod source;
mod words;

pub(crate) use source::Source;

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Reads every text file that git tracks or would track.
pub(crate) fn read_tree() -> io::Result<Vec<Source>> {
    let top = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
    let top = Path::new(top.trim_end());
    let listed = git(top, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut tree = Vec::new();
    for path in listed.split_terminator('\0') {
        // A tracked file that was deleted but not yet committed is not there to be checked.
        let Ok(bytes) = std::fs::read(top.join(path)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            tree.push(Source::new(path, text));
        }
    }
    Ok(tree)
}

fn git(dir: &Path, args: &[&str]) -> io::Result<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(said));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Applies every rule to every file; sorted by place.
pub(crate) fn check(tree: &[Source]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.iter().flat_map(check_one).collect();
    findings.extend(shape::unnamed_modules(tree));
    findings.extend(shape::unnamed_tests(tree));
    findings.extend(shape::twins(tree));
    findings.sort();
    findings
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = shape::name(source);
    if !source.is_generated() {
        findings.extend(words::banned(source));
    }
    if source.path.ends_with("Cargo.toml") {
        findings.extend(arrows::dependencies(source));
    }
    if source.is_rust() && !source.is_generated() {
        findings.extend(arrows::uses(source));
        findings.extend(places::platform_switches(source));
        findings.extend(places::unsafe_code(source));
        findings.extend(places::ring_names(source));
        findings.extend(places::schema_names(source));
        findings.extend(shape::header(source));
        findings.extend(shape::length(source));
        findings.extend(words::bare_allow(source));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_finding_reads_as_path_line_and_message() {
        let source = Source::new("cli/src/main.rs", "fn main() {}\n");
        assert_eq!(Finding::new(&source, 1, "no").to_string(), "cli/src/main.rs:1: no");
    }

    #[test]
    fn every_rule_is_applied_to_a_file() {
        let text = "fn main() { unsafe { capnp::x() } }\n#[cfg(unix)] use blit_fallback::y;\n\
                    #[allow(dead_code)] mod z; use glommio::a;\n";
        let messages: Vec<String> = check(&[Source::new("cli/src/misc.rs", text)])
            .into_iter()
            .map(|finding| finding.to_string())
            .collect();
        for part in ["`//!`", "unsafe", "capnp", "platform", "blit-fallback", "allow", "glommio"] {
            assert!(messages.iter().any(|m| m.contains(part)), "{part}: {messages:?}");
        }
        assert!(messages.iter().any(|m| m.contains("says nothing")), "{messages:?}");
    }

    #[test]
    fn this_very_tree_can_be_read() {
        if git(Path::new("."), &["--version"]).is_err() {
            let line = b"SKIPPED this_very_tree_can_be_read: there is no git here\n";
            io::stderr().write_all(line).expect("standard error is open");
            return;
        }
        let tree = read_tree().expect("the tests run inside a checkout");
        assert!(tree.iter().any(|source| source.path == "ci/src/tidy.rs"));
    }
}
