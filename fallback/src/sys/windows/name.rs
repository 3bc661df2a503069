//! Windows: names as bytes and as the 16-bit units of the system.
//! It must not open anything.
//!
//! Bytes are UTF-8, and WTF-8 for the unpaired surrogates that the system allows, so that every name of the system has
//! bytes, and only its own.

use std::io;

/// The units of a name that is looked up. What the system would take for several names, for a stream of a file or for a
/// pattern is refused, so that whatever is opened is an entry of that one directory.
///
/// # Errors
/// `InvalidFilename`.
pub(super) fn existing(name: &[u8]) -> io::Result<Vec<u16>> {
    let units = units_of(name).ok_or_else(|| refused("it is not UTF-8"))?;
    if units.is_empty() || units.len() > NAME_UNITS_MAX {
        return Err(refused("it is empty or too long"));
    }
    if units.iter().any(|unit| is_special(*unit)) {
        return Err(refused("it has a character that Windows does not allow"));
    }
    Ok(units)
}

/// The units of a name that is given to something. What most programs could not open afterwards, or would take for a
/// device, is refused too.
///
/// # Errors
/// `InvalidFilename`.
pub(super) fn new(name: &[u8]) -> io::Result<Vec<u16>> {
    let units = existing(name)?;
    if name.ends_with(b".") || name.ends_with(b" ") {
        return Err(refused("it ends with a dot or a space, which Windows does not allow"));
    }
    if is_device(name) {
        return Err(refused("it is the name of a device on Windows"));
    }
    Ok(units)
}

/// The units of a text; `None` if it is neither UTF-8 nor WTF-8.
pub(super) fn units_of(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units: Vec<u16> = Vec::with_capacity(bytes.len());
    while let Some(chunk) = bytes.utf8_chunks().next() {
        units.extend(chunk.valid().encode_utf16());
        bytes = &bytes[chunk.valid().len()..];
        let Some((surrogate, rest)) = bytes.split_first_chunk::<3>() else {
            return bytes.is_empty().then_some(units);
        };
        let unit = surrogate_of(*surrogate)?;
        // A pair would have bytes of its own in UTF-8.
        if is_low(unit) && units.last().is_some_and(|last| is_high(*last)) {
            return None;
        }
        units.push(unit);
        bytes = rest;
    }
    Some(units)
}

/// Adds the bytes of `units` to `bytes`.
pub(super) fn push_bytes(units: impl IntoIterator<Item = u16>, bytes: &mut Vec<u8>) {
    for decoded in char::decode_utf16(units) {
        match decoded {
            Ok(character) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Err(unpaired) => {
                let [high, low] = unpaired.unpaired_surrogate().to_be_bytes();
                let middle = (high & 0x0f) << 2 | low >> 6;
                bytes.extend_from_slice(&[0xed, 0x80 | middle, 0x80 | (low & 0x3f)]);
            }
        }
    }
}

fn surrogate_of([lead, middle, last]: [u8; 3]) -> Option<u16> {
    let is_surrogate = lead == 0xed && matches!(middle, 0xa0..=0xbf) && matches!(last, 0x80..=0xbf);
    let unit = 0xd000 | u16::from(middle & 0x3f) << 6 | u16::from(last & 0x3f);
    is_surrogate.then_some(unit)
}

fn is_high(unit: u16) -> bool {
    matches!(unit, 0xd800..=0xdbff)
}

fn is_low(unit: u16) -> bool {
    matches!(unit, 0xdc00..=0xdfff)
}

fn is_special(unit: u16) -> bool {
    u8::try_from(unit).is_ok_and(|byte| byte < b' ' || br#"\/:*?"<>|"#.contains(&byte))
}

/// Programs find these in every directory, whatever follows the first dot.
fn is_device(name: &[u8]) -> bool {
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default().trim_ascii_end();
    if DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else { return false };
    let is_port = [b"COM", b"LPT"].iter().any(|device| port.eq_ignore_ascii_case(*device));
    let superscript = ["¹", "²", "³"].iter().any(|digit| digit.as_bytes() == number);
    is_port && (superscript || matches!(number, [b'0'..=b'9']))
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidFilename, why)
}

const DEVICES: [&[u8]; 6] = [b"CON", b"PRN", b"AUX", b"NUL", b"CONIN$", b"CONOUT$"];
/// What file systems of Windows take.
const NAME_UNITS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(units: &[u16]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_bytes(units.iter().copied(), &mut bytes);
        bytes
    }

    #[test]
    fn every_name_of_the_system_has_bytes_of_its_own() {
        let names: [&[u16]; 6] = [
            &[0x61],
            &[0xe9, 0x20ac],
            &[0xd83d, 0xde00],
            &[0xd83d],
            &[0xde00, 0xd83d, 0x61],
            &[0xdfff, 0xdbff],
        ];
        for units in names {
            assert_eq!(units_of(&bytes_of(units)).as_deref(), Some(units));
        }
        assert_eq!(bytes_of(&[0xd83d, 0xde00]), "😀".as_bytes());
    }

    #[test]
    fn bytes_that_no_name_has_are_refused() {
        for bad in
            [&b"\xff"[..], b"a\xe2\x82", b"\xed\xa0", b"\xed\xa0\xbd\xed\xb8\x80", b"\xc0\xaf"]
        {
            assert_eq!(units_of(bad), None, "{bad:?}");
            assert!(existing(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_never_looked_up() {
        for bad in
            [r"a\b", r"..\a", "a:stream", "c:", "*", "a?", "<", ">", "\"", "|", "a\n", "a/b", ""]
        {
            let error = existing(bad.as_bytes()).expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
        }
        assert!(existing("a".repeat(256).as_bytes()).is_err());
    }

    #[test]
    fn names_of_devices_and_with_ends_that_get_lost_are_found_but_not_given() {
        let bad = [
            "con", "CON", "nul.txt", "Aux ", "PRN .x", "com1", "LPT9.a.b", "com¹", "conin$",
            "CONOUT$", "a.", "a ", "...", "com0",
        ];
        for bad in bad {
            assert!(existing(bad.as_bytes()).is_ok(), "{bad}");
            assert!(new(bad.as_bytes()).is_err(), "{bad}");
        }
        for good in ["console", "com10", "nulls", ".con", "a.con", "com", "lpt¹²", " a", "ü"] {
            assert!(new(good.as_bytes()).is_ok(), "{good}");
        }
    }
}
