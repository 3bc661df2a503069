//! What the operator configured: the file, read and checked as a whole.
//! It must not open sockets, nor know the command line.

pub mod account;
pub mod document;
pub mod hosts;
pub mod interval;
pub mod module;
pub mod words;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blit_core::{Error, ErrorKind};
use blit_engine::files;

use document::{Document, Fault, Section};
use module::Module;

/// Everything a configuration file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// What a client is greeted with.
    pub motd: Option<String>,
    /// Where the daemon's own key is kept, if not where the user's is.
    pub key_file: Option<PathBuf>,
    /// Encryption.
    pub tls: Tls,
    /// Bounds.
    pub limits: Limits,
    /// Where counters are told over HTTP, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// What is exported, in the order of the file.
    pub modules: Vec<Module>,
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tls {
    /// A certificate of an organisation's, in place of a key that clients pin.
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
    /// Whose certificates clients may show in place of a key.
    pub ca_file: Option<PathBuf>,
    /// Where connections may be without encryption.
    pub plaintext: Plaintext,
}

/// Where connections may be without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Plaintext {
    /// From this machine to itself.
    #[default]
    Loopback,
    /// Nowhere.
    Never,
}

/// Bounds on what peers can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without progress for so long, a session has failed.
    pub stall_timeout: Duration,
    /// From accepting a connection to the end of its authentication.
    pub handshake_timeout: Duration,
    /// How long sessions may go on when the daemon is to end.
    pub drain_timeout: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address (of IPv6: one network of 64 bits).
    pub connections_per_address_max: usize,
    /// Sessions at once, over all modules.
    pub sessions_max: usize,
    /// Data streams of one session.
    pub streams_max: usize,
    /// Files in one batch on a data stream.
    pub batch_files_max: usize,
    /// Bytes in one batch on a data stream.
    pub batch_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stall_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            connections_max: 512,
            connections_per_address_max: 128,
            sessions_max: 64,
            streams_max: 16,
            batch_files_max: 256,
            batch_bytes_max: 8 << 20,
        }
    }
}

impl Config {
    /// A configuration that exports nothing.
    pub fn empty() -> Self {
        Self {
            listen: vec![DEFAULT_LISTEN],
            motd: None,
            key_file: None,
            tls: Tls::default(),
            limits: Limits::default(),
            metrics: None,
            modules: Vec::new(),
        }
    }

    /// Reads and checks the file at `path`, and that what it names exists.
    ///
    /// # Errors
    /// `Usage` with the line at fault; what kept the file from being read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.as_os_str().as_encoded_bytes();
        let file = files::open_owned(path).map_err(|error| match error.raw_os_error() {
            Some(_) => Error::io("read configuration", shown, error),
            None => {
                Error::because(ErrorKind::Usage, "read configuration", shown, error.to_string())
            }
        })?;
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read configuration", shown, error))?;
        let refuse =
            |why: String| Error::because(ErrorKind::Usage, "read configuration", shown, why);
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(refuse(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(text).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
        Self::parse(&text).map_err(|fault| refuse(fault.to_string()))
    }

    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let document = Document::parse(text)?;
        let mut top = document.section();
        let config = Self {
            listen: listen(&mut top)?,
            motd: top.text("motd")?,
            key_file: top.path("key_file")?,
            tls: tls(&mut top)?,
            limits: limits(&mut top)?,
            metrics: metrics(&mut top)?,
            modules: module::modules(&mut top)?,
        };
        refuse_mdns(&mut top)?;
        top.finish()?;
        Ok(config)
    }

    /// The module of that name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name == name)
    }
}

fn listen(top: &mut Section<'_>) -> Result<Vec<SocketAddr>, Fault> {
    let Some(texts) = top.texts("listen")? else { return Ok(vec![DEFAULT_LISTEN]) };
    let mut addresses = Vec::new();
    for text in texts {
        let address = address(&text.value).map_err(|why| text.fault(why))?;
        if addresses.contains(&address) {
            return Err(text.fault(format!("{address} is listed twice")));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return Err(top.fault("listen names no address; without the key it is 127.0.0.1:9031"));
    }
    Ok(addresses)
}

/// Reads an address with or without a port: `127.0.0.1`, `[::1]:9031`, `::1`.
///
/// # Errors
/// What is wrong with the text.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = text.parse::<SocketAddr>().ok();
    let without = || bare.parse().ok().map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
    with_port.or_else(without).ok_or_else(|| {
        "an address is written like 192.0.2.1:9031 or [2001:db8::1]:9031; names are not looked up"
            .to_owned()
    })
}

fn tls(top: &mut Section<'_>) -> Result<Tls, Fault> {
    let Some(mut section) = top.table("tls")? else { return Ok(Tls::default()) };
    let tls = Tls {
        cert_file: section.path("cert_file")?,
        key_file: section.path("key_file")?,
        ca_file: section.path("ca_file")?,
        plaintext: match section.spanned_text("plaintext")? {
            None => Plaintext::default(),
            Some(word) => match word.value.as_str() {
                "loopback" => Plaintext::Loopback,
                "never" => Plaintext::Never,
                _ => return Err(word.fault("plaintext is \"loopback\" or \"never\"")),
            },
        },
    };
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        return Err(section.fault("cert_file and key_file go together"));
    }
    section.finish()?;
    Ok(tls)
}

fn limits(top: &mut Section<'_>) -> Result<Limits, Fault> {
    let mut limits = Limits::default();
    let Some(mut section) = top.table("limits")? else { return Ok(limits) };
    section.interval("stall_timeout", &mut limits.stall_timeout)?;
    section.interval("handshake_timeout", &mut limits.handshake_timeout)?;
    section.interval("drain_timeout", &mut limits.drain_timeout)?;
    section.count("max_connections", CONNECTIONS_MAX, &mut limits.connections_max)?;
    let per_address = &mut limits.connections_per_address_max;
    section.count("max_connections_per_address", CONNECTIONS_MAX, per_address)?;
    section.count("max_sessions", CONNECTIONS_MAX, &mut limits.sessions_max)?;
    section.count("streams_max", STREAMS_MAX, &mut limits.streams_max)?;
    section.count("batch_files_max", BATCH_FILES_MAX, &mut limits.batch_files_max)?;
    section.bytes("batch_bytes_max", BATCH_BYTES_MAX, &mut limits.batch_bytes_max)?;
    section.finish()?;
    Ok(limits)
}

fn metrics(top: &mut Section<'_>) -> Result<Option<SocketAddr>, Fault> {
    let Some(mut section) = top.table("metrics")? else { return Ok(None) };
    let listen = match section.spanned_text("listen")? {
        None => {
            return Err(section.fault("the section has no listen, for instance \"127.0.0.1:9032\""));
        }
        Some(text) => text.value.parse().map_err(|_| {
            text.fault("listen of the metrics is an address with a port, like 127.0.0.1:9032")
        })?,
    };
    section.finish()?;
    Ok(Some(listen))
}

fn refuse_mdns(top: &mut Section<'_>) -> Result<(), Fault> {
    let Some(mut section) = top.table("mdns")? else { return Ok(()) };
    if section.flag("enabled")?.unwrap_or(false) {
        return Err(section.fault("mdns is not in this build; remove it or set enabled = false"));
    }
    section.finish()
}

/// Where a daemon is found if nobody says otherwise.
pub const DEFAULT_PORT: u16 = 9031;
/// Only this machine reaches it.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), DEFAULT_PORT);

/// A file of more bytes is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Each connection is a descriptor and a thread.
const CONNECTIONS_MAX: usize = 65_536;
/// Streams of one session beyond which no network gains.
const STREAMS_MAX: usize = 256;
/// As many as the entries of a page of a listing.
const BATCH_FILES_MAX: usize = 1024;
/// A batch is held in memory by both ends.
const BATCH_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests;
