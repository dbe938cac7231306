//! libFuzzer entry of [`assay_fuzz::tools::verify_lines`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::tools::verify_lines(data));
