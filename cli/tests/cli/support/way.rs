//! The ways that a transfer test runs: on one machine, or with a daemon that holds the source or the destination.
//! A test names paths of its sandbox; which of them are the daemon's is decided here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::daemon::Daemon;

/// Where the two ends of a transfer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both in the command's process.
    Local,
    /// The destination is at a daemon.
    Push,
    /// The source is at a daemon.
    Pull,
}

impl Way {
    /// Whether the arguments `args` have an end that is at a daemon.
    pub(crate) fn is_remote(self, args: &[OsString]) -> bool {
        let verb = args.first().and_then(|verb| verb.to_str()).unwrap_or_default();
        self != Self::Local && matches!(verb, "copy" | "mirror" | "move" | "check")
    }

    /// The arguments with the paths of the other end as endpoints of `daemon`, which exports `root`.
    pub(crate) fn turn(self, args: &[OsString], root: &Path, daemon: &Daemon) -> Vec<OsString> {
        let places = places(args);
        let Some((last, others)) = places.split_last() else { return args.to_vec() };
        let far = if self == Self::Push { std::slice::from_ref(last) } else { others };
        // Directories beside the destination are where that is.
        let is_beside = |index: usize| {
            let option = index.checked_sub(1).and_then(|index| args.get(index));
            self == Self::Push
                && option.is_some_and(|option| BESIDE.iter().any(|name| option == name))
        };
        let turn = |(index, arg): (usize, &OsString)| match far.contains(&index) || is_beside(index)
        {
            true => endpoint(arg, root, daemon),
            false => arg.clone(),
        };
        args.iter().enumerate().map(turn).collect()
    }
}

/// The indices of the arguments that are paths.
fn places(args: &[OsString]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut is_value = false;
    for (index, arg) in args.iter().enumerate().skip(1) {
        let is_option = arg.as_bytes().starts_with(b"-");
        if !is_value && !is_option {
            found.push(index);
        }
        is_value = !is_value && is_option && WITH_VALUE.iter().any(|name| arg == OsStr::new(name));
    }
    found
}

fn endpoint(path: &OsStr, root: &Path, daemon: &Daemon) -> OsString {
    let mut below = path.as_bytes();
    if let Some(rest) = below.strip_prefix(root.as_os_str().as_bytes()) {
        below = rest;
    }
    below = below.strip_prefix(b"/").unwrap_or(below);
    assert!(
        !path.as_bytes().starts_with(b"/") || below.len() < path.len() - 1,
        "not in the sandbox: {path:?}"
    );
    OsString::from_vec([daemon.at("").as_bytes(), below].concat())
}

/// The options whose value is a directory beside the destination.
const BESIDE: [&str; 2] = ["--backup-dir", "--link-dest"];
/// The options whose value is an argument of its own.
const WITH_VALUE: &[&str] = &[
    "--backup-dir",
    "--bwlimit",
    "--engine",
    "--exclude",
    "--files-from",
    "--filter-file",
    "--include",
    "--link-dest",
    "--log-file",
    "--max-delete",
    "--max-size",
    "--max-threads",
    "--min-size",
    "--newer-than",
    "--older-than",
    "--retry",
    "--stall-timeout",
];
