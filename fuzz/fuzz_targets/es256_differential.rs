//! libFuzzer entry of [`assay_fuzz::engine::es256_differential`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::engine::es256_differential(data));
