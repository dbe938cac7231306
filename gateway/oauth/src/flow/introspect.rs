//! Introspection (oauth.md §3): is this token active now, and may this caller know.
//!
//! What the bytes prove is cached by the gateway; [`judge`] runs on every call, over one snapshot of the revocations.

use crate::UnixSeconds;
use crate::bitcoin_identity;
use crate::bitcoin_token::{BodyHash, Scheme};
use crate::encoding::hex_lower_array;
use crate::error::OAuthError;
use crate::facts::{ClientFacts, TenantFacts, UserFacts};
use crate::form::Form;
use crate::jose::access::{AccessClaims, SubjectType};
use crate::jose::writer::{ObjectWriter, push_string};
use crate::limits::INTROSPECTION_MAX_AGE_SECONDS_MAX;
use crate::proof::KeyProven;
use crate::revocation::{Holder, RevocationView};

/// The one inactive answer: malformed, expired, unknown, revoked and foreign tokens are indistinguishable.
pub const INACTIVE: &[u8] = br#"{"active":false}"#;

/// A batch item we could not look at: fail closed, but distinguishable.
pub const INACTIVE_UNAVAILABLE: &[u8] = br#"{"active":false,"error":"temporarily_unavailable"}"#;

/// Why a token is inactive; for metrics and tests, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inactive {
    /// Client disabled or gone.
    Client,
    /// Past its `exp`.
    Expired,
    /// Older than a not-before generation.
    Generation,
    /// Another issuer's.
    Issuer,
    /// Signing key retired, revoked or unknown.
    Key,
    /// `nbf` or `iat` in the future.
    NotYet,
    /// This token was revoked.
    Revoked,
    /// Another tenant's.
    Tenant,
}

/// Active if and only if every condition of oauth.md §3 holds *now*. No leeway: these are our own tokens.
///
/// # Errors
/// The first condition that fails.
pub fn judge(
    claims: &AccessClaims,
    kid: &str,
    tenant: &TenantFacts,
    view: &impl RevocationView,
    now: UnixSeconds,
) -> Result<(), Inactive> {
    if claims.iss != tenant.issuer {
        return Err(Inactive::Issuer);
    }
    if claims.tid != tenant.tid {
        return Err(Inactive::Tenant);
    }
    if now >= claims.exp {
        return Err(Inactive::Expired);
    }
    if claims.iat > now || claims.nbf.is_some_and(|nbf| nbf > now) {
        return Err(Inactive::NotYet);
    }
    if !view.key_usable(kid) {
        return Err(Inactive::Key);
    }
    if view.jti_revoked(&claims.jti) {
        return Err(Inactive::Revoked);
    }
    if !view.client_enabled(&claims.client_id) {
        return Err(Inactive::Client);
    }
    let holder = Holder {
        tid: &claims.tid,
        client_id: Some(&claims.client_id),
        user_id: (claims.sty == SubjectType::User).then_some(claims.sub.as_str()),
        sid: claims.sid.as_deref(),
    };
    if holder.is_revoked(claims.generation, view) {
        return Err(Inactive::Generation);
    }
    Ok(())
}

/// True if this authenticated caller may learn about the token: it is the issuing client, or a resource server
/// registered for one of the audiences. Everybody else gets [`INACTIVE`] (attack 78).
pub fn may_see(caller: &ClientFacts, claims: &AccessClaims) -> bool {
    caller.client_id == claims.client_id
        || caller.introspect && claims.aud.iter().any(|audience| serves(caller, audience, &claims.iss))
}

/// A resource server registered without audiences serves the issuer itself, which is where tokens without a
/// `resource` go.
fn serves(caller: &ClientFacts, audience: &str, issuer: &str) -> bool {
    if caller.audiences.is_empty() { audience == issuer } else { caller.audiences.iter().any(|own| own == audience) }
}

/// The active answer, rendered once per token from its claims; the hot path copies these bytes.
pub fn render_active(claims: &AccessClaims) -> Vec<u8> {
    let mut out = ObjectWriter::with_capacity(512);
    out.bool("active", true)
        .string("iss", &claims.iss)
        .string("sub", &claims.sub)
        .strings("aud", &claims.aud)
        .string("client_id", &claims.client_id)
        .string("scope", &claims.scope)
        .string("token_type", "Bearer")
        .integer("exp", claims.exp)
        .integer("iat", claims.iat)
        .integer_opt("nbf", claims.nbf)
        .string("jti", &claims.jti)
        .string("tid", &claims.tid)
        .string("sty", claims.sty.as_str());
    claims.write_principal(&mut out);
    out.finish().into_bytes()
}

/// Appends one answer to a batch, with the item's `id` if it had one.
pub fn push_batch_item(out: &mut Vec<u8>, answer: &[u8], id: Option<&str>) {
    match (id, answer) {
        (Some(id), [members @ .., b'}']) => {
            out.extend_from_slice(members);
            out.extend_from_slice(b",\"id\":");
            let mut text = String::with_capacity(id.len() + 2);
            push_string(&mut text, id);
            out.extend_from_slice(text.as_bytes());
            out.push(b'}');
        }
        _ => out.extend_from_slice(answer),
    }
}

/// `Cache-Control` of an active answer to this caller.
pub fn cache_control(caller: &ClientFacts, exp: UnixSeconds, now: UnixSeconds) -> Option<u64> {
    let opted = caller.introspection_max_age.filter(|seconds| *seconds > 0)?;
    Some(opted.min(INTROSPECTION_MAX_AGE_SECONDS_MAX).min(exp.saturating_sub(now)))
}

/// What is asked.
#[derive(Clone, Copy)]
pub enum Request<'a> {
    /// An access token (any other hint is ignored: attack 80).
    Token(&'a str),
    /// A bitcoin-auth token that a user of the resource server sent it.
    Bitcoin(BitcoinRequest<'a>),
}

/// See [`Request::Bitcoin`].
#[derive(Clone, Copy)]
pub struct BitcoinRequest<'a> {
    /// The token.
    pub token: &'a str,
    /// The path the resource server was serving.
    pub request_path: &'a str,
    /// Hash of the body it received.
    pub body: BodyHash,
    /// Refuse a second use.
    pub single_use: bool,
}

impl<'a> Request<'a> {
    /// Reads a form.
    ///
    /// # Errors
    /// `invalid_request` without a token, or with unreadable bitcoin-auth parameters.
    pub fn parse(form: &'a Form<'a>) -> Result<Self, OAuthError> {
        let token = form.require("token")?;
        Self::new(
            token,
            form.get("token_type_hint"),
            form.get("request_path"),
            form.get("body_sha256"),
            match form.get("single_use") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(OAuthError::invalid_request("single_use must be true or false")),
            },
        )
    }

    /// Builds a request from its members (a batch item has the same ones).
    ///
    /// # Errors
    /// `invalid_request` for unreadable bitcoin-auth parameters.
    pub fn new(
        token: &'a str,
        hint: Option<&str>,
        request_path: Option<&'a str>,
        body_sha256: Option<&str>,
        single_use: bool,
    ) -> Result<Self, OAuthError> {
        if hint != Some("bitcoin-auth") {
            return Ok(Self::Token(token));
        }
        let request_path = request_path.ok_or_else(|| OAuthError::invalid_request("request_path is required"))?;
        let body = match body_sha256 {
            None => BodyHash::Empty,
            Some(hex) => BodyHash::Sha256(
                hex_lower_array(hex.as_bytes())
                    .ok_or_else(|| OAuthError::invalid_request("body_sha256 must be 64 lower-case hex digits"))?,
            ),
        };
        Ok(Self::Bitcoin(BitcoinRequest { token, request_path, body, single_use }))
    }
}

/// True if this caller may have bitcoin-auth tokens judged: a resource server.
pub fn may_judge_bitcoin(caller: &ClientFacts) -> bool {
    caller.introspect
}

/// The active answer for a bitcoin-auth token; `user` is whoever signs in with that key, if anybody.
/// A suspended user's key is inactive: answer [`INACTIVE`].
pub fn render_bitcoin(key: &KeyProven, user: Option<&UserFacts>) -> Vec<u8> {
    if user.is_some_and(|user| user.suspended) {
        return INACTIVE.to_vec();
    }
    let scheme = match key.scheme() {
        Scheme::Brc77 => "brc77",
        Scheme::Bsm => "bsm",
    };
    let mut out = ObjectWriter::new();
    out.bool("active", true)
        .string("token_type", "bitcoin-auth")
        .string("pubkey", &key.pubkey_hex())
        .string("address", &bitcoin_identity::address(key.pubkey()))
        .string("scheme", scheme)
        .integer("iat", key.timestamp_ms().max(0).unsigned_abs() / 1000)
        .string_opt("sub", user.map(|user| user.user_id.as_str()));
    out.finish().into_bytes()
}

#[cfg(test)]
mod tests;
