//! What may stand in one place only: platform switches, `unsafe`, and the names of io_uring and
//! Cap'n Proto.

use super::{Finding, Source};

/// What a condition may not ask outside the one folder that makes the system's calls.
const PLATFORM: &[&str] =
    &["target_os", "target_family", "target_env", "target_vendor", "unix", "windows"];

/// Files outside of `sys` that decide by platform, and how many of their lines may do so.
const DECISIONS: &[(&str, usize)] = &[
    // Whether there is a `mod uring`: the module, its use, and their opposites.
    ("engine/src/lib.rs", 4),
    // Which calls the harness measures and verifies with.
    ("bench/src/main.rs", 2),
];

const SYS: &str = "fallback/src/sys";
const RING: &str = "engine/src/uring";

/// Platform switches: `cfg(..)`, `cfg!(..)` and the condition of `cfg_attr(..)`.
pub(super) fn platform_switches(source: &Source) -> Vec<Finding> {
    if source.is_module(SYS) || source.is_under_tests() {
        return Vec::new();
    }
    let mut lines: Vec<usize> = source
        .idents()
        .filter(|(_, word)| matches!(*word, "cfg" | "cfg_attr"))
        .filter(|(at, word)| asks_for_platform(&source.code[at + word.len()..], word))
        .map(|(at, _)| source.line_at(at))
        .collect();
    lines.dedup();
    let decision = DECISIONS.iter().find(|(path, _)| *path == source.path);
    let allowed = decision.map_or(0, |(_, lines_max)| *lines_max);
    let message = "a platform switch outside fallback/src/sys";
    lines.into_iter().skip(allowed).map(|line| Finding::new(source, line, message)).collect()
}

pub(super) fn unsafe_code(source: &Source) -> Vec<Finding> {
    if source.is_module(SYS) || source.is_module(RING) {
        return Vec::new();
    }
    let message = "unsafe outside fallback/src/sys and engine/src/uring";
    words(source, |_, word| word == "unsafe", message)
}

pub(super) fn ring_names(source: &Source) -> Vec<Finding> {
    if source.is_module(RING) {
        return Vec::new();
    }
    let message = "glommio and io_uring are known only in engine/src/uring";
    words(source, |at, word| is_path(source, at, word, &["glommio", "io_uring"]), message)
}

pub(super) fn schema_names(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("schema/") || source.path.starts_with("rpc/") {
        return Vec::new();
    }
    let message = "capnp is known only in schema and rpc";
    let names = ["capnp", "capnp_rpc", "capnp_futures"];
    words(source, |at, word| is_path(source, at, word, &names), message)
}

fn words(source: &Source, is_bad: impl Fn(usize, &str) -> bool, message: &str) -> Vec<Finding> {
    source
        .idents()
        .filter(|(at, word)| is_bad(*at, word))
        .map(|(at, _)| Finding::new(source, source.line_at(at), message))
        .collect()
}

/// Whether the identifier is one of the crates and begins a path or is imported.
fn is_path(source: &Source, at: usize, word: &str, crates: &[&str]) -> bool {
    crates.contains(&word)
        && (source.code[at + word.len()..].trim_start().starts_with("::")
            || ["use", "crate"].iter().any(|w| source.code[..at].trim_end().ends_with(w)))
}

/// Looks through the parentheses after `cfg` for a platform; of `cfg_attr`, at its condition only.
fn asks_for_platform(after: &str, switch: &str) -> bool {
    let Some(inside) = after.trim_start_matches(['!', ' ', '\n']).strip_prefix('(') else {
        return false;
    };
    let mut depth = 1_usize;
    let end = inside.find(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 1 && switch == "cfg_attr" => return true,
            _ => {}
        }
        depth == 0
    });
    inside[..end.unwrap_or(inside.len())]
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| PLATFORM.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Source) -> Vec<Finding>;

    fn count(rule: Rule, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }

    #[test]
    fn every_form_of_platform_switch_is_found() {
        for text in [
            "#[cfg(unix)]\nfn f() {}",
            "#[cfg(windows)] fn f() {}",
            "#[cfg(target_os = \"linux\")] fn f() {}",
            "#[cfg(not(target_os = \"linux\"))] fn f() {}",
            "#[cfg(any(feature = \"x\", all(unix, test)))] fn f() {}",
            "#[cfg(\n  any(\n    unix,\n  )\n)] fn f() {}",
            "#![cfg(unix)]",
            "#[cfg_attr(unix, path = \"x.rs\")] mod x;",
            "#![cfg_attr(not(target_family = \"unix\"), expect(dead_code, reason = \"x\"))]",
            "fn f() -> bool { cfg!(target_os = \"macos\") }",
            "fn f() -> bool { cfg! (windows) }",
        ] {
            assert_eq!(count(platform_switches, "cli/src/main.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn other_conditions_and_words_are_no_platform_switch() {
        for text in [
            "#[cfg(test)] mod tests {}",
            "#[cfg(feature = \"unix\")] fn f() {}",
            "#[cfg_attr(test, derive(windows))] struct S;",
            "// #[cfg(unix)]\nfn f() {}",
            "fn unix(cfg: u8) { windows(cfg); }",
            "use std::os::unix::fs::MetadataExt;",
        ] {
            assert_eq!(count(platform_switches, "cli/src/main.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn platform_switches_have_their_places() {
        let text = "#[cfg(unix)]\nmod a;\n";
        for path in ["fallback/src/sys.rs", "fallback/src/sys/linux.rs", "engine/tests/contract.rs"]
        {
            assert_eq!(count(platform_switches, path, text), 0, "{path}");
        }
        assert_eq!(count(platform_switches, "fallback/src/copy.rs", text), 1);
        assert_eq!(count(platform_switches, "engine/src/lib.rs", &text.repeat(4)), 0);
        assert_eq!(count(platform_switches, "engine/src/lib.rs", &text.repeat(5)), 1);
    }

    #[test]
    fn unsafe_has_two_places() {
        let text = "fn f() { unsafe { g() } }\n";
        assert_eq!(count(unsafe_code, "cli/src/main.rs", text), 1);
        assert_eq!(count(unsafe_code, "fallback/src/copy.rs", text), 1);
        assert_eq!(count(unsafe_code, "fallback/src/sys/linux.rs", text), 0);
        assert_eq!(count(unsafe_code, "engine/src/uring/ring.rs", text), 0);
        let mentions = "#![deny(unsafe_code)] // unsafe\nconst S: &str = \"unsafe\";\n";
        assert_eq!(count(unsafe_code, "cli/src/main.rs", mentions), 0);
    }

    #[test]
    fn the_ring_is_named_in_one_place() {
        for text in [
            "use glommio::Task;",
            "use glommio as g;",
            "fn f() { glommio::spawn_local(x) }",
            "fn f() { io_uring::IoUring::new(8) }",
            "extern crate io_uring;",
        ] {
            assert_eq!(count(ring_names, "engine/src/lib.rs", text), 1, "{text}");
            assert_eq!(count(ring_names, "engine/src/uring/copy.rs", text), 0, "{text}");
        }
        let mentions = "/// Uses glommio::X.\nfn io_uring_works(io_uring: bool) {}\n";
        assert_eq!(count(ring_names, "engine/src/lib.rs", mentions), 0);
    }

    #[test]
    fn the_schema_library_is_named_in_two_crates() {
        for text in ["use capnp::message;", "use capnp_rpc::RpcSystem;", "fn f() { capnp::x() }"] {
            assert_eq!(count(schema_names, "cli/src/main.rs", text), 1, "{text}");
            assert_eq!(count(schema_names, "rpc/src/serve.rs", text), 0, "{text}");
            assert_eq!(count(schema_names, "schema/src/lib.rs", text), 0, "{text}");
        }
        assert_eq!(count(schema_names, "cli/src/main.rs", "let capnp = 1; // capnp::x\n"), 0);
    }
}
