//! `blit jobs`: what was started at a daemon, and how it is ended.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::device::wait_until;
use crate::support::sandbox::Sandbox;
use crate::support::schema::{object, rows};
use crate::support::tree::{dir, file};

#[test]
fn a_run_is_listed_watched_and_cancelled_from_elsewhere() {
    let sandbox = Sandbox::new("auto");
    sandbox.make(&[file("large", vec![7; 8 << 20]), dir("module")]);
    let daemon = Daemon::of_root(&sandbox.path("module"), sandbox.engine());
    sandbox.meet(&daemon);
    let address = daemon.address.to_string();
    let empty = sandbox.blit(&["jobs", &address]).code(0);
    assert_eq!(empty.stdout.lines().count(), 1, "{empty:?}");
    assert_eq!(sandbox.blit(&["jobs", &address, "--watch"]).code(0).stdout, "");
    let far = daemon.at("");
    let mut command = sandbox.command(&["copy", "--bwlimit", "1M", "large", &far]);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let list = || object(&sandbox.blit(&["jobs", &address, "--json"]).code(0));
    let running = |value: &Value| value["rows"].get(0).is_some_and(|row| row["state"] == "running");
    let mut told = list();
    wait_until("the copy runs", || {
        told = list();
        running(&told)
    });
    let row = &told["rows"][0];
    assert_eq!((&row["order"], &row["verb"]), (&"push".into(), &"copy".into()));
    let id = row["job"].to_string();
    let ended = sandbox.blit(&["jobs", &address, "--cancel", &id]).code(0);
    assert!(ended.stdout.contains("cancelled   push copy"), "{ended:?}");
    assert!(ended.stdout.contains("(default root): it was cancelled from 127.0.0.1:"), "{ended:?}");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(4), "{said}");
    assert!(said.contains("it was cancelled from 127.0.0.1:"), "{said}");
    assert!(!sandbox.exists("module/large"));
    assert_eq!(rows(&list(), "state"), ["cancelled"]);
    let watched = sandbox.blit(&["jobs", &address, "--watch", &id]).code(0);
    assert!(watched.stdout.contains("cancelled"), "{watched:?}");
    sandbox.blit(&["jobs", &address, "--cancel", &id]).code(3).says("it has ended already");
    sandbox.blit(&["jobs", &address, "--watch", "99"]).code(3).says("there is no such job");
}
