//! Decides, entry by entry, what a page of the source means for one destination directory.
//! It must not know in which order or by which tasks that is done.

use super::links::{Follower, Links, Part};
use super::schedule::SMALL_FILE_BYTES_MAX;
use crate::entry::{Changes, Entry, FileId, Kind, Meta, Verdict, compare};
use crate::error::{Error, ErrorKind};
use crate::spec::Comparison;
use crate::task::{Dir, Over, Pick};

/// What a page means for its destination directory.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Small files to copy.
    pub(super) small: Vec<Pick>,
    /// Large files to copy.
    pub(super) large: Vec<Pick>,
    /// Symbolic links and special files to make.
    pub(super) nodes: Vec<Pick>,
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
    /// Entries left out, and the bytes of their contents.
    pub(super) skipped: (u64, u64),
    /// Entries that cannot be made.
    pub(super) failures: Vec<Error>,
}

/// What a sub-directory finds at its destination.
#[derive(Debug)]
pub(super) enum Child {
    /// Nothing.
    Absent,
    /// A directory.
    Existing(Box<Meta>),
    /// Something else that cannot be replaced.
    Blocked,
}

/// What decides for one page.
pub(super) struct Judge<'a> {
    /// The rule of comparison.
    pub(super) rule: &'a Comparison,
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
        match entry.meta.kind {
            Kind::Dir => self.dir(entry, old, plan),
            Kind::File => self.file(index, entry, old, (plan, links)),
            Kind::Symlink => self.node(index, entry, old, (plan, links)),
            kind => {
                let privileged = self.rule.may_chown || !kind.is_device();
                if self.rule.preserve.specials && privileged {
                    self.node(index, entry, old, (plan, links));
                } else {
                    plan.skipped.0 += 1;
                }
            }
        }
    }

    fn dir(&self, entry: &Entry, old: Option<Meta>, plan: &mut Plan) {
        plan.children.push(match old {
            None => Child::Absent,
            Some(old) if old.kind == Kind::Dir => Child::Existing(Box::new(old)),
            Some(old) => {
                plan.failures.push(self.clash(entry, old.kind));
                Child::Blocked
            }
        });
    }

    fn file(
        &self,
        index: usize,
        entry: &Entry,
        old: Option<Meta>,
        (plan, links): (&mut Plan, &mut Links),
    ) {
        let pick = Pick { index, over: over(old.as_ref()) };
        if self.is_follower(index, entry, old.as_ref(), (plan, links)) {
            return;
        }
        let linked = self.is_linked(entry);
        let wanted_links = if self.rule.preserve.hard_links { entry.meta.nlink } else { 1 };
        match old {
            Some(old) if old.kind == Kind::File => match compare(&entry.meta, &old, self.rule) {
                Verdict::Same => {
                    plan.same.0 += 1;
                    plan.same.1 += entry.meta.size;
                    plan.led.extend(linked.then_some((index, old.id)));
                }
                // Setting metadata of an inode with foreign names would change those names too.
                Verdict::Metadata(changes) if old.nlink <= wanted_links => {
                    plan.repairs.push((index, changes));
                    plan.led.extend(linked.then_some((index, old.id)));
                }
                Verdict::Metadata(_) | Verdict::Content | Verdict::Type => plan.copy(pick, entry),
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
        let over = over(old.as_ref());
        if self.is_follower(index, entry, old.as_ref(), (plan, links)) {
            return;
        }
        let verdict = old.as_ref().map(|old| compare(&entry.meta, old, self.rule));
        match verdict {
            Some(Verdict::Same) => plan.same.0 += 1,
            Some(Verdict::Metadata(changes)) => plan.repairs.push((index, changes)),
            None | Some(Verdict::Content | Verdict::Type) => {
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
            let (over, old) = (over(old), old.map(|old| old.id));
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

    /// Whether carrying it out changes the directory, and so its times.
    pub(super) fn changes_directory(&self) -> bool {
        !(self.small.is_empty() && self.large.is_empty() && self.nodes.is_empty())
            || self.children.iter().any(|child| matches!(child, Child::Absent))
    }
}

fn over(old: Option<&Meta>) -> Over {
    match old {
        None => Over::Nothing,
        Some(old) if old.kind == Kind::Dir => Over::EmptyDir,
        Some(_) => Over::Entry,
    }
}
