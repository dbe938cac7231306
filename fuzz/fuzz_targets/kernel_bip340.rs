//! libFuzzer entry of [`assay_fuzz::kernels::kernel_bip340`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::kernels::kernel_bip340(data));
