//! Proof types: values that only the successful check can build, so that skipping the check does not compile.
//!
//! They are facts about *this* request and are consumed or borrowed by the decisions that rely on them.

use crate::bitcoin_token::Scheme;
use crate::client_auth::AuthMethod;
use crate::{UnixMillis, UnixSeconds};

/// The caller is this client. Built by [`crate::client_auth`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClientAuthenticated {
    client_id: String,
    method: AuthMethod,
}

impl ClientAuthenticated {
    pub(crate) fn new(client_id: &str, method: AuthMethod) -> Self {
        Self { client_id: client_id.to_owned(), method }
    }

    /// Which client.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// How it authenticated; [`AuthMethod::None`] means it is public and proved nothing.
    pub fn method(&self) -> AuthMethod {
        self.method
    }
}

/// This request, and no other, redeemed the code: the commit that marked it held.
/// Built by [`crate::flow::token_code::Redeem::committed`] only.
#[derive(Debug)]
#[must_use]
pub struct CodeBurned(pub(crate) ());

/// The verifier matches the challenge of the code. Built by [`crate::pkce::check`] only.
#[derive(Debug)]
#[must_use]
pub struct PkceMatched(pub(crate) ());

/// The bearer of this request holds the private key: a fresh bitcoin-auth token verified.
/// Built by [`crate::bitcoin_token::Checked::conclude`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct KeyProven {
    pub(crate) pubkey: [u8; 33],
    pub(crate) scheme: Scheme,
    pub(crate) timestamp_ms: UnixMillis,
    pub(crate) body_bound: bool,
}

impl KeyProven {
    /// The compressed public key.
    pub fn pubkey(&self) -> &[u8; 33] {
        &self.pubkey
    }

    /// The same in lower-case hex.
    pub fn pubkey_hex(&self) -> String {
        hex::encode(self.pubkey)
    }

    /// Which scheme was used.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The time the signer wrote.
    pub fn timestamp_ms(&self) -> UnixMillis {
        self.timestamp_ms
    }

    /// True if the signature covers the body as received; false if it covers the request without its body.
    pub fn body_bound(&self) -> bool {
        self.body_bound
    }
}

/// A thing that may happen once. The holder must commit it as "expect absent" together with the effect it guards;
/// a conflict on it means replay, and the effect must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "without the insert-if-absent the request can be replayed"]
pub struct ReplayKey {
    /// Purpose-separated SHA-256: the storage key.
    pub digest: [u8; 32],
    /// When it may be forgotten.
    pub expires_at: UnixSeconds,
}
