//! `blit man`: generated from the definitions of the words.

use std::path::Path;
use std::{fs, io};

use blit_core::Error;
use clap::CommandFactory;

use crate::args::{Args, ManArgs};
use crate::report::Exit;
use crate::ui;

/// Writes a page for blit and one for each verb.
pub(crate) fn run(args: &ManArgs) -> Exit {
    let shown = args.dir.as_os_str().as_encoded_bytes();
    match write(&args.dir) {
        Ok(()) => Exit::Done,
        Err(error) => ui::tell_error(&Error::io("write manual pages to", shown, error), "man"),
    }
}

fn write(dir: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Args::command(), dir)?;
    let mut command = Args::command();
    command.build();
    let verbs = command.get_subcommands().map(|verb| format!("blit-{}.1", verb.get_name()));
    for page in verbs.chain(["blit.1".to_owned()]) {
        let path = dir.join(page);
        // What a verb has no page for is hidden.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        fs::write(path, laid_out(&text))?;
    }
    Ok(())
}

/// What follows the options is laid out by hand, so its lines stay as they are, and it gets a name that says something.
fn laid_out(page: &str) -> String {
    let Some((before, rest)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let (extra, after) = match rest.find("\n.SH ") {
        Some(at) => rest.split_at(at),
        None => (rest.trim_end(), "\n"),
    };
    format!("{before}\n.SH NOTES\n.nf\n{extra}\n.fi{after}")
}
