//! `POST /introspect`: is this token good, right now?

use assay_oauth::bitcoin_token::{Expect, Freshness};
use assay_oauth::client_auth::{missing_credentials, require_confidential, strip_scheme};
use assay_oauth::error::OAuthError;
use assay_oauth::facts::ClientFacts;
use assay_oauth::flow::introspect::{self, BitcoinRequest, INACTIVE, Request};
use assay_oauth::form::Form;
use assay_oauth::proof::ReplayKey;
use assay_storage::{Commit, CommitError};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

use super::access_token::{self, Verified};
use super::client::{self, commit_failure};
pub use super::introspect_batch::post_batch;
use super::{bitcoin, mint, person};
use crate::admission::Class;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::request::{X_AUTH_TOKEN, single_header};
use crate::http::response::{self, Answer};
use crate::http::routes::Handling;
use crate::state::client::Client;

const JWT_MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// Answers RFC 7662, or RFC 9701 when the caller wants it signed.
pub fn post(call: Call) -> Handling {
    match answer_at_once(&call) {
        Some(answer) => Handling::Now(answer),
        None => Handling::from(judge(call)),
    }
}

/// The hot path: a client with a secret asks about a token whose bytes were verified before. Nothing to wait for, so
/// nothing to allocate; everything else, refusals among it, is [`judge`]'s.
fn answer_at_once(call: &Call) -> Option<Result<Answer, Failure>> {
    let form = Form::parse(&call.body).ok()?;
    let caller = client::authenticate_at_once(call, &form)?;
    let Ok(Request::Token(token)) = Request::parse(&form) else { return None };
    let verified = access_token::known(&call.core, token.as_bytes(), call.now())?;
    Some(
        call.charge_subject(Class::Introspect, "client:", &caller.facts.client_id, 1)
            .and_then(|()| answer_token(call, &caller.facts, Some(&verified))),
    )
}

async fn judge(call: Call) -> Result<Answer, Failure> {
    let form = Form::parse(&call.body)?;
    let caller = caller(&call, &form).await?;
    call.charge_subject(Class::Introspect, "client:", &caller.facts.client_id, 1)?;
    match Request::parse(&form)? {
        Request::Token(token) => {
            let verified = access_token::verify(&call.core, token.as_bytes(), call.now()).await?;
            answer_token(&call, &caller.facts, verified.as_deref())
        }
        Request::Bitcoin(request) => {
            let body = judge_bitcoin(&call, &caller.facts, request).await?;
            answer(&call, &caller.facts, body.into(), None)
        }
    }
}

fn answer_token(call: &Call, caller: &ClientFacts, verified: Option<&Verified>) -> Result<Answer, Failure> {
    match verified.filter(|verified| is_active(call, caller, verified)) {
        Some(verified) => {
            let max_age = introspect::cache_control(caller, verified.claims.exp, call.now());
            answer(call, caller, verified.active_answer.clone(), max_age)
        }
        None => answer(call, caller, Bytes::from_static(INACTIVE), None),
    }
}

/// Whether this caller may learn that the token is active, and it is.
pub fn is_active(call: &Call, caller: &ClientFacts, verified: &Verified) -> bool {
    let shared = &call.core.shared;
    let view = shared.directory.view(shared.tenant, call.now());
    introspect::judge(&verified.claims, &verified.kid, &shared.tenant_facts, &view, call.now()).is_ok()
        && introspect::may_see(caller, &verified.claims)
}

/// Who asks: an authenticated confidential client, or the client of a bearer token with scope `introspect`.
pub async fn caller(call: &Call, form: &Form<'_>) -> Result<Arc<Client>, Failure> {
    let authorization = single_header(&call.head.headers, &AUTHORIZATION)?;
    let Some(bearer) = authorization.and_then(|value| strip_scheme(value, "bearer")) else {
        if authorization.is_none() && !has_credentials(call, form) {
            return Err(missing_credentials().into());
        }
        let authenticated = client::authenticate_by(call, form, authorization).await?;
        require_confidential(&authenticated.proof)?;
        return Ok(authenticated.client);
    };
    let invalid = || Failure::Bearer { error: Some(OAuthError::invalid_token("Invalid access token")) };
    let shared = &call.core.shared;
    let verified = access_token::verify(&call.core, bearer.as_bytes(), call.now()).await?.ok_or_else(invalid)?;
    let view = shared.directory.view(shared.tenant, call.now());
    introspect::judge(&verified.claims, &verified.kid, &shared.tenant_facts, &view, call.now())
        .map_err(|_| invalid())?;
    if !verified.claims.has_scope("introspect") {
        return Err(invalid());
    }
    shared.directory.client(shared.tenant, &verified.claims.client_id).ok_or_else(invalid)
}

fn has_credentials(call: &Call, form: &Form<'_>) -> bool {
    call.head.headers.contains_key(&X_AUTH_TOKEN)
        || form.get("client_secret").is_some()
        || form.get("client_assertion").is_some()
}

/// Judges a Bitcoin-auth token that a user of the resource server sent to it.
async fn judge_bitcoin(call: &Call, caller: &ClientFacts, request: BitcoinRequest<'_>) -> Result<Vec<u8>, Failure> {
    if !introspect::may_judge_bitcoin(caller) {
        return Ok(INACTIVE.to_vec());
    }
    let paths = [request.request_path];
    let expect = bitcoin_expect(call, &request, &paths);
    let Ok((key, replay)) = bitcoin::prove(&call.core, request.token.as_bytes(), &expect).await? else {
        return Ok(INACTIVE.to_vec());
    };
    if request.single_use && !use_once(call, caller, &replay).await? {
        return Ok(INACTIVE.to_vec());
    }
    let shared = &call.core.shared;
    let (tenant, pubkey) = (shared.tenant, *key.pubkey());
    let user = shared.store.read(call.now(), move |reader| person::user_by_pubkey(reader, tenant, &pubkey)).await?;
    Ok(introspect::render_bitcoin(&key, user.as_ref()))
}

/// What a Bitcoin-auth token must be for, as the resource server states it.
pub fn bitcoin_expect<'a>(call: &Call, request: &BitcoinRequest<'_>, paths: &'a [&'a str]) -> Expect<'a> {
    Expect {
        paths,
        body: request.body,
        fallback_body: None,
        freshness: Freshness::Window,
        now_ms: i64::try_from(call.now_ms).unwrap_or(i64::MAX),
    }
}

/// Burns a token for this resource server; false when it was used before. Separate servers have separate memories: one
/// must not be able to use up what was sent to another.
pub async fn use_once(call: &Call, caller: &ClientFacts, replay: &ReplayKey) -> Result<bool, Failure> {
    let shared = &call.core.shared;
    let mut scoped = Vec::with_capacity(64 + caller.client_id.len());
    scoped.extend_from_slice(b"assay replay: introspected\0");
    scoped.extend_from_slice(&replay.digest);
    scoped.extend_from_slice(caller.client_id.as_bytes());
    let replay = ReplayKey { digest: assay_oauth::secret::sha256(&scoped), expires_at: replay.expires_at };
    let mut commit = Commit::new(shared.tenant, call.now());
    bitcoin::use_once(&mut commit, &replay);
    match shared.store.commit(commit).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(commit_failure(error)),
    }
}

fn answer(call: &Call, caller: &ClientFacts, body: Bytes, max_age: Option<u64>) -> Result<Answer, Failure> {
    let wants_jwt = caller.introspection_signed_response_alg.is_some() || accepts_jwt(&call.head.headers);
    let mut answer = if wants_jwt {
        let signed = mint::introspection(&call.core.shared, &caller.client_id, call.now(), &body)?;
        let mut answer = response::json(StatusCode::OK, signed);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JWT_MEDIA_TYPE));
        answer
    } else {
        response::json(StatusCode::OK, body)
    };
    if let Some(max_age) = max_age {
        answer.headers_mut().insert(CACHE_CONTROL, response::number_header("private, max-age=", max_age));
        answer.headers_mut().remove("pragma");
    }
    Ok(answer)
}

fn accepts_jwt(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JWT_MEDIA_TYPE))
    })
}
