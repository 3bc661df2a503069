//! `blit`: glue between what is typed and what the crates below do. It must not know any verb's meaning.

mod args;
mod commands;
mod filter;
mod interrupt;
mod options;
mod report;
mod run;
mod ui;
mod watchdog;

use std::process::ExitCode;

use report::Exit;

/// Where there is none left, nothing more can be done: what is not published yet is a leftover for the next run.
#[global_allocator]
static MEMORY: blit_engine::Memory = blit_engine::Memory::new(ui::end_without_memory);

fn main() -> ExitCode {
    ui::tell_panics_plainly();
    let exit = std::panic::catch_unwind(run).unwrap_or(Exit::Failed);
    // A panic of another thread was told too, and nothing that was done beside it can be trusted to be complete.
    let exit = if ui::has_told_panic() { Exit::Failed } else { exit };
    exit.into()
}

fn run() -> Exit {
    match args::Args::read() {
        Ok(args) => commands::run(args.command),
        Err(error) => ui::answer_to_words(&error),
    }
}
