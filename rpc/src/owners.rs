//! Users and groups by name, so that an owner is the same person on both machines where both know the name.
//! It must not ask the system itself: the caller brings the functions that do.

use std::collections::{HashMap, HashSet};

use blit_core::Error;
use blit_core::entry::Meta;
use blit_core::frame::Listing;

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
        for meta in metas {
            if self.users.len() < OWNERS_MAX && self.users.insert(meta.uid) {
                users.extend((self.names.user)(meta.uid).map(|name| (meta.uid, name)));
            }
            if self.groups.len() < OWNERS_MAX && self.groups.insert(meta.gid) {
                groups.extend((self.names.group)(meta.gid).map(|name| (meta.gid, name)));
            }
        }
        (users, groups)
    }
}

/// A number and its name.
pub(crate) type Owner = (u32, String);

/// Which numbers the peer's owners have here, where it is another one.
#[derive(Debug)]
pub(crate) struct Mapped {
    names: Names,
    told: usize,
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
}

impl Mapped {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, told: 0, users: HashMap::new(), groups: HashMap::new() }
    }

    /// The peer calls the owner `id` by this name.
    pub(crate) fn learn(&mut self, is_group: bool, id: u32, name: &str) -> Result<(), Error> {
        self.told += 1;
        if self.told > 2 * OWNERS_MAX || name.len() > NAME_BYTES_MAX {
            return Err(protocol("the peer names more owners than are kept"));
        }
        let (known, map) = if is_group {
            ((self.names.gid)(name), &mut self.groups)
        } else {
            ((self.names.uid)(name), &mut self.users)
        };
        if let Some(known) = known.filter(|known| *known != id) {
            map.insert(id, known);
        }
        Ok(())
    }

    /// Whether any owner has another number here.
    pub(crate) fn is_needed(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }

    /// Gives an entry the numbers that its owners have here.
    pub(crate) fn apply(&self, meta: &mut Meta) {
        meta.uid = self.users.get(&meta.uid).copied().unwrap_or(meta.uid);
        meta.gid = self.groups.get(&meta.gid).copied().unwrap_or(meta.gid);
    }
}

/// Users, and groups, of a session whose names are told; the others are numbers.
const OWNERS_MAX: usize = 16 << 10;
/// No system has longer ones.
const NAME_BYTES_MAX: usize = 256;
