//! `POST /sigma/challenge` and `POST /sigma/authorize`: sign-in with a Bitcoin key, for tokens or for a code.

use assay_oauth::facts::DIRECT_CLIENT_ID;
use assay_oauth::flow::bitcoin_login::{self, Answer as Decision, SignInBody, SignInError, SignedInNow};
use assay_oauth::flow::challenge;
use assay_oauth::flow::issue::Mint;
use assay_oauth::secret::{Secret, SecretKind, identifier};
use assay_storage::schema::Codes;
use http::StatusCode;

use super::sign_in::{self, Refused};
use super::{bitcoin, mint};
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::limits::CODE_TOMBSTONE_S;

/// A fresh server nonce. Nothing is stored: an unauthenticated caller cannot make us write.
pub async fn post_challenge(call: Call) -> Result<Answer, Failure> {
    let shared = &call.core.shared;
    let secret = sign_in::challenge_secret(shared)?;
    let nonce = challenge::issue(&secret, &shared.tenant_facts.tid, &shared.random()?, call.now());
    Ok(response::json(StatusCode::OK, challenge::response(&nonce)))
}

/// Tokens, or a code when the body names a redirect URI and a challenge.
pub async fn post_authorize(call: Call) -> Result<Answer, Failure> {
    authorize(&call).await.map_err(|refused| match refused {
        Refused::SignIn(error) => Failure::OAuth(error.to_oauth()),
        Refused::Failure(failure) => failure,
    })
}

async fn authorize(call: &Call) -> Result<Answer, Refused> {
    let shared = &call.core.shared;
    let generation = shared.store.applied_seq().0;
    let body = SignInBody::parse(&call.body).map_err(Failure::from)?;
    let token = bitcoin::presented(&call.head.headers)?.ok_or(SignInError::NoAuthToken)?;
    let client_id = body.client_id.as_deref().unwrap_or(DIRECT_CLIENT_ID);
    let client = shared.directory.client(shared.tenant, client_id);
    let client = client.as_deref().map(|client| &client.facts);
    bitcoin_login::precheck(&body, client).map_err(Failure::from)?;
    let path = bitcoin::signed_path(&call.head);
    let demand = sign_in::demand(path, &call.body, &body, body.authorize_fallback());
    let proven = sign_in::prove(call, token, demand).await?;
    let key = proven.key.clone();

    let code = Secret::from_random(SecretKind::AuthorizationCode, &shared.random()?);
    let (_user, decision) = sign_in::complete(call, proven, body.bap_id.as_deref(), None, |user, commit| {
        let who = SignedInNow { user: user.clone(), sid: None, now: call.now() };
        let decision = bitcoin_login::authorize(&key, &body, client, &shared.tenant_facts, who, generation)?;
        if let Decision::Code(direct) = &decision {
            let record = sign_in::code_record(&direct.facts);
            commit.put_expiring::<Codes>(&code.sha256(), &record, direct.facts.expires_at + CODE_TOMBSTONE_S);
        }
        Ok(decision)
    })
    .await?;
    Ok(match decision {
        Decision::Code(direct) => response::json(StatusCode::OK, direct.response(code.expose())),
        Decision::Tokens(issue) => {
            let jti = identifier("", &shared.random()?);
            let claims = issue.access_claims(&shared.tenant_facts, Mint { jti: &jti, generation, now: call.now() });
            let access_token = mint::access_token(shared, &claims)?;
            let id_token = match issue.id_claims(&shared.tenant_facts, call.now()) {
                Some(claims) => Some(mint::id_token(shared, &claims)?),
                None => None,
            };
            let body = bitcoin_login::token_response(&issue, &access_token, id_token.as_deref(), call.now());
            response::json(StatusCode::OK, body)
        }
    })
}
