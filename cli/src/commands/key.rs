//! `blit key`. It must not know how keys are kept.

use blit_core::Error;

use crate::args::{KeyArgs, KeyCommand};
use crate::options::access;
use crate::report::Exit;
use crate::ui;

/// Shows or forgets a key.
pub(crate) fn run(args: &KeyArgs) -> Exit {
    let told = match &args.command {
        KeyCommand::Show => show(),
        KeyCommand::Forget { host } => forget(host),
    };
    match told {
        Ok(line) => ui::print(line.as_bytes()),
        Err(error) => ui::tell_error(&error, "key"),
    }
}

fn show() -> Result<String, Error> {
    Ok(format!("{}\n", access::identity()?.public_key()))
}

fn forget(text: &str) -> Result<String, Error> {
    let (host, port) = access::daemon(text)?;
    let was_known = access::known_hosts()?.forget(&host, port)?;
    let what = if was_known { "is forgotten" } else { "was not known" };
    Ok(format!("the key of {text} {what}\n"))
}
