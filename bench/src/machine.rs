//! What the measurements were made on; unknown things are said to be unknown.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use serde::Serialize;

use crate::system;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) distribution: String,
    /// One, five and fifteen minutes, when the session began: is somebody else using it?
    pub(crate) load: String,
    pub(crate) is_root: bool,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name", ':'),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kibibytes(&field(&read("/proc/meminfo"), "MemTotal", ':')),
            kernel: output("uname", &["-srm"]),
            distribution: field(&read("/etc/os-release"), "PRETTY_NAME", '='),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            is_root: system::is_root(),
        }
    }
}

/// Processor seconds that anything at all has used since the system started, the hypervisor's other
/// guests included; None where the system does not tell.
pub(crate) fn busy_seconds() -> Option<f64> {
    busy_in(&fs::read_to_string("/proc/stat").ok()?)
}

fn busy_in(stat: &str) -> Option<f64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<f64> = fields.map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, interrupts, soft_interrupts, steal, ..] = ticks[..]
    else {
        return None;
    };
    Some((user + nice + system + interrupts + soft_interrupts + steal) / TICKS_PER_SECOND)
}

/// Bytes that the loopback device has carried for anybody since the system started; None where the
/// system does not tell.
pub(crate) fn loopback_bytes() -> Option<u64> {
    received_in(&fs::read_to_string("/proc/net/dev").ok()?, "lo")
}

fn received_in(devices: &str, name: &str) -> Option<u64> {
    let figures =
        devices.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
    figures?.split_whitespace().next()?.parse().ok()
}

fn field(text: &str, key: &str, separator: char) -> String {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    });
    value.unwrap_or_else(|| "unknown".to_owned())
}

fn kibibytes(text: &str) -> u64 {
    text.strip_suffix("kB").and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// What Linux shows to programs, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_either_separator() {
        assert_eq!(field("a : 1\nmodel name\t: Some CPU\n", "model name", ':'), "Some CPU");
        assert_eq!(field("PRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME", '='), "Debian 12");
        assert_eq!(field("", "anything", ':'), "unknown");
        assert_eq!(kibibytes("2048 kB"), 2 << 20);
        assert_eq!(kibibytes("unknown"), 0);
    }

    #[test]
    fn a_device_is_known_by_its_whole_name() {
        let table = "Inter-|   Receive\n face |bytes    packets\n  lo2: 7 1\n    lo: 1234 5 0\n";
        assert_eq!(received_in(table, "lo"), Some(1234));
        assert_eq!(received_in(table, "eth0"), None);
    }

    #[test]
    fn busy_time_leaves_out_idling_and_waiting() {
        let busy =
            busy_in("cpu  100 200 300 4000 5000 600 700 800 0 0\ncpu0 1 2").expect("seconds");
        assert_eq!(busy.to_bits(), 27f64.to_bits());
        assert_eq!(busy_in("intr 1 2 3"), None);
    }
}
