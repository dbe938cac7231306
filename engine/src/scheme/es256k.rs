//! ES256K: ECDSA over secp256k1 with SHA-256 (RFC 8812 §3.2).
//!
//! The signature is exactly r ‖ s, 64 bytes. RFC 8812 has no low-S rule, so both s and n − s verify.

use assay_kernels::Backend;
use assay_kernels::job::EcdsaSecp256k1Job;
use assay_kernels::sha256::Message;

use super::ecdsa_secp256k1::ORDER;
use super::{Unhashed, jws_ecdsa, run_hashed};
use crate::error::{Reject, Verdict};
use crate::job::{Job, JwsAlgorithm};
use crate::key::Inner;

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run_hashed(jobs, verdicts, parse, Message::new, |jobs, matches| {
        assay_kernels::verify_ecdsa_secp256k1_vartime(backend, jobs, matches);
    });
}

fn parse(job: &Job) -> Result<Unhashed<'_, impl Fn([u8; 32]) -> EcdsaSecp256k1Job>, Reject> {
    let Job::Jws { alg: JwsAlgorithm::Es256k, key, signing_input, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::Secp256k1(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    let (r, s) = jws_ecdsa(signature, &ORDER)?;
    Ok(Unhashed {
        message: signing_input,
        hashed: move |msg_hash| EcdsaSecp256k1Job { public_key: *public_key, msg_hash, r, s },
    })
}
