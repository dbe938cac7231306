//! HMAC-SHA-256 through AWS-LC.

use aws_lc_rs::hmac;

use crate::job::HmacJob;

/// See [`crate::verify_hmac_sha256`]. AWS-LC compares the tags in constant time.
pub fn verify_sha256(jobs: &[HmacJob<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        *verdict = hmac::verify(&job.key.0, job.message, job.tag).is_ok();
    }
}
