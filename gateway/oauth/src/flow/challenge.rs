//! Server nonces of `POST /sigma/challenge`: stateless to issue, single-use to redeem.
//!
//! `as_ch_` ‖ base64url(expiry ‖ 16 random bytes ‖ MAC). The MAC covers the tenant, so a nonce of one tenant is noise
//! to another (attack 131).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::UnixSeconds;
use crate::encoding::{base64url, base64url_decode_array};
use crate::jose::writer::ObjectWriter;
use crate::limits::CHALLENGE_SECONDS;
use crate::proof::ReplayKey;

const PREFIX: &str = "as_ch_";
const BYTES: usize = 8 + 16 + 32;

/// A fresh nonce from caller-supplied randomness and the server's "challenge" secret.
pub fn issue(secret: &[u8; 32], tid: &str, random: &[u8; 16], now: UnixSeconds) -> String {
    let expires_at = (now + CHALLENGE_SECONDS).to_be_bytes();
    let tag = mac(secret, tid, &expires_at, random).finalize().into_bytes();
    format!("{PREFIX}{}", base64url([&expires_at[..], random, &tag].concat()))
}

/// True if a sign-in's `nonce` is meant to be one of ours (rather than an OpenID Connect nonce).
pub fn is_challenge(nonce: &str) -> bool {
    nonce.starts_with(PREFIX)
}

/// Checks a presented nonce; it must then be inserted-if-absent.
pub fn check(secret: &[u8; 32], tid: &str, nonce: &str, now: UnixSeconds) -> Option<ReplayKey> {
    let bytes: [u8; BYTES] = base64url_decode_array(nonce.strip_prefix(PREFIX)?.as_bytes())?;
    let (expires_at, rest) = bytes.split_first_chunk::<8>()?;
    let (random, tag) = rest.split_first_chunk::<16>()?;
    mac(secret, tid, expires_at, random).verify_slice(tag).ok()?;
    let expires_at = u64::from_be_bytes(*expires_at);
    if now >= expires_at {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(b"assay replay: challenge\0");
    hash.update(bytes);
    Some(ReplayKey { digest: hash.finalize().into(), expires_at })
}

/// Body of the answer.
pub fn response(nonce: &str) -> String {
    ObjectWriter::new().string("nonce", nonce).integer("expires_in", CHALLENGE_SECONDS).finish()
}

fn mac(secret: &[u8; 32], tid: &str, expires_at: &[u8; 8], random: &[u8; 16]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(b"assay challenge\0");
    mac.update(expires_at);
    mac.update(random);
    mac.update(tid.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [3; 32];

    #[test]
    fn attack_131_nonces_are_ours_fresh_and_of_this_tenant() {
        let nonce = issue(&SECRET, "default", &[1; 16], 100);
        assert!(is_challenge(&nonce));
        let key = check(&SECRET, "default", &nonce, 100).unwrap();
        assert_eq!(key.expires_at, 160);
        assert_eq!(check(&SECRET, "default", &nonce, 159), Some(key));
        assert_eq!(check(&SECRET, "default", &nonce, 160), None);
        assert_eq!(check(&SECRET, "other", &nonce, 100), None);
        assert_eq!(check(&[4; 32], "default", &nonce, 100), None);
        assert_ne!(check(&SECRET, "default", &issue(&SECRET, "default", &[2; 16], 100), 100), Some(key));
        for end in 0..nonce.len() {
            assert_eq!(check(&SECRET, "default", &nonce[..end], 100), None);
        }
        for at in 0..nonce.len() {
            let mut bytes = nonce.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(check(&SECRET, "default", &String::from_utf8(bytes).unwrap(), 100), None, "{at}");
        }
        assert_eq!(check(&SECRET, "default", &format!("{nonce}A"), 100), None);
    }
}
