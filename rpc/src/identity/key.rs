//! A public key as text: `blit1` and bech32m (BIP 350), whose six last letters catch any four wrong ones.
//! It must not know secrets.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use blit_core::{Error, ErrorKind};

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

/// A public key so short that a person compares it: 80 bits of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 10]);

impl PublicKey {
    /// What a person compares.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = digest::digest(&digest::SHA256, &self.0);
        Fingerprint(digest.as_ref()[..10].try_into().expect("SHA-256 has 32 bytes"))
    }

    /// What TLS calls it: the header of the algorithm and the key.
    pub(crate) fn to_spki(self) -> [u8; 44] {
        let mut spki = [0; 44];
        spki[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
        spki[SPKI_PREFIX.len()..].copy_from_slice(&self.0);
        spki
    }

    pub(crate) fn from_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(Self)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let body = text.strip_prefix(PREFIX).ok_or("a key begins with `blit1`")?;
        if body.len() != KEY_LETTERS + CHECK_LETTERS {
            return Err("a key has 63 letters; this has lost or gained some");
        }
        let mut values = [0; KEY_LETTERS + CHECK_LETTERS];
        for (value, letter) in values.iter_mut().zip(body.bytes()) {
            *value = value_of(letter).ok_or("a letter in it is none of a key's")?;
        }
        if checksum(&values) != CHECK_CONSTANT {
            return Err("a letter in it is wrong; copy it again");
        }
        unpack(&values[..KEY_LETTERS]).map(Self).ok_or("it ends in bits that mean nothing")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = [0; KEY_LETTERS + CHECK_LETTERS];
        for (value, five) in values.iter_mut().zip(fives(&self.0)) {
            *value = five;
        }
        let check = checksum(&values) ^ CHECK_CONSTANT;
        for (index, value) in values[KEY_LETTERS..].iter_mut().enumerate() {
            *value = (check >> (5 * (CHECK_LETTERS - 1 - index)) & 31) as u8;
        }
        let letters: String = values.iter().map(|value| letter_of(*value)).collect();
        f.pad(&format!("{PREFIX}{letters}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
            .map_err(|why| Error::because(ErrorKind::Usage, "read key", text.as_bytes(), why))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(19);
        for (index, value) in fives(&self.0).enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(letter_of(value));
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bits of `bytes` five at a time, zeros after the last.
fn fives(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1);
    let count = (bytes.len() * 8).div_ceil(5);
    (0..count).map(move |five| (0..5).fold(0, |value, at| value << 1 | bit(five * 5 + at)))
}

/// The key that `values` spell, if the bits after it are zeros.
fn unpack(values: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for index in 0..values.len() * 5 {
        let bit = values[index / 5] >> (4 - index % 5) & 1;
        match key.get_mut(index / 8) {
            Some(byte) => *byte |= bit << (7 - index % 8),
            None if bit == 0 => {}
            None => return None,
        }
    }
    Some(key)
}

/// The polynomial remainder of BIP 173 over the prefix `blit` and `values`.
fn checksum(values: &[u8]) -> u32 {
    let name = PREFIX.as_bytes().strip_suffix(b"1").expect("the prefix ends in the separator");
    let high = name.iter().map(|byte| byte >> 5);
    let low = name.iter().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(values.iter().copied());
    all.fold(1, |check, value| {
        let top = check >> 25;
        let mut next = (check & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, term) in GENERATOR.iter().enumerate() {
            if top >> bit & 1 == 1 {
                next ^= term;
            }
        }
        next
    })
}

fn letter_of(value: u8) -> char {
    char::from(LETTERS[usize::from(value & 31)])
}

fn value_of(letter: u8) -> Option<u8> {
    let index = LETTERS.iter().position(|other| *other == letter)?;
    u8::try_from(index).ok()
}

const PREFIX: &str = "blit1";

/// 256 bits in letters of five.
const KEY_LETTERS: usize = 52;
const CHECK_LETTERS: usize = 6;

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
const CHECK_CONSTANT: u32 = 0x2bc8_30a3;

/// The header of an Ed25519 public key in a certificate: the algorithm 1.3.101.112 and a bit string.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_reads_as_it_always_did() {
        let counted: Vec<u8> = (0..32).collect();
        let counted = PublicKey(counted.try_into().expect("32 bytes"));
        let expected = "blit1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sc3y8ss";
        assert_eq!(counted.to_string(), expected);
        assert_eq!(PublicKey([0; 32]).fingerprint().to_string(), ZERO_FINGERPRINT);
    }

    /// The SHA-256 of 32 zeros begins with 66687aadf862bd776c8f.
    const ZERO_FINGERPRINT: &str = "ve58-4t0c-v27h-wmy0";

    #[test]
    fn every_single_wrong_letter_and_every_swap_is_noticed() {
        let text = PublicKey([0x5a; 32]).to_string();
        for index in PREFIX.len()..text.len() {
            for letter in LETTERS {
                let mut wrong = text.clone().into_bytes();
                wrong[index] = *letter;
                let wrong = String::from_utf8(wrong).expect("letters");
                assert_eq!(wrong.parse::<PublicKey>().is_ok(), wrong == text, "{wrong}");
            }
            if index + 1 < text.len() {
                let mut wrong = text.clone().into_bytes();
                wrong.swap(index, index + 1);
                let wrong = String::from_utf8(wrong).expect("letters");
                assert_eq!(wrong.parse::<PublicKey>().is_ok(), wrong == text, "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let key = PublicKey([1; 32]).to_string();
        for (text, part) in [
            ("", "begins with `blit1`"),
            ("ssh-ed25519", "begins with `blit1`"),
            (&key[..62], "63 letters"),
            (&key.to_uppercase(), "begins with"),
            (&key.replacen("blit1q", "blit1b", 1), "none of a key's"),
        ] {
            let error = text.parse::<PublicKey>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_an_ed25519_key_is_taken_from_a_certificate() {
        let key = PublicKey([3; 32]);
        assert_eq!(PublicKey::from_spki(&key.to_spki()), Some(key));
        let mut other = key.to_spki();
        other[8] = 0x6e;
        assert_eq!(PublicKey::from_spki(&other), None);
        assert_eq!(PublicKey::from_spki(&key.to_spki()[..43]), None);
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_text(bytes in any::<[u8; 32]>()) {
            let key = PublicKey(bytes);
            prop_assert_eq!(key.to_string().parse::<PublicKey>().expect("its own text"), key);
        }

        #[test]
        fn up_to_four_wrong_letters_are_noticed(
            bytes in any::<[u8; 32]>(),
            changes in prop::collection::vec((5usize..63, 0usize..32), 1..=4),
        ) {
            let text = PublicKey(bytes).to_string();
            let mut wrong = text.clone().into_bytes();
            for (index, letter) in changes {
                wrong[index] = LETTERS[letter];
            }
            let wrong = String::from_utf8(wrong).expect("letters");
            prop_assert_eq!(wrong.parse::<PublicKey>().is_ok(), wrong == text);
        }

        #[test]
        fn no_text_makes_reading_a_key_panic(text in ".{0,80}", tail in "[a-z0-9]{0,60}") {
            drop(text.parse::<PublicKey>());
            drop(format!("blit1{tail}").parse::<PublicKey>());
            drop(format!("blit1{text}").parse::<PublicKey>());
        }
    }
}
