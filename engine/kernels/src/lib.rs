//! Field, scalar and group arithmetic behind batch functions over slices of fixed-size jobs.
//!
//! Owns: CPU detection ([`cpu`]), validated key types ([`key`]), job types ([`job`]), many digests at a time ([`sha256`])
//! and one batch function per primitive, each with one verdict per job in job order. Knows no protocol: no DER, no JWS, no Bitcoin message
//! framing and no policy such as low-S lives here; `assay-engine` parses those away and hands over numbers.
//!
//! # The seam
//!
//! Every batch function takes a [`Backend`], chosen once per process by [`Backend::detect`]. [`portable`] is the
//! readable truth and the test oracle (libsecp256k1 and AWS-LC). `group` sums a·G + b·Q for whole batches, with tables for
//! keys seen often and, in eight lanes, without; it is written once over lanes, of which there are three widths: one
//! residue, eight in ordinary integers, eight in AVX-512 registers. Schemes, batcher and gateway do not change with it.
//!
//! # What every backend promises
//!
//! * Any 32 bytes are allowed as `r` and `s`. Values outside their range are a `false`, never undefined.
//! * Both S and n − S are accepted for ECDSA; refusing one of them is policy and belongs to the caller.
//! * A verdict depends on its own job alone, whatever the neighbours and the position in the slice.
//! * Names end in `_vartime`: all inputs of signature verification are public. HMAC is the exception and says so.
#![deny(unsafe_op_in_unsafe_fn)]

mod avx512;
pub mod cpu;
mod field;
mod group;
pub mod job;
pub mod key;
pub mod limits;
pub mod portable;
pub mod scalar;
pub mod sha256;

pub use cpu::{Backend, Choice};

use job::{
    Bip340Job, EcdsaP256Job, EcdsaSecp256k1CompressedJob, EcdsaSecp256k1Job, Ed25519Job, HmacJob, RecoverSecp256k1Job,
    RsaJob,
};
use key::{P256PublicKey, Secp256k1PublicKey};

/// Builds the base points' tables (tens of milliseconds) before the first key earns one, so that no batch has to wait
/// for them.
pub fn prepare_base_points(backend: Backend) {
    if let Some(width) = backend.width() {
        group::prepare_base_points(width);
    }
}

/// Builds the tables of a key before its first signature comes, and keeps them until [`release_secp256k1_key`]: for a server's
/// own keys, at start-up and on rotation. Returns whether tables are kept; a backend without tables, or whose room for such
/// keys is taken, says no, and verification works as before. See [`prepare_base_points`].
pub fn prepare_secp256k1_key(backend: Backend, public_key: &Secp256k1PublicKey) -> bool {
    backend.width().is_some_and(|width| group::prepare_secp256k1(width, public_key))
}

/// [`prepare_secp256k1_key`] for a key on P-256.
pub fn prepare_p256_key(backend: Backend, public_key: &P256PublicKey) -> bool {
    backend.width().is_some_and(|width| group::prepare_p256(width, public_key))
}

/// Ends what [`prepare_secp256k1_key`] promised: from now on the key keeps its tables only as long as it earns them.
pub fn release_secp256k1_key(public_key: &Secp256k1PublicKey) {
    group::release_secp256k1(public_key);
}

/// [`release_secp256k1_key`] for a key on P-256.
pub fn release_p256_key(public_key: &P256PublicKey) {
    group::release_p256(public_key);
}

/// Gives the busiest key of each curve a second table, which makes its signatures an eighth to a sixth cheaper, if it was used
/// thousands of times lately and there is room (see [`limits::WIDE_TABLES_BYTES_MAX`]). Uses since the last call count in
/// full, those before it half, those before that a quarter, and so on. Returns how many were built. One takes some ten
/// milliseconds, so this is for a thread that nobody waits for, once a second.
pub fn widen_busiest_keys(backend: Backend) -> usize {
    backend.width().map_or(0, group::widen_busiest)
}

/// Verifies ECDSA over secp256k1, one verdict per job, in job order. Both S and n − S are accepted.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`: the two are allocated together by the caller, so this is our bug.
pub fn verify_ecdsa_secp256k1_vartime(backend: Backend, jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend.width() {
        None => portable::secp256k1::verify_ecdsa_vartime(jobs, verdicts),
        Some(width) => group::verify_ecdsa_secp256k1(width, jobs, verdicts),
    }
}

/// [`verify_ecdsa_secp256k1_vartime`] with keys not yet parsed. A key that is no point is a `false` like any other.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_ecdsa_secp256k1_compressed_vartime(
    backend: Backend,
    jobs: &[EcdsaSecp256k1CompressedJob],
    verdicts: &mut [bool],
) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend.width() {
        None => portable::secp256k1::verify_ecdsa_compressed_vartime(jobs, verdicts),
        Some(width) => group::verify_ecdsa_secp256k1_compressed(width, jobs, verdicts),
    }
}

/// Recovers the keys under which signatures verify, one per job, in job order; `None` where there is none.
///
/// # Panics
/// If `keys.len() != jobs.len()`.
pub fn recover_secp256k1_vartime(
    backend: Backend,
    jobs: &[RecoverSecp256k1Job],
    keys: &mut [Option<Secp256k1PublicKey>],
) {
    assert_eq!(jobs.len(), keys.len(), "one key per job");
    match backend.width() {
        None => portable::secp256k1::recover_vartime(jobs, keys),
        Some(width) => group::recover_secp256k1(width, jobs, keys),
    }
}

/// Verifies BIP-340 Schnorr signatures, one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_bip340_vartime(backend: Backend, jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend.width() {
        None => portable::secp256k1::verify_bip340_vartime(jobs, verdicts),
        Some(width) => group::verify_bip340(width, jobs, verdicts),
    }
}

/// Verifies ECDSA over P-256, one verdict per job, in job order. Both S and n − S are accepted.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_ecdsa_p256_vartime(backend: Backend, jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    match backend.width() {
        None => portable::p256::verify_ecdsa_vartime(jobs, verdicts),
        Some(width) => group::verify_ecdsa_p256(width, jobs, verdicts),
    }
}

/// Verifies Ed25519 (RFC 8032, cofactorless), one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_ed25519_vartime(backend: Backend, jobs: &[Ed25519Job<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    let _ = backend; // Every backend leaves this one to the library.
    portable::ed25519::verify_vartime(jobs, verdicts);
}

/// Verifies RSASSA-PKCS1-v1_5 with SHA-256, one verdict per job, in job order.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_rsa_pkcs1_sha256_vartime(backend: Backend, jobs: &[RsaJob<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    let _ = backend; // As above.
    portable::rsa::verify_pkcs1_sha256_vartime(jobs, verdicts);
}

/// Verifies HMAC-SHA-256 tags, one verdict per job, in job order. The tag comparison takes constant time.
///
/// # Panics
/// If `verdicts.len() != jobs.len()`.
pub fn verify_hmac_sha256(backend: Backend, jobs: &[HmacJob<'_>], verdicts: &mut [bool]) {
    assert_eq!(jobs.len(), verdicts.len(), "one verdict per job");
    let _ = backend; // As above.
    portable::hmac::verify_sha256(jobs, verdicts);
}
