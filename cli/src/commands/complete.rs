//! `blit complete`: what a path at a daemon could become, for the completions of a shell.
//! It must not trust a daemon that is not known yet, nor keep the shell waiting.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::args::CompleteArgs;
use crate::report::Exit;
use crate::ui;

/// Prints each completion of a path at a daemon, one a line. Whatever goes wrong, there is none.
pub(crate) fn run(args: &CompleteArgs) -> Exit {
    let typed = args.path.to_string_lossy();
    let lines = candidates(&typed).unwrap_or_default();
    ui::print(lines.concat().as_bytes())
}

fn candidates(typed: &str) -> Option<Vec<String>> {
    let colon = typed.find(":/").filter(|colon| *colon > 0)?;
    let (head, begun) = typed.split_at(typed.rfind('/')? + 1);
    let is_module = head.len() == typed.rfind(":/")? + 2 && !typed[..colon].contains('/');
    let found = if is_module {
        ask(&["modules", "--require-known", "--json", head.strip_suffix(":/")?])?
    } else {
        ask(&["list", "--require-known", "--json", head])?
    };
    let rows = found.get("rows")?.as_array()?.iter();
    let named = rows.filter_map(|row| {
        let name = row.get("path")?.as_str()?;
        let is_dir = is_module || row.get("kind").and_then(Value::as_str) == Some("dir");
        // A name that would end the line or the word is left to who types it.
        let fits = name.starts_with(begun) && !name.contains(char::is_control) && !name.is_empty();
        fits.then(|| format!("{head}{name}{}\n", if is_dir { "/" } else { "" }))
    });
    Some(named.collect())
}

/// Asks another blit, which can be ended when it takes too long.
fn ask(words: &[&str]) -> Option<Value> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let out = child.stdout.take()?;
    let (sender, answer) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What is cut off is no JSON, so nobody takes it for an answer.
        let read = out.take(ANSWER_BYTES_MAX).read_to_end(&mut text);
        drop(sender.send(read.map(|_| text)));
    });
    let text = answer.recv_timeout(PATIENCE);
    // It has ended, or must.
    child.kill().unwrap_or_default();
    drop(child.wait());
    serde_json::from_slice(&text.ok()?.ok()?).ok()
}

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_secs(1);
/// A shell shows no more than that.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
