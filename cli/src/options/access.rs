//! How daemons are reached: from what is typed, this user's key and the keys that are known.
//! It must not connect to anything.

use std::sync::Arc;

use blit_core::Error;
use blit_core::ErrorKind;
use blit_core::endpoint::{DEFAULT_PORT, Endpoint};
use blit_core::stream::Packing;
use blit_engine::{files, host};
use blit_rpc::connect::{Access, Trust};
use blit_rpc::identity::{self, Files, Identity};
use blit_rpc::known::{self, KnownHosts};
use blit_rpc::owners::Names;

use crate::args::{CarriageArgs, Compress, NetworkArgs};

/// The calls to the system that keys need.
pub(crate) const FILES: Files = Files {
    create_private: files::create_private,
    create_private_dir: files::create_private_dir,
    open_private: files::open_private,
    open_owned: files::open_owned,
};

/// Reads how daemons are reached, where one of the places is at a daemon.
///
/// # Errors
/// Those of [`access`].
pub(crate) fn if_remote<'a>(
    places: impl IntoIterator<Item = &'a Endpoint>,
    network: &NetworkArgs,
    carriage: &CarriageArgs,
) -> Result<Option<Access>, Error> {
    let is_remote = |place: &Endpoint| matches!(place, Endpoint::Remote(_));
    let needed = places.into_iter().any(is_remote);
    if needed { access(network, carriage).map(Some) } else { Ok(None) }
}

/// The same for what carries no contents.
///
/// # Errors
/// Those of [`access`].
pub(crate) fn without_contents<'a>(
    places: impl IntoIterator<Item = &'a Endpoint>,
    network: &NetworkArgs,
) -> Result<Option<Access>, Error> {
    if_remote(places, network, &CarriageArgs::default())
}

/// Reads how daemons are reached. This user's key is made if there is none.
///
/// # Errors
/// Those of reading or making the key.
pub(crate) fn access(network: &NetworkArgs, carriage: &CarriageArgs) -> Result<Access, Error> {
    let identity = Arc::new(identity()?);
    let trust = match &network.ca_file {
        Some(ca_file) => Trust::Authority {
            identity,
            ca_file: ca_file.clone(),
            certificate: network.cert_file.clone().zip(network.key_file.clone()),
            files: FILES,
        },
        None => Trust::Keys {
            identity,
            known: Arc::new(known_hosts()?),
            require_known: network.require_known,
        },
    };
    let names = if carriage.numeric_ids { Names::NUMERIC } else { NAMES };
    Ok(Access {
        trust,
        plaintext_data: carriage.plaintext_data,
        packing: match carriage.compress {
            Compress::Auto => Packing::WherePays,
            Compress::Zstd => Packing::Always,
            Compress::None => Packing::Never,
        },
        force_rpc_data: network.force_rpc_data,
        names,
    })
}

/// This user's key.
///
/// # Errors
/// As [`access`].
pub(crate) fn identity() -> Result<Identity, Error> {
    Identity::load_or_create(&config_dir()?.join(identity::KEY_FILE), FILES)
}

/// The keys of daemons that this user knows.
///
/// # Errors
/// Where there is no place for them.
pub(crate) fn known_hosts() -> Result<KnownHosts, Error> {
    Ok(KnownHosts::new(config_dir()?.join(known::KNOWN_FILE), FILES))
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
///
/// # Errors
/// `Usage` for anything else.
pub(crate) fn daemon(text: &str) -> Result<(String, u16), Error> {
    let refuse = || {
        let why = "a daemon is named as HOST or HOST:PORT, an IPv6 address in brackets";
        Error::because(ErrorKind::Usage, "find daemon", text.as_bytes(), why)
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(refuse)?;
            (
                host,
                if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':').ok_or_else(refuse)?)
                },
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port.map(|port| port.trim_end_matches('/')) {
        None | Some("") => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| refuse())?,
    };
    if host.is_empty() || host.contains(['/', '[', ']']) {
        return Err(refuse());
    }
    Ok((host.to_owned(), port))
}

fn config_dir() -> Result<std::path::PathBuf, Error> {
    identity::config_dir(|name| std::env::var_os(name)).ok_or_else(|| {
        let why = "there is no home directory; BLIT_CONFIG_DIR names another place";
        Error::because(ErrorKind::Usage, "find the key of", b"this user", why)
    })
}

/// Asks this machine.
const NAMES: Names = Names {
    user: host::user_name,
    group: host::group_name,
    uid: host::user_number,
    gid: host::group_number,
    is_numeric: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_named_with_and_without_a_port() {
        for (text, host, port) in [
            ("store", "store", DEFAULT_PORT),
            ("store:99", "store", 99),
            ("[::1]", "::1", DEFAULT_PORT),
            ("[::1]:99", "::1", 99),
            ("10.0.0.1", "10.0.0.1", DEFAULT_PORT),
        ] {
            assert_eq!(daemon(text).expect(text), (host.to_owned(), port));
        }
        for text in ["", ":99", "a:b", "[::1", "[::1]x", "a/b", "a:99999"] {
            assert_eq!(daemon(text).expect_err(text).kind, ErrorKind::Usage);
        }
    }
}
