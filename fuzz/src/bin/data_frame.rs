//! What travels on a data stream. `cargo fuzz run --features libfuzzer data_frame fuzz/corpus/data_frame fuzz/seeds/data_frame`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blit_fuzz::data_frame(bytes));
