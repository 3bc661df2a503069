//! A short run of every target that is the same each time: its seeds, all their beginnings, and what chance makes of them.

use std::fs;
use std::path::Path;

use blit_fuzz::{TARGETS, Target};

/// A small generator of numbers (splitmix64, Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'/', b'.', b'\n'];
        match self.roll(2) {
            0 => TELLING[self.roll(TELLING.len())],
            _ => u8::try_from(self.roll(256)).expect("a byte"),
        }
    }

    /// Some bytes of `one`, changed, with some of `other` among them.
    fn vary(&mut self, one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = one.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(5) {
                0 => bytes.insert(at, self.byte()),
                1 => bytes.truncate(at),
                2 => {
                    let from = self.roll(other.len());
                    let to = from + self.roll(other.len() - from + 1);
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        bytes
    }
}

fn seeds_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let files = fs::read_dir(&folder).expect("each target has seeds");
    let mut paths: Vec<_> = files.map(|file| file.expect("listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

fn feed(name: &str, target: Target, bytes: &[u8]) {
    let fed = std::panic::catch_unwind(|| target(bytes));
    assert!(fed.is_ok(), "{name} fails for {bytes:?}");
}

#[test]
fn no_target_fails_for_its_seeds_their_beginnings_or_what_chance_makes_of_them() {
    for (name, target) in TARGETS {
        let seeds = seeds_of(name);
        assert!(seeds.len() > 1, "{name} has seeds");
        let mut dice = Dice(1);
        for seed in &seeds {
            for len in 0..=seed.len() {
                feed(name, target, &seed[..len]);
            }
        }
        for _ in 0..VARIATIONS {
            let (one, other) = (&seeds[dice.roll(seeds.len())], &seeds[dice.roll(seeds.len())]);
            feed(name, target, &dice.vary(one, other));
        }
    }
}

/// A second or two for each target.
const VARIATIONS: usize = 20_000;
