//! Which key made a signature: for messages that come beside an address, where nobody claims a key.
//!
//! No scheme decides with it. Where a key is claimed, verifying against it costs less, and says the same.

use assay_kernels::Backend;
use assay_kernels::job::RecoverSecp256k1Job;
pub use assay_kernels::key::Secp256k1PublicKey;

use crate::limits::BATCH_JOBS_MAX;
use crate::verify::guarded;

/// An ECDSA signature over secp256k1 and what it signs.
#[derive(Clone, Copy)]
pub struct Recoverable {
    /// The hash that was signed.
    pub msg_hash: [u8; 32],
    /// r ‖ s, 32 bytes each, big-endian. High S is as good as low S, and belongs to another key.
    pub compact: [u8; 64],
    /// Bit 0: whether y(R) is odd. Bit 1: whether x(R) is r + n (SEC 1 §4.1.6).
    pub recovery_id: u8,
}

/// The key of each signature on this thread, in order; `None` where no key makes it valid.
#[must_use]
pub fn recover_now(signatures: &[Recoverable]) -> Vec<Option<Secp256k1PublicKey>> {
    recover_now_with(Backend::detect(), signatures)
}

/// [`recover_now`] with the backend as an argument, for the conformance suite and for benches.
#[must_use]
pub fn recover_now_with(backend: Backend, signatures: &[Recoverable]) -> Vec<Option<Secp256k1PublicKey>> {
    let mut keys = vec![None; signatures.len()];
    for (signatures, keys) in signatures.chunks(BATCH_JOBS_MAX).zip(keys.chunks_mut(BATCH_JOBS_MAX)) {
        let jobs: Vec<_> = signatures.iter().map(job).collect();
        guarded(&jobs, keys, None, |jobs, keys| assay_kernels::recover_secp256k1_vartime(backend, jobs, keys));
    }
    keys
}

fn job(signature: &Recoverable) -> RecoverSecp256k1Job {
    let Recoverable { msg_hash, compact, recovery_id } = *signature;
    let (r, s) = compact.split_first_chunk().expect("64 ≥ 32");
    RecoverSecp256k1Job { msg_hash, r: *r, s: s.try_into().expect("64 − 32 = 32"), recovery_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// r = 1 and s = 1 have a key, r = 0 has none; more than one kernel call keeps the order.
    #[test]
    fn keys_come_in_order_and_only_where_there_is_one() {
        let signature = |r: u8, recovery_id| {
            let mut compact = [0; 64];
            (compact[31], compact[63]) = (r, 1);
            Recoverable { msg_hash: [5; 32], compact, recovery_id }
        };
        let kinds = [signature(1, 0), signature(0, 0), signature(1, 1), signature(1, 4)];
        let count = BATCH_JOBS_MAX + 3;
        let signatures: Vec<_> = kinds.iter().copied().cycle().take(count).collect();
        for &backend in Backend::available() {
            let keys = recover_now_with(backend, &signatures);
            let (even, odd) = (keys[0].expect("x = 1 is on the curve"), keys[2].expect("so is its opposite"));
            assert_ne!(even, odd);
            for (position, key) in keys.iter().enumerate() {
                assert_eq!(*key, [Some(even), None, Some(odd), None][position % 4], "{} {position}", backend.name());
            }
            assert_eq!(keys.len(), count);
        }
    }
}
