//! Browser sessions: sign-in by API and by page, get-session, sign-out (sigma.md 2.4).

use assay_oauth::bitcoin_token::BodyHash;
use assay_oauth::flow::bitcoin_login::{self, SignInBody, SignInError};
use assay_oauth::flow::session as session_flow;
use assay_oauth::form::Form;
use assay_oauth::secret::sha256;
use assay_storage::Commit;
use assay_storage::record::Level;
use assay_storage::schema::{Sessions, SessionsBySid};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, ORIGIN, SET_COOKIE};
use http::request::Parts;

use super::client::commit_failure;
use super::sign_in::{self, Demand, NewSession, Refused};
use super::{bitcoin, page, person};
use crate::core::Shared;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::state::revoke::{keep_until, put_revocation};

/// `POST /api/auth/sign-in/sigma`: a session cookie for whoever proves a key.
pub async fn post_sign_in(call: Call) -> Result<Answer, Failure> {
    match api_sign_in(&call).await {
        Ok(answer) => Ok(answer),
        Err(Refused::Failure(failure)) => Err(failure),
        Err(Refused::SignIn(error)) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
            Err(Failure::Answer(Box::new(response::json(status, error.to_json()))))
        }
    }
}

async fn api_sign_in(call: &Call) -> Result<Answer, Refused> {
    let token = bitcoin::presented(&call.head.headers)?.ok_or(SignInError::NoAuthToken)?;
    let body = SignInBody::parse(&call.body).map_err(|_| SignInError::InvalidBody)?;
    let path = bitcoin::signed_path(&call.head);
    let demand = sign_in::demand(path, &call.body, &body, body.sign_in_fallback());
    let (user, session) = start_session(call, token, demand, body.bap_id.as_deref()).await?;
    let answer = bitcoin_login::sign_in_response(&user, session.token.expose());
    Ok(with_cookie(call, response::json(StatusCode::OK, answer), &session)?)
}

async fn start_session(
    call: &Call,
    token: &str,
    demand: Demand<'_>,
    bap_id: Option<&str>,
) -> Result<(assay_oauth::facts::UserFacts, NewSession), Refused> {
    let generation = call.core.shared.store.applied_seq().0;
    let proven = sign_in::prove(call, token, demand).await?;
    let mut session = sign_in::new_session(call, generation)?;
    let (user, ()) = sign_in::complete(call, proven, bap_id, Some(&mut session), |_, _| Ok(())).await?;
    Ok((user, session))
}

fn with_cookie(call: &Call, mut answer: Answer, session: &NewSession) -> Result<Answer, Failure> {
    answer.headers_mut().append(SET_COOKIE, sign_in::cookie(&call.core.shared, session)?);
    Ok(answer)
}

/// `GET /api/auth/get-session`: the session and its user, or `null`.
pub async fn get_session(call: Call) -> Result<Answer, Failure> {
    let body = match person::signed_in(&call).await? {
        Some(signed_in) => Bytes::from(session_flow::render(&signed_in.session, &signed_in.user, &signed_in.token.0)),
        None => Bytes::from_static(session_flow::NO_SESSION),
    };
    Ok(response::json(StatusCode::OK, body))
}

/// `POST /api/auth/sign-out`: ends the session, and with it every token that carries its `sid`.
pub async fn post_sign_out(call: Call) -> Result<Answer, Failure> {
    let shared = &call.core.shared;
    require_same_origin(shared, &call.head)?;
    if let Some(signed_in) = person::signed_in(&call).await? {
        let mut commit = Commit::new(shared.tenant, call.now());
        commit.delete::<Sessions>(&sha256(signed_in.token.0.as_bytes()));
        commit.delete::<SessionsBySid>(&signed_in.session.sid);
        let (sid, reason) = (&signed_in.session.sid, Some("signed out".to_owned()));
        put_revocation(&mut commit, Level::Session, sid, reason, call.now(), keep_until(call.now()));
        shared.store.commit(commit).await.map_err(commit_failure)?;
    }
    let mut answer = response::json(StatusCode::OK, Bytes::from_static(session_flow::SIGNED_OUT));
    for line in session_flow::clear_cookies(shared.config.cookies_are_secure()) {
        if let Ok(line) = HeaderValue::from_str(&line) {
            answer.headers_mut().append(SET_COOKIE, line);
        }
    }
    Ok(answer)
}

/// `GET /sign-in`: the page. Its query is the authorization request to go on with.
pub async fn get_page(call: Call) -> Result<Answer, Failure> {
    let resume = call.head.uri.query().unwrap_or_default();
    Ok(page::sign_in(StatusCode::OK, call.head.uri.path(), resume, None))
}

/// `POST /sign-in`: a pasted token. Signed for this path, without a body: a token cannot cover the form it stands in.
pub async fn post_page(call: Call) -> Result<Answer, Failure> {
    require_same_origin(&call.core.shared, &call.head)?;
    let form = Form::parse(&call.body)?;
    let token = form.get("token").unwrap_or_default().trim().to_owned();
    let resume = form.get("resume").unwrap_or_default().to_owned();
    let path = call.head.uri.path();
    let demand = Demand { path, body: BodyHash::Empty, fallback_body: None, challenge: None };
    match start_session(&call, &token, demand, None).await {
        Ok((user, session)) => {
            let answer = if resume.is_empty() {
                page::signed_in(&user.name)
            } else {
                response::redirect(&format!("/authorize?{resume}"))
            };
            with_cookie(&call, answer, &session)
        }
        Err(Refused::Failure(failure)) => Err(failure),
        Err(Refused::SignIn(error)) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
            let why = "That token was not accepted. Sign a fresh one for the path below and try again.";
            Err(Failure::Answer(Box::new(page::sign_in(status, path, &resume, Some(why)))))
        }
    }
}

/// Refuses a cookie-authenticated POST that another site's page sent. Browsers always name the origin of a POST;
/// command-line clients name none, and have no cookies that another site could ride on.
pub fn require_same_origin(shared: &Shared, head: &Parts) -> Result<(), Failure> {
    let Some(origin) = head.headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let same = origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority == host);
    if same || shared.is_trusted_origin(origin) { Ok(()) } else { Err(forbidden_origin()) }
}

fn forbidden_origin() -> Failure {
    Failure::Answer(Box::new(response::json(
        StatusCode::FORBIDDEN,
        Bytes::from_static(
            b"{\"error\":\"access_denied\",\"error_description\":\"the request comes from an untrusted origin\"}",
        ),
    )))
}
