//! libFuzzer entry of [`assay_fuzz::kernels::kernel_ecdsa_secp256k1`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::kernels::kernel_ecdsa_secp256k1(data));
