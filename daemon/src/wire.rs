//! The service: what is configured, offered to the connections that blit's protocol makes.
//! It must not know the protocol; it answers what that asks about modules, callers and rights.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use blit_core::{Error, ErrorKind};
use blit_engine::{files, host};

use blit_rpc::identity::{self, Files, Identity};
use blit_rpc::owners::Names;
use blit_rpc::serve::{Caller, Happening, Host, ModuleInfo, Server, Settings, Traffic, Workshop};
use blit_rpc::tls::{self, Clients, Credentials};

use crate::config::module::Module;
use crate::config::{Config, Plaintext};
use crate::service::{Connection, Offer, Service};
use crate::sessions::Session;
use crate::state::State;

/// What this build serves.
pub const OFFER: Offer = Offer { start, show_key };

fn start(state: &Arc<State>) -> Result<Arc<dyn Service>, Error> {
    let config = state.config();
    let identity = identity(&config)?;
    let clients = match &config.tls.ca_file {
        Some(ca_file) => Clients::Authority(ca_file, FILES),
        None => Clients::Anyone,
    };
    let credentials = match (&config.tls.cert_file, &config.tls.key_file) {
        (Some(cert), Some(key)) => Credentials::Files { cert, key, files: FILES },
        _ => Credentials::Key(&identity),
    };
    let settings = Settings {
        tls: Some(tls::server(clients, credentials)?),
        handshake_timeout: config.limits.handshake_timeout,
        stall_timeout: config.limits.stall_timeout,
        streams_max: u16::try_from(config.limits.streams_max).unwrap_or(u16::MAX),
        names: NAMES,
    };
    tracing::info!(key = %identity.public_key(), "clients know this daemon by its key");
    let offered = Arc::new(Offered { state: Arc::clone(state), failed: Arc::default() });
    Ok(Arc::new(Wire { server: Server::start(offered, settings)? }))
}

fn show_key(config: &Config) -> Result<String, Error> {
    Ok(identity(config)?.public_key().to_string())
}

/// The daemon's key: where the configuration says, or where the user's own is.
fn identity(config: &Config) -> Result<Identity, Error> {
    let path = match &config.key_file {
        Some(path) => path.clone(),
        None => default_key_file()?,
    };
    Identity::load_or_create(&path, FILES)
}

fn default_key_file() -> Result<PathBuf, Error> {
    let dir = identity::config_dir(|name| std::env::var_os(name)).ok_or_else(|| {
        let why = "there is no home directory; key_file in the configuration names a place";
        Error::because(ErrorKind::Usage, "find the key of", b"blitd", why)
    })?;
    Ok(dir.join(identity::KEY_FILE))
}

/// Serves connections.
struct Wire {
    server: Server,
}

impl Service for Wire {
    fn serve(&self, connection: Connection) {
        let Connection { stream, slot, .. } = connection;
        self.server.take(stream, Box::new(slot));
    }

    fn drain(&self) {
        self.server.drain();
    }

    fn end(&self) {
        self.server.end();
    }
}

/// What is offered, by the configuration of the moment.
struct Offered {
    state: Arc<State>,
    /// Sessions that run, by the client's end of their connection: whether they have failed.
    failed: Arc<Mutex<Failed>>,
}

type Failed = HashMap<SocketAddr, Arc<AtomicBool>>;

impl Offered {
    /// Whether `caller` may use `module`.
    fn admits(&self, module: &Module, caller: &Caller, config: &Config) -> bool {
        if !module.admits_host(caller.peer.ip()) {
            return false;
        }
        match &module.allow {
            Some(keys) => {
                let shown = caller.key.as_ref().map(ToString::to_string);
                shown.is_some_and(|shown| keys.contains(&shown))
            }
            // Whoever has a certificate of the authority was let in for that, and nobody else is.
            None if config.tls.ca_file.is_some() => caller.is_sealed,
            None => {
                let anonymous = self.state.options.insecure_anonymous;
                module.admits_strangers(caller.local.ip(), anonymous)
            }
        }
    }

    fn find(&self, name: &str, caller: &Caller) -> Option<(Arc<Config>, Module)> {
        let config = self.state.config();
        let module = config.modules.iter().find(|module| module.name == name)?.clone();
        self.admits(&module, caller, &config).then_some((config, module))
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Offered {
    fn motd(&self) -> String {
        self.state.config().motd.clone().unwrap_or_default()
    }

    fn modules(&self, caller: &Caller) -> Vec<ModuleInfo> {
        let config = self.state.config();
        let admitted = config.modules.iter().filter(|module| self.admits(module, caller, &config));
        admitted.map(info).collect()
    }

    fn module(&self, name: &str, caller: &Caller) -> Option<ModuleInfo> {
        self.find(name, caller).map(|(_, module)| info(&module))
    }

    fn workshop(&self, name: &str, shown: &[u8], caller: &Caller) -> Result<Workshop, Error> {
        let refuse =
            |why: String| Error::because(ErrorKind::Refused, "use module", name.as_bytes(), why);
        let (config, module) = self
            .find(name, caller)
            .ok_or_else(|| refuse("there is no such module for you".to_owned()))?;
        let session = self.state.sessions.begin(&config, &module).map_err(refuse)?;
        let workshop = self.state.workshop(&module, shown)?;
        let failed = Arc::<AtomicBool>::default();
        self.failed().insert(caller.peer, Arc::clone(&failed));
        let guard: Box<dyn Any + Send> = Box::new(Running {
            session: Some(session),
            failed,
            all: Arc::clone(&self.failed),
            peer: caller.peer,
        });
        let numeric_ids = module.numeric_ids;
        Ok(Workshop { engine: workshop.engine, root: workshop.root, numeric_ids, guard })
    }

    fn allows_plaintext(&self, caller: &Caller) -> bool {
        let is_near = caller.local.ip().to_canonical().is_loopback();
        is_near && self.state.config().tls.plaintext == Plaintext::Loopback
    }

    fn diagnosis(&self, caller: &Caller) -> Vec<String> {
        let config = self.state.config();
        let key = caller.key.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let how = if caller.is_sealed { "encrypted" } else { "not encrypted" };
        let mut lines = vec![
            format!("version {}", env!("CARGO_PKG_VERSION")),
            format!("engine asked for: {}", self.state.options.engine),
            format!("you come from {}, {how}, with the key {key}", caller.peer),
            format!(
                "data streams of a session at most {}, stall timeout {} s",
                config.limits.streams_max,
                config.limits.stall_timeout.as_secs()
            ),
        ];
        for module in config.modules.iter().filter(|module| self.admits(module, caller, &config)) {
            let right = if module.read_only { "read only" } else { "read and write" };
            lines.push(format!("module {}: {right}", module.shown()));
        }
        lines
    }

    fn note(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Refused(caller, why) => {
                tracing::info!(peer = %caller.peer, why, "refused a connection");
            }
            Happening::Greeted(caller, name) => {
                let key = caller.key.as_ref().map(ToString::to_string).unwrap_or_default();
                tracing::info!(peer = %caller.peer, key, name, "a client has come");
            }
            Happening::Began(caller, what, module) => {
                tracing::info!(peer = %caller.peer, what, module, "a session begins");
            }
            // The line about the connection follows.
            Happening::TokenRefused(..) => self.state.metrics.tokens_refused.add(1),
            Happening::Ended(caller, module, traffic, error) => {
                let Traffic { data, control, received, sent, entries } = *traffic;
                let metrics = &self.state.metrics;
                metrics.bytes_received.add(received);
                metrics.bytes_sent.add(sent);
                metrics.entries.add(entries);
                let failed = self.failed().get(&caller.peer).cloned();
                match error {
                    None => {
                        tracing::info!(peer = %caller.peer, module, data, control, "a session ended")
                    }
                    Some(error) => {
                        failed.inspect(|failed| failed.store(true, Ordering::Relaxed));
                        tracing::warn!(peer = %caller.peer, module, %error, "a session failed");
                    }
                }
            }
        }
    }
}

/// A session that runs. It has succeeded unless something else was noted.
struct Running {
    session: Option<Session>,
    failed: Arc<AtomicBool>,
    /// Where it stands until it has ended.
    all: Arc<Mutex<Failed>>,
    peer: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // The connection may have begun another one meanwhile.
        if all.get(&self.peer).is_some_and(|failed| Arc::ptr_eq(failed, &self.failed)) {
            all.remove(&self.peer);
        }
        drop(all);
        if let Some(session) = self.session.take()
            && !self.failed.load(Ordering::Relaxed)
        {
            session.succeed();
        }
    }
}

fn info(module: &Module) -> ModuleInfo {
    ModuleInfo {
        name: module.name.clone(),
        comment: module.comment.clone().unwrap_or_default(),
        read_only: module.read_only,
    }
}

/// The calls to the system that keys need.
const FILES: Files = Files {
    create_private: files::create_private,
    create_private_dir: files::create_private_dir,
    open_private: files::open_private,
    open_owned: files::open_owned,
};

/// Asks this machine.
const NAMES: Names = Names {
    user: host::user_name,
    group: host::group_name,
    uid: host::user_number,
    gid: host::group_number,
    is_numeric: false,
};
