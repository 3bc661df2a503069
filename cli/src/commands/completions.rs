//! `blit completions`: generated from the definitions of the words.

use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs};
use crate::report::Exit;
use crate::ui;

/// Prints the completions for a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Exit {
    // Into memory first, since the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "blit", &mut script);
    ui::print(&script)
}
