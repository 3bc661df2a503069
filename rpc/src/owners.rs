//! Users and groups by name, so that an owner is the same person on both machines where both know the name.
//! It must not ask the system itself: the caller brings the functions that do.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use blit_core::Error;
use blit_core::acl::{self, Holder};
use blit_core::entry::{Meta, Xattr, Xattrs};
use blit_core::frame::Listing;
use blit_core::stream::Translation;

use crate::convert::protocol;

/// Asks the system for names and numbers. Answers are asked for once per session and number.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The name of a user.
    pub user: fn(u32) -> Option<String>,
    /// The name of a group.
    pub group: fn(u32) -> Option<String>,
    /// The number of a user.
    pub uid: fn(&str) -> Option<u32>,
    /// The number of a group.
    pub gid: fn(&str) -> Option<u32>,
    /// No names are told or asked for.
    pub is_numeric: bool,
}

impl Names {
    /// Knows no name: owners are numbers.
    pub const NUMERIC: Self =
        Self { user: |_| None, group: |_| None, uid: |_| None, gid: |_| None, is_numeric: true };
}

/// Which owners the peer was told of.
#[derive(Debug)]
pub(crate) struct Told {
    names: Names,
    users: HashSet<u32>,
    groups: HashSet<u32>,
}

impl Told {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, users: HashSet::new(), groups: HashSet::new() }
    }

    /// The users and groups of a page that the peer has not heard of, and have a name.
    pub(crate) fn news(&mut self, listing: &Listing) -> (Vec<Owner>, Vec<Owner>) {
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        let metas = listing.page.iter().map(|entry| &entry.meta).chain(listing.meta.as_deref());
        for Holder { is_group, id } in metas.flat_map(holders) {
            let (known, name, news) = match is_group {
                false => (&mut self.users, self.names.user, &mut users),
                true => (&mut self.groups, self.names.group, &mut groups),
            };
            if known.len() < OWNERS_MAX && known.insert(id) {
                news.extend(name(id).map(|name| (id, name)));
            }
        }
        (users, groups)
    }
}

/// Everybody whom an entry names: its owner, its group, and who is in its ACLs.
fn holders(meta: &Meta) -> impl Iterator<Item = Holder> {
    let owners = [(false, meta.uid), (true, meta.gid)];
    let owners = owners.map(|(is_group, id)| Holder { is_group, id });
    let acls = meta.xattrs.iter().flat_map(|xattrs| xattrs.iter());
    let acls = acls.filter(|xattr| acl::is_acl(&xattr.name));
    owners.into_iter().chain(acls.flat_map(|xattr| acl::holders(&xattr.value)))
}

/// A number and its name.
pub(crate) type Owner = (u32, String);

/// What the peer has said of its owners.
#[derive(Debug)]
pub(crate) struct Mapped {
    names: Names,
    told: usize,
    /// Data streams bring metadata too, in other threads.
    numbers: Arc<RwLock<Numbers>>,
}

/// Which numbers the peer's owners have here, where it is another one.
#[derive(Debug, Default)]
struct Numbers {
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
}

impl Mapped {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, told: 0, numbers: Arc::default() }
    }

    /// The peer calls the owner `id` by this name.
    pub(crate) fn learn(&mut self, is_group: bool, id: u32, name: &str) -> Result<(), Error> {
        self.told += 1;
        if self.told > 2 * OWNERS_MAX || name.len() > NAME_BYTES_MAX {
            return Err(protocol("the peer names more owners than are kept"));
        }
        let known = if is_group { (self.names.gid)(name) } else { (self.names.uid)(name) };
        if let Some(known) = known.filter(|known| *known != id) {
            let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
            let map = if is_group { &mut numbers.groups } else { &mut numbers.users };
            map.insert(id, known);
        }
        Ok(())
    }

    /// Gives entries the numbers that everybody whom they name has here.
    pub(crate) fn apply<'m>(&self, metas: impl Iterator<Item = &'m mut Meta>) {
        read(&self.numbers).apply(metas);
    }

    /// The same for metadata that come on a data stream.
    pub(crate) fn translation(&self) -> Translation {
        let numbers = Arc::clone(&self.numbers);
        Box::new(move |meta| read(&numbers).apply([meta].into_iter()))
    }
}

fn read(numbers: &RwLock<Numbers>) -> RwLockReadGuard<'_, Numbers> {
    numbers.read().unwrap_or_else(PoisonError::into_inner)
}

impl Numbers {
    fn apply<'m>(&self, metas: impl Iterator<Item = &'m mut Meta>) {
        if self.users.is_empty() && self.groups.is_empty() {
            return;
        }
        for meta in metas {
            meta.uid = self.number(Holder { is_group: false, id: meta.uid });
            meta.gid = self.number(Holder { is_group: true, id: meta.gid });
            if let Some(xattrs) = &meta.xattrs
                && let Some(mapped) = self.mapped(xattrs)
            {
                meta.xattrs = Some(mapped);
            }
        }
    }

    fn number(&self, Holder { is_group, id }: Holder) -> u32 {
        let map = if is_group { &self.groups } else { &self.users };
        map.get(&id).copied().unwrap_or(id)
    }

    /// Attributes with the numbers in their ACLs mapped; nothing where none changes.
    fn mapped(&self, xattrs: &Xattrs) -> Option<Xattrs> {
        let new = |xattr: &Xattr| {
            let is_acl = acl::is_acl(&xattr.name);
            is_acl.then(|| acl::renumbered(&xattr.value, |holder| self.number(holder))).flatten()
        };
        let values: Vec<_> = xattrs.iter().map(new).collect();
        values.iter().any(Option::is_some).then(|| {
            let pairs = xattrs.iter().cloned().zip(values);
            pairs.map(|(old, new)| Xattr { value: new.unwrap_or(old.value), ..old }).collect()
        })
    }
}

/// Users, and groups, of a session whose names are told; the others are numbers.
const OWNERS_MAX: usize = 16 << 10;
/// No system has longer ones.
const NAME_BYTES_MAX: usize = 256;
