//! libFuzzer entry of [`assay_fuzz::engine::bsm_parse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::engine::bsm_parse(data));
