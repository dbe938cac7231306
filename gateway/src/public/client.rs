//! Client authentication for every route that demands it.

use std::rc::Rc;
use std::sync::Arc;

use assay_engine::{Job, JwsAlgorithm};
use assay_oauth::client_auth::{Credentials, Endpoint, PendingAssertion, PendingBitcoin, Step, require_confidential};
use assay_oauth::error::OAuthError;
use assay_oauth::facts::ClientFacts;
use assay_oauth::form::Form;
use assay_oauth::proof::{ClientAuthenticated, ReplayKey};
use assay_oauth::secret::sha256;
use assay_storage::{Commit, CommitError};
use bytes::Bytes;
use http::header::AUTHORIZATION;

use super::bitcoin::{self, ask};
use crate::core::Core;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::request::{X_AUTH_TOKEN, single_header};
use crate::state::client::{Client, verify_key};

/// A client that has proven to be itself.
pub struct Authenticated {
    /// Its record.
    pub client: Arc<Client>,
    /// The proof that decisions demand.
    pub proof: ClientAuthenticated,
}

impl Authenticated {
    /// What decisions read of it.
    #[must_use]
    pub fn facts(&self) -> &ClientFacts {
        &self.client.facts
    }
}

/// Authenticates the client of a form request.
///
/// # Errors
/// `invalid_client` (with a Basic challenge when Basic was used), `invalid_request` for two methods at once, or
/// "unavailable" when the engine or the store could not look.
pub async fn authenticate(call: &Call, form: &Form<'_>) -> Result<Authenticated, Failure> {
    authenticate_by(call, form, single_header(&call.head.headers, &AUTHORIZATION)?).await
}

/// A confidential client whose proof needs neither engine nor store: its secret. `None` for everything else, refusals
/// among it: [`authenticate`] says why.
pub fn authenticate_at_once(call: &Call, form: &Form<'_>) -> Option<Arc<Client>> {
    let headers = &call.head.headers;
    let authorization = single_header(headers, &AUTHORIZATION).ok()?;
    let x_auth_token = single_header(headers, &X_AUTH_TOKEN).ok()?;
    let shared = &call.core.shared;
    // Only a header that stands alone: beside other credentials it is for `Credentials::read` to judge.
    let alone = x_auth_token.is_none() && CREDENTIALS_IN_FORM.iter().all(|name| form.present(name).is_none());
    let digest = authorization.filter(|_| alone).map(|header| sha256(header.as_bytes()));
    if let Some(digest) = &digest {
        let current = |client_id: &str| shared.directory.client(shared.tenant, client_id);
        if let Some(client) = call.core.proven.borrow().get(digest, call.now(), current) {
            return Some(client);
        }
    }
    let credentials = Credentials::read(authorization, x_auth_token, form).ok()?;
    let client = shared.directory.client(shared.tenant, credentials.client_id())?;
    let step = credentials.check(Some(&client.facts), &endpoint(call), unix_ms(call)).ok()?;
    let Step::Authenticated(proof) = step else { return None };
    require_confidential(&proof).ok()?;
    if let Some(digest) = digest {
        call.core.proven.borrow_mut().insert(digest, &client, call.now());
    }
    Some(client)
}

/// Parameters that name a client or prove something about it.
const CREDENTIALS_IN_FORM: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// [`authenticate`] for a caller that has read the `Authorization` header already.
///
/// # Errors
/// As [`authenticate`].
pub async fn authenticate_by(
    call: &Call,
    form: &Form<'_>,
    authorization: Option<&str>,
) -> Result<Authenticated, Failure> {
    let x_auth_token = single_header(&call.head.headers, &X_AUTH_TOKEN)?;
    let credentials = Credentials::read(authorization, x_auth_token, form)?;
    let used_basic = credentials.used_basic();
    check(call, credentials).await.map_err(|failure| match failure {
        Failure::OAuth(error) if used_basic => Failure::OAuthBasic(error),
        other => other,
    })
}

async fn check(call: &Call, credentials: Credentials<'_>) -> Result<Authenticated, Failure> {
    let core = &call.core;
    let shared = &core.shared;
    let client = shared.directory.client(shared.tenant, credentials.client_id());
    let step = credentials.check(client.as_deref().map(|client| &client.facts), &endpoint(call), unix_ms(call))?;
    let (proof, replay) = match step {
        Step::Authenticated(proof) => (proof, None),
        Step::VerifyAssertion(pending) => {
            let verdict = verify_assertion(core, &pending).await?;
            let (proof, replay) = pending.conclude(verdict)?;
            (proof, Some(replay))
        }
        Step::VerifyBitcoin(pending) => {
            let (proof, replay) = verify_bitcoin(core, &pending).await?;
            (proof, Some(replay))
        }
    };
    if let Some(replay) = replay {
        burn(call, &replay).await?;
    }
    let client = client.ok_or(Failure::Unavailable { what: "client" })?; // `check` refused an absent client above
    Ok(Authenticated { client, proof })
}

fn endpoint(call: &Call) -> Endpoint<'_> {
    let tenant = &call.core.shared.tenant_facts;
    Endpoint {
        issuer: &tenant.issuer,
        base_url: tenant.base_url(),
        path: bitcoin::signed_path(&call.head),
        aliases: call.route.paths,
        raw_body: &call.body,
    }
}

fn unix_ms(call: &Call) -> i64 {
    i64::try_from(call.now_ms).unwrap_or(i64::MAX)
}

async fn verify_assertion(core: &Rc<Core>, pending: &PendingAssertion<'_>) -> Result<bool, Failure> {
    let jwk = pending.key();
    let Ok(key) = verify_key(jwk) else { return Ok(false) };
    let Some(alg) = JwsAlgorithm::from_name(jwk.material.alg().as_str()) else { return Ok(false) };
    let job = Job::Jws {
        alg,
        key,
        signing_input: Bytes::copy_from_slice(pending.signing_input()),
        signature: pending.signature().to_vec(),
    };
    ask(core, job).await
}

async fn verify_bitcoin(
    core: &Rc<Core>,
    pending: &PendingBitcoin,
) -> Result<(ClientAuthenticated, ReplayKey), Failure> {
    let checked = pending.checked();
    if ask(core, bitcoin::job(checked, checked.message())).await? {
        return Ok(pending.conclude(true)?);
    }
    let Some(fallback) = checked.fallback_message() else { return Ok(pending.conclude(false)?) };
    let verdict = ask(core, bitcoin::job(checked, fallback)).await?;
    Ok(pending.conclude_fallback(verdict)?)
}

/// The assertion's or signature's single use, durable before the client is believed.
async fn burn(call: &Call, replay: &ReplayKey) -> Result<(), Failure> {
    let shared = &call.core.shared;
    let mut commit = Commit::new(shared.tenant, call.now());
    bitcoin::use_once(&mut commit, replay);
    match shared.store.commit(commit).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { .. }) => {
            Err(OAuthError::invalid_client("client authentication was already used; sign a new one").into())
        }
        Err(error) => Err(commit_failure(error)),
    }
}

/// A commit that did not happen for reasons that are not the caller's.
#[must_use]
pub fn commit_failure(error: CommitError) -> Failure {
    match error {
        CommitError::Unavailable(unavailable) => unavailable.into(),
        CommitError::Conflict { .. } => Failure::Unavailable { what: "commit_conflict" },
        CommitError::TooLarge => Failure::invalid_request("the request is too large to store"),
    }
}
