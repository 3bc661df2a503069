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
    ui::print(hidden_left_out(&String::from_utf8_lossy(&script)).as_bytes())
}

/// The generators do not know that an option is hidden. One writes all options of a verb in one line, the others one a line.
fn hidden_left_out(script: &str) -> String {
    let command = Args::command();
    let verbs = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let hidden: Vec<String> = verbs
        .filter(|arg| arg.is_hide_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let mut kept = String::with_capacity(script.len());
    for line in script.lines() {
        let mut line = line.to_owned();
        if line.trim_start().starts_with("opts=") {
            for option in &hidden {
                line = line.replace(&format!(" {option} "), " ");
            }
        } else if hidden
            .iter()
            .any(|option| line.contains(option) || line.contains(&format!("-l {}", &option[2..])))
        {
            continue;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}
