//! Exit codes and the one line that says why the daemon ended.
//! It must not decide what is an error.

use std::io::{self, Write};
use std::process::ExitCode;

use blit_core::{Error, ErrorKind};

use crate::escape::Plain;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As it was asked to.
    Done,
    /// The request or the configuration cannot be carried out as it stands.
    Usage,
    /// It could not go on.
    Failed,
}

impl Exit {
    /// The number, as in blit.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 2,
            Self::Failed => 4,
        }
    }

    /// How `error` ends the process.
    pub fn of_error(error: &Error) -> Self {
        match error.kind {
            ErrorKind::Usage
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::InvalidName => Self::Usage,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Tells `error` on standard error.
pub fn tell(error: &Error) -> Exit {
    let mut text = format!("error: {}\n", Plain(&error.to_string()));
    if let Some(hint) = hint(error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // If standard error cannot be written, the exit code still says it.
    drop(io::stderr().lock().write_all(text.as_bytes()));
    Exit::of_error(error)
}

fn hint(error: &Error) -> Option<&'static str> {
    match error.kind {
        ErrorKind::Usage if error.op == "read configuration" => {
            Some("blitd check-config FILE checks it without serving")
        }
        ErrorKind::Usage => Some("blitd --help shows the forms"),
        ErrorKind::NotFound | ErrorKind::NotADirectory => Some("check how the path is written"),
        ErrorKind::PermissionDenied if error.op == "listen on" => {
            Some("ports below 1024 need a privilege; choose another port with --listen")
        }
        _ if error.op == "listen on" => Some(
            "another program may have the port, or [::] covers 0.0.0.0 already; choose another one with --listen",
        ),
        _ => None,
    }
}
