//! Words, hints and exit codes: the one place that decides how an end is called.
//! It must not print, nor look at anything but what happened.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::process::ExitCode;

use blit_core::entry::Changes;
use blit_core::path::Escaped;
use blit_core::spec;
use blit_core::summary::{Action, Summary};
use blit_core::task::Lost;
use blit_core::{Error, ErrorKind};
use blit_rpc::jobs::{End, Job};
use blit_rpc::transfer::Outcome;

use crate::options::Verb;

/// How the process ends. Documented in `--help` and docs/guide.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is done.
    Done,
    /// Some entries failed; all others are done.
    Incomplete,
    /// What was compared is not the same.
    Different,
    /// The request cannot be carried out as it stands.
    Usage,
    /// The peer is unreachable or refused.
    Refused,
    /// The run failed before its end.
    Failed,
    /// A signal ended the run.
    Interrupted,
}

impl Exit {
    /// How `outcome` ends the process.
    pub(crate) fn of(outcome: &Outcome, verb: Verb) -> Self {
        let summary = &outcome.summary;
        match &outcome.error {
            Some(error) => Self::of_error(error.kind),
            None if verb == Verb::Check && differences(summary) > 0 => Self::Different,
            None if summary.failed == 0 => Self::Done,
            // Without a difference, what could not be read leaves the question open.
            None if verb == Verb::Check => Self::Failed,
            None => Self::Incomplete,
        }
    }

    /// How an error that ends a run ends the process. A path that does not exist or is no directory can only be one
    /// that the user named, since below these a failed entry does not end the run.
    pub(crate) fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage
            | ErrorKind::Overlap
            | ErrorKind::InvalidName
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory => Self::Usage,
            ErrorKind::Refused | ErrorKind::Unreachable => Self::Refused,
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::Vanished
            | ErrorKind::Changed
            | ErrorKind::AlreadyExists
            | ErrorKind::TypeClash
            | ErrorKind::PermissionDenied
            | ErrorKind::NotEmpty
            | ErrorKind::CrossDevice
            | ErrorKind::Unsupported
            | ErrorKind::NoSpace
            | ErrorKind::Quota
            | ErrorKind::ReadOnly
            | ErrorKind::Io
            | ErrorKind::Exhausted
            | ErrorKind::Stalled
            | ErrorKind::Disconnected
            | ErrorKind::Protocol
            | ErrorKind::Internal
            | ErrorKind::Cancelled
            | ErrorKind::Other => Self::Failed,
        }
    }

    /// The number.
    pub(crate) fn code(self) -> i32 {
        i32::from(self.byte())
    }

    fn byte(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Incomplete | Self::Different => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Failed => 4,
            Self::Interrupted => 130,
        }
    }

    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Different => "different",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.byte())
    }
}

/// How many entries a check found to differ.
pub(crate) fn differences(summary: &Summary) -> u64 {
    let Summary { files, dirs, nodes, links, repaired, removed, renamed, .. } = summary;
    files + dirs + nodes + links + repaired + removed + renamed
}

/// What to do about `errors`: each hint once, in the order in which the errors came.
pub(crate) fn hints<'a>(
    errors: impl Iterator<Item = &'a Error>,
    verb: &str,
) -> Vec<Cow<'static, str>> {
    let mut hints = Vec::new();
    for error in errors {
        let hint = match error.kind {
            ErrorKind::NotFound if error.op == "open source" => {
                Some(Cow::Borrowed("check how the path of the source is written"))
            }
            ErrorKind::Refused => Some(Cow::Borrowed(refusal_hint(&error.op))),
            kind => hint(kind, verb),
        };
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    hints
}

/// What to do about what another machine has refused, or about a machine that is not trusted.
fn refusal_hint(op: &str) -> &'static str {
    match op {
        "trust" => {
            "compare it with what `blitd key show` prints at the daemon; what cannot be explained may be somebody in between"
        }
        "verify certificate of" => {
            "--ca-file names the authority that signed it, and the host is typed as the certificate calls it"
        }
        "show certificate to" => {
            "--cert-file and --key-file name a certificate of the authority that the daemon has as ca_file"
        }
        "open module" => {
            "`blit modules HOST` lists those that you may use; for another one, `blit key show` prints the key that its `allow` must have"
        }
        "find job" | "cancel job" => {
            "`blit jobs HOST` lists the jobs that were started with your key"
        }
        "use module" => {
            "try again when another session has ended; at the daemon, max_sessions says how many there may be"
        }
        "change module" => {
            "at the daemon, read_only = false lets a module be written to, or a --root without --read-only"
        }
        _ => REFUSED,
    }
}

/// What to do about an error of this kind, in plain words. `verb` is the word that was typed.
fn hint(kind: ErrorKind, verb: &str) -> Option<Cow<'static, str>> {
    if kind == ErrorKind::Usage {
        return Some(format!("blit {verb} --help explains the forms with examples").into());
    }
    plain_hint(kind, verb).map(Cow::Borrowed)
}

fn plain_hint(kind: ErrorKind, verb: &str) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound if !writes(verb) => "check how the path is written",
        ErrorKind::NotFound => {
            "check how the path is written; blit makes the destination itself, but not the directory that is to hold it"
        }
        ErrorKind::Changed => {
            "something wrote to the file while it was read; run the same command again when it is at rest"
        }
        ErrorKind::AlreadyExists => {
            "two things claim this name; copy two sources of one name to different places, or if it is none of yours, run the same command again"
        }
        ErrorKind::TypeClash | ErrorKind::NotEmpty if verb == "mirror" => {
            "what the filters leave out is kept and is in the way; --delete-excluded removes it"
        }
        ErrorKind::TypeClash | ErrorKind::NotEmpty if verb == "move" => {
            "move never deletes what is at the destination; move what is in the way aside, then run the same command again"
        }
        ErrorKind::TypeClash | ErrorKind::NotEmpty => {
            "copy never deletes; move what is in the way aside, then run the same command again"
        }
        ErrorKind::PermissionDenied if !writes(verb) => {
            "run blit as a user who may do that, for instance with sudo"
        }
        ErrorKind::PermissionDenied => {
            "run blit as a user who may read the source and write the destination, for instance with sudo"
        }
        ErrorKind::NotADirectory => "something in this path is a file, not a directory",
        ErrorKind::IsADirectory => "this path is a directory; a file is needed here",
        ErrorKind::InvalidName => {
            "the destination cannot hold such a name; rename it in the source"
        }
        ErrorKind::Unsupported => {
            "this system or file system cannot do it; --help shows options that do it in another way or leave it out"
        }
        ErrorKind::NoSpace => {
            "free some space, then run the same command again; it goes on where it stopped"
        }
        ErrorKind::Quota => {
            "free some of your space or ask for more, then run the same command again; it goes on where it stopped"
        }
        ErrorKind::ReadOnly => {
            "the file system is mounted read-only; mount it writable or choose another destination"
        }
        ErrorKind::Io => {
            "a disk or its cable may be failing; look into the system's log (dmesg) before you go on"
        }
        ErrorKind::Exhausted => EXHAUSTED,
        ErrorKind::Overlap => "choose a destination that is neither the source nor inside it",
        ErrorKind::Stalled => {
            "a disk or a mount does not answer; check it, then run the same command again"
        }
        ErrorKind::Interrupted if !writes(verb) => return None,
        ErrorKind::Interrupted => "run the same command again; it goes on where it stopped",
        ErrorKind::Unreachable => {
            "check the name and the port, and that blitd runs there and listens on that address"
        }
        ErrorKind::Refused => REFUSED,
        ErrorKind::Disconnected | ErrorKind::Cancelled => {
            "run the same command again; it goes on where it stopped"
        }
        ErrorKind::Protocol => "both sides must run blit; see that their versions match",
        ErrorKind::Internal => {
            "this is a mistake in blit; please report it with the command that you ran"
        }
        ErrorKind::CrossDevice => "the two are on different file systems",
        ErrorKind::Vanished | ErrorKind::Usage | ErrorKind::Other => return None,
    })
}

/// Whether what was typed has a destination that it writes to.
fn writes(verb: &str) -> bool {
    matches!(verb, "copy" | "mirror" | "move")
}

/// The word for a kind of error, for programs.
pub(crate) fn kind_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Vanished => "vanished",
        ErrorKind::Changed => "changed",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::TypeClash => "type_clash",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::NotADirectory => "not_a_directory",
        ErrorKind::IsADirectory => "is_a_directory",
        ErrorKind::NotEmpty => "not_empty",
        ErrorKind::InvalidName => "invalid_name",
        ErrorKind::CrossDevice => "cross_device",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::NoSpace => "no_space",
        ErrorKind::Quota => "quota",
        ErrorKind::ReadOnly => "read_only",
        ErrorKind::Io => "io",
        ErrorKind::Exhausted => "exhausted",
        ErrorKind::Overlap => "overlap",
        ErrorKind::Usage => "usage",
        ErrorKind::Stalled => "stalled",
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Refused => "refused",
        ErrorKind::Disconnected => "disconnected",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Internal => "internal",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Other => "other",
    }
}

/// What was done to an entry: the word of a run, and that of a dry run.
pub(crate) fn action_words(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Copied => ("copied", "would copy"),
        Action::Replaced => ("replaced", "would replace"),
        Action::MadeDir | Action::MadeNode => ("created", "would create"),
        Action::Linked => ("linked", "would link"),
        Action::Repaired => ("repaired", "would repair"),
        Action::Renamed => ("renamed", "would rename"),
        Action::Removed | Action::RemovedLeftover => ("removed", "would remove"),
    }
}

/// What a check says of an entry for which a mirror would take that action.
pub(crate) fn difference_word(action: Action) -> &'static str {
    match action {
        Action::Copied | Action::MadeDir => "only in A",
        Action::Replaced => "content",
        Action::MadeNode => "type or target",
        Action::Linked => "hard link",
        Action::Repaired => "metadata",
        Action::Renamed => "name",
        Action::Removed => "only in B",
        Action::RemovedLeftover => "leftover in B",
    }
}

/// The kinds of metadata that were set.
pub(crate) fn metadata_words(changes: Changes) -> Vec<&'static str> {
    let Changes { mode, owner, times, xattrs } = changes;
    let words = [(mode, "mode"), (owner, "owner"), (times, "times"), (xattrs, "xattrs")];
    words.into_iter().filter_map(|(set, word)| set.then_some(word)).collect()
}

/// The letter of an action in an itemised list, and the word for programs.
pub(crate) fn action_code(action: Action) -> (char, &'static str) {
    match action {
        Action::Copied => ('C', "copied"),
        Action::Replaced => ('R', "replaced"),
        Action::MadeDir => ('D', "made_dir"),
        Action::MadeNode => ('N', "made_node"),
        Action::Linked => ('L', "linked"),
        Action::Repaired => ('M', "repaired"),
        Action::Renamed => ('V', "renamed"),
        Action::Removed => ('X', "removed"),
        Action::RemovedLeftover => ('T', "removed_leftover"),
    }
}

/// The word for what a job does with entries.
pub(crate) fn verb_word(verb: spec::Verb) -> &'static str {
    match verb {
        spec::Verb::Copy => "copy",
        spec::Verb::Mirror => "mirror",
        spec::Verb::Move => "move",
    }
}

/// The word for how far a job is, or how it ended at the daemon.
pub(crate) fn job_state(job: &Job) -> &'static str {
    match &job.end {
        None => "running",
        Some(End { error: Some(error), .. }) if error.kind == ErrorKind::Cancelled => "cancelled",
        Some(End { error: Some(_), .. }) => "failed",
        Some(End { failed: 0, error: None }) => "done",
        Some(End { .. }) => "incomplete",
    }
}

/// The question before something is removed, from `place` where that is one.
pub(crate) fn may_remove(count: u64, place: &[u8]) -> String {
    let entries = if count == 1 { "entry" } else { "entries" };
    let from = if place.is_empty() { "" } else { " from " };
    format!("remove {count} {entries}{from}{}? [y/N] ", Escaped(place))
}

/// That a directory was moved into a new one, and how it gets the name instead.
pub(crate) fn moved_into(source: &OsStr, destination: &OsStr, name: &OsStr) -> String {
    let [source, destination, name] =
        [source, destination, name].map(|word| Escaped(word.as_encoded_bytes()).to_string());
    format!(
        "the new directory {destination} holds {name}; to give {source} the name {destination}: blit move {source}/ {destination}"
    )
}

/// What to say when the system gives no more of something, without a word that would have to be made up.
pub(crate) const EXHAUSTED: &str =
    "a limit of the system is reached; raise it (ulimit -n for open files) or use --max-threads";

const REFUSED: &str = "`blit modules HOST` shows what the other machine offers you";

/// Why nothing is removed off a terminal.
pub(crate) const NOBODY_TO_ASK: &str = "it may remove entries, and there is no terminal to ask at; --yes removes them unasked, -n only tells what would be done";

/// Why nothing is done after a question.
pub(crate) const DECLINED: &str = "not confirmed; nothing was done";

/// Metadata that could not be held: the word for programs, and that for people.
pub(crate) fn lost_words(lost: Lost) -> (&'static str, &'static str) {
    match lost {
        Lost::Xattrs => ("xattrs", "extended attributes"),
        Lost::Acls => ("acls", "access control lists"),
        Lost::Owner => ("owner", "owners and groups"),
        Lost::Mode => ("mode", "permissions"),
    }
}

/// What to say to someone who typed something other than a verb first; `meant` is a verb that looks like it.
pub(crate) fn not_a_verb(word: &str, meant: Option<&str>) -> String {
    let hint = match meant {
        Some(verb) => format!("did you mean '{verb}'?"),
        None => format!("to copy it: blit copy {word} DST"),
    };
    format!(
        "'{word}' is not something blit can do; the verb comes first\nhint: {hint}\nhint: all verbs: blit --help"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(failed: u64, error: Option<ErrorKind>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.summary.failed = failed;
        outcome.error = error.map(|kind| Error::new(kind, "open", b"a"));
        outcome
    }

    #[test]
    fn the_exit_code_tells_how_a_run_ended() {
        for (failed, error, code) in [
            (0, None, 0),
            (3, None, 1),
            (0, Some(ErrorKind::Usage), 2),
            (0, Some(ErrorKind::Overlap), 2),
            (0, Some(ErrorKind::NotFound), 2),
            (0, Some(ErrorKind::Refused), 3),
            (3, Some(ErrorKind::NoSpace), 4),
            (0, Some(ErrorKind::Internal), 4),
            (0, Some(ErrorKind::Interrupted), 130),
        ] {
            assert_eq!(
                Exit::of(&outcome(failed, error), Verb::Copy).code(),
                code,
                "{failed} {error:?}"
            );
        }
    }

    #[test]
    fn a_check_tells_the_same_from_the_different_and_the_unknown() {
        for (failed, removed, code) in [(0, 0, 0), (0, 1, 1), (1, 1, 1), (1, 0, 4)] {
            let mut outcome = outcome(failed, None);
            outcome.summary.removed = removed;
            assert_eq!(Exit::of(&outcome, Verb::Check).code(), code, "{failed} {removed}");
        }
    }

    #[test]
    fn a_hint_is_one_sentence_without_a_capital_or_full_stop() {
        for kind in [ErrorKind::NoSpace, ErrorKind::PermissionDenied, ErrorKind::Internal] {
            let hint = hint(kind, "copy").expect("has a hint");
            assert!(hint.starts_with(char::is_lowercase) && !hint.ends_with('.'), "{hint}");
        }
    }

    #[test]
    fn each_hint_is_given_once() {
        let errors = [ErrorKind::Io, ErrorKind::Changed, ErrorKind::Io, ErrorKind::Vanished]
            .map(|kind| Error::new(kind, "read", b"a"));
        assert_eq!(hints(errors.iter(), "copy").len(), 2);
        let refused = ["trust", "open module", "change module", "open session"]
            .map(|op| Error::new(ErrorKind::Refused, op, b"a"));
        assert_eq!(hints(refused.iter(), "copy").len(), 4);
        let missing = [Error::new(ErrorKind::NotFound, "open source", b"a")];
        assert!(!hints(missing.iter(), "copy")[0].contains("destination"));
    }
}
