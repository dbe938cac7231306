//! Bitcoin Signed Message: a 65-byte signature over a framed double SHA-256, verified against the claimed key.
//!
//! The header byte must be 27..=34 and is otherwise ignored: the npm signers' own verifier never recovers a key
//! from it, and honest tokens whose header was rewritten on the way still verify there. High S is accepted.

use assay_kernels::Backend;
use assay_kernels::job::EcdsaSecp256k1CompressedJob;
use assay_kernels::sha256::Message;

use super::ecdsa_secp256k1::ORDER;
use super::{Unhashed, run_compressed, split_compact};
use crate::error::{Reject, Verdict};
use crate::job::Job;

/// Length octet, then the magic text.
const MAGIC: &[u8] = b"\x18Bitcoin Signed Message:\n";

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run_compressed(backend, jobs, verdicts, parse, framed, |job| match job {
        Job::BitcoinMessage { public_key, .. } => Some(public_key),
        _ => None,
    });
}

fn parse(job: &Job) -> Result<Unhashed<'_, impl Fn([u8; 32]) -> EcdsaSecp256k1CompressedJob>, Reject> {
    let Job::BitcoinMessage { public_key, message, signature } = job else {
        return Err(Reject::Algorithm);
    };
    let (header, compact) = signature.split_first().expect("65 ≥ 1");
    if !(27..=34).contains(header) {
        return Err(Reject::MalformedSignature);
    }
    let compact = compact.try_into().expect("65 − 1 = 64");
    let (r, s) = split_compact(compact, &ORDER)?;
    Ok(Unhashed {
        message,
        hashed: move |msg_hash| EcdsaSecp256k1CompressedJob { public_key: *public_key, msg_hash, r, s },
    })
}

/// Reads decoded signature bytes into the array a job takes; anything but 65 bytes is malformed.
///
/// # Errors
/// [`Reject::MalformedSignature`] for every other length.
pub fn signature_from_slice(bytes: &[u8]) -> Result<[u8; 65], Reject> {
    bytes.try_into().map_err(|_| Reject::MalformedSignature)
}

/// SHA-256(SHA-256(0x18 ‖ "Bitcoin Signed Message:\n" ‖ varint(len) ‖ message)).
#[must_use]
pub fn message_digest(message: &[u8]) -> [u8; 32] {
    framed(message).digest()
}

fn framed(message: &[u8]) -> Message<'_> {
    let (length, used) = compact_size(message.len());
    let mut head = [0; MAGIC.len() + 9];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head[MAGIC.len()..].copy_from_slice(&length);
    Message::new(message).with_head(&head[..MAGIC.len() + used]).twice()
}

/// Bitcoin's variable-length integer: one byte below 0xFD, else a marker and 2, 4 or 8 bytes little endian.
fn compact_size(length: usize) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let little_endian = (length as u64).to_le_bytes();
    let (marker, width) = match length {
        0..0xfd => {
            bytes[0] = little_endian[0];
            return (bytes, 1);
        }
        0xfd..=0xffff => (0xfd, 2),
        0x1_0000..=0xffff_ffff => (0xfe, 4),
        _ => (0xff, 8),
    };
    bytes[0] = marker;
    bytes[1..=width].copy_from_slice(&little_endian[..width]);
    (bytes, 1 + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_sizes_at_the_edges() {
        let check = |length: usize, expected: &[u8]| {
            let (bytes, used) = compact_size(length);
            assert_eq!(&bytes[..used], expected, "{length}");
        };
        check(0, &[0]);
        check(0xfc, &[0xfc]);
        check(0xfd, &[0xfd, 0xfd, 0x00]);
        check(0xffff, &[0xfd, 0xff, 0xff]);
        check(0x1_0000, &[0xfe, 0x00, 0x00, 0x01, 0x00]);
        check(0xffff_ffff, &[0xfe, 0xff, 0xff, 0xff, 0xff]);
        check(0x1_0000_0000, &[0xff, 0, 0, 0, 0, 1, 0, 0, 0]);
    }
}
