//! RSASSA-PKCS1-v1_5 with SHA-256 through AWS-LC.

use aws_lc_rs::digest::{Digest, SHA256};

use crate::job::RsaJob;

/// See [`crate::verify_rsa_pkcs1_sha256_vartime`].
pub fn verify_pkcs1_sha256_vartime(jobs: &[RsaJob<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        *verdict = job.signature.len() == job.public_key.modulus_bytes()
            && Digest::import_less_safe(&job.msg_hash, &SHA256)
                .is_ok_and(|digest| job.public_key.key.verify_digest_sig(&digest, job.signature).is_ok());
    }
}
