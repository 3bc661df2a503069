//! The first bytes of a connection. `cargo fuzz run --features libfuzzer client_hello fuzz/corpus/client_hello fuzz/seeds/client_hello`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::client_hello(bytes));
