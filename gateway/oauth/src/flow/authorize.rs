//! The authorization endpoint (oauth.md §1): checks in the documented order, and where each failure goes.
//!
//! Until the redirect URI is known to be the client's, errors are a local page; after that they redirect.

use super::token;
use crate::UnixSeconds;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::{ClientFacts, CodeFacts, CodeState, ConsentFacts, SignedIn, TenantFacts};
use crate::form::{self, Form, percent_encode};
use crate::limits::{NONCE_BYTES_MAX, STATE_BYTES_MAX};
use crate::pkce;
use crate::redirect_uri;
use crate::revocation::{Holder, RevocationView};
use crate::scope;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Issue a code: store [`IssueCode::code_facts`], redirect to [`IssueCode::location`].
    IssueCode(Box<IssueCode>),
    /// Ask the person; on their answer call [`decide`] again with the consent, or [`IssueCode::denied`].
    NeedConsent(Box<IssueCode>),
    /// Let the person sign in, then come back with this query.
    NeedLogin {
        /// The same request, without the `prompt` values that the sign-in satisfies.
        resume_query: String,
    },
    /// Show the error here; never redirect.
    Page(OAuthError),
    /// 302 to this location.
    Redirect {
        /// Absolute URI with `error`, `state`, `iss`.
        location: String,
        /// What it says, for logs.
        error: OAuthError,
    },
}

/// An authorization that may become a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueCode {
    /// Client.
    pub client_id: String,
    /// Person.
    pub user_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// `state` as sent; `Some("")` for a present but empty one.
    pub state: Option<String>,
    /// Scopes to grant.
    pub scope: Vec<String>,
    /// Nonce for the id_token.
    pub nonce: Option<String>,
    /// PKCE challenge.
    pub code_challenge: String,
    /// Resources to grant.
    pub resources: Vec<String>,
    /// Session it comes from.
    pub sid: String,
    /// When the person proved who they are.
    pub auth_time: UnixSeconds,
    /// How.
    pub amr: Vec<String>,
    issuer: String,
    code_lifetime: u64,
}

/// Everything loaded for the decision.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The client named by `client_id`, if there is one.
    pub client: Option<&'a ClientFacts>,
    /// Who is signed in, if anybody.
    pub signed_in: Option<SignedIn<'a>>,
    /// What this person agreed to for this client.
    pub consent: Option<&'a ConsentFacts>,
    /// The tenant.
    pub tenant: &'a TenantFacts,
}

/// Decides one authorization request. A form that did not parse (repeated parameters) is [`Outcome::Page`] already.
pub fn decide(request: &Form<'_>, facts: Facts<'_>, view: &impl RevocationView, now: UnixSeconds) -> Outcome {
    // 1: the client. 2: the redirect URI. 3, repeated parameters, was refused by the form parser.
    let Some(client) =
        facts.client.filter(|client| client.enabled && request.get("client_id") == Some(client.client_id.as_str()))
    else {
        return Outcome::Page(
            OAuthError::new(ErrorCode::InvalidClient, "the client is unknown or disabled").with_status(400),
        );
    };
    let uri = match request.get("redirect_uri") {
        Some(uri) if redirect_uri::matches(&client.redirect_uris, uri, client.native) => uri,
        _ => return Outcome::Page(OAuthError::invalid_request("redirect_uri is missing or not registered")),
    };
    let state = request.present("state");
    if state.is_some_and(|state| state.len() > STATE_BYTES_MAX) {
        return Outcome::Page(OAuthError::invalid_request("state is too long"));
    }
    match decide_trusted(request, client, uri, state, facts, view, now) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Redirect { location: error_location(uri, &error, state, &facts.tenant.issuer), error },
    }
}

/// The checks whose failures redirect.
fn decide_trusted(
    request: &Form<'_>,
    client: &ClientFacts,
    uri: &str,
    state: Option<&str>,
    facts: Facts<'_>,
    view: &impl RevocationView,
    now: UnixSeconds,
) -> Result<Outcome, OAuthError> {
    if request.get("request").is_some() {
        return Err(OAuthError::new(ErrorCode::RequestNotSupported, "request objects are not supported"));
    }
    if request.get("request_uri").is_some() {
        return Err(OAuthError::new(ErrorCode::RequestUriNotSupported, "request_uri is not supported"));
    }
    if request.get("response_type") != Some("code") {
        return Err(OAuthError::new(ErrorCode::UnsupportedResponseType, "response_type must be code"));
    }
    if request.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(OAuthError::invalid_request("response_mode must be query"));
    }
    if !client.may_use("authorization_code") {
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client is not registered for this grant"));
    }
    let challenge = request.get("code_challenge");
    pkce::check_challenge(challenge, request.get("code_challenge_method"))?;
    let scope = scope::grant(request.get("scope"), client.allowed_scopes())?;
    let resources = token::resources(request, client)?;
    if request.get("nonce").is_some_and(|nonce| nonce.len() > NONCE_BYTES_MAX) {
        return Err(OAuthError::invalid_request("nonce is too long"));
    }
    let prompt = Prompt::parse(request.get("prompt"))?;
    let max_age = match request.get("max_age") {
        None => None,
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            Some(text.parse::<u64>().map_err(|_| OAuthError::invalid_request("max_age is malformed"))?)
        }
        Some(_) => return Err(OAuthError::invalid_request("max_age is malformed")),
    };
    if !matches!(request.get("provider"), None | Some("sigma")) {
        return Err(OAuthError::invalid_request("the provider is not enabled"));
    }

    let live = facts.signed_in.filter(|signed_in| is_live(signed_in, &facts.tenant.tid, view, now));
    let fresh = live
        .filter(|signed_in| max_age.is_none_or(|max_age| now.saturating_sub(signed_in.session.auth_time) <= max_age));
    let Some(signed_in) = fresh.filter(|_| !prompt.login) else {
        if prompt.none {
            return Err(OAuthError::new(ErrorCode::LoginRequired, "authentication required"));
        }
        return Ok(Outcome::NeedLogin { resume_query: resume_query(request) });
    };
    if signed_in.user.suspended {
        return Err(OAuthError::access_denied("the account is suspended"));
    }
    let issue = Box::new(IssueCode {
        client_id: client.client_id.clone(),
        user_id: signed_in.user.user_id.clone(),
        redirect_uri: uri.to_owned(),
        state: state.map(str::to_owned),
        scope,
        nonce: request.get("nonce").map(str::to_owned),
        code_challenge: challenge.unwrap_or_default().to_owned(),
        resources,
        sid: signed_in.session.sid.clone(),
        auth_time: signed_in.session.auth_time,
        amr: signed_in.session.amr.clone(),
        issuer: facts.tenant.issuer.clone(),
        code_lifetime: facts.tenant.code_lifetime,
    });
    let agreed = facts.consent.is_some_and(|consent| issue.scope.iter().all(|scope| consent.scopes.contains(scope)));
    if (client.first_party || agreed) && !prompt.consent {
        return Ok(Outcome::IssueCode(issue));
    }
    if prompt.none {
        return Err(OAuthError::new(ErrorCode::ConsentRequired, "consent required"));
    }
    Ok(Outcome::NeedConsent(issue))
}

/// True if the session has not expired and no level revoked it.
pub(crate) fn is_live(signed_in: &SignedIn<'_>, tid: &str, view: &impl RevocationView, now: UnixSeconds) -> bool {
    let session = signed_in.session;
    let holder = Holder { tid, client_id: None, user_id: Some(&session.user_id), sid: Some(&session.sid) };
    now < session.expires_at
        && session.user_id == signed_in.user.user_id
        && !holder.is_revoked(session.generation, view)
}

#[derive(Default)]
struct Prompt {
    none: bool,
    login: bool,
    consent: bool,
}

impl Prompt {
    fn parse(text: Option<&str>) -> Result<Self, OAuthError> {
        let mut prompt = Self::default();
        let mut count = 0;
        for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
            count += 1;
            match word {
                "none" => prompt.none = true,
                "consent" => prompt.consent = true,
                "login" | "select_account" | "create" => prompt.login = true,
                _ => return Err(OAuthError::invalid_request("prompt is not supported")),
            }
        }
        if prompt.none && count > 1 {
            return Err(OAuthError::invalid_request("prompt none cannot be combined"));
        }
        Ok(prompt)
    }
}

/// The request again, for after the sign-in: `prompt=login` would otherwise ask for ever.
fn resume_query(request: &Form<'_>) -> String {
    let mut out = String::new();
    for (name, value) in request.pairs() {
        if name == "prompt" {
            if value.split(' ').any(|word| word == "consent") {
                form::push_pair(&mut out, name, "consent");
            }
        } else {
            form::push_pair(&mut out, name, value);
        }
    }
    out
}

/// Appends parameters to a redirect URI, keeping the query it has.
fn location(uri: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut out = uri.to_owned();
    let mut separator = match uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push_str(separator);
            out.push_str(name);
            out.push('=');
            percent_encode(&mut out, value);
            separator = "&";
        }
    }
    out
}

fn error_location(uri: &str, error: &OAuthError, state: Option<&str>, issuer: &str) -> String {
    let parameters = [
        ("error", Some(error.code.as_str())),
        ("error_description", Some(&*error.description)),
        ("state", state),
        ("iss", Some(issuer)),
    ];
    location(uri, &parameters)
}

impl IssueCode {
    /// Where to send the browser with the code (attack 57: `iss` always).
    pub fn location(&self, code: &str) -> String {
        location(
            &self.redirect_uri,
            &[("code", Some(code)), ("state", self.state.as_deref()), ("iss", Some(&self.issuer))],
        )
    }

    /// Where to send the browser when the person said no.
    pub fn denied(&self) -> String {
        let error = OAuthError::access_denied("User denied access");
        error_location(&self.redirect_uri, &error, self.state.as_deref(), &self.issuer)
    }

    /// The row to store under the code's hash. `generation` is the applied sequence number read before the facts.
    pub fn code_facts(&self, generation: u64, now: UnixSeconds) -> CodeFacts {
        CodeFacts {
            client_id: self.client_id.clone(),
            user_id: self.user_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            redirect_uri_given: true,
            code_challenge: Some(self.code_challenge.clone()),
            scope: self.scope.clone(),
            nonce: self.nonce.clone(),
            sid: Some(self.sid.clone()),
            auth_time: self.auth_time,
            amr: self.amr.clone(),
            resources: self.resources.clone(),
            generation,
            expires_at: now + self.code_lifetime,
            state: CodeState::Issued,
        }
    }
}

#[cfg(test)]
mod tests;
