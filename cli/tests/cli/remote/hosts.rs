//! Two hosts: network namespaces that a pair of interfaces joins.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::compare::assert_same;
use crate::support::daemon::Daemon;
use crate::support::device::wait_until;
use crate::support::mount::must;
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::{Node, dir, file, hard, link, sparse};

/// Two namespaces; gone at the end.
struct Hosts {
    near: String,
    far: String,
}

impl Hosts {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("blit-{end}-{}-{number}", std::process::id());
        let hosts = Self { near: name("near"), far: name("far") };
        for namespace in [&hosts.near, &hosts.far] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&[
            "-n",
            &hosts.near,
            "link",
            "add",
            "wire",
            "type",
            "veth",
            "peer",
            "name",
            "wire",
            "netns",
            &hosts.far,
        ]);
        for (namespace, last) in [(&hosts.near, 1), (&hosts.far, 2)] {
            ip(&["-n", namespace, "addr", "add", &format!("192.0.2.{last}/24"), "dev", "wire"]);
            ip(&[
                "-n",
                namespace,
                "addr",
                "add",
                &format!("2001:db8::{last}/64"),
                "dev",
                "wire",
                "nodad",
            ]);
            ip(&["-n", namespace, "link", "set", "wire", "up"]);
        }
        ip(&["-n", &hosts.far, "addr", "add", "192.0.2.3/24", "dev", "wire"]);
        hosts
    }

    fn run(&self, sandbox: &Sandbox, args: &[&str]) -> Run {
        Run::of(&mut self.command(sandbox, args))
    }

    fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let inner = sandbox.command(args);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(sandbox.path(""));
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    /// Takes the cable out at the far end, or puts it in again.
    fn plug(&self, how: &str) {
        ip(&["-n", &self.far, "link", "set", "wire", how]);
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            drop(Command::new("ip").args(["netns", "del", namespace]).output());
        }
    }
}

#[track_caller]
fn ip(args: &[&str]) {
    must(Command::new("ip").args(args));
}

fn tree() -> Vec<Node> {
    let mut nodes: Vec<Node> =
        (0..200).map(|n| file(format!("src/d{}/f{n}", n % 5), vec![7; n * 61])).collect();
    nodes.extend([
        file("src/large", vec![3; 6 << 20]),
        sparse("src/holes", 8 << 20, &[(4 << 20, "middle")]),
        hard("src/twin", "src/large"),
        link("src/link", "large"),
        dir("src/empty").mode(0o700),
    ]);
    nodes
}

on_every_engine! {
    fn privileged_two_hosts_push_and_pull_at_the_address_that_is_bound(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let hosts = Hosts::new();
        sandbox.make(&tree());
        sandbox.make(&[dir("module")]);
        let key = sandbox.blit(&["key", "show"]).code(0).stdout;
        let module = sandbox.path("module").display().to_string();
        for (address, name) in [("192.0.2.2", "four"), ("[2001:db8::2]", "six")] {
            let config = |allow: &str| format!(
                "listen = \"{address}:0\"\n[[module]]\nname = \"m\"\npath = \"{module}\"\nread_only = false\nallow = [{allow}]\n"
            );
            sandbox.make(&[
                file(format!("{name}.toml"), config(&format!("\"{}\"", key.trim()))),
                file(format!("{name}-closed.toml"), config("")),
            ]);
            let start = |config: String| {
                let config = sandbox.path(config).display().to_string();
                let wrapper = ["ip", "netns", "exec", &hosts.far];
                Daemon::wrapped(&wrapper, &["--config", &config], sandbox.engine())
            };
            let daemon = start(format!("{name}.toml"));
            let (to, back) = (daemon.below(&format!("m/{name}")), format!("back-{name}"));
            let run = hosts.run(sandbox, &["copy", "src/", &to]).code(0);
            assert_eq!(run.stderr.lines().count(), 1, "only that the daemon is new: {run:?}");
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(format!("module/{name}")));
            let run = hosts.run(sandbox, &["copy", &format!("{to}/"), &back]).code(0);
            assert_eq!(run.stderr, "");
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(&back));
            let port = daemon.address.port();
            let other = format!("192.0.2.3:{port}:/m/");
            hosts.run(sandbox, &["list", &other]).code(3).says("refused");
            let closed = start(format!("{name}-closed.toml"));
            hosts.run(sandbox, &["copy", "src/", &closed.below("m/closed")]).code(3);
            assert!(!sandbox.exists("module/closed"));
        }
    }

    fn privileged_a_link_that_fails_ends_the_run_in_words_or_is_waited_for(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        let hosts = Hosts::new();
        sandbox.make(&tree());
        sandbox.make(&[file("src/huge", vec![5; 24 << 20]), dir("module")]);
        let module = sandbox.path("module").display().to_string();
        let args = ["--root", &module, "--listen", "192.0.2.2:0", "--insecure-anonymous"];
        let daemon = Daemon::wrapped(&["ip", "netns", "exec", &hosts.far], &args, sandbox.engine());
        hosts.run(sandbox, &["copy", "src/", &daemon.at("pulled")]).code(0);
        for (push, retries) in [(true, "0"), (true, "9"), (false, "0"), (false, "9")] {
            let place = format!("module/{push}-{retries}");
            let (from, to) = match push {
                true => ("src/".to_owned(), daemon.at(&format!("{push}-{retries}"))),
                false => (daemon.at("pulled/"), place.clone()),
            };
            let args = ["copy", "--bwlimit", "8M", "--stall-timeout", "2", "--retry", retries, &from, &to];
            let mut command = hosts.command(sandbox, &args);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut run = command.spawn().expect("ip is there");
            wait_until("it is at work", || sandbox.exists(&place));
            hosts.plug("down");
            let begun = Instant::now();
            let mut lines = BufReader::new(run.stderr.take().expect("piped")).lines();
            let line = lines.next().expect("it says something").expect("a text");
            let took = begun.elapsed();
            hosts.plug("up");
            assert!(line.contains(&daemon.address.to_string()) && line.contains("silent for 2 s"), "{line}");
            assert!(took < Duration::from_secs(6), "{took:?}: {line}");
            assert_eq!(line.contains("trying again"), retries != "0", "{line}");
            let rest: Vec<String> = lines.map_while(Result::ok).collect();
            let code = run.wait().expect("own child").code();
            assert_eq!(code, Some(if retries == "0" { 4 } else { 0 }), "{line} {rest:?}");
            if retries != "0" {
                assert_same(sandbox, &sandbox.path("src"), &sandbox.path(&place));
            }
        }
    }
}
