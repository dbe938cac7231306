//! The signing keys of the default tenant: which one signs, which ones verify, and the key set document.
//!
//! A key lives `prepublished → active → grace → retired`; `revoked` ends it at once (oauth.md §19). This file plans
//! transitions as rows to commit, and turns committed rows into what cores use. It holds no state of its own.

use std::sync::Arc;

use assay_engine::VerifyKey;
use assay_engine::token_cache::KeyTag;
use assay_oauth::jose::jwk::{Material, PublishedKey, render_jwks};
use assay_storage::record::{KeyState, SigningKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64_turbo::URL_SAFE_NO_PAD;
use bytes::Bytes;

/// A signing key ready for use.
pub struct Key {
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// Its state.
    pub state: KeyState,
    /// Until when a key in grace verifies.
    pub grace_until: Option<u64>,
    /// The public half.
    pub verify: VerifyKey,
    /// Distinguishes this key's entries in token caches.
    pub cache_tag: KeyTag,
    pair: EcdsaKeyPair,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Key {
    /// Whether tokens of this key are good at `now`.
    #[must_use]
    pub fn verifies(&self, now: u64) -> bool {
        match self.state {
            KeyState::Prepublished | KeyState::Active => true,
            KeyState::Grace => self.grace_until.is_none_or(|until| now < until),
            KeyState::Retired | KeyState::Revoked => false,
        }
    }

    /// Signs a JWS signing input (ES256, 64 bytes r ‖ s); `None` when the system has no randomness to give.
    #[must_use]
    pub fn sign(&self, signing_input: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), signing_input).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

/// All keys at one moment.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    /// The key set document: public members of keys that verify or soon will.
    pub jwks: Bytes,
    /// Its strong entity tag.
    pub etag: String,
}

impl KeySet {
    /// Builds the set from rows, in any order.
    #[must_use]
    pub fn new(rows: &[SigningKey]) -> KeySet {
        let mut rows: Vec<&SigningKey> = rows.iter().collect();
        rows.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
        let keys: Vec<Arc<Key>> = rows.iter().filter_map(|row| load(row)).map(Arc::new).collect();
        let published = rows
            .iter()
            .filter(|row| matches!(row.state, KeyState::Prepublished | KeyState::Active | KeyState::Grace))
            .map(|row| PublishedKey { kid: &row.kid, x: &row.public_x, y: &row.public_y });
        let jwks = Bytes::from(render_jwks(published));
        let etag = format!("\"{}\"", &hex::encode(assay_oauth::secret::sha256(&jwks))[..32]);
        KeySet { keys, jwks, etag }
    }

    /// The key a header's `kid` names, in any state.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The key that signs now.
    #[must_use]
    pub fn active(&self) -> Option<&Arc<Key>> {
        self.keys.iter().rev().find(|key| key.state == KeyState::Active)
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }
}

/// A stored row into a usable key. A row that does not parse (a broken disk, a foreign tool) is left out and logged:
/// its tokens are then unknown, which is the safe reading.
fn load(row: &SigningKey) -> Option<Key> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &row.pkcs8);
    let verify = pair.as_ref().ok().and_then(|pair| VerifyKey::p256_sec1(pair.public_key().as_ref()).ok());
    match (pair, verify) {
        (Ok(pair), Some(verify)) => Some(Key {
            kid: row.kid.clone(),
            state: row.state,
            grace_until: row.grace_until,
            verify,
            cache_tag: cache_tag(&row.kid),
            pair,
        }),
        _ => {
            tracing::error!(kid = row.kid, "a stored signing key does not parse; its tokens are refused");
            None
        }
    }
}

fn cache_tag(kid: &str) -> KeyTag {
    let digest = assay_oauth::secret::sha256(kid.as_bytes());
    KeyTag(u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 has eight first bytes")))
}

/// A fresh ES256 key. `None` when the system has no randomness to give.
#[must_use]
pub fn generate(state: KeyState, now: u64) -> Option<SigningKey> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).ok()?;
    let point = pair.public_key().as_ref();
    let x: [u8; 32] = point.get(1..33)?.try_into().ok()?;
    let y: [u8; 32] = point.get(33..65)?.try_into().ok()?;
    let kid = Material::EcP256 { x, y }.thumbprint();
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    Some(SigningKey {
        kid,
        alg: "ES256".into(),
        pkcs8: document.as_ref().to_vec(),
        public_x: x,
        public_y: y,
        state,
        created_at: now,
        activated_at: (state == KeyState::Active).then_some(now),
        grace_until: None,
    })
}

/// What a rotation writes: the next key becomes active, the active one goes into grace, a new next is made. Keys
/// whose grace is over are retired on the way. `None` when the system has no randomness to give.
#[must_use]
pub fn rotate(rows: &[SigningKey], now: u64, grace_s: u64) -> Option<Vec<SigningKey>> {
    let mut changed = Vec::new();
    let mut promoted = false;
    let mut rows: Vec<SigningKey> = rows.to_vec();
    rows.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
    for row in &mut rows {
        match row.state {
            KeyState::Active => {
                row.state = KeyState::Grace;
                row.grace_until = Some(now + grace_s);
                changed.push(row.clone());
            }
            KeyState::Prepublished if !promoted => {
                promoted = true;
                row.state = KeyState::Active;
                row.activated_at = Some(now);
                changed.push(row.clone());
            }
            KeyState::Grace if row.grace_until.is_some_and(|until| until <= now) => {
                row.state = KeyState::Retired;
                changed.push(row.clone());
            }
            _ => {}
        }
    }
    if !promoted {
        changed.push(generate(KeyState::Active, now)?);
    }
    changed.push(generate(KeyState::Prepublished, now)?);
    Some(changed)
}

/// What revoking `kid` writes: the key is dead at once, and if it was the signing one its successor takes over.
/// `None` when there is no such key, or no randomness.
#[must_use]
pub fn revoke(rows: &[SigningKey], kid: &str, now: u64, grace_s: u64) -> Option<Vec<SigningKey>> {
    let mut revoked = rows.iter().find(|row| row.kid == kid)?.clone();
    let before = std::mem::replace(&mut revoked.state, KeyState::Revoked);
    let others: Vec<SigningKey> = rows.iter().filter(|row| row.kid != kid).cloned().collect();
    let mut changed = match before {
        KeyState::Active => rotate(&others, now, grace_s)?,
        KeyState::Prepublished => vec![generate(KeyState::Prepublished, now)?],
        KeyState::Grace | KeyState::Retired | KeyState::Revoked => Vec::new(),
    };
    changed.push(revoked);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(rows: &mut Vec<SigningKey>, changed: Vec<SigningKey>) {
        for row in changed {
            match rows.iter_mut().find(|known| known.kid == row.kid) {
                Some(known) => *known = row,
                None => rows.push(row),
            }
        }
    }

    fn states(rows: &[SigningKey]) -> Vec<KeyState> {
        rows.iter().map(|row| row.state).collect()
    }

    #[test]
    fn what_a_key_signs_the_engine_verifies() {
        let row = generate(KeyState::Active, 1).unwrap();
        let set = KeySet::new(&[row]);
        let key = set.active().unwrap();
        let job = assay_engine::Job::Jws {
            alg: assay_engine::JwsAlgorithm::Es256,
            key: key.verify.clone(),
            signing_input: Bytes::from_static(b"a.b"),
            signature: key.sign(b"a.b").unwrap(),
        };
        let mut verdicts = Vec::new();
        assay_engine::verify_now(&[job], &mut verdicts);
        assert!(verdicts[0].is_valid());
    }

    #[test]
    fn a_life_of_rotations_always_has_one_signing_key() {
        let mut rows = Vec::new();
        for now in [100, 200, 300, 400] {
            let changed = rotate(&rows, now, 150).unwrap();
            apply(&mut rows, changed);
            assert_eq!(states(&rows).iter().filter(|state| **state == KeyState::Active).count(), 1);
            assert_eq!(states(&rows).iter().filter(|state| **state == KeyState::Prepublished).count(), 1);
        }
        assert!(states(&rows).contains(&KeyState::Retired), "{:?}", states(&rows));
    }

    #[test]
    fn revoking_the_signing_key_promotes_the_next() {
        let mut rows = Vec::new();
        apply(&mut rows, rotate(&[], 1, 10).unwrap());
        let active = KeySet::new(&rows).active().unwrap().kid.clone();
        let changed = revoke(&rows, &active, 2, 10).unwrap();
        apply(&mut rows, changed);
        let set = KeySet::new(&rows);
        assert_ne!(set.active().unwrap().kid, active);
        assert!(!set.get(&active).unwrap().verifies(2));
        assert!(!String::from_utf8(set.jwks.to_vec()).unwrap().contains(&active));
        assert!(revoke(&rows, "unknown", 2, 10).is_none());
    }

    #[test]
    fn attack_8_grace_verifies_until_it_ends_and_retired_never() {
        let mut row = generate(KeyState::Grace, 1).unwrap();
        row.grace_until = Some(100);
        let set = KeySet::new(&[row.clone()]);
        assert!(set.keys()[0].verifies(99));
        assert!(!set.keys()[0].verifies(100));
        row.state = KeyState::Retired;
        assert!(!KeySet::new(&[row]).keys()[0].verifies(1));
    }

    #[test]
    fn the_document_holds_no_private_member() {
        let set = KeySet::new(&rotate(&[], 1, 10).unwrap());
        let document: serde_json::Value = serde_json::from_slice(&set.jwks).unwrap();
        let keys = document["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.iter().all(|key| key.get("d").is_none() && key["alg"] == "ES256" && key["kty"] == "EC"));
    }
}
