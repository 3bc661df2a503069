//! `blit diagnostics`. It must not decide what a path means.

use std::ffi::OsString;

use blit_core::Error;
use blit_core::endpoint::Endpoint;
use blit_core::path::Escaped;
use blit_core::spec::{self, TransferSpec};
use blit_rpc::look;
use blit_rpc::transfer::Outcome;

use crate::args::{DiagnosticsArgs, DiagnosticsCommand, NetworkArgs};
use crate::options::{self, Verb, access};
use crate::report::Exit;
use crate::run::{Run, go};

/// Tells how two places are understood.
pub(crate) fn run(args: &DiagnosticsArgs) -> Exit {
    let DiagnosticsCommand::Dump { a, b, network, engine } = &args.command;
    let telling = options::looking(Verb::Diagnostics, false);
    go(telling, options::engine(engine), |run| {
        let mut whole = Outcome::default();
        for (which, text) in [("source", a), ("destination", b)] {
            let (lines, error) = side(run, text, network)?;
            run.ui.told(&[&[format!("{which}: {}", shown(text))][..], &lines[..]].concat());
            // The other side is told of too.
            whole.error = whole.error.or(error);
        }
        Ok(whole)
    })
}

fn shown(text: &OsString) -> String {
    Escaped(text.as_encoded_bytes()).to_string()
}

/// What is known of one side, and why not all.
fn side(
    run: &mut Run,
    text: &OsString,
    network: &NetworkArgs,
) -> Result<(Vec<String>, Option<Error>), Error> {
    let place = options::endpoint(text)?;
    let access = access::without_contents([&place], network)?;
    let mut lines = match &place {
        Endpoint::Local(local) => vec![
            "  on this machine".to_owned(),
            format!("  path {}", Escaped(local.path.as_os_str().as_encoded_bytes())),
            meaning(local.contents),
        ],
        Endpoint::Remote(remote) => vec![
            format!("  at the daemon {} port {}", remote.host, remote.port),
            format!("  module {}", remote.module.as_deref().unwrap_or("(default root)")),
            format!("  path {}", remote.path),
            meaning(remote.contents),
        ],
    };
    let mut error = None;
    run.tell(|hands, observe| {
        if let (Endpoint::Remote(remote), Some(access)) = (&place, &access) {
            match look::diagnose((&remote.host, remote.port), access, hands.1, observe) {
                Ok(told) => lines.extend(told.iter().map(|line| format!("  it says: {line}"))),
                Err(failed) => error = Some(failed),
            }
        }
        if error.is_none() {
            match look::space(&place, hands, access.as_ref(), &mut |_| {}) {
                Ok(facts) => lines.push(format!(
                    "  bytes free {} of {}, times in steps of {} ns, attributes {}",
                    facts.available,
                    facts.total,
                    facts.granularity_ns,
                    if facts.holds_xattrs { "held" } else { "not held" }
                )),
                Err(failed) => lines.push(format!("  {failed}")),
            }
            let spec = TransferSpec { recursive: false, ..TransferSpec::new(spec::Verb::Copy) };
            let seen = look::look(&place, &spec, (hands, access.as_ref()), &mut |_| {});
            lines.push(match &seen.error {
                None => format!("  {} entries", seen.summary.entries),
                Some(failed) => format!("  {failed}"),
            });
        }
        Outcome::default()
    })?;
    Ok((lines, error))
}

fn meaning(contents: bool) -> String {
    let means = if contents { "its contents" } else { "the entry itself" };
    format!("  as a source, {means}")
}
