//! An authorization code: what it was issued for, and whether it has been used.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// What an authorization code stands for. The row outlives the code, so that a second use is seen and answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The client it was issued to.
    pub client_id: String,
    /// The user who consented.
    pub user_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// Whether the authorization request named the redirect URI, so that the token request must repeat it.
    pub redirect_uri_given: bool,
    /// The PKCE challenge.
    pub code_challenge: Option<String>,
    /// Scope values granted.
    pub scope: Vec<String>,
    /// The OpenID Connect nonce.
    pub nonce: Option<String>,
    /// The session it came from.
    pub sid: Option<String>,
    /// When the user authenticated.
    pub auth_time: UnixSeconds,
    /// How the user authenticated.
    pub amr: Vec<String>,
    /// Resources asked for.
    pub resources: Vec<String>,
    /// The generation at issuance: revocations after it kill what the code would mint.
    pub r#gen: u64,
    /// When the code stops working.
    pub code_expires_at: UnixSeconds,
    /// Whether it has been used.
    pub state: CodeState,
}

/// Whether a code has been used, and what its use minted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeState {
    /// Waits for its one use.
    Issued,
    /// Used; a second use revokes this token.
    Redeemed {
        /// The access token it minted.
        jti: String,
        /// When that token ends by itself.
        access_expires_at: UnixSeconds,
    },
}

// The nonce is replayable in an id_token, the challenge pairs with a verifier: neither belongs in a log.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("client_id", &self.client_id)
            .field("user_id", &self.user_id)
            .field("scope", &self.scope)
            .field("code_expires_at", &self.code_expires_at)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
