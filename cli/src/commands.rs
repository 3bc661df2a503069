//! The verbs. It must not do any of their work.

mod copy;

use crate::args::Command;
use crate::report::Exit;

/// Runs what was asked for.
pub(crate) fn run(command: Command) -> Exit {
    match command {
        Command::Copy(args) => copy::run(&args),
    }
}
