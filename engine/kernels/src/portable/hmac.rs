//! HMAC-SHA-256 (RFC 2104, FIPS 180-4) from midstates, or through AWS-LC where the CPU has no SHA-256 instructions.
//!
//! The first block of either hash is the key and nothing else, so both are compressed once per key, and a tag of a short
//! message costs what its own bytes cost. AWS-LC keeps such states too, but copies and clears a context of several
//! hundred bytes per tag, which takes as long as three blocks or four; without the instructions its vector code wins all
//! the same.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::{Zeroize, Zeroizing};

use crate::cpu::has_sha256_instructions;
use crate::job::HmacJob;
use crate::sha256::{BLOCK_BYTES, Message, Midstate, for_each_digest};

/// See [`crate::verify_hmac_sha256`]. The comparison takes constant time; a tag of another length is a false.
pub fn verify_sha256(jobs: &[HmacJob<'_>], verdicts: &mut [bool]) {
    // A lone job waits for nobody.
    if let ([job], [only]) = (jobs, &mut *verdicts) {
        *only = match &job.key.0 {
            Prepared::Midstates(key) => is_tag(job, &key.authenticated(job.message).digest()),
            Prepared::AwsLc(key) => hmac::verify(key, job.message, job.tag).is_ok(),
        };
        return;
    }
    let ours = jobs.iter().zip(verdicts).filter_map(|(job, verdict)| match &job.key.0 {
        Prepared::Midstates(key) => Some(((job, verdict), key.authenticated(job.message))),
        Prepared::AwsLc(key) => {
            *verdict = hmac::verify(key, job.message, job.tag).is_ok();
            None
        }
    });
    for_each_digest(ours, |(job, verdict), tag| *verdict = is_tag(job, &tag));
}

fn is_tag(job: &HmacJob<'_>, tag: &[u8; 32]) -> bool {
    verify_slices_are_equal(tag, job.tag).is_ok()
}

/// A key in the form that is fastest on this CPU.
#[derive(Clone)]
pub(crate) enum Prepared {
    Midstates(Midstates),
    /// Boxed: its contexts are many times the size of two midstates.
    AwsLc(Box<hmac::Key>),
}

impl Prepared {
    pub(crate) fn new(key: &[u8]) -> Self {
        if has_sha256_instructions() { Self::Midstates(Midstates::new(key)) } else { Self::aws_lc(key) }
    }

    fn aws_lc(key: &[u8]) -> Self {
        Self::AwsLc(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }
}

/// The states after `key ⊕ ipad` and `key ⊕ opad`. Whoever has them can make tags, so they are cleared when dropped.
#[derive(Clone)]
pub(crate) struct Midstates {
    inner: Midstate,
    outer: Midstate,
}

impl Midstates {
    fn new(key: &[u8]) -> Self {
        let mut padded = Zeroizing::new([0; BLOCK_BYTES]);
        match padded.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            // A key longer than a block stands for its hash (RFC 2104 §2).
            None => padded[..32].copy_from_slice(&Message::new(key).digest()),
        }
        let after = |pad: u8| {
            let mut block = padded.clone();
            block.iter_mut().for_each(|byte| *byte ^= pad);
            Midstate::after(&block)
        };
        Self { inner: after(0x36), outer: after(0x5c) }
    }

    /// What has the tag as its digest.
    fn authenticated<'a>(&'a self, message: &'a [u8]) -> Message<'a> {
        Message::after(&self.inner, message).then(&self.outer)
    }
}

impl Drop for Midstates {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::HmacKey;

    fn verify(key: &HmacKey, message: &[u8], tag: &[u8]) -> bool {
        let mut verdict = [false];
        verify_sha256(&[HmacJob { key, message, tag }], &mut verdict);
        verdict[0]
    }

    /// What `message` must hash to under `key`, by both forms, and that nothing near it is taken.
    fn check(key: &[u8], message: &[u8], expected: &[u8]) {
        for prepared in [Prepared::Midstates(Midstates::new(key)), Prepared::aws_lc(key), Prepared::new(key)] {
            let prepared = HmacKey(prepared);
            assert!(verify(&prepared, message, expected), "{} {}", key.len(), message.len());
            for length in 0..32 {
                assert!(!verify(&prepared, message, &expected[..length]), "cut to {length}");
            }
            assert!(!verify(&prepared, message, &[expected, &[0]].concat()), "one byte more");
            for bit in 0..256 {
                let mut broken = expected.to_vec();
                broken[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&prepared, message, &broken), "bit {bit}");
            }
        }
    }

    /// RFC 4231 §4.2 to §4.8; §4.6 shows a truncated tag, which is no tag here.
    #[test]
    fn rfc_4231() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs \
                  to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, tag) in cases {
            check(key, message, &hex::decode(tag).expect("hex"));
        }
    }

    /// Every length of key and message around the edges of a block, against AWS-LC.
    #[test]
    fn lengths_around_a_block() {
        let bytes: Vec<u8> = (0..=255).collect();
        for key in [0, 1, 31, 32, 33, 55, 56, 63, 64, 65, 127, 128, 129, 256] {
            let key = &bytes[..key];
            for message in 0..=200 {
                let message = &bytes[..message];
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
                assert_eq!(
                    Midstates::new(key).authenticated(message).digest(),
                    tag.as_ref(),
                    "{} {}",
                    key.len(),
                    message.len()
                );
            }
        }
    }

    /// Keys of both forms and messages of many lengths in one slice, every third tag broken.
    #[test]
    fn verdicts_in_company() {
        let bytes: Vec<u8> = (0..=255).collect();
        let made: Vec<_> = (0..50)
            .map(|i| {
                let (key, message) = (&bytes[i..i + 40], &bytes[..5 * i]);
                let mut tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec();
                tag[i % 32] ^= u8::from(i % 3 == 0);
                let prepared =
                    if i % 4 == 0 { Prepared::aws_lc(key) } else { Prepared::Midstates(Midstates::new(key)) };
                (HmacKey(prepared), message, tag)
            })
            .collect();
        let jobs: Vec<_> = made.iter().map(|(key, message, tag)| HmacJob { key, message, tag }).collect();
        let mut verdicts = vec![false; jobs.len()];
        verify_sha256(&jobs, &mut verdicts);
        for (i, verdict) in verdicts.into_iter().enumerate() {
            assert_eq!(verdict, i % 3 != 0, "{i}");
        }
    }
}
