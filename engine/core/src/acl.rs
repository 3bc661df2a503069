//! POSIX ACLs in the form in which Linux keeps them in attributes (`posix_acl_xattr.h`): a version, then entries of tag,
//! rights and number. It must not decide what is kept of them.

/// A user or a group that an ACL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// It is a group.
    pub is_group: bool,
    /// Its number.
    pub id: u32,
}

/// Whether the attribute `name` is an ACL.
pub fn is_acl(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// What an access ACL grants to the owning group: its entry under the mask.
pub(crate) fn group_rights(acl: &[u8]) -> Option<u32> {
    let rights = |wanted: u16| {
        let entry = entries(acl).find(|entry| tag(entry) == wanted)?;
        Some(u16::from_le_bytes([entry[2], entry[3]]))
    };
    let mask = rights(MASK).unwrap_or(7);
    Some(u32::from(rights(GROUP_OBJ)? & mask & 7))
}

/// The users and groups that an ACL names.
pub fn holders(acl: &[u8]) -> impl Iterator<Item = Holder> {
    entries(acl).filter_map(holder)
}

/// The ACL with other numbers for those that it names, in the order in which tools write it; nothing where none changes.
pub fn renumbered(acl: &[u8], number: impl Fn(Holder) -> u32) -> Option<Box<[u8]>> {
    let mut all: Vec<[u8; ENTRY_BYTES]> = entries(acl).copied().collect();
    let mut changes = false;
    for entry in &mut all {
        if let Some(holder) = holder(entry) {
            let id = number(holder);
            changes |= id != holder.id;
            entry[4..].copy_from_slice(&id.to_le_bytes());
        }
    }
    let version = acl.get(..HEADER_BYTES).filter(|_| changes)?;
    all.sort_by_key(|entry| (tag(entry), holder(entry).map(|holder| holder.id)));
    Some([version, all.as_flattened()].concat().into())
}

fn entries(acl: &[u8]) -> impl Iterator<Item = &[u8; ENTRY_BYTES]> {
    acl.get(HEADER_BYTES..).unwrap_or_default().as_chunks().0.iter()
}

fn tag(entry: &[u8; ENTRY_BYTES]) -> u16 {
    u16::from_le_bytes([entry[0], entry[1]])
}

fn holder(entry: &[u8; ENTRY_BYTES]) -> Option<Holder> {
    let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
    match tag(entry) {
        USER => Some(Holder { is_group: false, id }),
        GROUP => Some(Holder { is_group: true, id }),
        _ => None,
    }
}

/// The attributes are `system.posix_acl_access` and `system.posix_acl_default`.
const PREFIX: &[u8] = b"system.posix_acl_";
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, rights, id) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&rights.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    const NOBODY: u32 = u32::MAX;

    #[test]
    fn numbers_are_changed_where_a_user_or_a_group_is_named() {
        let before = acl(&[(1, 7, NOBODY), (2, 4, 5), (2, 6, 7), (4, 5, NOBODY), (8, 4, 5)]);
        let named: Vec<_> = holders(&before).map(|holder| (holder.is_group, holder.id)).collect();
        assert_eq!(named, [(false, 5), (false, 7), (true, 5)]);
        let to = |holder: Holder| if holder.is_group { holder.id } else { holder.id.max(5) };
        assert_eq!(renumbered(&before, to), None);
        let to = |holder: Holder| if holder.is_group { 6 } else { 14 - holder.id };
        let after = acl(&[(1, 7, NOBODY), (2, 6, 7), (2, 4, 9), (4, 5, NOBODY), (8, 4, 6)]);
        assert_eq!(renumbered(&before, to).as_deref(), Some(&after[..]));
    }

    #[test]
    fn a_group_has_what_its_entry_grants_under_the_mask() {
        let of =
            |group, mask| acl(&[(1, 6, 0), (2, 6, 5), (4, group, 0), (16, mask, 0), (32, 0, 0)]);
        assert_eq!(group_rights(&of(0, 6)), Some(0));
        assert_eq!(group_rights(&of(7, 5)), Some(5));
        assert_eq!(group_rights(&of(7, 5)[..7]), None);
    }

    #[test]
    fn what_is_no_acl_names_nobody() {
        for bytes in [&b""[..], b"\x02", b"\x02\0\0\0", b"\x02\0\0\0\x02\0\x07"] {
            assert_eq!(holders(bytes).count(), 0);
            assert_eq!(renumbered(bytes, |_| 1), None);
            assert_eq!(group_rights(bytes), None);
        }
    }
}
