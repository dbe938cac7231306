//! `POST /token`: codes and client credentials into tokens.

use assay_oauth::facts::{CodeFacts, CodeState, UserFacts};
use assay_oauth::flow::client_credentials;
use assay_oauth::flow::issue::{IssueTokens, Mint};
use assay_oauth::flow::token::GrantType;
use assay_oauth::flow::token_code::{self, CodeFate, Facts, TokenByCode};
use assay_oauth::form::Form;
use assay_oauth::secret::{identifier, sha256};
use assay_storage::record::{self, Level};
use assay_storage::schema::Codes;
use assay_storage::{Commit, CommitError, Row};
use http::StatusCode;

use super::client::{self, Authenticated, commit_failure};
use super::{mint, person};
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::limits::{CODE_TOMBSTONE_S, COMMIT_ATTEMPTS_MAX};
use crate::state::revoke::put_revocation;

/// Grants tokens.
pub async fn post(call: Call) -> Result<Answer, Failure> {
    let form = Form::parse(&call.body)?;
    let grant = GrantType::of(&form)?;
    // Read before anything else: a revocation that lands while we work then finds the token older than itself.
    let generation = call.core.shared.store.applied_seq().0;
    let authenticated = client::authenticate(&call, &form).await?;
    let body = match grant {
        GrantType::ClientCredentials => {
            let tenant = &call.core.shared.tenant_facts;
            let issue = client_credentials::decide(&form, &authenticated.proof, authenticated.facts(), tenant)?;
            let minted = Minted::new(&call, &issue, generation)?;
            issue.response(&minted.access_token, None, call.now())
        }
        GrantType::AuthorizationCode => redeem(&call, &form, &authenticated, generation).await?,
    };
    Ok(response::json(StatusCode::OK, body))
}

struct Minted {
    access_token: String,
    id_token: Option<String>,
    jti: String,
    expires_at: u64,
}

impl Minted {
    fn new(call: &Call, issue: &IssueTokens, generation: u64) -> Result<Minted, Failure> {
        let shared = &call.core.shared;
        let jti = identifier("", &shared.random()?);
        let claims = issue.access_claims(&shared.tenant_facts, Mint { jti: &jti, generation, now: call.now() });
        let access_token = mint::access_token(shared, &claims)?;
        let id_token = match issue.id_claims(&shared.tenant_facts, call.now()) {
            Some(claims) => Some(mint::id_token(shared, &claims)?),
            None => None,
        };
        Ok(Minted { access_token, id_token, jti, expires_at: claims.exp })
    }
}

async fn redeem(
    call: &Call,
    form: &Form<'_>,
    authenticated: &Authenticated,
    generation: u64,
) -> Result<String, Failure> {
    let shared = &call.core.shared;
    GrantType::AuthorizationCode.require(authenticated.facts())?;
    let request = TokenByCode::parse(form)?;
    let key = sha256(request.code.as_bytes());
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let Some((row, user)) = load(call, key).await? else { return Err(token_code::unknown_code().into()) };
        let code = code_facts(&row.record);
        let facts =
            Facts { client: authenticated.facts(), code: &code, user: user.as_ref(), tenant: &shared.tenant_facts };
        let view = shared.directory.view(shared.tenant, call.now());
        let redeem = match token_code::decide(&request, &authenticated.proof, facts, &view, call.now()) {
            Ok(redeem) => redeem,
            Err(refused) => {
                settle(call, key, &row, refused.code).await?;
                return Err(refused.error.into());
            }
        };
        let minted = Minted::new(call, redeem.tokens(), generation)?;
        let state = record::CodeState::Redeemed { jti: minted.jti.clone(), access_expires_at: minted.expires_at };
        // The tombstone must outlive what it can still revoke: the code's replay window, and no longer.
        match burn(call, key, &row, state).await {
            Ok(()) => {
                let (issue, burned) = redeem.committed(true)?;
                let id_token = minted.id_token.as_deref();
                return Ok(token_code::response(&issue, &burned, &minted.access_token, id_token, call.now()));
            }
            Err(CommitError::Conflict { .. }) => drop(redeem.committed(false)),
            Err(error) => return Err(commit_failure(error)),
        }
    }
    Err(token_code::unknown_code().into())
}

async fn load(call: &Call, key: [u8; 32]) -> Result<Option<(Row<record::Code>, Option<UserFacts>)>, Failure> {
    let shared = &call.core.shared;
    let tenant = shared.tenant;
    let loaded = shared.store.read(call.now(), move |reader| {
        let Some(row) = reader.get::<Codes>(tenant, &key)? else { return Ok(None) };
        let user = person::user(reader, tenant, &row.record.user_id)?;
        Ok(Some((row, user)))
    });
    Ok(loaded.await?)
}

/// Marks the code used, if nobody was faster.
async fn burn(
    call: &Call,
    key: [u8; 32],
    row: &Row<record::Code>,
    state: record::CodeState,
) -> Result<(), CommitError> {
    let shared = &call.core.shared;
    let mut commit = Commit::new(shared.tenant, call.now());
    commit.expect_unchanged::<Codes>(&key, row.seq);
    let burned = record::Code { state, ..row.record.clone() };
    commit.put_expiring::<Codes>(&key, &burned, row.record.code_expires_at + CODE_TOMBSTONE_S);
    shared.store.commit(commit).await.map(drop)
}

/// Does to a refused code what the decision says, durably, before the refusal is answered.
async fn settle(call: &Call, key: [u8; 32], row: &Row<record::Code>, fate: CodeFate) -> Result<(), Failure> {
    let shared = &call.core.shared;
    match fate {
        CodeFate::Keep => Ok(()),
        CodeFate::Burn => {
            let state = record::CodeState::Redeemed { jti: String::new(), access_expires_at: 0 };
            match burn(call, key, row, state).await {
                // Whoever was faster has used or burned it: the same to us.
                Ok(()) | Err(CommitError::Conflict { .. }) => Ok(()),
                Err(error) => Err(commit_failure(error)),
            }
        }
        CodeFate::RevokeMinted { jti, expires_at } => {
            tracing::warn!("an authorization code was presented twice; the token of its first use is revoked");
            let mut commit = Commit::new(shared.tenant, call.now());
            put_revocation(
                &mut commit,
                Level::Jti,
                &jti,
                Some("code presented twice".to_owned()),
                call.now(),
                expires_at,
            );
            shared.store.commit(commit).await.map(drop).map_err(commit_failure)
        }
    }
}

fn code_facts(record: &record::Code) -> CodeFacts {
    CodeFacts {
        client_id: record.client_id.clone(),
        user_id: record.user_id.clone(),
        redirect_uri: record.redirect_uri.clone(),
        redirect_uri_given: record.redirect_uri_given,
        code_challenge: record.code_challenge.clone(),
        scope: record.scope.clone(),
        nonce: record.nonce.clone(),
        sid: record.sid.clone(),
        auth_time: record.auth_time,
        amr: record.amr.clone(),
        resources: record.resources.clone(),
        generation: record.r#gen,
        expires_at: record.code_expires_at,
        state: match &record.state {
            record::CodeState::Issued => CodeState::Issued,
            record::CodeState::Redeemed { jti, access_expires_at } => {
                CodeState::Redeemed { jti: jti.clone(), access_expires_at: *access_expires_at }
            }
        },
    }
}
