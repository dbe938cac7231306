//! What the gateway knows when it asks for a decision: plain structs it fills from storage records.
//!
//! Nothing here is a credential in clear; secrets appear only as SHA-256 and stay out of `Debug`.

use crate::UnixSeconds;
use crate::client_auth::AuthMethod;
use crate::jose::jwk::JwkSet;

/// The scopes a client may ask for when it was registered without a list: what every Sigma client sends.
pub const DEFAULT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The client identifier of sign-ins that name no client (`POST /sigma/authorize` without a body).
pub const DIRECT_CLIENT_ID: &str = "direct";

/// One live client secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFacts {
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// From this moment it is refused.
    pub expires_at: Option<UnixSeconds>,
}

impl std::fmt::Debug for SecretFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFacts").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A registered client (application or resource server).
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Its identifier.
    pub client_id: String,
    /// Name shown on the consent page.
    pub name: String,
    /// At most [`crate::limits::CLIENT_SECRETS_MAX`] secrets.
    pub secrets: Vec<SecretFacts>,
    /// Registered redirect URIs, byte for byte.
    pub redirect_uris: Vec<String>,
    /// `grant_type` values it may use.
    pub grants: Vec<String>,
    /// Scopes it may ask for; empty means [`DEFAULT_SCOPES`].
    pub scope: Vec<String>,
    /// The one method it authenticates with.
    pub auth_method: AuthMethod,
    /// Compressed secp256k1 key for [`AuthMethod::BitcoinSignature`].
    pub pubkey: Option<[u8; 33]>,
    /// Keys for [`AuthMethod::PrivateKeyJwt`].
    pub jwks: JwkSet,
    /// Of an application: the resources it may ask tokens for. Of a resource server: the audiences it answers to.
    pub audiences: Vec<String>,
    /// It may introspect tokens of its audiences.
    pub introspect: bool,
    /// No consent page.
    pub first_party: bool,
    /// Loopback redirects may use any port.
    pub native: bool,
    /// Disabled clients are unknown clients.
    pub enabled: bool,
    /// Overrides the tenant's access token life.
    pub access_token_lifetime: Option<u64>,
    /// Seconds it may cache an introspection answer.
    pub introspection_max_age: Option<u64>,
    /// Set: introspection always answers it as a signed JWT (RFC 9701).
    pub introspection_signed_response_alg: Option<String>,
}

impl ClientFacts {
    /// The built-in first-party client of direct Bitcoin sign-ins that name none.
    pub fn direct() -> Self {
        Self {
            client_id: DIRECT_CLIENT_ID.to_owned(),
            name: "Direct sign-in".to_owned(),
            secrets: Vec::new(),
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            scope: Vec::new(),
            auth_method: AuthMethod::None,
            pubkey: None,
            jwks: JwkSet::default(),
            audiences: Vec::new(),
            introspect: false,
            first_party: true,
            native: false,
            enabled: true,
            access_token_lifetime: None,
            introspection_max_age: None,
            introspection_signed_response_alg: None,
        }
    }

    /// True if the client was registered for this `grant_type`.
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.grants.iter().any(|grant| grant == grant_type)
    }

    /// The scopes this client may ask for.
    pub fn allowed_scopes(&self) -> impl Iterator<Item = &str> {
        let registered = !self.scope.is_empty();
        self.scope.iter().map(String::as_str).chain(DEFAULT_SCOPES.into_iter().filter(move |_| !registered))
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    /// The `sub` of their tokens.
    pub user_id: String,
    /// Hex of the compressed key they sign in with.
    pub pubkey: String,
    /// Display name.
    pub name: String,
    /// Suspended people get nothing.
    pub suspended: bool,
    /// Their BAP identity, when bound.
    pub bap_id: Option<String>,
}

/// A browser session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its public identifier (`sid`), not the cookie's secret.
    pub sid: String,
    /// Whose it is.
    pub user_id: String,
    /// When it was created.
    pub created_at: UnixSeconds,
    /// When it ends.
    pub expires_at: UnixSeconds,
    /// When the person proved who they are.
    pub auth_time: UnixSeconds,
    /// How they proved it.
    pub amr: Vec<String>,
    /// Commit sequence number seen when it was created; see [`crate::revocation`].
    pub generation: u64,
    /// Address it was created from.
    pub ip: String,
    /// Browser it was created with.
    pub user_agent: String,
}

/// Somebody signed in: the session and its owner, loaded together.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn<'a> {
    /// The session.
    pub session: &'a SessionFacts,
    /// Its owner.
    pub user: &'a UserFacts,
}

/// What became of an authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeState {
    /// Not used yet.
    Issued,
    /// Used (or burned by a failed attempt); the access token minted from it, to be revoked if the code comes again.
    Redeemed {
        /// `jti` of that token; empty when the code was burned without minting one.
        jti: String,
        /// When that token expires anyway.
        access_expires_at: UnixSeconds,
    },
}

/// A stored authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFacts {
    /// The client it was issued to.
    pub client_id: String,
    /// The person who granted it.
    pub user_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The authorization request named that URI, so the token request must too.
    pub redirect_uri_given: bool,
    /// PKCE challenge (S256).
    pub code_challenge: Option<String>,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// OpenID Connect nonce.
    pub nonce: Option<String>,
    /// Session it came from.
    pub sid: Option<String>,
    /// When the person proved who they are.
    pub auth_time: UnixSeconds,
    /// How.
    pub amr: Vec<String>,
    /// Requested resources.
    pub resources: Vec<String>,
    /// Commit sequence number seen at issuance.
    pub generation: u64,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// Used or not.
    pub state: CodeState,
}

/// A remembered consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentFacts {
    /// What was agreed to.
    pub scopes: Vec<String>,
}

/// Settings of the tenant that decisions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFacts {
    /// The issuer string, byte for byte as tokens carry it.
    pub issuer: String,
    /// `tid` of its tokens.
    pub tid: String,
    /// Access token life unless the client has its own.
    pub access_token_lifetime: u64,
    /// Life of an id_token, in seconds.
    pub id_token_lifetime: u64,
    /// Life of an authorization code, in seconds.
    pub code_lifetime: u64,
    /// Unknown Bitcoin keys become users at first sign-in.
    pub implicit_sign_up: bool,
}

impl TenantFacts {
    /// What route paths are appended to: the issuer, without the `/api/auth` that better-auth's issuers end in.
    pub fn base_url(&self) -> &str {
        self.issuer.strip_suffix("/api/auth").unwrap_or(&self.issuer)
    }
}
