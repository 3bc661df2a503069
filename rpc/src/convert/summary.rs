//! What a role has done, as messages. It must not add or judge.

use blit_core::Error;
use blit_core::entry::Changes;
use blit_core::summary::{Action, Change, FAILURES_KEPT_MAX, Summary};
use blit_core::task::Lost;
use blit_schema::session_capnp as schema;

use super::{error_bytes, narrow, protocol, told_error, unreadable};

pub(crate) fn write(summary: &Summary, mut to: schema::summary::Builder<'_>) {
    to.set_entries(summary.entries);
    to.set_files(summary.files);
    to.set_bytes(summary.bytes);
    to.set_bytes_cloned(summary.bytes_cloned);
    to.set_dirs(summary.dirs);
    to.set_nodes(summary.nodes);
    to.set_links(summary.links);
    to.set_repaired(summary.repaired);
    to.set_same(summary.same);
    to.set_skipped(summary.skipped);
    to.set_standing(summary.standing);
    to.set_renamed(summary.renamed);
    to.set_removed(summary.removed);
    to.set_leftovers(summary.leftovers);
    to.set_failed(summary.failed);
    to.set_vanished(summary.vanished);
    for (lost, count) in &summary.lost {
        match lost {
            Lost::Xattrs => to.set_lost_xattrs(*count),
            Lost::Acls => to.set_lost_acls(*count),
            Lost::Owner => to.set_lost_owner(*count),
            Lost::Mode => to.set_lost_mode(*count),
        }
    }
    let mut failures = to.init_failures(narrow(summary.failures.len()));
    for (index, error) in (0..).zip(&summary.failures) {
        failures.set(index, &error_bytes(error));
    }
}

pub(crate) fn read(from: schema::summary::Reader<'_>) -> Result<Summary, Error> {
    let list = from.get_failures().map_err(unreadable)?;
    if list.len() as usize > FAILURES_KEPT_MAX {
        return Err(protocol("the peer sent more failures than are kept"));
    }
    let mut failures = Vec::new();
    for bytes in list {
        failures.push(told_error(bytes.map_err(unreadable)?)?);
    }
    let lost = [
        (Lost::Xattrs, from.get_lost_xattrs()),
        (Lost::Acls, from.get_lost_acls()),
        (Lost::Owner, from.get_lost_owner()),
        (Lost::Mode, from.get_lost_mode()),
    ];
    Ok(Summary {
        entries: from.get_entries(),
        files: from.get_files(),
        bytes: from.get_bytes(),
        bytes_cloned: from.get_bytes_cloned(),
        dirs: from.get_dirs(),
        nodes: from.get_nodes(),
        links: from.get_links(),
        repaired: from.get_repaired(),
        same: from.get_same(),
        skipped: from.get_skipped(),
        standing: from.get_standing(),
        renamed: from.get_renamed(),
        removed: from.get_removed(),
        leftovers: from.get_leftovers(),
        failed: from.get_failed(),
        failures,
        vanished: from.get_vanished(),
        lost: lost.into_iter().filter(|(_, count)| *count > 0).collect(),
    })
}

pub(crate) fn write_change(change: &Change, mut to: schema::change::Builder<'_>) {
    to.set_action(match change.action {
        Action::Copied => schema::Action::Copied,
        Action::Replaced => schema::Action::Replaced,
        Action::MadeDir => schema::Action::MadeDir,
        Action::MadeNode => schema::Action::MadeNode,
        Action::Linked => schema::Action::Linked,
        Action::Repaired => schema::Action::Repaired,
        Action::Renamed => schema::Action::Renamed,
        Action::Removed => schema::Action::Removed,
        Action::RemovedLeftover => schema::Action::RemovedLeftover,
    });
    to.set_path(&change.path);
    let Changes { mode, owner, times, xattrs } = change.metadata;
    let bits = [(mode, MODE), (owner, OWNER), (times, TIMES), (xattrs, XATTRS)];
    let bits = bits.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, bit)| all | bit);
    to.set_metadata(bits);
}

pub(crate) fn read_change(from: schema::change::Reader<'_>) -> Result<Change, Error> {
    let action = match from.get_action().map_err(unreadable)? {
        schema::Action::Copied => Action::Copied,
        schema::Action::Replaced => Action::Replaced,
        schema::Action::MadeDir => Action::MadeDir,
        schema::Action::MadeNode => Action::MadeNode,
        schema::Action::Linked => Action::Linked,
        schema::Action::Repaired => Action::Repaired,
        schema::Action::Renamed => Action::Renamed,
        schema::Action::Removed => Action::Removed,
        schema::Action::RemovedLeftover => Action::RemovedLeftover,
    };
    let bits = from.get_metadata();
    let metadata = Changes {
        mode: bits & MODE != 0,
        owner: bits & OWNER != 0,
        times: bits & TIMES != 0,
        xattrs: bits & XATTRS != 0,
    };
    Ok(Change { action, path: from.get_path().map_err(unreadable)?.to_vec(), metadata })
}

const MODE: u32 = 1;
const OWNER: u32 = 2;
const TIMES: u32 = 4;
const XATTRS: u32 = 8;
