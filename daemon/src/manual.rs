//! The manual pages, made from the definitions of the words.
//! It must not say anything that the help does not say.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use blit_core::Error;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Args;

/// Writes a page for the daemon, and one for each of its commands, into `dir`.
///
/// # Errors
/// Those of writing them.
pub fn write(dir: &Path) -> Result<(), Error> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let shown = dir.as_os_str().as_encoded_bytes();
    pages(&command, dir).map_err(|error| Error::io("write manual pages to", shown, error))
}

fn pages(command: &Command, dir: &Path) -> io::Result<()> {
    let notes = command.get_after_help().map(ToString::to_string);
    let plain = command.clone().after_help(None::<&'static str>);
    let page = Man::new(plain).section(SECTION);
    let mut text = Vec::new();
    page.render(&mut text)?;
    if let Some(notes) = notes {
        // It is laid out by hand, so its lines stay as they are.
        let notes = notes.replace('\\', "\\e").replace('-', "\\-");
        write!(text, ".SH NOTES\n.nf\n{notes}\n.fi\n")?;
    }
    fs::write(dir.join(page.get_filename()), text)?;
    let mut subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
    subcommands.try_for_each(|command| pages(command, dir))
}

/// Of the manual: what administrators run.
const SECTION: &str = "8";
