//! The configuration of the daemon. `cargo fuzz run --features libfuzzer config fuzz/corpus/config fuzz/seeds/config`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::config(bytes));
