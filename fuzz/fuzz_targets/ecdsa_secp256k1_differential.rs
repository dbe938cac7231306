//! libFuzzer entry of [`assay_fuzz::engine::ecdsa_secp256k1_differential`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::engine::ecdsa_secp256k1_differential(data));
