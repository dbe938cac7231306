//! Field, scalar and group arithmetic behind batch functions over slices of fixed-size jobs.
//!
//! Owns: CPU detection ([`cpu`]), validated key types ([`key`]), job types ([`job`]) and one batch function per
//! primitive, each with one verdict per job in job order. Knows no protocol: no DER, no JWS, no Bitcoin message
//! framing and no policy such as low-S lives here; `assay-engine` parses those away and hands over numbers.
//!
//! # The seam
//!
//! Every batch function takes a [`Backend`], chosen once per process by [`Backend::detect`]. [`portable`] is the
//! readable truth and the test oracle (libsecp256k1 and AWS-LC), `comb` adds tables for keys seen often. A vector backend is a module with the same
//! function names, a [`Backend`] variant that carries the CPU witness, and one arm in each function of this file:
//! schemes, batcher and gateway do not change.
//!
//! # What every backend promises
//!
//! * Any 32 bytes are allowed as `r` and `s`. Values outside their range are a `false`, never undefined.
//! * Both S and n − S are accepted for ECDSA; refusing one of them is policy and belongs to the caller.
//! * A verdict depends on its own job alone, whatever the neighbours and the position in the slice.
//! * Names end in `_vartime`: all inputs of signature verification are public. HMAC is the exception and says so.
#![deny(unsafe_op_in_unsafe_fn)]

mod avx512;
mod comb;
pub mod cpu;
mod field;
pub mod job;
pub mod key;
pub mod limits;
pub mod portable;
pub mod scalar;

pub use cpu::Backend;

use job::{Bip340Job, EcdsaP256Job, EcdsaSecp256k1Job, Ed25519Job, HmacJob, RsaJob};
use key::{P256PublicKey, Secp256k1PublicKey};

/// Builds the base points' tables (tens of milliseconds) before the first key earns one, so that no batch has to wait
/// for them.
pub fn prepare_base_points(backend: Backend) {
    match backend {
        Backend::Portable => {}
        Backend::Tables => comb::prepare_base_points(None),
        Backend::Avx512(witness) => comb::prepare_base_points(Some(witness)),
    }
}

/// Builds the tables of a key before its first signature comes, and keeps them: for a server's own keys, at start-up
/// and on rotation. Returns whether tables are kept; a backend without tables, or whose room for such keys is taken,
/// says no, and verification works as before. See [`prepare_base_points`].
pub fn prepare_secp256k1_key(backend: Backend, public_key: &Secp256k1PublicKey) -> bool {
    match backend {
        Backend::Portable => false,
        Backend::Tables => comb::prepare_secp256k1(None, public_key),
        Backend::Avx512(witness) => comb::prepare_secp256k1(Some(witness), public_key),
    }
}

/// [`prepare_secp256k1_key`] for a key on P-256.
pub fn prepare_p256_key(backend: Backend, public_key: &P256PublicKey) -> bool {
    match backend {
        Backend::Portable => false,
        Backend::Tables => comb::prepare_p256(None, public_key),
        Backend::Avx512(witness) => comb::prepare_p256(Some(witness), public_key),
    }
}

/// Verifies ECDSA over secp256k1, one verdict per job, in job order. Both S and n − S are accepted.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`: the two are allocated together by the caller, so this is our bug.
pub fn verify_ecdsa_secp256k1_vartime(backend: Backend, jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable => portable::secp256k1::verify_ecdsa_vartime(jobs, verdicts),
        Backend::Tables => comb::verify_ecdsa_secp256k1(None, jobs, verdicts),
        Backend::Avx512(witness) => comb::verify_ecdsa_secp256k1(Some(witness), jobs, verdicts),
    }
}

/// Verifies BIP-340 Schnorr signatures, one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_bip340_vartime(backend: Backend, jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable => portable::secp256k1::verify_bip340_vartime(jobs, verdicts),
        Backend::Tables => comb::verify_bip340(None, jobs, verdicts),
        Backend::Avx512(witness) => comb::verify_bip340(Some(witness), jobs, verdicts),
    }
}

/// Verifies ECDSA over P-256, one verdict per job, in job order. Both S and n − S are accepted.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_ecdsa_p256_vartime(backend: Backend, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable => portable::p256::verify_ecdsa_vartime(jobs, verdicts),
        Backend::Tables => comb::verify_ecdsa_p256(None, jobs, verdicts),
        Backend::Avx512(witness) => comb::verify_ecdsa_p256(Some(witness), jobs, verdicts),
    }
}

/// Verifies Ed25519 (RFC 8032, cofactorless), one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_ed25519_vartime(backend: Backend, jobs: &[Ed25519Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable | Backend::Tables | Backend::Avx512(_) => portable::ed25519::verify_vartime(jobs, verdicts),
    }
}

/// Verifies RSASSA-PKCS1-v1_5 with SHA-256, one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_rsa_pkcs1_sha256_vartime(backend: Backend, jobs: &[RsaJob<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable | Backend::Tables | Backend::Avx512(_) => {
            portable::rsa::verify_pkcs1_sha256_vartime(jobs, verdicts)
        }
    }
}

/// Verifies HMAC-SHA-256 tags, one verdict per job, in job order. The tag comparison takes constant time.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_hmac_sha256(backend: Backend, jobs: &[HmacJob<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend {
        Backend::Portable | Backend::Tables | Backend::Avx512(_) => portable::hmac::verify_sha256(jobs, verdicts),
    }
}
