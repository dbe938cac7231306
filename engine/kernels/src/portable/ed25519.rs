//! Ed25519 through AWS-LC.

use crate::job::Ed25519Job;
use crate::key::ed25519_is_small_order;

/// See [`crate::verify_ed25519_vartime`].
pub fn verify_vartime(jobs: &[Ed25519Job<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        // AWS-LC refuses S ≥ L and compares the bytes of R, which refuses its non-canonical spellings. A small-order
        // R is refused as well, as dalek's `verify_strict` does: with it the signature commits to no nonce.
        let (commitment, _) = job.signature.split_first_chunk().expect("64 ≥ 32");
        *verdict =
            !ed25519_is_small_order(commitment) && job.public_key.0.verify_sig(job.message, job.signature).is_ok();
    }
}
