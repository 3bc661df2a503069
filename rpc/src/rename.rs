//! The short way of a move: what stays on its file system is renamed, whole.
//! It must not copy, nor merge into what stands at the destination: what cannot be renamed is left to the sessions.

use std::collections::HashSet;
use std::path::Path;

use blit_core::entry::{Kind, Meta};
use blit_core::path::RelPath;
use blit_core::spec::{Preserve, Reflink, Selection, SourceItem, TransferSpec};
use blit_core::summary::{Action, Change, Notice, Summary};
use blit_core::task::{Dir, Manner, Output, Over, Place, Root, Step, Task};
use blit_core::{Error, ErrorKind};

use crate::local::{self, Resolved, Way};

/// Renames those of the items that can be, and takes them out of `resolved`. Only where the whole entry is asked for:
/// a filter or a selection may leave something of it behind.
pub(crate) fn rename(
    way: &Way<'_>,
    resolved: &mut Resolved,
    spec: &TransferSpec,
    observe: &mut dyn FnMut(Notice),
) -> Summary {
    let mut summary = Summary::default();
    let whole = spec.filter.is_none()
        && spec.selection == Selection::default()
        && spec.recursive
        && !spec.one_file_system;
    let is_near = |meta: &Option<Meta>| {
        meta.as_ref().is_some_and(|meta| meta.id.dev == resolved.facts.dir.id.dev)
    };
    if whole && let Some(path) = renamed_whole(way, resolved, spec) {
        summary.renamed += 1;
        resolved.items.clear();
        if spec.itemise {
            observe(Notice::Change(Change::new(Action::Renamed, path)));
        }
        return summary;
    }
    // Contents of a directory may bring a name that a renamed entry has taken.
    let has_contents = |item: &SourceItem| matches!(item, SourceItem::Contents(_));
    if !whole || resolved.items.iter().any(has_contents) || !resolved.metas.iter().any(is_near) {
        return summary;
    }
    if resolved.target.absent && !spec.dry_run && !make_target(way, resolved) {
        return summary;
    }
    let items = std::mem::take(&mut resolved.items);
    let metas = std::mem::take(&mut resolved.metas);
    let mut taken = HashSet::new();
    for (item, meta) in items.into_iter().zip(metas) {
        if let SourceItem::Entry { target_name, .. } = &item
            && !taken.insert(target_name.clone())
        {
            summary.fail(supplied_twice(&item));
            continue;
        }
        if meta.is_none() {
            summary.fail(missing(&item));
            continue;
        }
        match renamed(way, resolved, (&item, meta.as_ref()), spec) {
            Some(path) => {
                summary.renamed += 1;
                if spec.itemise {
                    observe(Notice::Change(Change::new(Action::Renamed, path)));
                }
            }
            None => resolved.items.push(item),
        }
    }
    summary
}

/// Renames the only source, a directory whose contents are to be a directory that does not exist: with its contents it gives
/// that its metadata too. Gives the path of that, or nothing if it must go the long way.
fn renamed_whole(way: &Way<'_>, resolved: &Resolved, spec: &TransferSpec) -> Option<Vec<u8>> {
    let ([SourceItem::Contents(from)], [Some(meta)]) = (&resolved.items[..], &resolved.metas[..])
    else {
        return None;
    };
    let (above, name) = resolved.target.path.split_last().filter(|_| resolved.target.absent)?;
    let (parent, source_name) = local::split(from.root.path()).ok()?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = Dir::new(&Root::new(parent), RelPath::root());
    // `link/` means what is in the directory that it leads to; the link itself stays.
    let standing = way.asker.look(parent.clone(), &source_name).ok()??;
    let is_itself = standing.id == meta.id && standing.kind == Kind::Dir && !standing.mounted;
    if !is_itself || meta.id.dev != resolved.facts.dir.id.dev {
        return None;
    }
    let path = resolved.target.path.to_bytes();
    if spec.dry_run {
        return Some(path);
    }
    let to = Dir::new(&resolved.target.root, above);
    let step = Step::Take { from: parent, source_name, name, over: Over::Nothing };
    take(way, to, step, spec).then_some(path)
}

/// Does one step durably; whether it succeeded.
fn take(way: &Way<'_>, to: Dir, step: Step, spec: &TransferSpec) -> bool {
    let (preserve, reflink) = (spec.preserve, Reflink::Auto);
    // The rename itself must be durable before the move counts.
    let manner = Manner { preserve, reflink, fsync: true, in_place: false, aside: None };
    let place = Place { to, steps: vec![step], manner };
    let answer = way.asker.ask(vec![Task::Place(place)]).pop();
    matches!(answer, Some(Ok(Output::Placed(placed))) if placed.failures.is_empty())
}

/// Makes the destination directory; false if that is better left to the sessions.
pub(crate) fn make_target(way: &Way<'_>, resolved: &mut Resolved) -> bool {
    let Some((parent, name)) = resolved.target.path.split_last() else { return false };
    let to = Dir::new(&resolved.target.root, parent);
    let step = Step::MakeDir { name, plain: true, over: Over::Nothing };
    let manner = Manner {
        preserve: Preserve::ALL,
        reflink: Reflink::Auto,
        fsync: true,
        in_place: false,
        aside: None,
    };
    let place = Place { to, steps: vec![step], manner };
    let answer = way.asker.ask(vec![Task::Place(place)]).pop();
    let made = matches!(answer, Some(Ok(Output::Placed(placed))) if placed.failures.is_empty());
    resolved.target.absent &= !made;
    made
}

fn shown(item: &SourceItem) -> Vec<u8> {
    match item {
        SourceItem::Contents(dir) => dir.shown(None),
        SourceItem::Entry { parent, name, .. } => parent.shown(Some(name)),
    }
}

fn missing(item: &SourceItem) -> Error {
    Error::new(ErrorKind::NotFound, "open source", &shown(item))
}

fn supplied_twice(item: &SourceItem) -> Error {
    let why = "another source already supplies this name";
    Error::because(ErrorKind::AlreadyExists, "move", &shown(item), why)
}

/// Renames one item. Gives its path below the destination, or nothing if it must go the long way.
fn renamed(
    way: &Way<'_>,
    resolved: &Resolved,
    (item, meta): (&SourceItem, Option<&Meta>),
    spec: &TransferSpec,
) -> Option<Vec<u8>> {
    let (SourceItem::Entry { parent, name, target_name }, Some(meta)) = (item, meta) else {
        return None;
    };
    let to = Dir::new(&resolved.target.root, resolved.target.path.clone());
    let is_near = meta.id.dev == resolved.facts.dir.id.dev;
    let is_free = || Some(way.asker.look(to.clone(), target_name).ok()?.is_none());
    if !is_near || !(resolved.target.absent || is_free()?) {
        return None;
    }
    let path = resolved.target.path.join(target_name).to_bytes();
    if spec.dry_run {
        return Some(path);
    }
    let step = Step::Take {
        from: parent.clone(),
        source_name: name.clone(),
        name: target_name.clone(),
        over: Over::Nothing,
    };
    take(way, to, step, spec).then_some(path)
}
