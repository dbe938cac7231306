//! The table of signature schemes, and the one place where their policies stand side by side.
//!
//! | scheme | encoding | high S | further rules |
//! |---|---|---|---|
//! | `bitcoin-message` | 65 bytes, header 27..=34, value otherwise ignored | accepted | against the claimed key, no recovery |
//! | `brc77` | envelope, then DER to the last byte | accepted | signer = claimed key; DER may lack the sign pad, nothing else |
//! | `ecdsa-secp256k1` | compact 64, or strict DER | the job says | |
//! | `EdDSA` | 64 bytes | S < L | small-order and non-canonical keys and R refused, cofactorless |
//! | `ES256` | 64 bytes r ‖ s | accepted | JWA has no low-S rule |
//! | `ES256K` | 64 bytes r ‖ s | accepted | RFC 8812 has none either |
//! | `HS256` | 32 bytes | – | key ≥ 32 bytes, constant-time comparison |
//! | `RS256` | modulus length | – | PKCS #1 v1.5 with SHA-256, 2048 to 8192 bits |
//! | `bip340` | 64 bytes r ‖ s | – | x-only keys, messages of any length |
//!
//! r and s must lie in 1..n everywhere. Accepting high S makes signatures malleable: whoever needs single use keys
//! it on the message, never on the signature bytes.
//!
//! To add a scheme: a file here with a `verify_batch`, a [`SchemeId`], a row in [`ALL`], and an arm in the
//! generator of the conformance suite (`engine/tests/support`), which the compiler asks for.

pub mod bitcoin_message;
pub mod brc77;
pub mod ecdsa_secp256k1;
pub mod eddsa;
pub mod es256;
pub mod es256k;
pub mod hs256;
pub mod rs256;
pub mod schnorr_bip340;

use assay_kernels::Backend;
use assay_kernels::job::EcdsaSecp256k1CompressedJob;
use assay_kernels::key::Secp256k1PublicKey;
use assay_kernels::sha256::{Message, for_each_digest};

use crate::error::{Reject, Verdict};
use crate::job::Job;

/// Names a row of [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemeId {
    /// Bitcoin Signed Message.
    BitcoinMessage,
    /// BRC-77 signed message.
    Brc77,
    /// Bare ECDSA over secp256k1.
    EcdsaSecp256k1,
    /// JWS EdDSA.
    EdDsa,
    /// JWS ES256.
    Es256,
    /// JWS ES256K.
    Es256k,
    /// JWS HS256.
    Hs256,
    /// JWS RS256.
    Rs256,
    /// BIP-340.
    SchnorrBip340,
}

impl SchemeId {
    /// The name used in metrics and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn row(self) -> &'static Scheme {
        &ALL[self as usize]
    }
}

/// One scheme.
pub struct Scheme {
    /// Its identity.
    pub id: SchemeId,
    /// Its name in metrics and reports.
    pub name: &'static str,
    /// Judges jobs of this scheme, one verdict per job, in order. A job of another scheme is [`Reject::Algorithm`].
    pub verify_batch: fn(Backend, &[&Job], &mut [Verdict]),
}

/// Every scheme, in the order of [`SchemeId`].
pub static ALL: [Scheme; 9] = [
    row(SchemeId::BitcoinMessage, "bitcoin-message", bitcoin_message::verify_batch),
    row(SchemeId::Brc77, "brc77", brc77::verify_batch),
    row(SchemeId::EcdsaSecp256k1, "ecdsa-secp256k1", ecdsa_secp256k1::verify_batch),
    row(SchemeId::EdDsa, "EdDSA", eddsa::verify_batch),
    row(SchemeId::Es256, "ES256", es256::verify_batch),
    row(SchemeId::Es256k, "ES256K", es256k::verify_batch),
    row(SchemeId::Hs256, "HS256", hs256::verify_batch),
    row(SchemeId::Rs256, "RS256", rs256::verify_batch),
    row(SchemeId::SchnorrBip340, "bip340", schnorr_bip340::verify_batch),
];

const fn row(id: SchemeId, name: &'static str, verify_batch: fn(Backend, &[&Job], &mut [Verdict])) -> Scheme {
    Scheme { id, name, verify_batch }
}

/// Parses every job, hands the well-formed ones to one kernel call and puts the verdicts back in order.
fn run<'a, K>(
    jobs: &[&'a Job],
    verdicts: &mut [Verdict],
    parse: impl Fn(&'a Job) -> Result<K, Reject>,
    kernel: impl FnOnce(&[K], &mut [bool]),
) {
    let verdict = |matches| if matches { Verdict::Valid } else { Verdict::Invalid(Reject::Mismatch) };
    // A lone job does without the lists.
    if let ([job], [only]) = (jobs, &mut *verdicts) {
        *only = match parse(job) {
            Ok(kernel_job) => {
                let mut matches = [false];
                kernel(&[kernel_job], &mut matches);
                verdict(matches[0])
            }
            Err(reject) => Verdict::Invalid(reject),
        };
        return;
    }
    let mut kernel_jobs = Vec::with_capacity(jobs.len());
    let mut positions = Vec::with_capacity(jobs.len());
    for (position, job) in jobs.iter().enumerate() {
        match parse(job) {
            Ok(kernel_job) => {
                kernel_jobs.push(kernel_job);
                positions.push(position);
            }
            Err(reject) => verdicts[position] = Verdict::Invalid(reject),
        }
    }
    let mut matches = vec![false; kernel_jobs.len()];
    kernel(&kernel_jobs, &mut matches);
    for (position, matches) in positions.into_iter().zip(matches) {
        verdicts[position] = verdict(matches);
    }
}

/// A well-formed job whose message waits for its neighbours', so that they are hashed together.
struct Unhashed<'a, F> {
    message: &'a [u8],
    /// The kernel's job for the digest.
    hashed: F,
}

/// [`run`] where the kernel wants a SHA-256 of the message, framed as the scheme says.
fn run_hashed<'a, K, F: Fn([u8; 32]) -> K>(
    jobs: &[&'a Job],
    verdicts: &mut [Verdict],
    parse: impl Fn(&'a Job) -> Result<Unhashed<'a, F>, Reject>,
    framed: impl Fn(&'a [u8]) -> Message<'a>,
    kernel: impl FnOnce(&[K], &mut [bool]),
) {
    run(jobs, verdicts, parse, |unhashed, matches| {
        if let [only] = unhashed {
            return kernel(&[(only.hashed)(framed(only.message).digest())], matches);
        }
        let mut digests = vec![[0; 32]; unhashed.len()];
        let messages = unhashed.iter().map(|job| framed(job.message));
        for_each_digest(digests.iter_mut().zip(messages), |place, digest| *place = digest);
        let kernel_jobs: Vec<_> = unhashed.iter().zip(digests).map(|(job, digest)| (job.hashed)(digest)).collect();
        kernel(&kernel_jobs, matches);
    });
}

/// Judges jobs whose keys are parsed with the signatures, or not at all if they are seen often. The kernel says only
/// "false" of a key that is none, so a mismatch asks again what was wrong: whoever sends good keys never pays for it.
fn run_compressed<'a, F: Fn([u8; 32]) -> EcdsaSecp256k1CompressedJob>(
    backend: Backend,
    jobs: &[&'a Job],
    verdicts: &mut [Verdict],
    parse: impl Fn(&'a Job) -> Result<Unhashed<'a, F>, Reject>,
    framed: impl Fn(&'a [u8]) -> Message<'a>,
    claimed_key: impl Fn(&Job) -> Option<&[u8; 33]>,
) {
    run_hashed(jobs, verdicts, parse, framed, |jobs, matches| {
        assay_kernels::verify_ecdsa_secp256k1_compressed_vartime(backend, jobs, matches);
    });
    for (job, verdict) in jobs.iter().zip(verdicts) {
        if *verdict == Verdict::Invalid(Reject::Mismatch)
            && claimed_key(job).is_some_and(|key| Secp256k1PublicKey::from_compressed(key).is_err())
        {
            *verdict = Verdict::Invalid(Reject::MalformedKey);
        }
    }
}

/// r and s of 64 bytes, each in 1..n for the order given.
fn split_compact(compact: &[u8; 64], order: &[u8; 32]) -> Result<([u8; 32], [u8; 32]), Reject> {
    let (r, s) = compact.split_at(32);
    let r = scalar(r, order)?;
    let s = scalar(s, order)?;
    Ok((r, s))
}

/// A number of 32 bytes in 1..n.
fn scalar(bytes: &[u8], order: &[u8; 32]) -> Result<[u8; 32], Reject> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Reject::MalformedSignature)?;
    // Big-endian numbers of equal length compare like their bytes.
    if bytes == [0; 32] || bytes >= *order {
        return Err(Reject::MalformedSignature);
    }
    Ok(bytes)
}

/// The JWS signature of an ECDSA algorithm over a 256-bit curve: exactly 64 bytes (RFC 7518 §3.4).
fn jws_ecdsa(signature: &[u8], order: &[u8; 32]) -> Result<([u8; 32], [u8; 32]), Reject> {
    let compact = signature.try_into().map_err(|_| Reject::MalformedSignature)?;
    split_compact(compact, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_ids() {
        for (index, scheme) in ALL.iter().enumerate() {
            assert_eq!(scheme.id as usize, index, "{}", scheme.name);
        }
    }
}
