//! What a data connection shows first. `cargo fuzz run --features libfuzzer token fuzz/corpus/token fuzz/seeds/token`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::token(bytes));
