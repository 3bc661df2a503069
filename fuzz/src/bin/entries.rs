//! Pages of entries, metadata and errors. `cargo fuzz run --features libfuzzer entries fuzz/corpus/entries fuzz/seeds/entries`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::entries(bytes));
