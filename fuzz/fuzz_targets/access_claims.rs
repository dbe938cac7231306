//! libFuzzer entry of [`assay_fuzz::oauth::access_claims`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::oauth::access_claims(data));
