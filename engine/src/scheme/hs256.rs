//! HS256: HMAC with SHA-256 (RFC 7518 §3.2).
//!
//! Keys have at least 32 bytes and are made as HMAC keys, so no public key can be taken for one. The tag has
//! exactly 32 bytes and is compared in constant time.

use assay_kernels::Backend;
use assay_kernels::job::HmacJob;

use super::run;
use crate::error::{Reject, Verdict};
use crate::job::{Job, JwsAlgorithm};
use crate::key::Inner;

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run(jobs, verdicts, parse, |jobs, matches| {
        assay_kernels::verify_hmac_sha256(backend, jobs, matches);
    });
}

fn parse(job: &Job) -> Result<HmacJob<'_>, Reject> {
    let Job::Jws { alg: JwsAlgorithm::Hs256, key, signing_input, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::Hmac(key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    if signature.len() != 32 {
        return Err(Reject::MalformedSignature);
    }
    Ok(HmacJob { key, message: signing_input, tag: signature })
}
