//! Bodies of the fuzz targets: plain functions over bytes that panic when a promise is broken.
//!
//! libFuzzer calls them one by one (`fuzz_targets/`), and `smoke` calls all of them with seeded inputs on the stable
//! toolchain, so that the suite runs them for a moment every time.
#![forbid(unsafe_code)]

pub mod engine;
pub mod kernels;
pub mod oauth;
pub mod tools;

/// One target.
pub struct Target {
    /// Its name, the same as the libFuzzer binary's.
    pub name: &'static str,
    /// The body. Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs that get past the first checks, to be mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs of other targets take the time of one: `smoke` gives so many times fewer.
    pub cost: u64,
}

/// Every target, by name.
pub static TARGETS: &[Target] = &[
    Target { name: "brc77_parse", run: engine::brc77_parse, seeds: engine::brc77_seeds, cost: 1 },
    Target { name: "bsm_parse", run: engine::bsm_parse, seeds: engine::bsm_seeds, cost: 1 },
    Target {
        name: "ecdsa_secp256k1_differential",
        run: engine::ecdsa_secp256k1_differential,
        seeds: engine::ecdsa_seeds,
        cost: 1,
    },
    Target { name: "es256_differential", run: engine::es256_differential, seeds: engine::ecdsa_seeds, cost: 1 },
    Target {
        name: "kernel_ecdsa_secp256k1",
        run: kernels::kernel_ecdsa_secp256k1,
        seeds: kernels::kernel_seeds,
        cost: 4,
    },
    Target { name: "kernel_ecdsa_p256", run: kernels::kernel_ecdsa_p256, seeds: kernels::kernel_seeds, cost: 8 },
    Target { name: "kernel_bip340", run: kernels::kernel_bip340, seeds: kernels::kernel_seeds, cost: 4 },
    Target { name: "access_claims", run: oauth::access_claims, seeds: oauth::access_claims_seeds, cost: 1 },
    Target { name: "bitcoin_token", run: oauth::bitcoin_token, seeds: oauth::bitcoin_token_seeds, cost: 1 },
    Target { name: "form", run: oauth::form, seeds: oauth::form_seeds, cost: 1 },
    Target { name: "jose_compact", run: oauth::jose_compact, seeds: oauth::jose_compact_seeds, cost: 1 },
    Target { name: "redirect_uri", run: oauth::redirect_uri, seeds: oauth::redirect_uri_seeds, cost: 1 },
    Target { name: "verify_lines", run: tools::verify_lines, seeds: tools::verify_lines_seeds, cost: 1 },
];
