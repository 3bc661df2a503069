//! What is asked before anything is removed, and what happens where nobody can be asked.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::on_every_engine;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::schema::object;
use crate::support::terminal::Seated;
use crate::support::tree::{dir, file};

fn make_work(sandbox: &Sandbox) {
    sandbox.make(&[
        file("src/new", "x"),
        file("dst/old", "x"),
        file("dst/d/old", "x"),
        file("dst/d/older", "x"),
    ]);
}

fn at_terminal(sandbox: &Sandbox, args: &[&str], answer: &str) -> Run {
    let mut seated = Seated::new(sandbox, args);
    seated.wait_for("remove 4 entries from dst? [y/N] ");
    assert!(!sandbox.exists("dst/new"), "nothing is done before the answer");
    seated.types(answer);
    seated.ends()
}

on_every_engine! {
    fn off_a_terminal_nothing_is_done_without_yes(sandbox) {
        sandbox.make(&[file("src/a", "x")]);
        sandbox.blit(&["mirror", "src/", "dst"]).code(2).says("--yes").says("hint: ");
        assert!(!sandbox.exists("dst"));
        let value = object(&sandbox.blit(&["mirror", "--json", "src/", "dst"]).code(2));
        assert_eq!(value["error"]["kind"], "usage");
        Seated::new(sandbox, &["mirror", "--progress=json", "src/", "dst"]).ends().code(2);
        sandbox.blit(&["mirror", "-n", "src/", "dst"]).code(0);
        assert!(!sandbox.exists("dst"));
        sandbox.blit(&["mirror", "--yes", "src/", "dst"]).code(0);
        assert_eq!(sandbox.read("dst/a"), "x");
    }

    fn a_clear_yes_removes(sandbox) {
        make_work(sandbox);
        let run = at_terminal(sandbox, &["mirror", "src/", "dst"], "y\n").code(0);
        assert!(run.stdout.contains("; 4 removed"), "{run:?}");
        assert!(sandbox.exists("dst/new") && !sandbox.exists("dst/old") && !sandbox.exists("dst/d"));
    }

    fn anything_else_does_nothing(sandbox) {
        make_work(sandbox);
        for answer in ["n\n", "\n", "yesterday\n", "\x04"] {
            let run = at_terminal(sandbox, &["mirror", "src/", "dst"], answer).code(2);
            run.says("not confirmed; nothing was done");
            assert!(!sandbox.exists("dst/new") && sandbox.exists("dst/d/older"));
        }
    }

    fn what_would_remove_nothing_is_not_asked_about(sandbox) {
        sandbox.make(&[file("src/a", "x"), dir("dst")]);
        Seated::new(sandbox, &["mirror", "src/", "dst"]).ends().code(0);
        assert!(sandbox.exists("dst/a"));
    }

    fn what_comes_after_the_question_is_not_removed(sandbox) {
        make_work(sandbox);
        let mut seated = Seated::new(sandbox, &["mirror", "src/", "dst"]);
        seated.wait_for("[y/N] ");
        sandbox.make(&[file("dst/d/newest", "x")]);
        seated.types("y\n");
        let run = seated.ends();
        assert!(run.code != 0, "{run:?}");
        for name in ["dst/old", "dst/d/older", "dst/d/newest"] {
            assert!(sandbox.exists(name), "{name}: {run:?}");
        }
    }

    fn max_delete_refuses_before_anything_is_done(sandbox) {
        make_work(sandbox);
        for most in ["3", "0", "49%"] {
            let run = sandbox.blit(&["mirror", "--yes", "--max-delete", most, "src/", "dst"]).code(2);
            run.says("4 entries would be removed").says("nothing was touched");
            assert!(!sandbox.exists("dst/new") && sandbox.exists("dst/old"), "{most}");
        }
        sandbox.blit(&["mirror", "-n", "--max-delete", "3", "src/", "dst"]).code(2);
        sandbox.blit(&["mirror", "--yes", "--max-delete", "4", "src/", "dst"]).code(0);
        assert!(sandbox.exists("dst/new") && !sandbox.exists("dst/old"));
    }

    fn max_delete_in_percent_is_of_what_stands_there(sandbox) {
        let both = |n: usize| [file(format!("src/{n}"), "x"), file(format!("dst/{n}"), "x")];
        sandbox.make(&(0..9).flat_map(both).collect::<Vec<_>>());
        sandbox.make(&[file("dst/extra", "x")]);
        sandbox.blit(&["mirror", "--yes", "--max-delete", "9%", "src/", "dst"]).code(2).says("9%");
        sandbox.blit(&["mirror", "--yes", "--max-delete", "10%", "src/", "dst"]).code(0);
        assert!(!sandbox.exists("dst/extra"));
    }
}

#[test]
fn a_signal_at_the_question_ends_it_at_once() {
    let sandbox = Sandbox::new("auto");
    make_work(&sandbox);
    let mut seated = Seated::new(&sandbox, &["mirror", "src/", "dst"]);
    seated.wait_for("[y/N] ");
    kill(Pid::from_raw(seated.id()), Signal::SIGINT).expect("it waits");
    seated.ends().code(130);
    assert!(!sandbox.exists("dst/new") && sandbox.exists("dst/old"));
}
