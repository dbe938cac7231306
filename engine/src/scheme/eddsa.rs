//! EdDSA with Ed25519 (RFC 8037 §3.1, RFC 8032 §5.1.7, cofactorless).
//!
//! S ≥ L, small-order keys, small-order R and non-canonical encodings of either are refused, which is what
//! ed25519-dalek calls `verify_strict`: one signature, one message, one key, one verdict in every library.

use assay_kernels::Backend;
use assay_kernels::job::Ed25519Job;

use super::run;
use crate::error::{Reject, Verdict};
use crate::job::{Job, JwsAlgorithm};
use crate::key::Inner;

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run(jobs, verdicts, parse, |jobs, matches| {
        assay_kernels::verify_ed25519_vartime(backend, jobs, matches);
    });
}

fn parse(job: &Job) -> Result<Ed25519Job<'_>, Reject> {
    let Job::Jws { alg: JwsAlgorithm::EdDsa, key, signing_input, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::Ed25519(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    Ok(Ed25519Job {
        public_key,
        message: signing_input,
        signature: signature.as_slice().try_into().map_err(|_| Reject::MalformedSignature)?,
    })
}
