//! What a configuration allows, in words.
//! It must not decide anything: it says what the other files here decided.

use std::fmt::Write;

use super::Config;
use super::module::Module;
use crate::escape::Plain;

/// The whole configuration, one line for each fact and a group of lines for each module.
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    for address in &config.listen {
        let reach = if address.ip().is_loopback() {
            "reached from this machine only"
        } else {
            "reached from other machines"
        };
        line(&mut text, format_args!("listens on {address}, {reach}"));
    }
    if let Some(address) = config.metrics {
        line(&mut text, format_args!("tells its counters on {address} over HTTP"));
    }
    if config.modules.is_empty() {
        line(&mut text, format_args!("exports nothing: there is no [[module]]"));
    }
    for module in &config.modules {
        describe_module(&mut text, config, module);
    }
    text
}

fn describe_module(text: &mut String, config: &Config, module: &Module) {
    let path = module.path.to_string_lossy();
    line(text, format_args!("module {}: {}", Plain(module.shown()), Plain(&path)));
    let deed = if module.read_only { "read" } else { "read, write and delete" };
    line(text, format_args!("  {} may {deed}", who(config, module)));
    match &module.hosts {
        None => {}
        Some(hosts) if hosts.is_empty() => {
            line(text, format_args!("  no address may connect: hosts is empty"))
        }
        Some(hosts) => {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            line(text, format_args!("  from {} only", hosts.join(", ")));
        }
    }
    if let Some(owner) = module.owner {
        line(text, format_args!("  as user {} and group {}", owner.uid, owner.gid));
    }
    if let Some(sessions) = module.sessions_max {
        line(text, format_args!("  at most {sessions} sessions at once"));
    }
    if module.numeric_ids {
        line(text, format_args!("  owners are kept by number"));
    }
}

fn who(config: &Config, module: &Module) -> String {
    match &module.allow {
        Some(keys) if keys.is_empty() => "nobody, since allow is empty,".to_owned(),
        Some(keys) if keys.len() == 1 => "the holder of 1 key".to_owned(),
        Some(keys) => format!("the holders of {} keys", keys.len()),
        None => {
            let admitting =
                |address: &&std::net::SocketAddr| module.admits_strangers(address.ip(), false);
            let open = config.listen.iter().filter(admitting).count();
            match open {
                0 => "nobody, since it has no allow,".to_owned(),
                _ if open == config.listen.len() => "whoever connects from this machine".to_owned(),
                _ => "whoever connects from this machine (and nobody else, since it has no allow)"
                    .to_owned(),
            }
        }
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "{words}");
}
