//! What the user asked for, as messages. It must not decide what a peer may ask for.

use std::sync::Arc;

use blit_core::Error;
use blit_core::entry::{FileId, Kind, Meta, Time};
use blit_core::filter::{Filter, FilterBuilder, Part, Separator};
use blit_core::spec::{Deletion, Equality, Preserve, Reflink, Selection, TransferSpec, Verb};
use blit_core::stream::Packing;
use blit_core::task::SpaceFacts;
use blit_schema::session_capnp as schema;

use super::{narrow, protocol, text, unreadable};

pub(crate) fn write(spec: &TransferSpec, mut to: schema::spec::Builder<'_>) {
    to.set_verb(verb_word(spec.verb));
    to.set_reflink(match spec.reflink {
        Reflink::Auto => schema::Reflink::Auto,
        Reflink::Always => schema::Reflink::Always,
        Reflink::Never => schema::Reflink::Never,
    });
    to.set_equality(match spec.equality {
        Equality::Times => schema::Equality::Times,
        Equality::Size => schema::Equality::Size,
        Equality::Checksum => schema::Equality::Checksum,
        Equality::Never => schema::Equality::Never,
    });
    let Preserve { mode, owner, times, xattrs, acls, hard_links, specials } = spec.preserve;
    to.set_mode(mode);
    to.set_owner(owner);
    to.set_times(times);
    to.set_xattrs(xattrs);
    to.set_acls(acls);
    to.set_hard_links(hard_links);
    to.set_specials(specials);
    to.set_fsync(spec.fsync);
    to.set_dry_run(spec.dry_run);
    to.set_itemise(spec.itemise);
    to.set_update(spec.selection.update);
    to.set_existing(spec.selection.existing);
    to.set_ignore_existing(spec.selection.ignore_existing);
    to.set_delete_excluded(spec.deletion.excluded);
    to.set_delete_from_empty_source(spec.deletion.from_empty_source);
    to.set_delete_max(spec.deletion.entries_max.unwrap_or(NO_MAX));
    to.set_delta(spec.delta);
    to.set_recursive(spec.recursive);
    to.set_one_file_system(spec.one_file_system);
    to.set_in_place(spec.in_place);
    if let Some(filter) = &spec.filter {
        let mut parts = to.init_filter(narrow(filter.parts().len()));
        for (index, part) in (0..).zip(filter.parts()) {
            write_part(part, parts.reborrow().get(index));
        }
    }
}

pub(crate) fn verb_word(verb: Verb) -> schema::Verb {
    match verb {
        Verb::Copy => schema::Verb::Copy,
        Verb::Mirror => schema::Verb::Mirror,
        Verb::Move => schema::Verb::Move,
    }
}

pub(crate) fn read_verb(verb: schema::Verb) -> Verb {
    match verb {
        schema::Verb::Copy => Verb::Copy,
        schema::Verb::Mirror => Verb::Mirror,
        schema::Verb::Move => Verb::Move,
    }
}

pub(crate) fn read(from: schema::spec::Reader<'_>) -> Result<TransferSpec, Error> {
    let verb = read_verb(from.get_verb().map_err(unreadable)?);
    let reflink = match from.get_reflink().map_err(unreadable)? {
        schema::Reflink::Auto => Reflink::Auto,
        schema::Reflink::Always => Reflink::Always,
        schema::Reflink::Never => Reflink::Never,
    };
    let equality = match from.get_equality().map_err(unreadable)? {
        schema::Equality::Times => Equality::Times,
        schema::Equality::Size => Equality::Size,
        schema::Equality::Checksum => Equality::Checksum,
        schema::Equality::Never => Equality::Never,
    };
    let preserve = Preserve {
        mode: from.get_mode(),
        owner: from.get_owner(),
        times: from.get_times(),
        xattrs: from.get_xattrs(),
        acls: from.get_acls(),
        hard_links: from.get_hard_links(),
        specials: from.get_specials(),
    };
    let selection = Selection {
        update: from.get_update(),
        existing: from.get_existing(),
        ignore_existing: from.get_ignore_existing(),
    };
    let deletion = Deletion {
        excluded: from.get_delete_excluded(),
        from_empty_source: from.get_delete_from_empty_source(),
        entries_max: Some(from.get_delete_max()).filter(|max| *max != NO_MAX),
    };
    Ok(TransferSpec {
        verb,
        preserve,
        reflink,
        fsync: from.get_fsync(),
        dry_run: from.get_dry_run(),
        itemise: from.get_itemise(),
        equality,
        selection,
        deletion,
        delta: from.get_delta(),
        recursive: from.get_recursive(),
        one_file_system: from.get_one_file_system(),
        filter: read_filter(from)?,
        in_place: from.get_in_place(),
        // Below a module no link is followed; the places that an order names are found where it is carried out.
        follow: None,
        backup: None,
        reference: None,
    })
}

/// What the client calls the module.
pub(crate) fn read_shown(from: schema::spec::Reader<'_>) -> Result<Vec<u8>, Error> {
    let shown = from.get_shown().map_err(unreadable)?;
    if shown.len() > SHOWN_BYTES_MAX {
        return Err(protocol("the peer has a name for the module that is too long"));
    }
    Ok(shown.to_vec())
}

pub(crate) fn write_packing(packing: Packing, mut to: schema::spec::Builder<'_>) {
    to.set_packing(match packing {
        Packing::Never => schema::Packing::Never,
        Packing::WherePays => schema::Packing::WherePays,
        Packing::Always => schema::Packing::Always,
    });
}

pub(crate) fn read_packing(from: schema::spec::Reader<'_>) -> Result<Packing, Error> {
    Ok(match from.get_packing().map_err(unreadable)? {
        schema::Packing::Never => Packing::Never,
        schema::Packing::WherePays => Packing::WherePays,
        schema::Packing::Always => Packing::Always,
    })
}

fn read_filter(from: schema::spec::Reader<'_>) -> Result<Option<Arc<Filter>>, Error> {
    let parts = from.get_filter().map_err(unreadable)?;
    if parts.is_empty() {
        return Ok(None);
    }
    let mut builder: FilterBuilder = Filter::builder();
    for part in parts {
        builder = builder.part(&read_part(part)?);
    }
    builder.build().map(|filter| Some(Arc::new(filter)))
}

fn write_part(part: &Part, mut to: schema::filter_part::Builder<'_>) {
    match part {
        Part::Exclude(glob) => to.set_exclude(glob),
        Part::Include(glob) => to.set_include(glob),
        Part::Lines { name, text } => {
            let mut lines = to.init_lines();
            lines.set_name(name);
            lines.set_text(text);
        }
        Part::Paths(list, Separator::Newline) => to.set_paths_by_line(list),
        Part::Paths(list, Separator::Nul) => to.set_paths_by_nul(list),
        Part::MinSize(bytes) => to.set_min_size(*bytes),
        Part::MaxSize(bytes) => to.set_max_size(*bytes),
        Part::NewerThan(time) => write_time(*time, to.init_newer_than()),
        Part::OlderThan(time) => write_time(*time, to.init_older_than()),
    }
}

fn read_part(from: schema::filter_part::Reader<'_>) -> Result<Part, Error> {
    use schema::filter_part::Which;
    Ok(match from.which().map_err(unreadable)? {
        Which::Exclude(glob) => Part::Exclude(text(glob)?),
        Which::Include(glob) => Part::Include(text(glob)?),
        Which::Lines(lines) => {
            let lines = lines.map_err(unreadable)?;
            Part::Lines { name: text(lines.get_name())?, text: text(lines.get_text())? }
        }
        Which::PathsByLine(list) => {
            Part::Paths(list.map_err(unreadable)?.to_vec(), Separator::Newline)
        }
        Which::PathsByNul(list) => Part::Paths(list.map_err(unreadable)?.to_vec(), Separator::Nul),
        Which::MinSize(bytes) => Part::MinSize(bytes),
        Which::MaxSize(bytes) => Part::MaxSize(bytes),
        Which::NewerThan(time) => Part::NewerThan(read_time(time.map_err(unreadable)?)),
        Which::OlderThan(time) => Part::OlderThan(read_time(time.map_err(unreadable)?)),
    })
}

fn write_time(time: Time, mut to: schema::time::Builder<'_>) {
    to.set_secs(time.secs);
    to.set_nanos(time.nanos);
}

fn read_time(from: schema::time::Reader<'_>) -> Time {
    Time { secs: from.get_secs(), nanos: from.get_nanos() }
}

pub(crate) fn write_space(facts: &SpaceFacts, mut to: schema::space::Builder<'_>) {
    to.set_available(facts.available);
    to.set_total(facts.total);
    to.set_granularity_ns(facts.granularity_ns);
    to.set_holds_xattrs(facts.holds_xattrs);
}

/// Of a directory on another machine only what a viewer is shown is known.
pub(crate) fn read_space(from: schema::space::Reader<'_>) -> SpaceFacts {
    let dir = Meta {
        kind: Kind::Dir,
        size: 0,
        allocated: 0,
        mtime: Time::default(),
        ctime: Time::default(),
        mode: 0,
        uid: 0,
        gid: 0,
        nlink: 1,
        id: FileId::default(),
        mounted: false,
        rdev: 0,
        xattrs: None,
        target: None,
    };
    SpaceFacts {
        dir,
        ancestors: Vec::new(),
        available: from.get_available(),
        total: from.get_total(),
        granularity_ns: from.get_granularity_ns(),
        holds_xattrs: from.get_holds_xattrs(),
        canonical: None,
        may_chown: false,
        own_uid: 0,
        groups: Vec::new(),
    }
}

/// A mirror may remove any number.
const NO_MAX: u64 = u64::MAX;
/// What a client calls a module: host, port and name.
const SHOWN_BYTES_MAX: usize = 1024;
