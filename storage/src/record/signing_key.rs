//! A key that signs tokens, from before its first use until after its last token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A signing key with its private half.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// The JWS algorithm.
    pub alg: String,
    /// The private key, PKCS #8 DER.
    #[serde(with = "hex::serde")]
    pub pkcs8: Vec<u8>,
    /// The public point's x, base64url.
    pub public_x: String,
    /// The public point's y, base64url.
    pub public_y: String,
    /// What it may be used for now.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixSeconds,
    /// When it began signing.
    pub activated_at: Option<UnixSeconds>,
    /// Until when its signatures are accepted after it stopped signing.
    pub grace_until: Option<UnixSeconds>,
}

/// What a signing key may be used for, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, not signing yet.
    Prepublished,
    /// Signs.
    Active,
    /// Signs no more, its tokens still verify.
    Grace,
    /// No longer published.
    Retired,
    /// Its tokens are dead.
    Revoked,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .field("activated_at", &self.activated_at)
            .field("grace_until", &self.grace_until)
            .finish_non_exhaustive()
    }
}
