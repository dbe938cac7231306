//! RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3, RFC 8017 §8.2.2).
//!
//! The signature has the modulus' length exactly. The modulus has 2048 to 8192 bits, checked when the key is parsed.

use assay_kernels::Backend;
use assay_kernels::job::RsaJob;
use assay_kernels::sha256::Message;

use super::{Unhashed, run_hashed};
use crate::error::{Reject, Verdict};
use crate::job::{Job, JwsAlgorithm};
use crate::key::Inner;

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run_hashed(jobs, verdicts, parse, Message::new, |jobs, matches| {
        assay_kernels::verify_rsa_pkcs1_sha256_vartime(backend, jobs, matches);
    });
}

fn parse<'a>(job: &'a Job) -> Result<Unhashed<'a, impl Fn([u8; 32]) -> RsaJob<'a>>, Reject> {
    let Job::Jws { alg: JwsAlgorithm::Rs256, key, signing_input, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::Rsa(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    if signature.len() != public_key.modulus_bytes() {
        return Err(Reject::MalformedSignature);
    }
    Ok(Unhashed { message: signing_input, hashed: move |msg_hash| RsaJob { public_key, msg_hash, signature } })
}
