//! On whose behalf a module's files are read and written.
//! It must not let a failed look-up become anybody, least of all root.

use blit_engine::{Owner, host};

use super::document::{Fault, Placed, Section};

/// The owner that `uid` and `gid` of a module name; nothing where neither is given.
///
/// # Errors
/// A name that is not known, a look-up that fails, a group without a user.
pub(super) fn owner(section: &mut Section<'_>) -> Result<Option<Owner>, Fault> {
    let uid = section.name_or_number("uid")?;
    let gid = section.name_or_number("gid")?;
    let Some(uid) = uid else {
        return match gid {
            Some(gid) => {
                Err(gid.fault("gid needs uid as well: a process is never in a group only"))
            }
            None => Ok(None),
        };
    };
    let found = look_up("user", &uid, host::account)?;
    let gid = match gid {
        Some(gid) => look_up("group", &gid, host::group_id)?,
        None => found.gid.ok_or_else(|| {
            uid.fault(format!(
                "this system knows no user {}, so gid must name the group",
                found.uid
            ))
        })?,
    };
    if found.uid == u32::MAX || gid == u32::MAX {
        return Err(uid.fault("this number means nobody at all to the system"));
    }
    Ok(Some(Owner { uid: found.uid, gid }))
}

fn look_up<T>(
    what: &str,
    name: &Placed<String>,
    find: impl FnOnce(&str) -> std::io::Result<Option<T>>,
) -> Result<T, Fault> {
    match find(&name.value) {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(name.fault(format!("this system knows no {what} of that name"))),
        Err(error) => Err(name.fault(format!("the {what} cannot be looked up: {error}"))),
    }
}
