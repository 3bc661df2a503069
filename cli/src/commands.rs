//! The verbs. It must not do any of their work.

mod check;
mod complete;
mod completions;
mod copy;
mod df;
mod diagnostics;
mod du;
mod find;
mod jobs;
mod key;
mod list;
mod man;
mod mirror;
mod modules;
mod r#move;
mod rm;

pub(crate) use du::Sum;

use crate::args::Command;
use crate::report::Exit;

/// Runs what was asked for.
pub(crate) fn run(command: Command) -> Exit {
    match command {
        Command::Copy(args) => copy::run(&args),
        Command::Mirror(args) => mirror::run(&args),
        Command::Move(args) => r#move::run(&args),
        Command::Check(args) => check::run(&args),
        Command::List(args) => list::run(&args),
        Command::Find(args) => find::run(&args),
        Command::Du(args) => du::run(&args),
        Command::Df(args) => df::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Modules(args) => modules::run(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Diagnostics(args) => diagnostics::run(&args),
        Command::Complete(args) => complete::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
