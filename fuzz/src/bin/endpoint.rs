//! What a user types for a place. `cargo fuzz run --features libfuzzer endpoint fuzz/corpus/endpoint fuzz/seeds/endpoint`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::endpoint(bytes));
