//! Checks one law for every input that libFuzzer makes.

#![no_main]

use std::{env, sync::LazyLock};

static LAW: LazyLock<String> = LazyLock::new(|| env::var("LAW").unwrap_or_default());

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis::fuzzing::check(&LAW, data));
