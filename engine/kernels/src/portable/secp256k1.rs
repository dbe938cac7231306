//! ECDSA and BIP-340 over secp256k1 through libsecp256k1.

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

use crate::job::{Bip340Job, EcdsaSecp256k1CompressedJob, EcdsaSecp256k1Job, RecoverSecp256k1Job};
use crate::key::Secp256k1PublicKey;

/// See [`crate::verify_ecdsa_secp256k1_vartime`].
pub fn verify_ecdsa_vartime(jobs: &[EcdsaSecp256k1Job], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        *verdict = verify_one_ecdsa(job);
    }
}

/// See [`crate::verify_ecdsa_secp256k1_compressed_vartime`].
pub fn verify_ecdsa_compressed_vartime(jobs: &[EcdsaSecp256k1CompressedJob], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        let &EcdsaSecp256k1CompressedJob { public_key, msg_hash, r, s } = job;
        *verdict = Secp256k1PublicKey::from_compressed(&public_key)
            .is_ok_and(|public_key| verify_one_ecdsa(&EcdsaSecp256k1Job { public_key, msg_hash, r, s }));
    }
}

/// See [`crate::recover_secp256k1_vartime`].
pub fn recover_vartime(jobs: &[RecoverSecp256k1Job], keys: &mut [Option<Secp256k1PublicKey>]) {
    for (job, key) in jobs.iter().zip(keys) {
        *key = recover_one(job);
    }
}

fn recover_one(job: &RecoverSecp256k1Job) -> Option<Secp256k1PublicKey> {
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&job.r);
    compact[32..].copy_from_slice(&job.s);
    let recovery_id = RecoveryId::try_from(i32::from(job.recovery_id)).ok()?;
    let signature = RecoverableSignature::from_compact(&compact, recovery_id).ok()?;
    let message = secp256k1::Message::from_digest(job.msg_hash);
    signature.recover_ecdsa(message).ok().map(Secp256k1PublicKey)
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
