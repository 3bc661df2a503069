//! `blit man`: generated from the definitions of the words.

use blit_core::Error;
use clap::CommandFactory;

use crate::args::{Args, ManArgs};
use crate::report::Exit;
use crate::ui;

/// Writes a page for blit and one for each verb.
pub(crate) fn run(args: &ManArgs) -> Exit {
    let written = clap_mangen::generate_to(Args::command(), &args.dir);
    let shown = args.dir.as_os_str().as_encoded_bytes();
    match written {
        Ok(()) => Exit::Done,
        Err(error) => ui::tell_error(&Error::io("write manual pages to", shown, error), "man"),
    }
}
