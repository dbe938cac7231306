//! ECDSA over P-256 through AWS-LC.

use aws_lc_rs::digest::{Digest, SHA256};

use crate::job::EcdsaP256Job;

/// See [`crate::verify_ecdsa_p256_vartime`].
pub fn verify_ecdsa_vartime(jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&job.r);
        signature[32..].copy_from_slice(&job.s);
        // "Less safe" because AWS-LC cannot know that these 32 bytes are a hash; the job type says they are.
        *verdict = Digest::import_less_safe(&job.msg_hash, &SHA256)
            .is_ok_and(|digest| job.public_key.0.verify_digest_sig(&digest, &signature).is_ok());
    }
}
