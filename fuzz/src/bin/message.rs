//! What a peer says on the control connection. `cargo fuzz run --features libfuzzer message fuzz/corpus/message fuzz/seeds/message`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::message(bytes));
