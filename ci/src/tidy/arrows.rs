//! Which crate may know which: the arrows of ARCHITECTURE.md.

use super::{Finding, Source};

/// A crate of ours and what it may depend on.
struct Area {
    folder: &'static str,
    name: &'static str,
    may: &'static [&'static str],
    /// What its tests may depend on besides.
    tests_may: &'static [&'static str],
}

/// Published crates that are pinned to some of ours; a trailing `*` stands for any ending.
const PINNED: &[(&str, &[&str])] = &[
    ("capnp*", &["blit-schema", "blit-schema-gen", "blit-rpc"]),
    ("glommio*", &["blit-engine"]),
    ("io-uring", &["blit-engine"]),
];

const AREAS: &[Area] = &[
    Area { folder: "schema", name: "blit-schema", may: &[], tests_may: &[] },
    Area { folder: "schema/gen", name: "blit-schema-gen", may: &[], tests_may: &[] },
    Area { folder: "engine/core", name: "blit-core", may: &[], tests_may: &[] },
    Area { folder: "fallback", name: "blit-fallback", may: &["blit-core"], tests_may: &[] },
    Area {
        folder: "engine",
        name: "blit-engine",
        may: &["blit-core", "blit-fallback"],
        tests_may: &[],
    },
    Area {
        folder: "rpc",
        name: "blit-rpc",
        may: &["blit-core", "blit-schema"],
        tests_may: &["blit-engine"],
    },
    Area {
        folder: "cli",
        name: "blit",
        may: &["blit-core", "blit-engine", "blit-rpc"],
        tests_may: &["blit-fallback", "blitd"],
    },
    Area {
        folder: "daemon",
        name: "blitd",
        may: &["blit-core", "blit-engine", "blit-rpc"],
        tests_may: &[],
    },
    Area {
        folder: "bench",
        name: "blit-bench",
        may: &["blit-core", "blit-engine"],
        tests_may: &[],
    },
    Area { folder: "ci", name: "blit-ci", may: &[], tests_may: &[] },
    Area {
        folder: "fuzz",
        name: "blit-fuzz",
        may: &["blit-core", "blit-rpc", "blitd"],
        tests_may: &[],
    },
];

impl Area {
    /// The crate that a file belongs to: the one with the longest folder.
    fn of(path: &str) -> Option<&'static Self> {
        let holds =
            |area: &&Self| path.strip_prefix(area.folder).is_some_and(|rest| rest.starts_with('/'));
        AREAS.iter().filter(holds).max_by_key(|area| area.folder.len())
    }

    fn allows(&self, other: &str, in_tests: bool) -> bool {
        self.name == other
            || self.may.contains(&other)
            || (in_tests && self.tests_may.contains(&other))
    }
}

/// A dependency that a `Cargo.toml` names.
#[derive(Debug, PartialEq)]
struct Dependency {
    line: usize,
    name: String,
    for_tests: bool,
}

/// Every dependency of a manifest follows an arrow.
pub(super) fn dependencies(manifest: &Source) -> Vec<Finding> {
    if manifest.path == "Cargo.toml" {
        return Vec::new();
    }
    let Some(area) = Area::of(&manifest.path).filter(|area| {
        manifest.path == format!("{}/Cargo.toml", area.folder)
            && manifest.text.contains(&format!("name = \"{}\"", area.name))
    }) else {
        let message = "this crate has no row in the table of arrows (ci/src/tidy/arrows.rs)";
        return vec![Finding::new(manifest, 1, message)];
    };
    listed(&manifest.text)
        .into_iter()
        .filter(|dependency| !is_allowed(area, dependency))
        .map(|Dependency { line, name, .. }| {
            let message = format!("{} must not depend on {name}", area.name);
            Finding::new(manifest, line, message)
        })
        .collect()
}

/// No code reaches for a crate that its own may not know.
pub(super) fn uses(source: &Source) -> Vec<Finding> {
    let Some(area) = Area::of(&source.path) else { return Vec::new() };
    let tests_start = source.text.find("#[cfg(test)]").unwrap_or(source.text.len());
    let mut findings = Vec::new();
    for (at, word) in source.idents().filter(|(_, word)| word.starts_with("blit_")) {
        let name = word.replace('_', "-");
        let is_ours = AREAS.iter().any(|other| other.name == name);
        if is_ours && !area.allows(&name, source.is_test() || at > tests_start) {
            let message = format!("{} must not use {name}", area.name);
            findings.push(Finding::new(source, source.line_at(at), message));
        }
    }
    findings
}

fn is_allowed(area: &Area, dependency: &Dependency) -> bool {
    let Dependency { name, for_tests, .. } = dependency;
    if name == "blitd" || name == "blit" || name.starts_with("blit-") {
        return area.allows(name, *for_tests);
    }
    let pin = PINNED.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    });
    pin.is_none_or(|(_, holders)| holders.contains(&area.name))
}

/// Reads as much TOML as manifests use: one dependency a line, or a section for one.
fn listed(manifest: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').trim();
        }
        let Some((kind, of_section)) = dependency_section(section) else { continue };
        let name = if line.starts_with('[') { of_section } else { line_name(line, of_section) };
        if let Some(name) = name {
            let for_tests = kind == "dev-dependencies";
            found.push(Dependency { line: index + 1, name: name.to_owned(), for_tests });
        }
    }
    found
}

/// Splits `target.'cfg(x)'.dev-dependencies.name` into its kind and its name, if it has one.
fn dependency_section(section: &str) -> Option<(&str, Option<&str>)> {
    // A target's quoted condition may hold dots; what counts comes after it.
    let tail = section.rsplit(['\'', '"']).next().unwrap_or(section).trim_start_matches('.');
    let (kind, name) = match tail.split_once('.') {
        Some((kind, name)) => (kind, Some(name)),
        None => (tail, None),
    };
    kind.ends_with("dependencies").then_some((kind, name))
}

/// The crate that a line names: its key, unless it says `package = ".."`.
fn line_name<'a>(line: &'a str, of_section: Option<&str>) -> Option<&'a str> {
    if let Some((_, value)) = line.split_once("package = \"") {
        return value.split('"').next();
    }
    let key = line.split(['=', '.']).next()?.trim();
    let is_key = !key.is_empty() && !line.starts_with('#') && line.contains('=');
    (is_key && of_section.is_none()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(folder: &str, name: &str, rest: &str) -> Vec<Finding> {
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        dependencies(&Source::new(&format!("{folder}/Cargo.toml"), text))
    }

    fn uses_in(path: &str, text: &str) -> usize {
        uses(&Source::new(path, text)).len()
    }

    #[test]
    fn an_arrow_the_wrong_way_is_found() {
        for (folder, name, other) in [
            ("engine/core", "blit-core", "blit-fallback"),
            ("fallback", "blit-fallback", "blit-engine"),
            ("rpc", "blit-rpc", "blit-engine"),
            ("cli", "blit", "blit-fallback"),
            ("bench", "blit-bench", "blit"),
            ("ci", "blit-ci", "blit-core"),
        ] {
            for form in [
                format!("[dependencies]\n{other}.workspace = true\n"),
                format!("[dependencies]\n{other} = {{ path = \"x\" }}\n"),
                format!("[dependencies]\nalias = {{ package = \"{other}\", path = \"x\" }}\n"),
                format!("[dependencies.{other}]\npath = \"x\"\n"),
                format!("[target.'cfg(a = \"b.c\")'.dependencies]\n{other}.workspace = true\n"),
                format!("[build-dependencies]\n{other}.workspace = true\n"),
            ] {
                assert_eq!(manifest(folder, name, &form).len(), 1, "{name} {form}");
            }
        }
    }

    #[test]
    fn the_arrows_of_the_design_are_allowed() {
        for area in AREAS {
            for other in area.may {
                let rest = format!("[dependencies]\n{other}.workspace = true\n");
                assert_eq!(manifest(area.folder, area.name, &rest), []);
            }
        }
        let features = "[features]\nblit-engine = []\n[lints]\nworkspace = true\n";
        assert_eq!(manifest("ci", "blit-ci", features), []);
    }

    #[test]
    fn tests_may_know_more() {
        let rest = "[dev-dependencies]\nblit-fallback.workspace = true\n";
        assert_eq!(manifest("cli", "blit", rest), []);
        assert_eq!(manifest("engine/core", "blit-core", rest).len(), 1);
    }

    #[test]
    fn published_crates_stay_where_they_are_pinned() {
        let capnp = "[dependencies]\ncapnp-rpc.workspace = true\n";
        assert_eq!(manifest("cli", "blit", capnp).len(), 1);
        assert_eq!(manifest("rpc", "blit-rpc", capnp), []);
        let ring = "[target.'cfg(target_os = \"linux\")'.dependencies]\nio-uring.workspace = true\n\
                    glommio.workspace = true\n";
        assert_eq!(manifest("fallback", "blit-fallback", ring).len(), 2);
        assert_eq!(manifest("engine", "blit-engine", ring), []);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(manifest("extra", "blit-extra", "").len(), 1);
        assert_eq!(manifest("cli", "another", "").len(), 1);
    }

    #[test]
    fn the_line_of_a_dependency_is_reported() {
        let found = manifest("ci", "blit-ci", "[dependencies]\n# blit-rpc\nblit-core = \"1\"\n");
        assert_eq!(found[0].line, 5);
    }

    #[test]
    fn code_that_uses_a_crate_against_the_arrows_is_found() {
        assert_eq!(uses_in("rpc/src/lib.rs", "use blit_engine::start;\n"), 1);
        assert_eq!(uses_in("engine/core/src/lib.rs", "fn f() { blit_fallback::list() }\n"), 1);
        assert_eq!(uses_in("rpc/src/lib.rs", "use blit_core::Task; // blit_engine\n"), 0);
        assert_eq!(uses_in("engine/core/tests/sim.rs", "use blit_core::Task;\n"), 0);
        assert_eq!(uses_in("cli/src/copy.rs", "let blit_copy = 1;\n"), 0);
    }

    #[test]
    fn code_of_tests_may_use_what_tests_may_know() {
        assert_eq!(uses_in("cli/tests/copy.rs", "use blit_fallback::x;\n"), 0);
        let inside = "use blit_core::x;\n#[cfg(test)]\nmod tests { use blit_fallback::x; }\n";
        assert_eq!(uses_in("cli/src/copy.rs", inside), 0);
        assert_eq!(uses_in("cli/src/copy.rs", "use blit_fallback::x;\n"), 1);
    }
}
