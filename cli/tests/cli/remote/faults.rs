//! A network that lets little through, a daemon that stands still, a disk that is full.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::compare::{assert_same, read};
use crate::support::device::wait_until;
use crate::support::mount::must;
use crate::support::on_every_engine;
use crate::support::proxy::Proxy;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::schema::object;
use crate::support::tree::{Node, dir, file};

fn tree() -> Vec<Node> {
    let small = (0..300).map(|n| file(format!("src/d{}/f{n}", n % 7), vec![7; n * 31 % 5000]));
    small.chain([file("src/large", vec![9; 5 << 20])]).collect()
}

/// A proxy before the sandbox's daemon, known to the command.
fn behind_proxy(sandbox: &Sandbox) -> Proxy {
    let proxy = Proxy::start(sandbox.daemon().address);
    sandbox.blit(&["modules", &proxy.address()]).code(0);
    proxy
}

on_every_engine! {
    fn one_connection_is_enough_with_one_warning(sandbox) {
        sandbox.make(&tree());
        sandbox.make(&[dir("pulled")]);
        let proxy = behind_proxy(sandbox);
        for (from, to) in [("src/".to_owned(), proxy.at("pushed")), (proxy.at("src/"), "pulled".to_owned())] {
            proxy.allow(1);
            let run = sandbox.blit(&["copy", "--json", &from, &to]).code(0);
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
            assert!(run.stderr.starts_with("warning: "), "{run:?}");
            let run = run.says("data connection").says("control connection");
            let value = object(&run);
            assert_eq!(value["bytes_over_data"], 0, "{value}");
            assert!(value["bytes_over_control"].as_u64().is_some_and(|bytes| bytes > 5 << 20), "{value}");
        }
        for name in ["pushed", "pulled"] {
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(name));
        }
    }

    fn without_data_connections_there_is_one_connection_and_no_warning(sandbox) {
        sandbox.make(&tree());
        let proxy = behind_proxy(sandbox);
        for (from, to) in [("src/".to_owned(), proxy.at("pushed")), (proxy.at("src/"), "pulled".to_owned())] {
            proxy.allow(1);
            let run = sandbox.blit(&["copy", "--force-rpc-data", &from, &to]).code(0);
            assert_eq!(run.stderr, "");
        }
        for name in ["pushed", "pulled"] {
            assert_same(sandbox, &sandbox.path("src"), &sandbox.path(name));
        }
    }

    fn a_daemon_that_stands_still_ends_the_run_in_time(sandbox) {
        sandbox.make(&[file("src/large", vec![9; 48 << 20]), dir("out")]);
        for push in [true, false] {
            // One for each, so that nothing of the other is counted.
            let proxy = behind_proxy(sandbox);
            let (from, to) = match push {
                true => ("src/".to_owned(), proxy.at("pushed")),
                false => (proxy.at("src/"), "pulled".to_owned()),
            };
            let before = proxy.passed();
            let args = ["copy", "--bwlimit", "8M", "--stall-timeout", "2", &from, &to];
            let run = sandbox.start(&args);
            wait_until("some of it has passed", || proxy.passed() > before + (4 << 20));
            sandbox.daemon().signal(Signal::SIGSTOP);
            let stopped = Instant::now();
            let run = Run::from(run.wait_with_output().expect("ends"));
            let took = stopped.elapsed();
            sandbox.daemon().signal(Signal::SIGCONT);
            assert_eq!(run.code, 4, "{run:?}");
            assert!(took < Duration::from_secs(6), "{took:?}: {run:?}");
            assert!(run.stderr.contains(&proxy.address()), "which side: {run:?}");
            assert!(run.stderr.contains("silent for 2 s"), "for how long: {run:?}");
        }
        assert!(!sandbox.exists("pushed/large") && !sandbox.exists("pulled/large"));
        sandbox.blit(&["copy", "src/", &sandbox.daemon().at("pushed")]).code(0);
        assert_same(sandbox, &sandbox.path("src"), &sandbox.path("pushed"));
    }

    fn privileged_a_full_or_read_only_disk_at_either_end_is_told_and_the_next_run_completes(sandbox) {
        if !sandbox.can(Capability::Mount) {
            return;
        }
        sandbox.make(&[file("src/a", "x"), file("src/large", vec![9; 20 << 20]), dir("full")]);
        let point = sandbox.path("full");
        must(Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "none"]).arg(&point));
        let _mounted = Mounted(&point);
        let remount = |how: &str| {
            must(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&point));
        };
        let at = |name: &str| sandbox.daemon().at(name);
        for (from, to) in [("src/".to_owned(), at("full/d")), (at("src/"), "full/d".to_owned())] {
            fs::write(point.join("filler"), vec![1; 16 << 20]).expect("room for it");
            let run = sandbox.blit(&["copy", &from, &to]).code(4).says("no space left");
            let run = run.says(&format!("{to}/large")).says("the whole file has 20971520 bytes");
            let names: Vec<_> = read(&point.join("d")).into_keys().collect();
            assert!(names.iter().all(|name| [&b""[..], b"a"].contains(&&name[..])), "{names:?} {run:?}");
            fs::remove_file(point.join("filler")).expect("own file");
            sandbox.blit(&["copy", &from, &to]).code(0);
            assert_same(sandbox, &sandbox.path("src"), &point.join("d"));
            remount("ro");
            let run = sandbox.blit(&["copy", "-I", &from, &to]).code(4);
            run.says("read-only file system").says(&format!("{to}/")).says("hint: ");
            assert_same(sandbox, &sandbox.path("src"), &point.join("d"));
            remount("rw");
            // Without room for a second copy.
            sandbox.blit(&["copy", "-I", "--inplace", &from, &to]).code(0);
            fs::remove_dir_all(point.join("d")).expect("own directory");
        }
    }
}

/// Unmounted at the end.
struct Mounted<'a>(&'a std::path::Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).output());
        drop(fs::remove_dir(self.0));
    }
}
