//! libFuzzer entry of [`assay_fuzz::oauth::redirect_uri`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::oauth::redirect_uri(data));
