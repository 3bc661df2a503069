//! A module: a directory under a name, and who may do what with it.
//! It must not know connections, except for the address they come from.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use blit_core::Error;
use blit_core::path::Name;
use blit_engine::{Confinement, Owner, Reach};
use blit_rpc::identity::PublicKey;

use super::account;
use super::document::{Fault, Section};
use super::hosts::Network;
use crate::escape::Plain;

/// A directory that is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// What clients call it: one component of a path. Empty for the default root.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
    /// What clients are told of it.
    pub comment: Option<String>,
    /// Whether nothing can be changed.
    pub read_only: bool,
    /// The keys that may use it. Without a list the address decides, see [`Module::admits_strangers`].
    pub allow: Option<Vec<String>>,
    /// Where clients may come from; everywhere, without a list.
    pub hosts: Option<Vec<Network>>,
    /// On whose behalf its files are read and written; the daemon's user without one.
    pub owner: Option<Owner>,
    /// Whether owners are kept by number, not by name.
    pub numeric_ids: bool,
    /// Its sessions at once.
    pub sessions_max: Option<usize>,
}

impl Module {
    /// The default root of a daemon without a configuration.
    pub fn default_root(path: PathBuf, read_only: bool) -> Self {
        Self {
            name: String::new(),
            path,
            comment: None,
            read_only,
            allow: None,
            hosts: None,
            owner: None,
            numeric_ids: false,
            sessions_max: None,
        }
    }

    /// Whether it is there for whoever connects to `local`, the daemon's end, without showing a key.
    /// On an address that only this machine reaches it is, unless it lists keys; on others only if the operator
    /// insisted on it.
    pub fn admits_strangers(&self, local: IpAddr, insecure_anonymous: bool) -> bool {
        self.allow.is_none() && (local.to_canonical().is_loopback() || insecure_anonymous)
    }

    /// Whether it is there for clients at `peer`.
    pub fn admits_host(&self, peer: IpAddr) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|network| network.contains(peer)))
    }

    /// What an engine that works for this module is held to.
    ///
    /// # Errors
    /// Those of opening the directory.
    pub fn confinement(&self) -> Result<Confinement, Error> {
        let reach = if self.read_only { Reach::Read } else { Reach::Write };
        Confinement::new(&self.path, reach, self.owner)
    }

    /// The name, for people.
    pub fn shown(&self) -> &str {
        if self.name.is_empty() { "(default root)" } else { &self.name }
    }
}

/// Every `[[module]]`.
///
/// # Errors
/// The first that is wrong.
pub(super) fn modules(top: &mut Section<'_>) -> Result<Vec<Module>, Fault> {
    let mut modules: Vec<Module> = Vec::new();
    for mut section in top.tables("module")? {
        let module = module(&mut section)?;
        if modules.iter().any(|other| other.name == module.name) {
            return Err(section.fault(format!("there is a module {} already", module.name)));
        }
        section.finish()?;
        modules.push(module);
    }
    if modules.len() > MODULES_MAX {
        return Err(top.fault(format!("there are more than {MODULES_MAX} modules")));
    }
    Ok(modules)
}

fn module(section: &mut Section<'_>) -> Result<Module, Fault> {
    let name = section.spanned_text("name")?;
    let name = name.ok_or_else(|| section.fault("the module has no name"))?;
    check_name(&name.value).map_err(|why| name.fault(why))?;
    let mut sessions_max = 0;
    section.count("max_sessions", SESSIONS_MAX, &mut sessions_max)?;
    Ok(Module {
        name: name.value,
        path: directory(section)?,
        comment: section.text("comment")?,
        read_only: section.flag("read_only")?.unwrap_or(true),
        allow: allow(section)?,
        hosts: hosts(section)?,
        owner: account::owner(section)?,
        numeric_ids: section.flag("numeric_ids")?.unwrap_or(false),
        sessions_max: (sessions_max > 0).then_some(sessions_max),
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let is_plain = !name.contains(crate::escape::is_active)
        && !name.contains(['/', '\\', ':'])
        && name.trim() == name
        && name.len() <= NAME_BYTES_MAX
        && Name::new(name.as_bytes()).is_ok();
    if is_plain {
        return Ok(());
    }
    Err("the name of a module is one plain component of a path, without /, \\ and :".to_owned())
}

fn directory(section: &mut Section<'_>) -> Result<PathBuf, Fault> {
    let path = section.path("path")?.ok_or_else(|| section.fault("the module has no path"))?;
    let wrong = |why: &str| section.fault(format!("path {}: {why}", shown(&path)));
    match path.metadata() {
        Ok(meta) if meta.is_dir() => Ok(path),
        Ok(_) => Err(wrong("it is not a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(wrong("there is no such directory"))
        }
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn shown(path: &Path) -> String {
    Plain(&path.to_string_lossy()).to_string()
}

fn allow(section: &mut Section<'_>) -> Result<Option<Vec<String>>, Fault> {
    let Some(texts) = section.texts("allow")? else { return Ok(None) };
    let mut keys = Vec::new();
    for text in texts {
        if text.value.parse::<PublicKey>().is_err() {
            let why = "allow lists keys as `blit key show` prints them; they begin with blit1";
            return Err(text.fault(why));
        }
        keys.push(text.value);
    }
    Ok(Some(keys))
}

fn hosts(section: &mut Section<'_>) -> Result<Option<Vec<Network>>, Fault> {
    let Some(texts) = section.texts("hosts")? else { return Ok(None) };
    let networks =
        texts.iter().map(|text| text.value.parse().map_err(|why: String| text.fault(why)));
    networks.collect::<Result<_, _>>().map(Some)
}

/// As long as the name of a file may be on most file systems.
const NAME_BYTES_MAX: usize = 255;
/// Sessions of one module beyond which no machine serves any of them.
const SESSIONS_MAX: usize = 65_536;
/// Modules are searched one by one.
const MODULES_MAX: usize = 4096;
