//! libFuzzer entry of [`assay_fuzz::oauth::bitcoin_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::oauth::bitcoin_token(data));
