//! What is typed, and how it is answered without serving.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::rig::{self, Daemon, Place};

fn blitd(args: &[&str]) -> (i32, String, String) {
    answer(Command::new(env!("CARGO_BIN_EXE_blitd")).args(args).env_remove("BLIT_ENGINE").output())
}

fn answer(output: std::io::Result<Output>) -> (i32, String, String) {
    let output = output.expect("it can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn check(file: &Path) -> (i32, String, String) {
    blitd(&["check-config", file.to_str().expect("a text")])
}

#[test]
fn the_example_that_is_shipped_is_valid_in_every_line() {
    let example = include_str!("../../systemd/blitd.toml");
    let place = Place::new();
    let (code, words, errors) = check(&place.write("blitd.toml", example));
    assert_eq!((code, errors.as_str()), (0, ""), "{words}");
    assert!(words.contains("module temporary: /tmp\n"), "{words}");
    // What is a comment there because it is a default or an example must be right as well.
    let live = example.lines().filter(|line| !line.starts_with("# ") && !line.is_empty());
    let live: Vec<&str> = live.map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let live = live.join("\n").replacen("listen = \"127.0.0.1:9031\"\n", "", 1);
    let live = live.replace("/srv/backup", "/tmp").replace("= \"backup\"\n", "= \"root\"\n");
    let (code, words, errors) = check(&place.write("all.toml", &live));
    assert_eq!(code, 0, "{errors}{live}");
    assert!(words.contains("module root: /tmp\n"), "{words}");
    assert!(words.contains("the holder of 1 key may read, write and delete"), "{words}");
}

#[test]
fn a_wrong_configuration_is_told_with_file_and_line() {
    let place = Place::new();
    let file = place.configure("readonly = true", &["a"]);
    let (code, words, errors) = check(&file);
    assert_eq!((code, words.as_str()), (2, ""));
    let start = format!("error: read configuration {}: line 2: ", file.display());
    assert!(errors.starts_with(&start), "{errors}");
}

#[test]
fn a_configuration_that_others_may_write_is_not_read() {
    let place = Place::new();
    let file = place.configure("", &["a"]);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).expect("own file");
    let (code, _, errors) = check(&file);
    assert_eq!(code, 2);
    assert!(errors.contains("others than its owner may write it (chmod go-w"), "{errors}");
    let (code, _, errors) = check(&place.path("gone.toml"));
    assert_eq!(code, 2, "{errors}");
    let (code, _, errors) = check(&place.path(""));
    assert_eq!(code, 2, "{errors}");
}

#[test]
fn what_to_export_must_be_said_once() {
    let (code, _, errors) = blitd(&[]);
    assert_eq!(code, 2);
    assert!(errors.contains("blitd --root DIR, or blitd --config FILE"), "{errors}");
    assert_eq!(blitd(&["--root", "/tmp", "--config", "/tmp/x"]).0, 2);
    assert_eq!(blitd(&["--root", "/tmp", "--engine", "steam"]).0, 2);
}

#[test]
fn a_root_for_other_machines_must_be_meant() {
    let (code, words, errors) = blitd(&["--root", "/tmp", "--listen", "0.0.0.0:0"]);
    assert_eq!((code, words.as_str()), (2, ""));
    assert!(errors.contains("--insecure-anonymous"), "{errors}");
}

#[test]
fn the_key_is_shown() {
    let (code, words, _) = answer(rig::command(&["key", "show"]).output());
    assert_eq!(code, 0);
    assert!(words.contains("blit1key\n"), "{words}");
}

#[test]
fn the_daemon_and_each_of_its_commands_have_a_manual_page() {
    let place = Place::new();
    let dir = place.path("");
    let (code, words, errors) = blitd(&["man", dir.to_str().expect("a text")]);
    assert_eq!((code, words.as_str(), errors.as_str()), (0, "", ""));
    let read = |page: &str| std::fs::read_to_string(dir.join(page)).expect("a page");
    assert!(read("blitd.8").contains(".TH blitd 8 "), "{}", read("blitd.8"));
    assert!(read("blitd.8").contains(".SH NOTES\n.nf\nExamples:\n  blitd \\-\\-root"));
    assert!(read("blitd.8").contains("blitd\\-key(8)"));
    for page in ["blitd-check-config.8", "blitd-key.8", "blitd-key-show.8", "blitd-man.8"] {
        assert!(read(page).contains(".SH NAME"), "{page}");
    }
    let (code, _, errors) = blitd(&["man", place.path("none").to_str().expect("a text")]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("error: write manual pages to "), "{errors}");
}

#[test]
fn an_address_in_use_is_told() {
    let place = Place::new();
    let daemon = Daemon::configured(&place.configure("", &["a"]));
    let address = daemon.addresses[0].to_string();
    let (code, words, errors) =
        answer(rig::command(&["--root", "/tmp", "--listen", &address]).output());
    assert_eq!(code, 4);
    assert!(!words.contains("listening on"), "{words}");
    assert!(errors.contains(&format!("error: listen on {address}: ")), "{errors}");
    assert!(errors.contains("hint: another program may have the port"), "{errors}");
}

#[test]
fn what_a_module_without_keys_means_is_warned_of() {
    let place = Place::new();
    let file = place.configure("", &["open"]);
    let file = file.to_str().expect("a text");
    let far = ["--config", file, "--listen", "0.0.0.0:0"];
    let daemon = Daemon::start(&far, 1);
    daemon.logs("module open lists no keys: it serves nobody who connects to 0.0.0.0:");
    let daemon = Daemon::start(&[&far[..], &["--insecure-anonymous"]].concat(), 1);
    daemon.logs("module open lists no keys: whoever connects to 0.0.0.0:");
}
