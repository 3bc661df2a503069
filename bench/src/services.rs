//! The daemons at the far end: how each is started, when it is ready, and what it took until it
//! was asked to end; it does not know what is transferred.
//!
//! A daemon is started by a small process of its own, as a measured command is, and for the same
//! reasons: see `measure`. That process ends the daemon when its own standard input ends, so a
//! harness that is killed leaves no daemon behind.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, OnPath, Result};
use crate::measure::{Kept, Meter, Run};
use crate::system;

/// A daemon that was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Service {
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Blitd { engine: &'static str, threads: Option<u32> },
    Rsyncd,
    Webdav,
}

/// A daemon that is ready. Dropping it ends it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    kept: Kept,
}

impl Service {
    /// Starts it for everything below `root`, under `wrapper` if there is one, and waits until it
    /// can be reached. `folder` is for its own files.
    pub(crate) fn start(
        &self,
        meter: &Meter,
        root: &Path,
        folder: &Path,
        wrapper: &[OsString],
    ) -> Result<Running> {
        fs::create_dir_all(folder).on("create directory", folder)?;
        let said = folder.join("said");
        let free = free_address().on("find a free port of", Path::new("127.0.0.1"))?;
        let mut command = wrapper.to_vec();
        command.push(self.program.clone().into_os_string());
        match self.kind {
            Kind::Blitd { engine, threads } => {
                command.extend(["--engine".into(), engine.into(), "--root".into(), root.into()]);
                command.extend(["--listen".into(), "127.0.0.1:0".into()]);
                if let Some(threads) = threads {
                    command.extend(["--max-threads".into(), threads.to_string().into()]);
                }
            }
            Kind::Rsyncd => {
                let config = folder.join("rsyncd.conf");
                fs::write(&config, rsyncd_config(root, free.port(), system::is_root()))
                    .on("write", &config)?;
                let mut option = OsString::from("--config=");
                option.push(config);
                command.extend(["--daemon".into(), "--no-detach".into(), option]);
            }
            Kind::Webdav => {
                command.extend(["serve".into(), "webdav".into(), "--addr".into()]);
                command.extend([free.to_string().into(), root.into()]);
            }
        }
        let mut kept = meter.keep(&command, &said)?;
        let ready = || match self.kind {
            Kind::Blitd { .. } => announced(&fs::read_to_string(&said).unwrap_or_default()),
            Kind::Rsyncd | Kind::Webdav => TcpStream::connect(free).ok().map(|_| free),
        };
        match wait_for(ready, meter, &mut kept)? {
            Some(address) => Ok(Running { address, kept }),
            None => Err(self.refusal(&fs::read_to_string(&said).unwrap_or_default())),
        }
    }

    fn refusal(&self, said: &str) -> Error {
        let last = said.lines().last().unwrap_or("nothing").escape_debug();
        let message = format!("it was not ready within {READY_SECONDS_MAX} s; it says: {last}");
        Error::Tool { command: self.program.display().to_string(), message }
    }
}

impl Running {
    /// Ends it, and says what it took in its whole life.
    pub(crate) fn stop(self) -> Result<Run> {
        self.kept.stop()
    }
}

/// Asks again and again until there is an answer, the daemon is gone, or the time is up.
fn wait_for(
    mut ready: impl FnMut() -> Option<SocketAddr>,
    meter: &Meter,
    kept: &mut Kept,
) -> Result<Option<SocketAddr>> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(READY_SECONDS_MAX) {
        meter.interrupt.check()?;
        if let Some(address) = ready() {
            return Ok(Some(address));
        }
        if kept.is_over() {
            break;
        }
        thread::sleep(READY_STEP);
    }
    Ok(None)
}

/// The address in the line `listening on ADDRESS`, once that line is complete.
fn announced(said: &str) -> Option<SocketAddr> {
    let (complete, _) = said.rsplit_once('\n')?;
    complete.lines().find_map(|line| line.split_once("listening on ")?.1.trim().parse().ok())
}

/// Free a moment ago, which has to do for daemons that cannot choose a port themselves.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn rsyncd_config(root: &Path, port: u16, is_root: bool) -> String {
    let mut text = format!("port = {port}\naddress = 127.0.0.1\nreverse lookup = no\n[root]\n");
    writeln!(text, "path = {}\nread only = no\nmunge symlinks = no", root.display())
        .expect("writing to a string does not fail");
    text.push_str(if is_root {
        "use chroot = yes\nuid = root\ngid = root\n"
    } else {
        "use chroot = no\n"
    });
    text
}

/// A daemon that needs longer to begin is broken.
const READY_SECONDS_MAX: u64 = 20;
/// Short beside what any transfer takes.
const READY_STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_line_announces_an_address() {
        assert_eq!(announced("listening on 127.0.0.1:12"), None);
        let address = announced("hello\nlistening on 127.0.0.1:1234\nmore").expect("an address");
        assert_eq!(address.port(), 1234);
        assert_eq!(announced("listening on nothing\n"), None);
        let six = announced("INFO listening on [::1]:5\n").expect("an address");
        assert!(six.is_ipv6());
    }

    #[test]
    fn rsync_gets_the_rights_of_root_only_from_root() {
        let root = rsyncd_config(Path::new("/srv/a"), 4, true);
        assert!(root.contains("port = 4\n") && root.contains("path = /srv/a\n"), "{root}");
        assert!(root.contains("uid = root\n"), "{root}");
        assert!(!rsyncd_config(Path::new("/srv/a"), 4, false).contains("uid"));
    }
}
