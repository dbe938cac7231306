//! `GET|POST /authorize` and the answer to the consent page (oauth.md §1, sigma.md 2.2).

use assay_oauth::error::OAuthError;
use assay_oauth::facts::{self, ConsentFacts};
use assay_oauth::flow::authorize::{self, Facts, IssueCode, Outcome};
use assay_oauth::form::Form;
use assay_oauth::secret::{Secret, SecretKind};
use assay_storage::Commit;
use assay_storage::key::ConsentKey;
use assay_storage::record::Consent;
use assay_storage::schema::{Codes, Consents};
use aws_lc_rs::hmac;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

use super::client::commit_failure;
use super::page;
use super::person::{self, SignedIn};
use super::session::require_same_origin;
use super::sign_in::code_record;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::limits::CODE_TOMBSTONE_S;
use crate::state::client::Client;

/// The request in the query.
pub async fn get(call: Call) -> Result<Answer, Failure> {
    let query = call.head.uri.query().unwrap_or_default().to_owned();
    answer(&call, query.as_bytes()).await
}

/// The request in a form.
pub async fn post(call: Call) -> Result<Answer, Failure> {
    let form = call.body.clone();
    answer(&call, &form).await
}

async fn answer(call: &Call, request: &[u8]) -> Result<Answer, Failure> {
    let form = match Form::parse(request) {
        Ok(form) => form,
        Err(error) => return Ok(error_page(&error)),
    };
    let generation = call.core.shared.store.applied_seq().0;
    let loaded = Loaded::load(call, &form).await?;
    match loaded.decide(call, &form) {
        Outcome::Page(error) => Ok(error_page(&error)),
        Outcome::Redirect { location, .. } => Ok(go(call, &location)),
        Outcome::NeedLogin { resume_query } => Ok(go(call, &sign_in_page(call, &resume_query))),
        Outcome::NeedConsent(issue) => {
            let query = String::from_utf8_lossy(request).into_owned();
            consent_page(call, &loaded, &issue, &query)
        }
        Outcome::IssueCode(issue) => {
            let location = issue_code(call, &issue, generation, None).await?;
            Ok(go(call, &location))
        }
    }
}

/// What a decision needs, loaded.
struct Loaded {
    client: Option<Arc<Client>>,
    signed_in: Option<SignedIn>,
    consent: Option<ConsentFacts>,
}

impl Loaded {
    async fn load(call: &Call, form: &Form<'_>) -> Result<Loaded, Failure> {
        let shared = &call.core.shared;
        let client = form.get("client_id").and_then(|id| shared.directory.client(shared.tenant, id));
        let signed_in = person::signed_in(call).await?;
        let consent = match (&client, &signed_in) {
            (Some(client), Some(signed_in)) => {
                let key =
                    ConsentKey { user_id: signed_in.user.user_id.clone(), client_id: client.record.client_id.clone() };
                let tenant = shared.tenant;
                shared.store.read(call.now(), move |reader| reader.get::<Consents>(tenant, &key)).await?
            }
            _ => None,
        };
        let consent = consent.map(|row| ConsentFacts { scopes: row.record.scopes });
        Ok(Loaded { client, signed_in, consent })
    }

    fn decide(&self, call: &Call, form: &Form<'_>) -> Outcome {
        let shared = &call.core.shared;
        let facts = Facts {
            client: self.client.as_deref().map(|client| &client.facts),
            signed_in: self
                .signed_in
                .as_ref()
                .map(|signed_in| facts::SignedIn { session: &signed_in.session, user: &signed_in.user }),
            consent: self.consent.as_ref(),
            tenant: &shared.tenant_facts,
        };
        authorize::decide(form, facts, &shared.directory.view(shared.tenant, call.now()), call.now())
    }
}

/// Stores a code, and the consent it rests on if that is new; returns where to send the browser.
async fn issue_code(
    call: &Call,
    issue: &IssueCode,
    generation: u64,
    consent: Option<&Consent>,
) -> Result<String, Failure> {
    let shared = &call.core.shared;
    let code = Secret::from_random(SecretKind::AuthorizationCode, &shared.random()?);
    let facts = issue.code_facts(generation, call.now());
    let mut commit = Commit::new(shared.tenant, call.now());
    commit.put_expiring::<Codes>(&code.sha256(), &code_record(&facts), facts.expires_at + CODE_TOMBSTONE_S);
    if let Some(consent) = consent {
        let key = ConsentKey { user_id: issue.user_id.clone(), client_id: issue.client_id.clone() };
        commit.put::<Consents>(&key, consent);
    }
    shared.store.commit(commit).await.map_err(commit_failure)?;
    Ok(issue.location(code.expose()))
}

/// A navigation follows a 302; a script's `fetch` cannot read one and gets the address as JSON (sigma.md 2.2).
fn go(call: &Call, location: &str) -> Answer {
    let is_fetch = call.head.headers.get("sec-fetch-mode").is_some_and(|mode| mode == "cors");
    if is_fetch {
        response::json_value(StatusCode::OK, &json!({ "redirect": true, "url": location }))
    } else {
        response::redirect(location)
    }
}

/// Where a browser without a session goes: our page, or the operator's own.
fn sign_in_page(call: &Call, resume_query: &str) -> String {
    format!("{}?{resume_query}", call.core.shared.config.signin_page)
}

fn error_page(error: &OAuthError) -> Answer {
    page::error(StatusCode::BAD_REQUEST, &error.description)
}

fn consent_page(call: &Call, loaded: &Loaded, issue: &IssueCode, query: &str) -> Result<Answer, Failure> {
    let Some(signed_in) = &loaded.signed_in else { return Err(Failure::Unavailable { what: "session" }) };
    let name = loaded.client.as_deref().map_or("", |client| client.facts.name.as_str());
    let host = issue.redirect_uri.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    let csrf = csrf(call, signed_in, query)?;
    Ok(page::consent(name, host, &issue.scope, query, &hex::encode(csrf)))
}

/// Ties a consent form to the session that was shown it and to the request it shows (attack 61).
fn csrf(call: &Call, signed_in: &SignedIn, query: &str) -> Result<[u8; 32], Failure> {
    let secret = person::cookie_secret(&call.core.shared)?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret));
    context.update(b"assay consent form\0");
    context.update(signed_in.token.0.as_bytes());
    context.update(b"\0");
    context.update(query.as_bytes());
    let tag = context.sign();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    Ok(bytes)
}

#[derive(Deserialize)]
struct ConsentBody {
    accept: bool,
    oauth_query: String,
}

/// `POST /consent`: the page's form, or Sigma's JSON.
pub async fn post_consent(call: Call) -> Result<Answer, Failure> {
    let Some(signed_in) = person::signed_in(&call).await? else {
        return Err(OAuthError::new(assay_oauth::error::ErrorCode::LoginRequired, "sign in first")
            .with_status(401)
            .into());
    };
    let is_form = call
        .head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let body = if is_form {
        let form = Form::parse(&call.body)?;
        let query = form.get("oauth_query").unwrap_or_default().to_owned();
        let expected = csrf(&call, &signed_in, &query)?;
        let given = form.get("csrf").and_then(|text| hex::decode(text).ok()).unwrap_or_default();
        if aws_lc_rs::constant_time::verify_slices_are_equal(&given, &expected).is_err() {
            return Err(Failure::Answer(Box::new(page::error(
                StatusCode::FORBIDDEN,
                "this form is not for your session",
            ))));
        }
        ConsentBody { accept: form.get("accept") == Some("true"), oauth_query: query }
    } else {
        // A cross-site page cannot send JSON without asking first, and we do not answer such questions kindly.
        crate::http::request::expect_media_type(&call.head.headers, "application/json")?;
        require_same_origin(&call.core.shared, &call.head)?;
        serde_json::from_slice(&call.body)
            .map_err(|_| Failure::invalid_request("the body must be {accept, oauth_query}"))?
    };
    let form = Form::parse(body.oauth_query.as_bytes())?;
    let generation = call.core.shared.store.applied_seq().0;
    let loaded = Loaded::load(&call, &form).await?;
    let location = match loaded.decide(&call, &form) {
        Outcome::Page(error) => return Ok(error_page(&error)),
        Outcome::Redirect { location, .. } => location,
        Outcome::NeedLogin { resume_query } => sign_in_page(&call, &resume_query),
        Outcome::NeedConsent(issue) | Outcome::IssueCode(issue) if !body.accept => issue.denied(),
        Outcome::NeedConsent(issue) | Outcome::IssueCode(issue) => {
            let mut scopes = loaded.consent.map(|consent| consent.scopes).unwrap_or_default();
            scopes.extend(issue.scope.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
            let consent = Consent { scopes, granted_at: call.now() };
            issue_code(&call, &issue, generation, Some(&consent)).await?
        }
    };
    if is_form {
        return Ok(response::redirect(&location));
    }
    Ok(response::json_value(StatusCode::OK, &json!({ "redirect": true, "uri": location, "url": location })))
}
