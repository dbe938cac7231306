//! ECDSA over P-256 through AWS-LC.

use aws_lc_rs::digest::{Digest, SHA256};

use crate::job::EcdsaP256Job;

/// See [`crate::verify_ecdsa_p256_vartime`].
pub fn verify_ecdsa_vartime(jobs: &[EcdsaP256Job<'_>], verdicts: &mut [bool]) {
    for (job, verdict) in jobs.iter().zip(verdicts) {
        // AWS-LC verifies DER: given r ‖ s it makes two big numbers and a buffer on the heap to write this itself.
        let (der, length) = der(&job.r, &job.s);
        // "Less safe" because AWS-LC cannot know that these 32 bytes are a hash; the job type says they are.
        *verdict = Digest::import_less_safe(&job.msg_hash, &SHA256)
            .is_ok_and(|digest| job.public_key.0.verify_digest_sig(&digest, &der[..length]).is_ok());
    }
}

/// `SEQUENCE { INTEGER r, INTEGER s }` (SEC 1 §C.8) in DER, and its length.
fn der(r: &[u8; 32], s: &[u8; 32]) -> ([u8; 72], usize) {
    let mut der = [0; 72];
    let mut length = 2;
    for number in [r, s] {
        // At least one octet, and none in front but the zero that keeps a number from looking negative (X.690 §8.3).
        let zeros = number.iter().position(|byte| *byte != 0).unwrap_or(31);
        let octets = &number[zeros..];
        let pad = usize::from(octets[0] >> 7);
        der[length] = 0x02;
        der[length + 1] = (pad + octets.len()) as u8;
        length += 2 + pad;
        der[length..length + octets.len()].copy_from_slice(octets);
        length += octets.len();
    }
    der[0] = 0x30;
    der[1] = (length - 2) as u8;
    (der, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(r: &str, s: &str, expected: &str) {
        let number = |hex: &str| hex::decode(format!("{hex:0>64}")).expect("hex").try_into().expect("32 bytes");
        let (der, length) = der(&number(r), &number(s));
        assert_eq!(hex::encode(&der[..length]), expected, "{r} {s}");
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        check("0", "1", "3006020100020101");
        check("7f", "80", "300702017f02020080");
        check("ff", "100", "3008020200ff02020100");
        check("8000", "7fff", "3009020300800002027fff");
        let (high, low) = ("ff".repeat(32), format!("7f{}", "ff".repeat(31)));
        check(&high, &low, &format!("3045022100{high}0220{low}"));
        check(&high, &high, &format!("3046022100{high}022100{high}"));
    }
}
