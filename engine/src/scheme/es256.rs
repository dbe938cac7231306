//! ES256: ECDSA over P-256 with SHA-256 (RFC 7518 §3.4).
//!
//! The signature is exactly r ‖ s, 64 bytes. JWA has no low-S rule, so both s and n − s verify; revocation and
//! single use are keyed on `jti`, never on the bytes.

use assay_kernels::Backend;
use assay_kernels::job::EcdsaP256Job;
use assay_kernels::sha256::Message;

use super::{Unhashed, jws_ecdsa, run_hashed};
use crate::error::{Reject, Verdict};
use crate::job::{Job, JwsAlgorithm};
use crate::key::Inner;

/// The order n of P-256 (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run_hashed(jobs, verdicts, parse, Message::new, |jobs, matches| {
        assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, matches);
    });
}

fn parse<'a>(job: &'a Job) -> Result<Unhashed<'a, impl Fn([u8; 32]) -> EcdsaP256Job<'a>>, Reject> {
    let Job::Jws { alg: JwsAlgorithm::Es256, key, signing_input, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::P256(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    let (r, s) = jws_ecdsa(signature, &ORDER)?;
    Ok(Unhashed { message: signing_input, hashed: move |msg_hash| EcdsaP256Job { public_key, msg_hash, r, s } })
}
