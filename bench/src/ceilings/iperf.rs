//! What iperf3 reaches over loopback, where it is installed: a second opinion on our own loop.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Sent;
use crate::peers::find_program;

/// Its figures with so many streams; None where there is no iperf3 or it does not work.
pub(super) fn measure(streams: u64, bytes: u64) -> Option<Sent> {
    let program = find_program("iperf3", &[])?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
    let port = port.to_string();
    let mut server = start(&program, &["-s", "-1", "-B", "127.0.0.1", "-p", &port])?;
    let sent = send(&program, &port, streams, bytes);
    // It may have served nobody, and would wait for ever.
    drop(server.kill());
    drop(server.wait());
    sent
}

fn start(program: &Path, words: &[&str]) -> Option<Child> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()
}

/// Sends, and tries again until the server listens: asking whether it does would be taken for the
/// one client that it serves. The exit code tells nothing, since a client that was refused ends
/// well when it writes JSON; only figures do.
fn send(program: &Path, port: &str, streams: u64, bytes: u64) -> Option<Sent> {
    let each = bytes.div_ceil(streams).to_string();
    let count = streams.to_string();
    let words = ["-c", "127.0.0.1", "-p", port, "-P", &count, "-n", &each, "-J"];
    let began = Instant::now();
    while began.elapsed() < READY_MAX {
        let output = Command::new(program).args(words).stdin(Stdio::null()).output().ok()?;
        if let Some(sent) = read(&String::from_utf8_lossy(&output.stdout), streams) {
            return Some(sent);
        }
        thread::sleep(READY_STEP);
    }
    None
}

fn read(text: &str, streams: u64) -> Option<Sent> {
    let told: serde_json::Value = serde_json::from_str(text).ok()?;
    let end = &told["end"];
    let bits = end["sum_received"]["bits_per_second"].as_f64()?;
    let cpu = &end["cpu_utilization_percent"];
    let share = (cpu["host_total"].as_f64()? + cpu["remote_total"].as_f64()?) / 100.0;
    let bytes_per_second = bits / 8.0;
    let cpu_seconds_per_gib = share * GIB / bytes_per_second;
    Some(Sent { streams, bytes_per_second, cpu_seconds_per_gib })
}

const GIB: f64 = 1_073_741_824.0;
const READY_MAX: Duration = Duration::from_secs(3);
const READY_STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_all_streams_is_read() {
        let text = r#"{"end": {"sum_received": {"bits_per_second": 8589934592.0},
            "cpu_utilization_percent": {"host_total": 50.0, "remote_total": 100.0}}}"#;
        let sent = read(text, 2).expect("figures");
        assert!((sent.bytes_per_second - GIB).abs() < 1.0);
        assert!((sent.cpu_seconds_per_gib - 1.5).abs() < 1e-6);
        let refused = r#"{"intervals": [], "end": {}, "error": "unable to connect to server"}"#;
        assert!(read(refused, 1).is_none());
    }
}
