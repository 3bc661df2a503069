//! `blit completions`: a script for each shell.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::sandbox::{Run, Sandbox};

#[test]
fn every_shell_gets_a_script_that_knows_the_verbs() {
    let sandbox = Sandbox::new("auto");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = sandbox.blit(&["completions", shell]).code(0);
        assert!(run.stdout.contains("mirror") && run.stdout.contains("max-delete"), "{shell}");
        assert_eq!(run.stderr, "");
        assert!(!run.stdout.contains("ludicrous"), "{shell}");
    }
    sandbox.blit(&["completions", "dos"]).code(2);
}

#[test]
fn bash_zsh_and_fish_ask_for_paths_at_a_daemon() {
    let sandbox = Sandbox::new("auto");
    for (shell, last) in [
        ("bash", "complete -F _blit_or_remote -o bashdefault -o default blit\n"),
        ("zsh", "if [ \"$funcstack[1]\" = \"_blit\" ]; then\n    _blit_or_remote \"$@\"\nfi\n"),
        (
            "fish",
            "complete -c blit -n __blit_is_remote -f -a '(blit complete -- (__blit_word) 2>/dev/null)'\n",
        ),
    ] {
        let script = sandbox.blit(&["completions", shell]).code(0).stdout;
        assert!(script.ends_with(last), "{shell}");
        assert!(!script.contains("    _blit \"$@\"\nelse"), "{shell}");
    }
}

#[test]
fn bash_understands_its_script() {
    let sandbox = Sandbox::new("auto");
    let script = sandbox.blit(&["completions", "bash"]).code(0).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
    bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("it reads");
    assert!(bash.wait().expect("ends").success());
}

#[test]
fn a_script_that_cannot_be_written_is_an_error_without_a_panic() {
    let sandbox = Sandbox::new("auto");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
    let run = Run::of(sandbox.command(&["completions", "bash"]).stdout(full)).code(4);
    assert!(run.stderr.starts_with("error: write standard output: "), "{run:?}");
}
