//! Sign-in by Bitcoin signature: `POST /sigma/authorize` and `POST /api/auth/sign-in/sigma` (sigma.md 2.4, 2.5).
//!
//! Order: body → token check → curve → [`resolve`] the person → session, tokens or code. The [`KeyProven`] that
//! [`resolve`] asks for exists only after the curve agreed.

use super::challenge;
use super::issue::{IssueTokens, Person};
use crate::UnixSeconds;
use crate::bitcoin_identity;
use crate::bitcoin_token::{BodyHash, Reject};
use crate::client_auth::strip_scheme;
use crate::encoding::base64url;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::{ClientFacts, CodeFacts, CodeState, TenantFacts, UserFacts};
use crate::form::percent_encode;
use crate::jose::claims::AMR_POP;
use crate::jose::json::{self, Value};
use crate::jose::writer::ObjectWriter;
use crate::limits::{NONCE_BYTES_MAX, SIGN_IN_BODY_BYTES_MAX, STATE_BYTES_MAX};
use crate::pkce;
use crate::proof::KeyProven;
use crate::redirect_uri;
use crate::scope;

/// The token of a signed request, from whichever header carries it (sigma.md 1.2).
///
/// # Errors
/// `invalid_request` when both do.
pub fn token_in_headers<'a>(
    x_auth_token: Option<&'a str>,
    authorization: Option<&'a str>,
) -> Result<Option<&'a str>, OAuthError> {
    match (x_auth_token, authorization.and_then(|value| strip_scheme(value, "bitcoin-auth"))) {
        (Some(_), Some(_)) => Err(OAuthError::invalid_request("more than one Bitcoin auth token")),
        (one, other) => Ok(one.or(other)),
    }
}

/// JSON body of a Bitcoin sign-in; all members optional, the body itself too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInBody {
    /// Client to issue to; absent means the built-in direct client.
    pub client_id: Option<String>,
    /// With `code_challenge`: answer a code instead of tokens.
    pub redirect_uri: Option<String>,
    /// See `redirect_uri`.
    pub code_challenge: Option<String>,
    /// Must be `S256` when given.
    pub code_challenge_method: Option<String>,
    /// Requested scopes.
    pub scope: Option<String>,
    /// A server challenge (`as_ch_…`) or an OpenID Connect nonce.
    pub nonce: Option<String>,
    /// Returned with the code.
    pub state: Option<String>,
    /// Identity the person wants to sign in as.
    pub bap_id: Option<String>,
    is_empty: bool,
}

impl SignInBody {
    /// Reads a body; an absent one and `{}` say nothing. Members we do not know are ignored, `null` counts as absent.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let mut read = Self { is_empty: true, ..Self::default() };
        if body.is_empty() {
            return Ok(read);
        }
        if body.len() > SIGN_IN_BODY_BYTES_MAX {
            return Err(OAuthError::invalid_request("body too large").with_status(413));
        }
        let mut bap_id_again = None;
        let result = json::object(body, |name, value| {
            read.is_empty = false;
            let slot = match name {
                "client_id" => &mut read.client_id,
                "redirect_uri" => &mut read.redirect_uri,
                "code_challenge" => &mut read.code_challenge,
                "code_challenge_method" => &mut read.code_challenge_method,
                "scope" => &mut read.scope,
                "nonce" => &mut read.nonce,
                "state" => &mut read.state,
                "bapId" => &mut read.bap_id,
                "bap_id" => &mut bap_id_again,
                _ => return Ok(()),
            };
            if value != Value::Null {
                *slot = Some(value.string()?.into_owned());
            }
            Ok(())
        });
        if result.is_err() || read.bap_id.is_some() && bap_id_again.is_some() && read.bap_id != bap_id_again {
            return Err(OAuthError::invalid_request("the body is not a JSON object of strings"));
        }
        read.bap_id = read.bap_id.or(bap_id_again).filter(|id| !id.is_empty());
        let too_long = |text: &Option<String>, max: usize| text.as_ref().is_some_and(|text| text.len() > max);
        if too_long(&read.nonce, NONCE_BYTES_MAX) || too_long(&read.state, STATE_BYTES_MAX) {
            return Err(OAuthError::invalid_request("nonce or state is too long"));
        }
        Ok(read)
    }

    /// The nonce, if it is meant to be a server challenge: check it with [`challenge::check`], and when it holds use
    /// [`crate::bitcoin_token::Freshness::ServerNonce`] — then only a signature over the body counts.
    pub fn challenge(&self) -> Option<&str> {
        self.nonce.as_deref().filter(|nonce| challenge::is_challenge(nonce))
    }

    /// `/sigma/authorize`: an empty object may have been signed as no body. A body that says where the code goes must
    /// be signed itself.
    pub fn authorize_fallback(&self) -> Option<BodyHash> {
        self.is_empty.then_some(BodyHash::Empty)
    }

    /// `/api/auth/sign-in/sigma`: the body only selects an identity that is checked against the key anyway, so a
    /// signature without it is as good (sigma.md 2.4).
    pub fn sign_in_fallback(&self) -> Option<BodyHash> {
        self.challenge().is_none().then_some(BodyHash::Empty)
    }
}

/// A refusal at sign-in, in better-auth's shape or in OAuth's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignInError {
    /// The identity is bound to another key.
    BapOwnershipFailed,
    /// Body unreadable.
    InvalidBody,
    /// Token unreadable.
    InvalidFormat,
    /// Token stale, replayed, for another path, or not verifying: one answer for all.
    InvalidSignature,
    /// No token.
    NoAuthToken,
    /// The identity is not known: enroll first.
    RestoreProfileNotFound,
    /// The account is suspended.
    Suspended,
    /// The key is not known and implicit sign-up is off.
    UserNotFound,
}

impl SignInError {
    /// HTTP status on `/api/auth/sign-in/sigma`.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidBody | Self::InvalidFormat => 400,
            Self::InvalidSignature | Self::NoAuthToken => 401,
            Self::BapOwnershipFailed | Self::RestoreProfileNotFound | Self::Suspended | Self::UserNotFound => 403,
        }
    }

    /// Body on `/api/auth/sign-in/sigma`.
    pub fn to_json(self) -> String {
        let (code, message) = match self {
            Self::BapOwnershipFailed => ("BAP_OWNERSHIP_FAILED", "The identity belongs to another key"),
            Self::InvalidBody => ("VALIDATION_ERROR", "Invalid request body"),
            Self::InvalidFormat => ("INVALID_AUTH_TOKEN_FORMAT", "Invalid auth token format"),
            Self::InvalidSignature => ("INVALID_AUTH_TOKEN_SIGNATURE", "Invalid auth token signature"),
            Self::NoAuthToken => ("NO_AUTH_TOKEN_PROVIDED", "No auth token provided"),
            Self::RestoreProfileNotFound => ("RESTORE_PROFILE_NOT_FOUND", "The identity is not known here"),
            Self::Suspended => ("ACCOUNT_SUSPENDED", "The account is suspended"),
            Self::UserNotFound => ("USER_NOT_FOUND", "Account not found. Sign up is required before signing in."),
        };
        ObjectWriter::new().string("code", code).string("message", message).finish()
    }

    /// The same on `/sigma/authorize`: every fault of the token is one 401 (oauth.md §18, attacks 124–130).
    pub fn to_oauth(self) -> OAuthError {
        match self {
            Self::InvalidBody => OAuthError::invalid_request("Invalid request body"),
            Self::InvalidFormat | Self::InvalidSignature => OAuthError::invalid_token("Invalid Bitcoin auth token"),
            Self::NoAuthToken => OAuthError::invalid_token("No auth token provided"),
            Self::Suspended => OAuthError::access_denied("the account is suspended").with_status(403),
            Self::BapOwnershipFailed => {
                OAuthError::access_denied("the identity belongs to another key").with_status(403)
            }
            Self::RestoreProfileNotFound => {
                OAuthError::access_denied("the identity is not known here").with_status(403)
            }
            Self::UserNotFound => {
                OAuthError::new(ErrorCode::SignupRequired, "Account not found. Sign up is required before signing in.")
            }
        }
    }
}

impl From<Reject> for SignInError {
    /// What the original cannot even split is a format error; everything else is the one signature answer.
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Malformed | Reject::BadScheme => Self::InvalidFormat,
            _ => Self::InvalidSignature,
        }
    }
}

/// Who holds an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingFacts {
    /// Hex of the key it is bound to.
    pub pubkey: String,
}

/// Who is signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The person of this key.
    Known {
        /// Bind this identity to the key: it follows from the key and nobody has it.
        bind_bap_id: Option<String>,
    },
    /// A new person, to be created in the same commit (`expect_absent` on the key).
    New(NewUser),
}

/// See [`Who::New`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Hex of the key.
    pub pubkey: String,
    /// Mainnet address, the name until they choose one.
    pub name: String,
    /// Their identity by rule 1, unless somebody holds it.
    pub bap_id: Option<String>,
}

/// Finds the person of a proven key. `user` is looked up by the key; `binding` by the `bapId` of the body, or, without
/// one, by [`bitcoin_identity::bap_id`] of the key.
///
/// # Errors
/// See [`SignInError`].
pub fn resolve(
    key: &KeyProven,
    bap_id: Option<&str>,
    user: Option<&UserFacts>,
    binding: Option<&BindingFacts>,
    tenant: &TenantFacts,
) -> Result<Who, SignInError> {
    let pubkey = key.pubkey_hex();
    let own_id = bitcoin_identity::bap_id(key.pubkey());
    let held_by_other = binding.is_some_and(|binding| binding.pubkey != pubkey);
    if let Some(wanted) = bap_id {
        if held_by_other {
            return Err(SignInError::BapOwnershipFailed);
        }
        if binding.is_none() && wanted != own_id {
            return Err(SignInError::RestoreProfileNotFound);
        }
    }
    match user {
        Some(user) if user.suspended => Err(SignInError::Suspended),
        Some(_) => {
            let bind_bap_id = bap_id.filter(|_| binding.is_none()).map(str::to_owned);
            Ok(Who::Known { bind_bap_id })
        }
        None if !tenant.implicit_sign_up => Err(SignInError::UserNotFound),
        None => {
            let bap_id = match bap_id {
                Some(wanted) => Some(wanted.to_owned()),
                None => (!held_by_other).then_some(own_id),
            };
            Ok(Who::New(NewUser { pubkey, name: bitcoin_identity::address(key.pubkey()), bap_id }))
        }
    }
}

/// Session in which a sign-in happened, as far as tokens mention it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInNow {
    /// The person (just created or known).
    pub user: UserFacts,
    /// Session created by the same commit, if any.
    pub sid: Option<String>,
    /// Our clock.
    pub now: UnixSeconds,
}

/// What `/sigma/authorize` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A code for the client's redirect URI.
    Code(Box<DirectCode>),
    /// Tokens at once.
    Tokens(Box<IssueTokens>),
}

/// See [`Answer::Code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectCode {
    /// The row to store under the code's hash; set `generation` is the caller's.
    pub facts: CodeFacts,
    /// `state` to return.
    pub state: Option<String>,
    issuer: String,
}

/// Decides `/sigma/authorize` once the person is known. `client` is the one the body names ([`ClientFacts::direct`] if
/// none). The signature over the body is the person's consent. `generation` as in [`super::issue::Mint`].
///
/// # Errors
/// `invalid_client`, `invalid_request`, `invalid_scope`, `unauthorized_client`.
pub fn authorize(
    _key: &KeyProven,
    body: &SignInBody,
    client: Option<&ClientFacts>,
    tenant: &TenantFacts,
    who: SignedInNow,
    generation: u64,
) -> Result<Answer, OAuthError> {
    let client = require_client(body, client)?;
    let scope = scope::grant(body.scope.as_deref(), client.allowed_scopes())?;
    let amr = vec![AMR_POP.to_owned()];
    let nonce = body.nonce.clone().filter(|nonce| !nonce.is_empty());
    let Some((uri, challenge)) = code_request(body, client)? else {
        let person = Person { user: who.user, sid: who.sid, auth_time: who.now, amr, nonce };
        let issue = IssueTokens::new(client, tenant, Some(person), scope, Vec::new());
        return Ok(Answer::Tokens(Box::new(issue)));
    };
    let facts = CodeFacts {
        client_id: client.client_id.clone(),
        user_id: who.user.user_id,
        redirect_uri: uri.to_owned(),
        redirect_uri_given: true,
        code_challenge: Some(challenge.to_owned()),
        scope,
        nonce,
        sid: who.sid,
        auth_time: who.now,
        amr,
        resources: Vec::new(),
        generation,
        expires_at: who.now + tenant.code_lifetime,
        state: CodeState::Issued,
    };
    Ok(Answer::Code(Box::new(DirectCode { facts, state: body.state.clone(), issuer: tenant.issuer.clone() })))
}

/// Checks what of the body does not depend on the person, so that nothing is created for a request that must fail.
///
/// # Errors
/// As [`authorize`].
pub fn precheck(body: &SignInBody, client: Option<&ClientFacts>) -> Result<(), OAuthError> {
    let client = require_client(body, client)?;
    scope::grant(body.scope.as_deref(), client.allowed_scopes())?;
    code_request(body, client).map(|_| ())
}

fn require_client<'a>(body: &SignInBody, client: Option<&'a ClientFacts>) -> Result<&'a ClientFacts, OAuthError> {
    client
        .filter(|client| client.enabled && body.client_id.as_ref().is_none_or(|id| *id == client.client_id))
        .ok_or_else(|| OAuthError::invalid_client("OAuth client not registered").with_status(400))
}

fn code_request<'a>(body: &'a SignInBody, client: &ClientFacts) -> Result<Option<(&'a str, &'a str)>, OAuthError> {
    let (Some(uri), Some(challenge)) = (&body.redirect_uri, &body.code_challenge) else {
        return match (&body.redirect_uri, &body.code_challenge) {
            (None, None) => Ok(None),
            _ => Err(OAuthError::invalid_request("redirect_uri and code_challenge go together")),
        };
    };
    if !redirect_uri::matches(&client.redirect_uris, uri, client.native) {
        return Err(OAuthError::invalid_request("redirect_uri is not registered"));
    }
    // This route never had a plain method, so an absent one is S256.
    pkce::check_challenge(Some(challenge), Some(body.code_challenge_method.as_deref().unwrap_or("S256")))?;
    if !client.may_use("authorization_code") {
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client is not registered for this grant"));
    }
    Ok(Some((uri, challenge)))
}

impl DirectCode {
    /// Body of the answer: `redirect` is where the app goes with it.
    pub fn response(&self, code: &str) -> String {
        let mut redirect = self.facts.redirect_uri.clone();
        let mut separator = if redirect.contains('?') { '&' } else { '?' };
        for (name, value) in [("code", Some(code)), ("state", self.state.as_deref()), ("iss", Some(&*self.issuer))] {
            if let Some(value) = value {
                redirect.push(separator);
                redirect.push_str(name);
                redirect.push('=');
                percent_encode(&mut redirect, value);
                separator = '&';
            }
        }
        ObjectWriter::new()
            .string("redirect", &redirect)
            .string("code", code)
            .string_opt("state", self.state.as_deref())
            .string("iss", &self.issuer)
            .integer("expires_in", self.facts.expires_at.saturating_sub(self.facts.auth_time))
            .finish()
    }
}

/// Body of a token answer of `/sigma/authorize`: the token response plus the person.
pub fn token_response(issue: &IssueTokens, access_token: &str, id_token: Option<&str>, now: UnixSeconds) -> String {
    let mut out = issue.write_response(access_token, id_token, now);
    if let Some(person) = &issue.person {
        let user = ObjectWriter::new()
            .string("pubkey", &person.user.pubkey)
            .string_opt("bapId", person.user.bap_id.as_deref())
            .finish();
        out.raw("user", &user);
    }
    out.finish()
}

/// Body of a successful `/api/auth/sign-in/sigma`.
pub fn sign_in_response(user: &UserFacts, session_token: &str) -> String {
    let user = ObjectWriter::new()
        .string("id", &user.user_id)
        .string("pubkey", &user.pubkey)
        .string("name", &user.name)
        .finish();
    ObjectWriter::new().string("token", session_token).raw("user", &user).finish()
}

/// The challenge an app would send for a verifier; here so that tests and the command line need no second copy.
pub fn s256(verifier: &str) -> String {
    base64url(crate::secret::sha256(verifier.as_bytes()))
}

#[cfg(test)]
mod tests;
