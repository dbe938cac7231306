//! ECDSA and BIP-340 over secp256k1 through libsecp256k1.

use crate::job::{Bip340Job, EcdsaSecp256k1Job};

/// See [`crate::verify_ecdsa_secp256k1_vartime`].
pub fn verify_ecdsa_vartime(jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        *verdict = verify_one_ecdsa(job);
    }
}

fn verify_one_ecdsa(job: &EcdsaSecp256k1Job) -> bool {
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&job.r);
    compact[32..].copy_from_slice(&job.s);
    // r ≥ n and s ≥ n fail here, r = 0 and s = 0 fail in verify.
    let Ok(mut signature) = secp256k1::ecdsa::Signature::from_compact(&compact) else {
        return false;
    };
    // libsecp256k1 refuses high S; this seam accepts both and leaves the choice to the scheme.
    signature.normalize_s();
    let message = secp256k1::Message::from_digest(job.msg_hash);
    secp256k1::ecdsa::verify(&signature, message, &job.public_key.0).is_ok()
}

/// See [`crate::verify_bip340_vartime`].
pub fn verify_bip340_vartime(jobs: &[Bip340Job<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        let signature = secp256k1::schnorr::Signature::from_byte_array(*job.signature);
        *verdict = secp256k1::schnorr::verify(&signature, job.message, &job.public_key.0).is_ok();
    }
}
