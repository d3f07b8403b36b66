//! Checks the law with the name of this binary for every input that libFuzzer makes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis::fuzzing::check(env!("CARGO_BIN_NAME"), data));
