//! Decides, entry by entry, what a page of the source means for one destination directory.
//! It must not know in which order or by which tasks that is done.

use std::collections::HashMap;

use super::links::{Follower, Links, Part};
use super::schedule::SMALL_FILE_BYTES_MAX;
use crate::entry::{Changes, Entry, FileId, Kind, Meta, Verdict, compare};
use crate::error::{Error, ErrorKind};
use crate::path::Name;
use crate::spec::{Comparison, TransferSpec, Verb};
use crate::task::{Dir, Over, Pick};

/// What a page means for its destination directory.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Small files to copy.
    pub(super) small: Vec<Pick>,
    /// Large files to copy.
    pub(super) large: Vec<Pick>,
    /// Files that an earlier snapshot has, of which they become further names.
    pub(super) shared: Vec<Pick>,
    /// Symbolic links and special files to make.
    pub(super) nodes: Vec<Pick>,
    /// Files that only their digest can tell from what stands there, and the metadata to set where they are equal.
    pub(super) doubtful: Vec<Doubt>,
    /// Entries whose metadata are to be set.
    pub(super) repairs: Vec<(usize, Changes)>,
    /// Names of an inode that another name leads.
    pub(super) followers: Vec<Follower>,
    /// First names of an inode whose destination is already right in content.
    pub(super) led: Vec<(usize, FileId)>,
    /// Sub-directories, in the order of the page.
    pub(super) children: Vec<Child>,
    /// Entries found equal, and the bytes of their contents.
    pub(super) same: (u64, u64),
    /// Entries left out.
    pub(super) skipped: Vec<usize>,
    /// Entries that cannot be made.
    pub(super) failures: Vec<Error>,
}

/// A file of which only its digest tells whether it is equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// How it is copied if not.
    pub(super) pick: Pick,
    /// What is to be set if so.
    pub(super) changes: Changes,
    /// Which inode stands there.
    pub(super) old: FileId,
}

/// What a sub-directory finds at its destination.
#[derive(Debug)]
pub(super) enum Child {
    /// Nothing.
    Absent,
    /// A directory.
    Existing(Box<Meta>),
    /// Something else, which is replaced.
    Replaced,
    /// Something else that cannot be replaced, or nothing, and nothing is to be made.
    Blocked,
}

/// What decides for one page.
pub(super) struct Judge<'a> {
    /// The rule of comparison.
    pub(super) rule: &'a Comparison,
    /// What is done and what is left out.
    pub(super) spec: &'a TransferSpec,
    /// The destination directory.
    pub(super) to: &'a Dir,
    /// The page's own number, for followers.
    pub(super) page: u64,
}

impl Judge<'_> {
    /// Decides for all `entries`; `existing` are those that stand at the destination, in the same order.
    pub(super) fn decide(
        &self,
        entries: &[Entry],
        existing: Vec<Entry>,
        links: &mut Links,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut existing = existing.into_iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            let old = existing.next_if(|old| old.name == entry.name).map(|old| old.meta);
            self.entry(index, entry, old, (&mut plan, links));
        }
        plan
    }

    fn entry(
        &self,
        index: usize,
        entry: &Entry,
        old: Option<Meta>,
        (plan, links): (&mut Plan, &mut Links),
    ) {
        if self.is_left_out(entry, old.as_ref()) {
            plan.skipped.push(index);
            return;
        }
        match entry.meta.kind {
            Kind::Dir => self.dir(entry, old, plan),
            Kind::File => self.file(index, entry, old, (plan, links)),
            Kind::Symlink => self.node(index, entry, old, (plan, links)),
            kind => {
                let privileged = self.rule.may_chown || !kind.is_device();
                if self.rule.preserve.specials && privileged {
                    self.node(index, entry, old, (plan, links));
                } else {
                    plan.skipped.push(index);
                }
            }
        }
    }

    /// Whether the user's limits leave out an entry that is not a directory.
    fn is_left_out(&self, entry: &Entry, old: Option<&Meta>) -> bool {
        let selection = self.spec.selection;
        if entry.meta.kind == Kind::Dir {
            return false;
        }
        let newer = |old: &Meta| old.kind == Kind::File && old.mtime > entry.meta.mtime;
        let by_selection = match old {
            None => selection.existing,
            Some(old) => selection.ignore_existing || (selection.update && newer(old)),
        };
        let filter = self.spec.filter.as_ref();
        by_selection || filter.is_some_and(|filter| !filter.is_within_limits(entry))
    }

    fn dir(&self, entry: &Entry, old: Option<Meta>, plan: &mut Plan) {
        plan.children.push(match old {
            None if self.spec.selection.existing => Child::Blocked,
            None => Child::Absent,
            Some(old) if old.kind == Kind::Dir => Child::Existing(Box::new(old)),
            Some(_) if self.spec.verb == Verb::Mirror => Child::Replaced,
            Some(old) => {
                plan.failures.push(self.clash(entry, old.kind));
                Child::Blocked
            }
        });
    }

    /// Whether a directory that is in the way goes with all that is in it. Where the filter might protect something in it,
    /// it does not.
    fn replaces_trees(&self) -> bool {
        let protects = self.spec.filter.is_some() && !self.spec.deletion.excluded;
        self.spec.verb == Verb::Mirror && !protects
    }

    /// What stands in the way of an entry that is not a directory.
    fn over(&self, old: Option<&Meta>) -> Over {
        match old {
            None => Over::Nothing,
            Some(old) if old.kind != Kind::Dir => Over::Entry,
            Some(_) if self.replaces_trees() => Over::Tree,
            Some(_) => Over::EmptyDir,
        }
    }

    fn file(
        &self,
        index: usize,
        entry: &Entry,
        old: Option<Meta>,
        (plan, links): (&mut Plan, &mut Links),
    ) {
        let pick = Pick { index, over: self.over(old.as_ref()) };
        if self.is_follower(index, entry, old.as_ref(), (plan, links)) {
            return;
        }
        let linked = self.is_linked(entry);
        let wanted_links = if self.rule.preserve.hard_links { entry.meta.nlink } else { 1 };
        match old {
            Some(old) if old.kind == Kind::File => match compare(&entry.meta, &old, self.rule) {
                Verdict::Same => {
                    plan.same.0 += 1;
                    plan.same.1 = plan.same.1.saturating_add(entry.meta.size);
                    plan.led.extend(linked.then_some((index, old.id)));
                }
                // Setting metadata of an inode with foreign names would change those names too.
                Verdict::Metadata(changes) if old.nlink <= wanted_links => {
                    plan.repairs.push((index, changes));
                    plan.led.extend(linked.then_some((index, old.id)));
                }
                Verdict::Digest(changes) if old.nlink <= wanted_links || !changes.any() => {
                    plan.doubtful.push(Doubt { pick, changes, old: old.id });
                }
                Verdict::Metadata(_) | Verdict::Digest(_) | Verdict::Content | Verdict::Type => {
                    plan.copy(pick, entry)
                }
            },
            _ => plan.copy(pick, entry),
        }
    }

    fn node(
        &self,
        index: usize,
        entry: &Entry,
        old: Option<Meta>,
        (plan, links): (&mut Plan, &mut Links),
    ) {
        let over = self.over(old.as_ref());
        if self.is_follower(index, entry, old.as_ref(), (plan, links)) {
            return;
        }
        let verdict = old.as_ref().map(|old| compare(&entry.meta, old, self.rule));
        match verdict {
            Some(Verdict::Same) => plan.same.0 += 1,
            Some(Verdict::Metadata(changes)) => plan.repairs.push((index, changes)),
            None | Some(Verdict::Content | Verdict::Digest(_) | Verdict::Type) => {
                plan.nodes.push(Pick { index, over });
                return;
            }
        }
        if let (true, Some(old)) = (self.is_linked(entry), old) {
            plan.led.push((index, old.id));
        }
    }

    fn is_linked(&self, entry: &Entry) -> bool {
        self.rule.preserve.hard_links && entry.meta.nlink > 1
    }

    /// Takes note of a name of an inode with several names. Only the first one is decided like any other entry.
    fn is_follower(
        &self,
        index: usize,
        entry: &Entry,
        old: Option<&Meta>,
        (plan, links): (&mut Plan, &mut Links),
    ) -> bool {
        let path = || self.to.path.join(&entry.name);
        let follows = self.is_linked(entry)
            && links.meet(entry.meta.id, entry.meta.nlink, path) == Part::Follower;
        if follows {
            let (over, old) = (self.over(old), old.map(|old| old.id));
            plan.followers.push(Follower { page: self.page, index, over, old });
        }
        follows
    }

    fn clash(&self, entry: &Entry, found: Kind) -> Error {
        let why = format!("a {} is in the way of a directory", found.word());
        let path = self.to.shown(Some(&entry.name));
        Error::because(ErrorKind::TypeClash, "make directory", &path, why)
    }
}

impl Plan {
    fn copy(&mut self, pick: Pick, entry: &Entry) {
        let large = entry.meta.size > SMALL_FILE_BYTES_MAX;
        if large { self.large.push(pick) } else { self.small.push(pick) }
    }

    /// Takes out of what is copied the files that are the same among `others`, of an earlier snapshot.
    pub(super) fn share(&mut self, entries: &[Entry], others: &[Entry], rule: &Comparison) {
        let others: HashMap<&Name, &Meta> =
            others.iter().map(|other| (&other.name, &other.meta)).collect();
        for picks in [&mut self.small, &mut self.large] {
            picks.retain(|pick| {
                let same = entries.get(pick.index).is_some_and(|entry| {
                    let other = others.get(&entry.name);
                    other.is_some_and(|other| compare(&entry.meta, other, rule) == Verdict::Same)
                });
                if same {
                    self.shared.push(*pick);
                }
                !same
            });
        }
    }

    /// What stands in the way and is replaced, by its place in the page.
    pub(super) fn replaced(&self, entries: &[Entry]) -> Vec<usize> {
        let picks = self.small.iter().chain(&self.large).chain(&self.nodes).chain(&self.shared);
        let picks = picks.map(|pick| (pick.index, pick.over));
        let followers = self.followers.iter().map(|follower| (follower.index, follower.over));
        let trees = picks.chain(followers).filter(|(_, over)| *over == Over::Tree);
        let mut replaced: Vec<usize> = trees.map(|(index, _)| index).collect();
        let dirs = entries.iter().enumerate().filter(|(_, entry)| entry.meta.kind == Kind::Dir);
        let children = dirs.zip(&self.children);
        replaced.extend(
            children
                .filter(|(_, child)| matches!(child, Child::Replaced))
                .map(|((index, _), _)| index),
        );
        replaced
    }

    /// Leaves whole trees that are in the way where they are, and says which entries are not made for that.
    pub(super) fn spare_trees(&mut self) -> Vec<usize> {
        let mut spared = Vec::new();
        for picks in [&mut self.small, &mut self.large, &mut self.nodes, &mut self.shared] {
            let trees = picks.iter().filter(|pick| pick.over == Over::Tree);
            spared.extend(trees.map(|pick| pick.index));
            picks.retain(|pick| pick.over != Over::Tree);
        }
        let trees = self.followers.iter().filter(|follower| follower.over == Over::Tree);
        spared.extend(trees.map(|follower| follower.index));
        self.followers.retain(|follower| follower.over != Over::Tree);
        for child in &mut self.children {
            if matches!(child, Child::Replaced) {
                *child = Child::Blocked;
            }
        }
        spared
    }

    /// Whether carrying it out changes the directory, and so its times.
    pub(super) fn changes_directory(&self) -> bool {
        [&self.small, &self.large, &self.nodes, &self.shared].iter().any(|picks| !picks.is_empty())
            || self.children.iter().any(|child| matches!(child, Child::Absent | Child::Replaced))
    }
}
