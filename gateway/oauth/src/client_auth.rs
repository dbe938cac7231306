//! Client authentication at the token, introspection and revocation endpoints (oauth.md §2, sigma.md 2.3).
//!
//! [`Credentials::read`] finds the one method the request uses; [`Credentials::check`] holds it against the registration;
//! methods that need a signature come back as something pending, which the engine's verdict concludes.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::bitcoin_token::{self, BodyHash, Checked, Expect, Freshness};
use crate::client_assertion::{Assertion, JWT_BEARER};
use crate::encoding::base64_decode_padding_optional;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::{ClientFacts, SecretFacts};
use crate::form::{self, Form};
use crate::jose::jwk::Jwk;
use crate::limits::{CLIENT_ID_BYTES_MAX, CLIENT_SECRET_BYTES_MAX};
use crate::proof::{ClientAuthenticated, ReplayKey};
use crate::{UnixMillis, UnixSeconds};

/// A registered `token_endpoint_auth_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// Bitcoin signature over the form with the registered key.
    BitcoinSignature,
    /// HTTP Basic.
    ClientSecretBasic,
    /// Secret in the form.
    ClientSecretPost,
    /// Public client.
    None,
    /// Signed assertion.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// All of them, for discovery.
    pub const ALL: [Self; 5] =
        [Self::BitcoinSignature, Self::ClientSecretBasic, Self::ClientSecretPost, Self::None, Self::PrivateKeyJwt];

    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BitcoinSignature => "bitcoin_signature",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Reads a registered name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// What a request presents, unchecked. Never shown by `Debug`.
pub struct Credentials<'a> {
    client_id: String,
    presented: Presented<'a>,
}

enum Presented<'a> {
    Assertion(Box<Assertion<'a>>),
    Basic(Vec<u8>),
    BitcoinToken(&'a str),
    Nothing,
    Post(&'a str),
}

/// The endpoint being called.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Issuer string, one acceptable audience of an assertion.
    pub issuer: &'a str,
    /// What paths are appended to in URLs; with [`Self::aliases`] the other acceptable audiences.
    pub base_url: &'a str,
    /// Path and query as received, which a Bitcoin signature names.
    pub path: &'a str,
    /// Paths of this endpoint: they may stand for [`Self::path`] in a signature.
    pub aliases: &'a [&'a str],
    /// Body as received: a Bitcoin signature covers it.
    pub raw_body: &'a [u8],
}

/// Result of [`Credentials::check`].
pub enum Step<'a> {
    /// No signature needed.
    Authenticated(ClientAuthenticated),
    /// Verify the assertion, then [`PendingAssertion::conclude`].
    VerifyAssertion(Box<PendingAssertion<'a>>),
    /// Verify the Bitcoin signature, then [`PendingBitcoin::conclude`] (or its fallback).
    VerifyBitcoin(PendingBitcoin),
}

/// An assertion waiting for its verdict.
pub struct PendingAssertion<'a> {
    client_id: String,
    assertion: Box<Assertion<'a>>,
    key: Jwk,
    signature: Vec<u8>,
    audiences: Vec<String>,
    now: UnixSeconds,
}

/// A Bitcoin signature waiting for its verdict.
pub struct PendingBitcoin {
    client_id: String,
    checked: Checked,
}

/// Value of `WWW-Authenticate` beside a 401 when Basic was used.
pub const BASIC_CHALLENGE: &str = r#"Basic realm="assay", charset="UTF-8""#;

impl<'a> Credentials<'a> {
    /// Finds the one authentication method of a request. `authorization` and `x_auth_token` are header values.
    /// A Bearer `authorization` is not client authentication and must not be passed in.
    ///
    /// # Errors
    /// `invalid_request` for two methods or none that names a client, `invalid_client` for unreadable credentials.
    pub fn read(
        authorization: Option<&'a str>,
        x_auth_token: Option<&'a str>,
        form: &'a Form<'_>,
    ) -> Result<Self, OAuthError> {
        let form_id = form.get("client_id");
        let secret = form.get("client_secret");
        let assertion = form.get("client_assertion");
        let assertion_type = form.get("client_assertion_type");
        let basic = authorization.and_then(|value| strip_scheme(value, "basic"));
        let bitcoin_header = authorization.and_then(|value| strip_scheme(value, "bitcoin-auth"));
        if authorization.is_some() && basic.is_none() && bitcoin_header.is_none() {
            return Err(OAuthError::invalid_client("unsupported authorization scheme"));
        }
        let methods = [
            basic.is_some(),
            bitcoin_header.is_some(),
            x_auth_token.is_some(),
            secret.is_some(),
            assertion.is_some() || assertion_type.is_some(),
        ];
        if methods.into_iter().filter(|used| *used).count() > 1 {
            return Err(OAuthError::invalid_request("more than one client authentication method"));
        }
        let missing_id = || OAuthError::invalid_request("Missing client_id in request body");
        let (client_id, presented) = if let Some(basic) = basic {
            let (id, secret) =
                parse_basic(basic).ok_or_else(|| OAuthError::invalid_client("malformed Basic credentials"))?;
            if form_id.is_some_and(|form_id| form_id != id) {
                return Err(OAuthError::invalid_request("client_id differs from the authenticated client"));
            }
            (id, Presented::Basic(secret.into_bytes()))
        } else if let Some(token) = bitcoin_header.or(x_auth_token) {
            (form_id.ok_or_else(missing_id)?.to_owned(), Presented::BitcoinToken(token))
        } else if let Some(text) = assertion {
            if assertion_type != Some(JWT_BEARER) {
                return Err(OAuthError::invalid_request("unknown client_assertion_type"));
            }
            let assertion = Assertion::parse(text)
                .map_err(|reject| OAuthError::invalid_client(format!("client assertion: {reject}")))?;
            let id = assertion.subject().to_owned();
            if form_id.is_some_and(|form_id| form_id != id) {
                return Err(OAuthError::invalid_client("client_id differs from the assertion"));
            }
            (id, Presented::Assertion(Box::new(assertion)))
        } else if assertion_type.is_some() {
            return Err(OAuthError::invalid_request("client_assertion is required"));
        } else if let Some(secret) = secret {
            (form_id.ok_or_else(missing_id)?.to_owned(), Presented::Post(secret))
        } else {
            (form_id.ok_or_else(missing_id)?.to_owned(), Presented::Nothing)
        };
        if client_id.is_empty() || client_id.len() > CLIENT_ID_BYTES_MAX {
            return Err(OAuthError::invalid_client("client authentication failed"));
        }
        Ok(Self { client_id, presented })
    }

    /// The client it claims to be: load this one.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// True if a 401 must carry [`BASIC_CHALLENGE`].
    pub fn used_basic(&self) -> bool {
        matches!(self.presented, Presented::Basic(_))
    }

    /// Holds the credentials against the registration; `client` is `None` when there is no such client.
    ///
    /// # Errors
    /// `invalid_client` with the texts of sigma.md 2.3.
    pub fn check(
        self,
        client: Option<&ClientFacts>,
        endpoint: &Endpoint<'_>,
        now_ms: UnixMillis,
    ) -> Result<Step<'a>, OAuthError> {
        let now = now_ms.max(0).unsigned_abs() / 1000;
        let failed = || OAuthError::invalid_client("client authentication failed");
        let Some(client) = client.filter(|client| client.enabled && client.client_id == self.client_id) else {
            // The same work as for a known client, so that time tells nothing (attack 54).
            if let Presented::Basic(secret) = &self.presented {
                let _ = secret_matches(&[SecretFacts { sha256: [0; 32], expires_at: None }], secret, now);
            }
            return Err(OAuthError::invalid_client(format!("OAuth client not registered: {}", self.client_id)));
        };
        let done = |method| Ok(Step::Authenticated(ClientAuthenticated::new(&client.client_id, method)));
        match (self.presented, client.auth_method) {
            (Presented::Basic(secret), AuthMethod::ClientSecretBasic) => {
                if secret_matches(&client.secrets, &secret, now) {
                    done(AuthMethod::ClientSecretBasic)
                } else {
                    Err(failed())
                }
            }
            (Presented::Post(secret), AuthMethod::ClientSecretPost) => {
                if secret_matches(&client.secrets, secret.as_bytes(), now) {
                    done(AuthMethod::ClientSecretPost)
                } else {
                    Err(failed())
                }
            }
            (Presented::Nothing, AuthMethod::None) => done(AuthMethod::None),
            (Presented::Nothing, AuthMethod::BitcoinSignature) => {
                Err(OAuthError::invalid_client("Missing X-Auth-Token header for client authentication"))
            }
            (Presented::Assertion(assertion), AuthMethod::PrivateKeyJwt) => {
                let key = assertion.choose_key(client).cloned().ok_or_else(failed)?;
                let signature = assertion.signature().map_err(|_| failed())?;
                let urls = endpoint.aliases.iter().map(|path| format!("{}{path}", endpoint.base_url));
                let audiences = std::iter::once(endpoint.issuer.to_owned()).chain(urls).collect();
                Ok(Step::VerifyAssertion(Box::new(PendingAssertion {
                    client_id: self.client_id,
                    assertion,
                    key,
                    signature,
                    audiences,
                    now,
                })))
            }
            (Presented::BitcoinToken(token), method) => {
                let checked = check_bitcoin(client, method, token, endpoint, now_ms)?;
                Ok(Step::VerifyBitcoin(PendingBitcoin { client_id: self.client_id, checked }))
            }
            // Another method than the registered one, a public client with a secret (attacks 64, 65).
            _ => Err(failed()),
        }
    }
}

/// The Bitcoin part of [`Credentials::check`], in the order of sigma.md 2.3.
fn check_bitcoin(
    client: &ClientFacts,
    method: AuthMethod,
    token: &str,
    endpoint: &Endpoint<'_>,
    now_ms: UnixMillis,
) -> Result<Checked, OAuthError> {
    let reserialised =
        Form::parse(endpoint.raw_body).ok().map(|form| BodyHash::of(form.to_url_search_params().as_bytes()));
    let paths: Vec<&str> = std::iter::once(endpoint.path).chain(endpoint.aliases.iter().copied()).collect();
    let expect = Expect {
        paths: &paths,
        body: BodyHash::of(endpoint.raw_body),
        // Sound because repeated parameters are refused: both readings mean the same request.
        fallback_body: reserialised,
        freshness: Freshness::Window,
        now_ms,
    };
    let checked = bitcoin_token::check(token.as_bytes(), &expect);
    if let Err(bitcoin_token::Reject::Malformed | bitcoin_token::Reject::BadScheme | bitcoin_token::Reject::BadPubkey) =
        checked
    {
        return Err(OAuthError::invalid_client("Invalid Bitcoin auth token format - unable to extract pubkey"));
    }
    let Some(pubkey) = client.pubkey else {
        return Err(OAuthError::invalid_client(format!(
            "Client {} has no account pubkey configured",
            client.client_id
        )));
    };
    if method != AuthMethod::BitcoinSignature {
        return Err(OAuthError::invalid_client("client authentication failed"));
    }
    let checked = checked.map_err(|_| bitcoin_signature_failed())?;
    if *checked.pubkey() != pubkey {
        return Err(OAuthError::invalid_client(
            "Signature pubkey does not match registered member key - check SIGMA_MEMBER_PRIVATE_KEY matches the public key registered for this OAuth client",
        ));
    }
    Ok(checked)
}

fn bitcoin_signature_failed() -> OAuthError {
    OAuthError::invalid_client("Bitcoin signature verification failed - signature expired or request body was modified")
}

impl PendingAssertion<'_> {
    /// The client's key to verify with.
    pub fn key(&self) -> &Jwk {
        &self.key
    }

    /// What the signature covers.
    pub fn signing_input(&self) -> &[u8] {
        self.assertion.signing_input()
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Claims after signature; the `jti` must then be inserted-if-absent (GHSA-3p3g-vpw6-4w66).
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn conclude(self, signature_verdict: bool) -> Result<(ClientAuthenticated, ReplayKey), OAuthError> {
        let failed = || OAuthError::invalid_client("client assertion not acceptable");
        if !signature_verdict {
            return Err(failed());
        }
        let audiences: Vec<&str> = self.audiences.iter().map(String::as_str).collect();
        let replay = self.assertion.decide(&self.client_id, &audiences, self.now).map_err(|_| failed())?;
        Ok((ClientAuthenticated::new(&self.client_id, AuthMethod::PrivateKeyJwt), replay))
    }
}

impl PendingBitcoin {
    /// What the engine must verify: the message first, then the fallback message.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Verdict over the message.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn conclude(&self, signature_verdict: bool) -> Result<(ClientAuthenticated, ReplayKey), OAuthError> {
        self.authenticated(self.checked.conclude(signature_verdict))
    }

    /// Verdict over the fallback message.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn conclude_fallback(&self, signature_verdict: bool) -> Result<(ClientAuthenticated, ReplayKey), OAuthError> {
        self.authenticated(self.checked.conclude_fallback(signature_verdict))
    }

    fn authenticated(
        &self,
        proven: Result<(crate::proof::KeyProven, ReplayKey), bitcoin_token::Reject>,
    ) -> Result<(ClientAuthenticated, ReplayKey), OAuthError> {
        let (_, replay) = proven.map_err(|_| bitcoin_signature_failed())?;
        Ok((ClientAuthenticated::new(&self.client_id, AuthMethod::BitcoinSignature), replay))
    }
}

/// Introspection and the client credentials grant are for clients that can prove who they are.
///
/// # Errors
/// `invalid_client` (401) for a public client.
pub fn require_confidential(client: &ClientAuthenticated) -> Result<(), OAuthError> {
    match client.method() {
        AuthMethod::None => Err(missing_credentials()),
        _ => Ok(()),
    }
}

/// The answer to a request without any client authentication where it is required (sigma.md 2.12).
pub fn missing_credentials() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, "missing required credentials")
}

/// The rest of a header value after a case-insensitive scheme and one or more spaces.
pub fn strip_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim_start_matches(' '))
}

/// RFC 6749 §2.3.1: base64 of form-encoded id, colon, form-encoded secret.
fn parse_basic(text: &str) -> Option<(String, String)> {
    let decoded = base64_decode_padding_optional(text.as_bytes())?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let id = form::decode(&decoded[..colon]).ok()?.into_owned();
    let secret = form::decode(&decoded[colon + 1..]).ok()?.into_owned();
    Some((id, secret))
}

/// Compares with every live secret, without stopping at a match, over hashes of equal length.
fn secret_matches(secrets: &[SecretFacts], presented: &[u8], now: UnixSeconds) -> bool {
    if presented.is_empty() || presented.len() > CLIENT_SECRET_BYTES_MAX {
        return false;
    }
    let hash: [u8; 32] = Sha256::digest(presented).into();
    secrets.iter().fold(false, |matched, secret| {
        let equal: bool = hash.ct_eq(&secret.sha256).into();
        let alive = secret.expires_at.is_none_or(|expires_at| now < expires_at);
        matched | (equal & alive)
    })
}

#[cfg(test)]
mod tests;
