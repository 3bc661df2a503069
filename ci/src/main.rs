//! `blit-ci`: checks of the source tree that compilers and linters do not make.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing findings is its job")]

mod tidy;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => check_shape(),
        _ => {
            eprintln!("usage: cargo run -p blit-ci -- tidy");
            ExitCode::from(2)
        }
    }
}

/// Prints one `path:line: message` for each thing in the tree that breaks a rule.
fn check_shape() -> ExitCode {
    let tree = match tidy::read_tree() {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy: read the tree: {error}");
            return ExitCode::FAILURE;
        }
    };
    let findings = tidy::check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.len(), findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
