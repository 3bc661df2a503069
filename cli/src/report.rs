//! Words, hints and exit codes: the one place that decides how an end is called.
//! It must not print, nor look at anything but what happened.

use blit_core::summary::Action;
use blit_core::task::Lost;
use blit_core::{Error, ErrorKind};
use blit_rpc::transfer::Outcome;

use std::process::ExitCode;

/// How the process ends. Documented in `--help` and docs/guide.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is done.
    Done,
    /// Some entries failed; all others are done.
    Incomplete,
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
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match &outcome.error {
            Some(error) => Self::of_error(error.kind),
            None if outcome.summary.failed > 0 => Self::Incomplete,
            None => Self::Done,
        }
    }

    /// How an error that ends a run ends the process. A path that does not exist or is no directory can only be one
    /// that the user named, since below these a failed entry does not end the run.
    fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage
            | ErrorKind::Overlap
            | ErrorKind::InvalidName
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory => Self::Usage,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::Vanished
            | ErrorKind::Changed
            | ErrorKind::AlreadyExists
            | ErrorKind::TypeClash
            | ErrorKind::PermissionDenied
            | ErrorKind::NotEmpty
            | ErrorKind::Unsupported
            | ErrorKind::NoSpace
            | ErrorKind::Quota
            | ErrorKind::ReadOnly
            | ErrorKind::Io
            | ErrorKind::Exhausted
            | ErrorKind::Stalled
            | ErrorKind::Internal
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
            Self::Incomplete => 1,
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

/// What to do about an error of this kind, in plain words.
pub(crate) fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound => {
            "check how the path is written; blit makes the destination itself, but not the directory that is to hold it"
        }
        ErrorKind::Changed => {
            "something wrote to the file while it was read; run the same command again when it is at rest"
        }
        ErrorKind::AlreadyExists => {
            "two things claim this name; copy two sources of one name to different places, or if it is none of yours, run the same command again"
        }
        ErrorKind::TypeClash | ErrorKind::NotEmpty => {
            "copy never deletes; move what is in the way aside, then run the same command again"
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
            "this system or file system cannot do it; blit copy --help has options that do it in another way or leave it out"
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
        ErrorKind::Exhausted => {
            "a limit of the system is reached; raise it (ulimit -n for open files) or use --max-threads"
        }
        ErrorKind::Overlap => "choose a destination that is neither the source nor inside it",
        ErrorKind::Usage => "blit copy --help explains the forms with examples",
        ErrorKind::Stalled => {
            "a disk or a mount does not answer; check it, then run the same command again"
        }
        ErrorKind::Interrupted => "run the same command again; it goes on where it stopped",
        ErrorKind::Refused => "check that the other machine runs blitd and lets you in",
        ErrorKind::Internal => {
            "this is a mistake in blit; please report it with the command that you ran"
        }
        ErrorKind::Vanished | ErrorKind::Other => return None,
    })
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
        ErrorKind::Refused => "refused",
        ErrorKind::Internal => "internal",
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
        Action::RemovedLeftover => ("removed", "would remove"),
    }
}

/// Metadata that could not be held: the word for programs, and that for people.
pub(crate) fn lost_words(lost: Lost) -> (&'static str, &'static str) {
    match lost {
        Lost::Xattrs => ("xattrs", "extended attributes"),
        Lost::Acls => ("acls", "access control lists"),
    }
}

/// The kinds of `errors` in the order in which they first came.
pub(crate) fn kinds<'a>(errors: impl Iterator<Item = &'a Error>) -> Vec<ErrorKind> {
    let mut kinds = Vec::new();
    for error in errors {
        if !kinds.contains(&error.kind) {
            kinds.push(error.kind);
        }
    }
    kinds
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
            assert_eq!(Exit::of(&outcome(failed, error)).code(), code, "{failed} {error:?}");
        }
    }

    #[test]
    fn a_hint_is_one_sentence_without_a_capital_or_full_stop() {
        for kind in [ErrorKind::NoSpace, ErrorKind::PermissionDenied, ErrorKind::Internal] {
            let hint = hint(kind).expect("has a hint");
            assert!(hint.starts_with(char::is_lowercase) && !hint.ends_with('.'), "{hint}");
        }
    }

    #[test]
    fn each_kind_is_hinted_at_once() {
        let errors = [ErrorKind::Io, ErrorKind::Changed, ErrorKind::Io]
            .map(|kind| Error::new(kind, "read", b"a"));
        assert_eq!(kinds(errors.iter()), [ErrorKind::Io, ErrorKind::Changed]);
    }
}
