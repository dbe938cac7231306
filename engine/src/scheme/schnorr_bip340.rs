//! Schnorr signatures of BIP-340 with x-only keys and messages of any length.
//!
//! Everything the BIP refuses is refused: r ≥ p, s ≥ n, R at infinity or with odd y. s = 0 is legal there.

use assay_kernels::Backend;
use assay_kernels::job::Bip340Job;

use super::run;
use crate::error::{Reject, Verdict};
use crate::job::Job;
use crate::key::Inner;

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run(jobs, verdicts, parse, |jobs, matches| {
        assay_kernels::verify_bip340_vartime(backend, jobs, matches);
    });
}

fn parse(job: &Job) -> Result<Bip340Job<'_>, Reject> {
    let Job::SchnorrBip340 { key, message, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::SchnorrXOnly(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    Ok(Bip340Job { public_key: *public_key, message, signature })
}
