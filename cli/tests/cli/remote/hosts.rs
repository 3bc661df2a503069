//! Two hosts: network namespaces that a pair of interfaces joins.

use std::process::Command;

use crate::support::compare::assert_same;
use crate::support::daemon::Daemon;
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
    fn new(engine: &str) -> Self {
        let name = |end: &str| format!("blit-{end}-{}-{engine}", std::process::id());
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
        Run::of(&mut command)
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
        let hosts = Hosts::new(sandbox.engine());
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
}
