//! libFuzzer entry of [`assay_fuzz::oauth::jose_compact`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::oauth::jose_compact(data));
