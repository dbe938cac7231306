//! libFuzzer entry of [`assay_fuzz::kernels::kernel_ecdsa_p256`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::kernels::kernel_ecdsa_p256(data));
