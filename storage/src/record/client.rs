//! A registered application.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A registered application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its public identifier.
    pub client_id: String,
    /// What people see.
    pub name: String,
    /// Live secrets; two while one is being rotated.
    pub secrets: Vec<ClientSecret>,
    /// Exact redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Grants it may use, by their OAuth names.
    pub grants: Vec<String>,
    /// Scope values it may ask for.
    pub scope: Vec<String>,
    /// How it authenticates, by the name in OAuth's registry.
    pub auth_method: String,
    /// Its Bitcoin public key, 33 bytes in hex.
    pub pubkey: Option<String>,
    /// Its keys for `private_key_jwt`.
    pub jwks: Option<serde_json::Value>,
    /// Audiences it may ask tokens for, or introspect tokens of.
    pub audiences: Vec<String>,
    /// Whether it may introspect.
    pub introspect: bool,
    /// Whether consent is not asked for.
    pub first_party: bool,
    /// Whether it is a native application (loopback redirects with any port).
    pub native: bool,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// Seconds its access tokens live, when not the default.
    pub access_token_lifetime: Option<u64>,
    /// Seconds it may cache an introspection answer, when it may.
    pub introspection_max_age: Option<u64>,
    /// Algorithm of signed introspection answers, when it wants them signed.
    pub introspection_signed_response_alg: Option<String>,
    /// When it was registered.
    pub created_at: UnixSeconds,
    /// When it was last changed.
    pub updated_at: UnixSeconds,
}

/// One secret of a client: only its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// SHA-256 of the secret.
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: UnixSeconds,
    /// When it stops working.
    pub expires_at: Option<UnixSeconds>,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientSecret { sha256: _, created_at, expires_at } = self;
        f.debug_struct("ClientSecret")
            .field("created_at", created_at)
            .field("expires_at", expires_at)
            .finish_non_exhaustive()
    }
}
