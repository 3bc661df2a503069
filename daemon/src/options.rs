//! What was typed, and what the configuration says, as one decision how to run.
//! It must not run anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use blit_core::{Error, ErrorKind};
use blit_engine::Choice;

use crate::args::{LogFormat, LogLevel, Serve};
use crate::config::{self, Config, Tls};
use crate::escape::Plain;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is exported, and where; `listen` is what was typed, where something was.
    pub config: Config,
    /// The file it came from, to be read again when asked to.
    pub config_file: Option<PathBuf>,
    /// What was typed as addresses: they hold in place of configured and of inherited ones.
    pub typed_listen: Vec<SocketAddr>,
    /// The addresses of the configuration file: those of the service, and that of the metrics.
    pub configured_listen: (Vec<SocketAddr>, Option<SocketAddr>),
    /// Whether modules without keys serve other machines.
    pub insecure_anonymous: bool,
    /// Which engine executes file work.
    pub engine: Choice,
    /// How many threads it has at most.
    pub workers: Option<usize>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which are written.
    pub log_level: LogLevel,
}

impl Options {
    /// Reads what `typed` names and checks that it goes together.
    ///
    /// # Errors
    /// `Usage` with what to type in place of it; those of reading the configuration.
    pub fn read(typed: &Serve) -> Result<Self, Error> {
        let typed_listen = listen(&typed.listen)?;
        let mut config = match (&typed.root, &typed.config) {
            (Some(root), None) => exported(root, typed)?,
            (None, Some(file)) => Config::read(file)?,
            _ => return Err(usage("start", "blitd", NEITHER)),
        };
        let configured_listen = (config.listen.clone(), config.metrics);
        if !typed_listen.is_empty() {
            config.listen.clone_from(&typed_listen);
        }
        if typed.max_threads == Some(0) {
            return Err(usage("use", "--max-threads 0", "at least one thread is needed"));
        }
        let options = Self {
            config,
            config_file: typed.config.clone(),
            typed_listen,
            configured_listen,
            insecure_anonymous: typed.insecure_anonymous,
            engine: typed.engine.parse()?,
            workers: typed.max_threads,
            log_format: typed.log_format,
            log_level: typed.log_level,
        };
        options.check_reach()?;
        Ok(options)
    }

    /// A root that was named on the command line is meant to be reached; at an address where nobody may, that is a
    /// mistake worth telling.
    ///
    /// # Errors
    /// `Usage` with what to do about it.
    pub fn check_reach(&self) -> Result<(), Error> {
        let is_root = self.config_file.is_none();
        let far =
            self.config.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match far {
            Some(address) if is_root && !self.insecure_anonymous => {
                let why = "other machines reach this address, and --root lists no keys: give the module keys with --config FILE and `allow`, or add --insecure-anonymous to let in whoever connects";
                Err(usage("listen on", &address.to_string(), why))
            }
            _ => Ok(()),
        }
    }

    /// What the operator should know of the modules before anybody connects: which serve strangers, and which nobody.
    pub fn warnings(&self) -> Vec<String> {
        warnings(&self.config, self.insecure_anonymous)
    }

    /// Reads the configuration file again. The addresses are those that were bound at start.
    ///
    /// # Errors
    /// Those of reading it; `Usage` where there is no file.
    pub fn reread(&self) -> Result<Reread, Error> {
        let Some(file) = &self.config_file else {
            return Err(usage(
                "reload",
                "blitd",
                "it was started with --root, so there is no configuration to read again",
            ));
        };
        let config = Config::read(file)?;
        let other_addresses = self.configured_listen != (config.listen.clone(), config.metrics);
        let (listen, metrics) = (self.config.listen.clone(), self.config.metrics);
        // What handshakes were set up with stays in force, and so does what was said of it.
        let tls = Tls { plaintext: config.tls.plaintext, ..self.config.tls.clone() };
        let key_file = self.config.key_file.clone();
        let other_certificates = config.tls != tls || config.key_file != key_file;
        let config = Config { listen, metrics, tls, key_file, ..config };
        Ok(Reread { config, other_addresses, other_certificates })
    }
}

/// A configuration that was read again.
#[derive(Clone, Debug)]
pub struct Reread {
    /// With the addresses that were bound at start, and the keys and certificates of then.
    pub config: Config,
    /// Whether the file names other ones than at start.
    pub other_addresses: bool,
    /// Whether it names other keys or certificates.
    pub other_certificates: bool,
}

/// What the operator should know of `config`'s modules.
pub fn warnings(config: &Config, insecure_anonymous: bool) -> Vec<String> {
    let far: Vec<String> = config
        .listen
        .iter()
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .map(ToString::to_string)
        .collect();
    let keyless = config.modules.iter().filter(|module| module.allow.is_none() && !far.is_empty());
    let warning = |module: &config::module::Module| {
        let (name, far) = (Plain(module.shown()), far.join(", "));
        if insecure_anonymous {
            let deed = if module.read_only { "read" } else { "read, write and delete" };
            format!(
                "module {name} lists no keys: whoever connects to {far} may {deed} (--insecure-anonymous)"
            )
        } else {
            format!(
                "module {name} lists no keys: it serves nobody who connects to {far}; give it `allow`, or start with --insecure-anonymous"
            )
        }
    };
    keyless.map(warning).collect()
}

fn listen(texts: &[String]) -> Result<Vec<SocketAddr>, Error> {
    let read = |text: &String| config::address(text).map_err(|why| usage("listen on", text, &why));
    let mut addresses: Vec<SocketAddr> = texts.iter().map(read).collect::<Result<_, _>>()?;
    addresses.dedup();
    Ok(addresses)
}

fn exported(root: &std::path::Path, typed: &Serve) -> Result<Config, Error> {
    let shown = root.as_os_str().as_encoded_bytes();
    let failed = |error| Error::io("export", shown, error);
    let path = std::path::absolute(root).map_err(failed)?;
    if !path.metadata().map_err(failed)?.is_dir() {
        return Err(Error::new(ErrorKind::NotADirectory, "export", shown));
    }
    let module = config::module::Module::default_root(path, typed.read_only);
    Ok(Config { modules: vec![module], ..Config::empty() })
}

fn usage(op: &'static str, what: &str, why: &str) -> Error {
    Error::because(ErrorKind::Usage, op, what.as_bytes(), why)
}

const NEITHER: &str = "say what to export: blitd --root DIR, or blitd --config FILE";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn options(words: &[&str]) -> Result<Options, Error> {
        let args = Args::try_parse_from([&["blitd"], words].concat()).expect("it parses");
        Options::read(&args.serve)
    }

    fn refusal(words: &[&str]) -> String {
        options(words).expect_err("refused").to_string()
    }

    #[test]
    fn a_root_is_the_default_module_and_may_be_written() {
        let options = options(&["--root", "."]).expect("valid");
        let module = &options.config.modules[0];
        assert!(module.name.is_empty() && !module.read_only && module.path.is_absolute());
        assert_eq!(options.config.listen, [config::DEFAULT_LISTEN]);
        assert!(options.warnings().is_empty());
    }

    #[test]
    fn read_only_forbids_writing() {
        let options = options(&["--root", ".", "--read-only"]).expect("valid");
        assert!(options.config.modules[0].read_only);
    }

    #[test]
    fn something_must_be_exported_and_only_once() {
        assert!(refusal(&[]).contains("blitd --root DIR, or blitd --config FILE"));
        assert!(Args::try_parse_from(["blitd", "--root", "a", "--config", "b"]).is_err());
        assert!(refusal(&["--root", "/no/such/place"]).starts_with("export /no/such/place: "));
        assert!(refusal(&["--root", "Cargo.toml"]).starts_with("export Cargo.toml: "));
    }

    #[test]
    fn addresses_that_are_typed_hold() {
        let typed = ["--root", ".", "--listen", "[::1]:0", "--listen", "127.0.0.1"];
        let shown: Vec<String> =
            options(&typed).expect("valid").config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::1]:0", "127.0.0.1:9031"]);
        assert!(
            refusal(&["--root", ".", "--listen", "localhost"]).contains("names are not looked up")
        );
    }

    #[test]
    fn a_root_that_other_machines_reach_must_be_meant() {
        let text = refusal(&["--root", ".", "--listen", "0.0.0.0:1"]);
        assert!(text.contains("--insecure-anonymous") && text.contains("allow"), "{text}");
        let meant = ["--root", ".", "--listen", "0.0.0.0:1", "--insecure-anonymous"];
        let warnings = options(&meant).expect("valid").warnings();
        assert!(
            warnings[0].contains("whoever connects to 0.0.0.0:1 may read, write and delete"),
            "{warnings:?}"
        );
    }

    #[test]
    fn a_configured_module_without_keys_is_told_of() {
        let text =
            "listen = [\"192.0.2.1\", \"127.0.0.1\"]\n[[module]]\nname = \"m\"\npath = \"/\"\n";
        let config = Config::parse(text).expect("valid");
        let told = warnings(&config, false);
        assert!(
            told[0].starts_with(
                "module m lists no keys: it serves nobody who connects to 192.0.2.1:9031;"
            ),
            "{told:?}"
        );
        assert_eq!(warnings(&config, true).len(), 1);
    }
}
