//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz text`

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wasmcached::memcached::fuzz::text(input));
