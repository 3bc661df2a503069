//! What a file system that cannot hold everything is given.
//! It must not need a certain file system: what cannot be had here is skipped.

use blit_core::ErrorKind;
use blit_core::entry::{Changes, Xattr};
use blit_core::task::{CopyInto, Lost, Over, Step};

use crate::rig::{NEW, Rig, copy_of, name_of, skip};

pub(crate) fn privileged_a_full_file_system_ends_a_copy_with_all_that_is_left(rig: &Rig) {
    for into in [CopyInto::Existing, NEW] {
        let Some(apart) = rig.apart() else { return };
        for index in 0..4 {
            rig.write(&format!("src/{index}"), vec![7; 30_000]);
        }
        rig.write("src/9", "");
        let to = if into == NEW { apart.dir().child(&name_of("new")) } else { apart.dir() };
        let copied = rig.copy(copy_of(rig, to.clone(), into, Over::Nothing));
        assert!((1..=2).contains(&copied.files), "{copied:?}");
        assert_eq!(copied.files + copied.failures.len() as u64, 5);
        for (index, (place, error)) in copied.failures.iter().enumerate() {
            assert_eq!(*place as u64, copied.files + index as u64);
            assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
        }
        assert_eq!(copied.failures.last().map(|(place, _)| *place), Some(4), "it was not tried");
        assert_eq!(rig.page(&to).len() as u64, copied.files);
    }
}

pub(crate) fn a_lost_owner_takes_the_set_id_bits_with_it(rig: &Rig) {
    if !rig.facts(rig.dst()).may_chown {
        skip("owners that cannot be held: this user may not give files away anyway");
        return;
    }
    rig.write("src/a", "content");
    let mut entry = rig.page(&rig.src())[0].clone();
    (entry.meta.uid, entry.meta.gid, entry.meta.mode) = (54_321, 12_345, 0o6755);
    let wanted = entry.meta.clone();
    let changes = Changes { mode: true, owner: true, ..Changes::default() };
    rig.arrange(rig.src(), vec![Step::Repair { entry, changes }]);
    rig.mkdir("dst/usual");
    for to in [Some(rig.dir("dst", "usual")), rig.without_owners()].into_iter().flatten() {
        let mut copy = copy_of(rig, to.clone(), CopyInto::Existing, Over::Nothing);
        let mut entry = copy.page[0].clone();
        // Where the source could not be given away either, the engine is told that it was.
        (entry.meta.uid, entry.meta.gid, entry.meta.mode) = (wanted.uid, wanted.gid, wanted.mode);
        copy.page = [entry].into();
        let copied = rig.copy(copy);
        assert_eq!((copied.files, copied.failures.len()), (1, 0), "{copied:?}");
        let made = rig.see(&to, "a").expect("copied");
        let lost: Vec<Lost> = copied.lost.iter().map(|(which, _)| *which).collect();
        if lost.contains(&Lost::Owner) {
            assert_eq!(made.mode & 0o6000, 0, "{:o}", made.mode);
        } else {
            assert_eq!((made.uid, made.gid, made.mode), (54_321, 12_345, 0o6755));
        }
        assert!(lost.contains(&Lost::Mode) || made.mode & 0o777 == 0o755, "{:o}", made.mode);
    }
}

pub(crate) fn facts_tell_whether_attributes_are_held(rig: &Rig) {
    let facts = rig.facts(rig.dst());
    rig.write("src/a", "");
    let mut entry = rig.page(&rig.src())[0].clone();
    let xattr = Xattr { name: b"user.note"[..].into(), value: b"1"[..].into() };
    entry.meta.xattrs = Some([xattr].into());
    let changes = Changes { xattrs: true, ..Changes::default() };
    let placed = rig.arrange(rig.src(), vec![Step::Repair { entry, changes }]);
    // Where no file without a name can be made, it is not known.
    assert!(facts.holds_xattrs || !placed.lost.is_empty(), "{placed:?}");
}

pub(crate) fn a_place_is_known_through_every_mount_or_not_at_all(rig: &Rig) {
    rig.mkdir("dst/a/b");
    let places = ["", "a", "a/b"].map(|way| rig.facts(rig.dir("dst", way)).canonical);
    let [Some(top), Some(one), Some(two)] = places else {
        skip("places of file systems: the system does not tell");
        return;
    };
    assert_eq!((top.0, one.0), (one.0, two.0));
    assert_eq!(one.1, [&top.1[..], b"/a"].concat());
    assert_eq!(two.1, [&top.1[..], b"/a/b"].concat());
}

pub(crate) fn privileged_places_of_two_file_systems_are_different(rig: &Rig) {
    let Some(apart) = rig.apart() else { return };
    let Some(other) = rig.facts(apart.dir()).canonical else { return };
    assert_eq!(other.1, b"", "it is the top of its file system");
    let own = rig.facts(rig.dst()).canonical.expect("the system tells");
    assert_ne!(own.0, other.0);
}
