//! BRC-77 signed messages that anyone can verify, as the npm package `@bsv/sdk` makes them.
//!
//! Envelope: version `42 42 33 01`, signer (33), verifier (`00` for anyone, else 33 bytes of the only one who can
//! verify), key id (32), DER signature to the last byte. The signature verifies under the signer's BRC-42 child key
//!
//! ```text
//! child = Q + h·G,   h = HMAC-SHA256(key = compressed(Q), "2-message signing-" ‖ base64(key id))
//! ```
//!
//! because for the verifier "anyone" (private key 1) the shared point is Q itself.
//!
//! # One multiplication instead of two
//!
//! ECDSA computes R = u1·G + u2·child with u1 = z/s and u2 = r/s. Put the child in: R = (u1 + u2·h)·G + u2·Q, and
//! u1 + u2·h = (z + r·h)/s. So (r, s) verifies for z under the child key exactly when it verifies for
//! z' = z + r·h mod n under Q. The child key is never computed; R = ∞ fails in the kernel as it does in ECDSA. (The
//! child itself is ∞ only if h = −log Q, and h is a hash of Q.)
//!
//! # Strictness
//!
//! The signer must equal the claimed key: the original verifier never compares them, which let anybody sign in as
//! anybody. DER follows the original's reader: an integer may lack the zero octet that keeps it positive, while
//! long-form lengths, needless zeros and trailing bytes are refused. High S is accepted.

use assay_kernels::Backend;
use assay_kernels::job::EcdsaSecp256k1CompressedJob;
use assay_kernels::scalar::mul_add_mod_n_vartime;
use assay_kernels::sha256::Message;
use aws_lc_rs::hmac;

use super::ecdsa_secp256k1::{SignPad, parse_der};
use super::{Unhashed, run_compressed};
use crate::error::{Reject, Verdict};
use crate::job::Job;

/// `BB3` and 1.
const VERSION: [u8; 4] = [0x42, 0x42, 0x33, 0x01];

/// Version, signer, verifier byte, key id and the shortest DER: two one-byte integers.
const ENVELOPE_BYTES_MIN: usize = 4 + 33 + 1 + 32 + 8;

/// Security level 2, protocol "message signing".
const INVOICE_PREFIX: &[u8] = b"2-message signing-";

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run_compressed(backend, jobs, verdicts, parse, Message::new, |job| match job {
        Job::Brc77 { claimed_key, .. } => Some(claimed_key),
        _ => None,
    });
}

fn parse(job: &Job) -> Result<Unhashed<'_, impl Fn([u8; 32]) -> EcdsaSecp256k1CompressedJob>, Reject> {
    let Job::Brc77 { claimed_key, message, envelope } = job else {
        return Err(Reject::Algorithm);
    };
    let envelope = Envelope::parse(envelope)?;
    if envelope.signer != claimed_key {
        return Err(Reject::KeyMismatch);
    }
    let (r, s) = parse_der(envelope.der, SignPad::Optional)?;
    let offset = child_key_offset(claimed_key, envelope.key_id);
    Ok(Unhashed {
        message,
        hashed: move |digest| EcdsaSecp256k1CompressedJob {
            public_key: *claimed_key,
            msg_hash: mul_add_mod_n_vartime(&r, &offset, &digest),
            r,
            s,
        },
    })
}

/// The fields of an envelope addressed to anyone.
pub struct Envelope<'a> {
    /// The signer's key, SEC 1 compressed, not yet parsed.
    pub signer: &'a [u8; 33],
    /// Random bytes that name the child key. Part of what was signed, so a replay key may include them.
    pub key_id: &'a [u8; 32],
    /// The rest: the DER signature, not yet parsed.
    pub der: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Splits an envelope.
    ///
    /// # Errors
    /// [`Reject::EnvelopeVersion`] if it is too short or of another version, [`Reject::NotForAnyone`] if it is
    /// addressed to one verifier.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reject> {
        if bytes.len() < ENVELOPE_BYTES_MIN {
            return Err(Reject::EnvelopeVersion);
        }
        let (version, rest) = bytes.split_first_chunk().ok_or(Reject::EnvelopeVersion)?;
        if *version != VERSION {
            return Err(Reject::EnvelopeVersion);
        }
        let (signer, rest) = rest.split_first_chunk().ok_or(Reject::EnvelopeVersion)?;
        let (verifier, rest) = rest.split_first().ok_or(Reject::EnvelopeVersion)?;
        if *verifier != 0 {
            return Err(Reject::NotForAnyone);
        }
        let (key_id, der) = rest.split_first_chunk().ok_or(Reject::EnvelopeVersion)?;
        Ok(Self { signer, key_id, der })
    }
}

/// h of the module's head, as bytes; the reduction mod n happens in the multiplication.
fn child_key_offset(signer: &[u8; 33], key_id: &[u8; 32]) -> [u8; 32] {
    let mut key_id_text = [0; 44];
    base64_turbo::STANDARD.encode_slice(key_id, &mut key_id_text).expect("32 bytes make 44 characters with padding");
    let mut hmac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, signer));
    hmac.update(INVOICE_PREFIX);
    hmac.update(&key_id_text);
    hmac.sign().as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes")
}
