//! The file of known daemons. `cargo fuzz run --features libfuzzer known_hosts fuzz/corpus/known_hosts fuzz/seeds/known_hosts`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::known_hosts(bytes));
