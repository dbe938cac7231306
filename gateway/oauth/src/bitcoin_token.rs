//! The bitcoin-auth token `pubkey|scheme|timestamp|requestPath|signature`: every rule of sigma.md 1.7 that needs no
//! elliptic curve, in that order, and the proof that comes out when the curve agrees.
//!
//! Closes the holes of the original verifier: the timestamp has a lower bound, the path is ours and never the token's,
//! and a BRC-77 envelope must name the claimed key.

use sha2::{Digest, Sha256};

use crate::encoding::{base64_decode_padding_optional, hex_lower_array};
use crate::limits::{BITCOIN_CLOCK_WINDOW_MS, BITCOIN_REPLAY_SECONDS, BITCOIN_TOKEN_BYTES_MAX};
use crate::proof::{KeyProven, ReplayKey};
use crate::{UnixMillis, rfc3339};

/// Signature scheme of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// BRC-77 signed message, for anyone to verify.
    Brc77,
    /// Bitcoin Signed Message.
    Bsm,
}

impl Scheme {
    /// As it stands in the token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brc77 => "brc77",
            Self::Bsm => "bsm",
        }
    }
}

/// The first rule a token breaks; names as in the vectors' `strictCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Reject {
    /// Not five parts, not UTF-8, or too long.
    Malformed,
    /// Scheme is neither `bsm` nor `brc77`.
    BadScheme,
    /// Key is not lower-case hex of a compressed point.
    BadPubkey,
    /// Timestamp is not RFC 3339.
    BadTimestamp,
    /// Older than the window.
    Stale,
    /// Newer than the window.
    Future,
    /// The path is not the one being served.
    PathMismatch,
    /// Signature is not strict base64.
    BadBase64,
    /// Wrong shape for `bsm`, or does not verify.
    BadSignature,
    /// Not a BRC-77 envelope of the known version.
    BadVersion,
    /// The envelope was signed by another key than the token claims.
    PubkeyMismatch,
    /// The envelope is addressed to one verifier.
    NotForAnyone,
    /// The envelope's signature is not DER.
    BadDer,
}

impl Reject {
    /// The name used by the vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadScheme => "bad_scheme",
            Self::BadPubkey => "bad_pubkey",
            Self::BadTimestamp => "bad_timestamp",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::PathMismatch => "path_mismatch",
            Self::BadBase64 => "bad_base64",
            Self::BadSignature => "bad_signature",
            Self::BadVersion => "bad_version",
            Self::PubkeyMismatch => "pubkey_mismatch",
            Self::NotForAnyone => "not_for_anyone",
            Self::BadDer => "bad_der",
        }
    }
}

/// The body half of the signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHash {
    /// No body: the empty string is signed.
    Empty,
    /// SHA-256 of the body.
    Sha256([u8; 32]),
}

impl BodyHash {
    /// Of the raw octets received; an empty body counts as none.
    pub fn of(body: &[u8]) -> Self {
        if body.is_empty() { Self::Empty } else { Self::Sha256(Sha256::digest(body).into()) }
    }

    fn push(self, message: &mut Vec<u8>) {
        if let Self::Sha256(hash) = self {
            message.extend_from_slice(hex::encode(hash).as_bytes());
        }
    }
}

/// How freshness is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The signed message carries a one-time nonce of ours, checked apart: the signer's clock does not matter.
    ServerNonce,
    /// The timestamp must be within five minutes of now, both sides, inclusive.
    Window,
}

/// What the token must be for.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The path (with query, as received) being served, and the paths that are allowed to stand for it.
    pub paths: &'a [&'a str],
    /// Hash of the body as received.
    pub body: BodyHash,
    /// A second reading of the body that may have been signed instead; see the callers for when this is sound.
    pub fallback_body: Option<BodyHash>,
    /// How freshness is established.
    pub freshness: Freshness,
    /// Our clock.
    pub now_ms: UnixMillis,
}

/// The signature of a token, for the engine.
#[derive(Clone, PartialEq, Eq)]
pub enum SignatureBytes {
    /// The whole envelope: version, signer, verifier, key id, DER.
    Brc77(Vec<u8>),
    /// Header byte, r, s.
    Bsm(Box<[u8; 65]>),
}

impl std::fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Brc77(_) => "Brc77(hidden)",
            Self::Bsm(_) => "Bsm(hidden)",
        })
    }
}

/// A token that passed rules 1–9; rule 10, the curve, is the engine's.
#[derive(Clone, Debug)]
pub struct Checked {
    scheme: Scheme,
    pubkey: [u8; 33],
    timestamp_ms: UnixMillis,
    signature: SignatureBytes,
    message: Vec<u8>,
    fallback: Option<(Vec<u8>, BodyHash)>,
    now_ms: UnixMillis,
}

/// Version bytes of a BRC-77 envelope.
const BRC77_VERSION: [u8; 4] = [0x42, 0x42, 0x33, 0x01];
/// Offset of the DER signature when the envelope is for anyone.
const BRC77_DER_AT: usize = 70;

/// Reads a token and applies rules 1–9.
///
/// # Errors
/// The first rule broken.
pub fn check(token: &[u8], expect: &Expect<'_>) -> Result<Checked, Reject> {
    // Rule 1.
    if token.len() > BITCOIN_TOKEN_BYTES_MAX {
        return Err(Reject::Malformed);
    }
    let text = std::str::from_utf8(token).map_err(|_| Reject::Malformed)?;
    let mut parts = text.split('|');
    let (Some(pubkey), Some(scheme), Some(timestamp), Some(path), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reject::Malformed);
    };
    // Rule 2.
    let scheme = match scheme {
        "brc77" => Scheme::Brc77,
        "bsm" => Scheme::Bsm,
        _ => return Err(Reject::BadScheme),
    };
    // Rule 3, except the curve.
    let pubkey = hex_lower_array::<33>(pubkey.as_bytes()).ok_or(Reject::BadPubkey)?;
    if !matches!(pubkey[0], 2 | 3) {
        return Err(Reject::BadPubkey);
    }
    // Rule 4.
    let timestamp_ms = rfc3339::parse(timestamp).ok_or(Reject::BadTimestamp)?;
    // Rule 5. Years 0 to 9999 in milliseconds cannot overflow a subtraction.
    if expect.freshness == Freshness::Window {
        let ahead_ms = timestamp_ms - expect.now_ms;
        if ahead_ms < -BITCOIN_CLOCK_WINDOW_MS {
            return Err(Reject::Stale);
        }
        if ahead_ms > BITCOIN_CLOCK_WINDOW_MS {
            return Err(Reject::Future);
        }
    }
    // Rule 6.
    if !expect.paths.contains(&path) {
        return Err(Reject::PathMismatch);
    }
    // Rule 7.
    let signature = base64_decode_padding_optional(signature.as_bytes()).ok_or(Reject::BadBase64)?;
    // Rules 8 and 9.
    let signature = match scheme {
        Scheme::Bsm => check_bsm(signature)?,
        Scheme::Brc77 => check_brc77(signature, &pubkey)?,
    };
    let message = |body: BodyHash| {
        let mut message = Vec::with_capacity(path.len() + timestamp.len() + 2 + 64);
        message.extend_from_slice(path.as_bytes());
        message.push(b'|');
        message.extend_from_slice(timestamp.as_bytes());
        message.push(b'|');
        body.push(&mut message);
        message
    };
    let fallback = expect.fallback_body.filter(|body| *body != expect.body).map(|body| (message(body), body));
    Ok(Checked {
        scheme,
        pubkey,
        timestamp_ms,
        signature,
        message: message(expect.body),
        fallback,
        now_ms: expect.now_ms,
    })
}

fn check_bsm(signature: Vec<u8>) -> Result<SignatureBytes, Reject> {
    let bytes: Box<[u8; 65]> = signature.into_boxed_slice().try_into().map_err(|_| Reject::BadSignature)?;
    if !(27..=34).contains(&bytes[0]) {
        return Err(Reject::BadSignature);
    }
    Ok(SignatureBytes::Bsm(bytes))
}

fn check_brc77(envelope: Vec<u8>, pubkey: &[u8; 33]) -> Result<SignatureBytes, Reject> {
    if envelope.len() <= BRC77_DER_AT || envelope[..4] != BRC77_VERSION {
        return Err(Reject::BadVersion);
    }
    if envelope[4..37] != pubkey[..] {
        return Err(Reject::PubkeyMismatch);
    }
    if envelope[37] != 0 {
        return Err(Reject::NotForAnyone);
    }
    if !is_der_signature(&envelope[BRC77_DER_AT..]) {
        return Err(Reject::BadDer);
    }
    Ok(SignatureBytes::Brc77(envelope))
}

/// Two short-form DER integers in a sequence that ends exactly with the input. A missing sign pad is accepted (honest
/// old libraries emit it), a superfluous one is not. Range is the engine's business.
fn is_der_signature(der: &[u8]) -> bool {
    let [0x30, length, body @ ..] = der else { return false };
    if usize::from(*length) != body.len() || body.len() > 127 {
        return false;
    }
    let integer = |bytes: &[u8]| -> Option<usize> {
        let [0x02, length, rest @ ..] = bytes else { return None };
        let value = rest.get(..usize::from(*length))?;
        let fits = match value {
            [] => false,
            [0, next, ..] => *next >= 0x80 && value.len() <= 33,
            _ => value.len() <= 32,
        };
        fits.then_some(2 + value.len())
    };
    integer(body).and_then(|first| Some(first + integer(&body[first..])?)) == Some(body.len())
}

impl Checked {
    /// Which scheme the engine must use.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The claimed key, to be parsed by the engine (it may be off the curve).
    pub fn pubkey(&self) -> &[u8; 33] {
        &self.pubkey
    }

    /// The decoded signature.
    pub fn signature(&self) -> &SignatureBytes {
        &self.signature
    }

    /// The time the signer wrote.
    pub fn timestamp_ms(&self) -> UnixMillis {
        self.timestamp_ms
    }

    /// The bytes that must be signed.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The bytes that may be signed instead, to be tried when [`Self::message`] failed.
    pub fn fallback_message(&self) -> Option<&[u8]> {
        self.fallback.as_ref().map(|(message, _)| &**message)
    }

    /// The engine's verdict over [`Self::message`] becomes a proof, and the key that makes it single-use.
    ///
    /// # Errors
    /// [`Reject::BadSignature`] for a bad verdict.
    pub fn conclude(&self, signature_verdict: bool) -> Result<(KeyProven, ReplayKey), Reject> {
        self.proof(signature_verdict, &self.message, true)
    }

    /// As [`Self::conclude`], for a verdict over [`Self::fallback_message`].
    ///
    /// # Errors
    /// [`Reject::BadSignature`] for a bad verdict, or when there is no fallback.
    pub fn conclude_fallback(&self, signature_verdict: bool) -> Result<(KeyProven, ReplayKey), Reject> {
        let (message, body) = self.fallback.as_ref().ok_or(Reject::BadSignature)?;
        self.proof(signature_verdict, message, *body != BodyHash::Empty)
    }

    fn proof(&self, verdict: bool, message: &[u8], body_bound: bool) -> Result<(KeyProven, ReplayKey), Reject> {
        if !verdict {
            return Err(Reject::BadSignature);
        }
        let key = KeyProven { pubkey: self.pubkey, scheme: self.scheme, timestamp_ms: self.timestamp_ms, body_bound };
        Ok((key, self.replay_key(message)))
    }

    /// Single use is keyed on what was signed, not on how the signature is spelled: high and low S, header bytes and
    /// base64 variants of one signature are one use (attacks 11, 130). The key id of BRC-77 is random and itself
    /// signed, so two honest tokens of the same millisecond differ.
    fn replay_key(&self, message: &[u8]) -> ReplayKey {
        let mut hash = Sha256::new();
        hash.update(b"assay replay: bitcoin-auth token\0");
        hash.update(self.pubkey);
        hash.update(Sha256::digest(message));
        if let SignatureBytes::Brc77(envelope) = &self.signature {
            hash.update(&envelope[38..BRC77_DER_AT]);
        }
        let latest_ms = self.timestamp_ms.max(self.now_ms).max(0);
        ReplayKey {
            digest: hash.finalize().into(),
            expires_at: latest_ms.unsigned_abs() / 1000 + BITCOIN_REPLAY_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests;
