//! Removes entries with all that is below them, many directories at a time, the deepest first.
//! It must not know why they are removed. What the filter does not admit stays, and so do the directories above it.

use std::collections::HashMap;
use std::sync::Arc;

use super::schedule::{BATCH_FILES_MAX, PAGE_ENTRIES_MAX};
use crate::entry::Kind;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::path::{Name, RelPath};
use crate::spec::Counterpart;
use crate::task::{Dir, List, Listed, Output, Removal, Remove, Removed, Survey, Task, What};

/// Names in one directory that are to go.
#[derive(Clone, Debug)]
pub(super) struct Doomed {
    /// The directory.
    pub(super) dir: Dir,
    /// Its path as the filter sees it.
    pub(super) way: RelPath,
    /// The names.
    pub(super) names: Vec<Name>,
}

/// How entries are removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Only count.
    pub(super) dry_run: bool,
    /// Remove nothing if there is more than that.
    pub(super) entries_max: Option<u64>,
    /// What it does not admit stays.
    pub(super) filter: Option<Arc<Filter>>,
    /// Keeps what is removed, and stays itself.
    pub(super) backup: Option<Counterpart>,
}

/// First counts, where a bound or a dry run asks for that; then removes. Done when no task is left.
#[derive(Debug)]
pub(super) struct Remover {
    rules: Rules,
    doomed: Vec<Doomed>,
    nodes: HashMap<u64, Node>,
    next_node: u64,
    counting: bool,
    /// Entries found, while counting.
    counted: u64,
}

/// A directory in work.
#[derive(Debug)]
struct Node {
    dir: Dir,
    way: RelPath,
    /// Where it is to be removed itself; none where only names in it were asked for.
    parent: Option<(u64, Name)>,
    /// Tasks and sub-directories that have not ended.
    open: usize,
    /// Sub-directories with nothing left in them.
    emptied: Vec<Name>,
    /// Something in it stays.
    keeps: bool,
    /// The file system it is on, once it was listed.
    dev: Option<u64>,
}

/// What a task of a removal is for.
#[derive(Debug)]
pub(super) struct Chore {
    node: u64,
    /// The names that it removes; none for a listing.
    names: Vec<Name>,
}

/// What is to be done and told next.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Tasks to run.
    pub(super) tasks: Vec<(Chore, Task)>,
    /// Entries that were removed, or would be.
    pub(super) removed: Vec<(Dir, Name)>,
    /// What failed.
    pub(super) failures: Vec<Error>,
    /// Nothing was removed, because there is too much.
    pub(super) refused: Option<Error>,
}

impl Remover {
    pub(super) fn new(doomed: Vec<Doomed>, rules: Rules) -> Self {
        let counting = rules.dry_run || rules.entries_max.is_some();
        let nodes = HashMap::new();
        Self { rules, doomed, nodes, next_node: 0, counting, counted: 0 }
    }

    /// Begins; with nothing to remove there are no tasks.
    pub(super) fn begin(&mut self) -> Orders {
        let mut orders = Orders::default();
        // What is only counted now is begun once more.
        let is_begun_again = self.counting && !self.rules.dry_run;
        let doomed =
            if is_begun_again { self.doomed.clone() } else { std::mem::take(&mut self.doomed) };
        for Doomed { dir, way, names } in doomed {
            let pages = names.chunks(PAGE_ENTRIES_MAX).map(|page| What::Names(page.into()));
            self.open_node((dir, way), None, pages.collect(), &mut orders);
        }
        orders
    }

    /// Takes note of a task that ended.
    pub(super) fn done(&mut self, chore: Chore, result: Result<Output, Error>) -> Orders {
        let mut orders = Orders::default();
        match result {
            Ok(Output::Listed(listed)) => self.listed(chore.node, listed, &mut orders),
            Ok(Output::Removed(removed)) => self.removed(&chore, removed, &mut orders),
            Ok(_) => orders.failures.push(Error::new(ErrorKind::Internal, "remove", b"")),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => {
                self.keep(chore.node);
                orders.failures.push(error);
            }
        }
        self.close(chore.node, &mut orders);
        if self.nodes.is_empty() && self.counting && !self.rules.dry_run {
            self.decide(&mut orders);
        }
        orders
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Everything was counted.
    fn decide(&mut self, orders: &mut Orders) {
        self.counting = false;
        match self.rules.entries_max {
            Some(max) if self.counted > max => {
                let path = self.doomed.first().map(|doomed| doomed.dir.shown(None));
                let why =
                    format!("{} entries would be removed, more than {max}; none was", self.counted);
                let path = path.unwrap_or_default();
                orders.refused = Some(Error::because(ErrorKind::Other, "remove in", &path, why));
            }
            _ => orders.tasks.extend(self.begin().tasks),
        }
    }

    fn open_node(
        &mut self,
        (dir, way): (Dir, RelPath),
        parent: Option<(u64, Name)>,
        pages: Vec<What>,
        orders: &mut Orders,
    ) {
        // It ends with its last task.
        if pages.is_empty() {
            return;
        }
        let id = self.next_node;
        self.next_node += 1;
        let open = pages.len();
        for what in pages {
            orders.tasks.push((Chore { node: id, names: Vec::new() }, list(&dir, what)));
        }
        let node = Node { dir, way, parent, open, emptied: Vec::new(), keeps: false, dev: None };
        self.nodes.insert(id, node);
    }

    fn listed(&mut self, id: u64, listed: Listed, orders: &mut Orders) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.keeps |= !listed.failures.is_empty();
        orders.failures.extend(listed.failures);
        node.dev = listed.dir.map(|dir| dir.id.dev).or(node.dev);
        let mut files = Vec::new();
        let mut dirs = Vec::new();
        let mut filter = self.rules.filter.as_ref().map(|filter| filter.inside(&node.way));
        for entry in listed.entries {
            let is_dir = entry.meta.kind == Kind::Dir;
            let admitted = filter.as_mut().is_none_or(|filter| filter.admits(&entry.name, is_dir));
            let is_foreign = node.dev.is_some_and(|dev| dev != entry.meta.id.dev);
            let is_mount = entry.meta.mounted || is_dir && is_foreign;
            let keeps = self.rules.backup.as_ref().is_some_and(|kept| kept.id == entry.meta.id);
            match (admitted && !is_mount && !keeps, is_dir) {
                (false, _) => {
                    node.keeps = true;
                    let stays = is_mount && !keeps;
                    orders.failures.extend(stays.then(|| mounted(&node.dir, &entry.name)));
                }
                (true, true) => dirs.push((node.way.join(&entry.name), entry.name)),
                (true, false) => files.push(entry.name),
            }
        }
        let dir = node.dir.clone();
        if listed.next.is_some() {
            node.open += 1;
            let what = What::Next { after: listed.next, entries_max: PAGE_ENTRIES_MAX };
            orders.tasks.push((Chore { node: id, names: Vec::new() }, list(&dir, what)));
        }
        node.open += dirs.len();
        self.drop_files(id, &dir, files, orders);
        for (way, name) in dirs {
            let what = What::Next { after: None, entries_max: PAGE_ENTRIES_MAX };
            self.open_node((dir.child(&name), way), Some((id, name)), vec![what], orders);
        }
    }

    fn drop_files(&mut self, id: u64, dir: &Dir, files: Vec<Name>, orders: &mut Orders) {
        if self.counting {
            self.count(dir, files, orders);
            return;
        }
        for batch in files.chunks(BATCH_FILES_MAX) {
            self.drop_names(id, dir, batch.to_vec(), orders);
        }
    }

    fn count(&mut self, dir: &Dir, names: Vec<Name>, orders: &mut Orders) {
        self.counted += names.len() as u64;
        if self.rules.dry_run {
            orders.removed.extend(names.into_iter().map(|name| (dir.clone(), name)));
        }
    }

    fn drop_names(&mut self, id: u64, dir: &Dir, names: Vec<Name>, orders: &mut Orders) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.open += 1;
        }
        let removal = match &self.rules.backup {
            Some(backup) => Removal::Aside(backup.place_of(dir)),
            None => Removal::Single,
        };
        let remove = Remove { dir: dir.clone(), names: names.clone(), removal };
        orders.tasks.push((Chore { node: id, names }, Task::Remove(remove)));
    }

    fn removed(&mut self, chore: &Chore, removed: Removed, orders: &mut Orders) {
        let Some(node) = self.nodes.get_mut(&chore.node) else { return };
        node.keeps |= !removed.failures.is_empty();
        let dir = node.dir.clone();
        let failed = |name: &Name| {
            let path = dir.shown(Some(name));
            removed.failures.iter().any(|error| *error.path == *path)
        };
        let gone = chore.names.iter().filter(|name| removed.failures.is_empty() || !failed(name));
        orders.removed.extend(gone.map(|name| (dir.clone(), name.clone())));
        orders.failures.extend(removed.failures);
    }

    fn keep(&mut self, id: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.keeps = true;
        }
    }

    /// Something of a directory has ended; when all has, its empty sub-directories go, then it can go itself.
    fn close(&mut self, id: u64, orders: &mut Orders) {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(node) = self.nodes.get_mut(&id) else { return };
            node.open -= 1;
            if node.open > 0 {
                return;
            }
            let (dir, emptied) = (node.dir.clone(), std::mem::take(&mut node.emptied));
            if !emptied.is_empty() {
                if !self.counting {
                    return self.drop_names(id, &dir, emptied, orders);
                }
                self.count(&dir, emptied, orders);
            }
            next = self.leave(id);
        }
    }

    /// Forgets a directory that has ended and tells the one above it.
    fn leave(&mut self, id: u64) -> Option<u64> {
        let node = self.nodes.remove(&id)?;
        let (parent, name) = node.parent?;
        if let Some(above) = self.nodes.get_mut(&parent) {
            if node.keeps {
                above.keeps = true;
            } else {
                above.emptied.push(name);
            }
        }
        Some(parent)
    }
}

/// What is mounted stays, be it another file system or another place of the same one.
fn mounted(dir: &Dir, name: &Name) -> Error {
    let why = "something is mounted there; it stays";
    Error::because(ErrorKind::CrossDevice, "remove", &dir.shown(Some(name)), why)
}

fn list(dir: &Dir, what: What) -> Task {
    Task::List(List { dir: dir.clone(), what, xattrs: false, survey: Survey::Nothing })
}
