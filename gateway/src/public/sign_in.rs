//! What both Bitcoin sign-in routes and the sign-in page share: prove the key, find or create the person, count failures.

use assay_oauth::bitcoin_token::{BodyHash, Expect, Freshness, Reject};
use assay_oauth::facts::UserFacts;
use assay_oauth::flow::bitcoin_login::{self, BindingFacts, SignInBody, SignInError, Who};
use assay_oauth::flow::challenge;
use assay_oauth::flow::session as session_flow;
use assay_oauth::jose::claims::AMR_POP;
use assay_oauth::proof::{KeyProven, ReplayKey};
use assay_oauth::secret::{Secret, SecretKind, identifier};
use assay_storage::record::{
    self, BapBinding, Failure as FailureRecord, Session, SessionBySid, User, UserByPubkey, UserStatus,
};
use assay_storage::schema::{BapBindings, Failures, Sessions, SessionsBySid, Users, UsersByPubkey};
use assay_storage::{Commit, CommitError};
use http::header::USER_AGENT;

use super::client::commit_failure;
use super::{bitcoin, person};
use crate::admission::client_ip::AddressGroup;
use crate::admission::delays::{DelayKeys, FailureUpdate};
use crate::core::Shared;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::limits::{COMMIT_ATTEMPTS_MAX, USER_AGENT_BYTES_MAX};

/// Name of the server secret behind challenges.
pub const CHALLENGE_SECRET_NAME: &str = "challenge";

/// A sign-in that was refused, or could not be looked at.
pub enum Refused {
    /// The caller's fault; the route gives it its own shape.
    SignIn(SignInError),
    /// Everything else.
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::Failure(failure)
    }
}

impl From<SignInError> for Refused {
    fn from(error: SignInError) -> Refused {
        Refused::SignIn(error)
    }
}

/// A key that was proven now, and everything its commit must hold.
pub struct Proven {
    /// The proof.
    pub key: KeyProven,
    uses: Vec<ReplayKey>,
    delay_keys: Option<DelayKeys>,
}

/// What the token of a sign-in must be for.
pub struct Demand<'a> {
    /// The path it must name.
    pub path: &'a str,
    /// Hash of the body.
    pub body: BodyHash,
    /// What may have been signed instead of the body.
    pub fallback_body: Option<BodyHash>,
    /// The server nonce the body carries.
    pub challenge: Option<&'a str>,
}

/// Verifies the token of a sign-in, with progressive delays (oauth.md §16). During a delay nothing is verified, right
/// or wrong, and nothing extends the delay.
pub async fn prove(call: &Call, token: &str, demand: Demand<'_>) -> Result<Proven, Refused> {
    let shared = &call.core.shared;
    let delay_keys =
        claimed_key(token).map(|claimed| DelayKeys::new(shared.tenant.0, claimed, AddressGroup::of(call.client_ip)));
    if let (Some(delays), Some(keys)) = (shared.admission.delays(), &delay_keys) {
        delays.check(keys, call.now_ms).map_err(|retry| {
            Refused::Failure(Failure::TooMany { retry_after_s: retry.seconds, policy: "sign-in-delay" })
        })?;
    }
    let mut uses = Vec::with_capacity(2);
    let freshness = match demand.challenge {
        None => Freshness::Window,
        Some(nonce) => match check_challenge(call, nonce)? {
            Some(replay) => {
                uses.push(replay);
                Freshness::ServerNonce
            }
            None => return Err(failed(call, delay_keys.as_ref(), SignInError::InvalidSignature).await),
        },
    };
    let expect = Expect {
        paths: &[demand.path],
        body: demand.body,
        fallback_body: demand.fallback_body,
        freshness,
        now_ms: i64::try_from(call.now_ms).unwrap_or(i64::MAX),
    };
    match bitcoin::prove(&call.core, token.as_bytes(), &expect).await? {
        Ok((key, replay)) => {
            uses.insert(0, replay);
            Ok(Proven { key, uses, delay_keys })
        }
        Err(reject) => {
            call.core.shared.metrics.refuse(reject.as_str());
            let error = SignInError::from(reject);
            match reject {
                // Not an attempt at anybody's account.
                Reject::Malformed | Reject::BadScheme | Reject::BadPubkey | Reject::BadTimestamp => Err(error.into()),
                _ => Err(failed(call, delay_keys.as_ref(), error).await),
            }
        }
    }
}

/// The key a token claims, before anything is known about it: what delays are keyed by.
fn claimed_key(token: &str) -> Option<&[u8]> {
    token.split('|').next().map(str::as_bytes).filter(|claimed| claimed.len() == 66)
}

fn check_challenge(call: &Call, nonce: &str) -> Result<Option<ReplayKey>, Failure> {
    let shared = &call.core.shared;
    let secret = challenge_secret(shared)?;
    Ok(challenge::check(&secret, &shared.tenant_facts.tid, nonce, call.now()))
}

/// The secret behind challenges.
pub fn challenge_secret(shared: &Shared) -> Result<[u8; 32], Failure> {
    shared.directory.server_secret(CHALLENGE_SECRET_NAME).ok_or(Failure::Unavailable { what: "no_challenge_secret" })
}

/// Counts a failed attempt, durably, and passes the refusal on.
async fn failed(call: &Call, keys: Option<&DelayKeys>, error: SignInError) -> Refused {
    let shared = &call.core.shared;
    if let (Some(delays), Some(keys)) = (shared.admission.delays(), keys) {
        let mut commit = Commit::new(shared.tenant, call.now());
        for update in delays.fail(keys, call.now_ms) {
            put_failure(&mut commit, &update);
        }
        // In memory it counts already; when storage cannot write, only a restart would forget it.
        if let Err(error) = shared.store.commit(commit).await {
            tracing::warn!(%error, "a failed sign-in was counted in memory only");
        }
    }
    error.into()
}

fn put_failure(commit: &mut Commit, update: &FailureUpdate) {
    let record = FailureRecord { count: update.count, last_at: update.last_at, blocked_until: update.blocked_until };
    commit.put_expiring::<Failures>(&update.key_digest, &record, update.expires_at);
    if let Some(forgotten) = update.forgotten {
        commit.delete::<Failures>(&forgotten);
    }
}

/// A browser session about to be committed.
pub struct NewSession {
    /// Its secret.
    pub token: Secret,
    /// Its row.
    pub session: Session,
    /// When it ends.
    pub expires_at: u64,
}

/// Draws a session for a person who proved their key now. `generation` was read before any fact was loaded.
pub fn new_session(call: &Call, generation: u64) -> Result<NewSession, Failure> {
    let shared = &call.core.shared;
    let token = Secret::from_random(SecretKind::SessionToken, &shared.random()?);
    let user_agent = call.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        sid: identifier("sid_", &shared.random()?),
        user_id: String::new(), // known once the person is
        created_at: call.now(),
        auth_time: call.now(),
        ip: call.client_ip.to_string(),
        user_agent: user_agent.chars().take(USER_AGENT_BYTES_MAX).collect(),
        amr: vec![AMR_POP.to_owned()],
        r#gen: generation,
    };
    Ok(NewSession { token, session, expires_at: call.now() + shared.config.session_lifetime_s })
}

/// Finds or creates the person of a proven key, and commits: the token's single use, a new person's rows, the session,
/// and whatever `add` puts beside them (a code) — all of it or nothing.
pub async fn complete<T>(
    call: &Call,
    proven: Proven,
    bap_id: Option<&str>,
    mut session: Option<&mut NewSession>,
    add: impl Fn(&UserFacts, &mut Commit) -> Result<T, Failure>,
) -> Result<(UserFacts, T), Refused> {
    let shared = &call.core.shared;
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let (user, who) = resolve(call, &proven.key, bap_id).await?;
        let mut commit = Commit::new(shared.tenant, call.now());
        for replay in &proven.uses {
            bitcoin::use_once(&mut commit, replay);
        }
        let user = put_person(call, &proven.key, user, who, &mut commit)?;
        if let Some(session) = session.as_deref_mut() {
            session.session.user_id.clone_from(&user.user_id);
            put_session(&mut commit, session);
        }
        let delays = shared.admission.delays();
        if let Some(row) = delays.zip(proven.delay_keys.as_ref()).and_then(|(delays, keys)| delays.succeed(keys)) {
            commit.delete::<Failures>(&row);
        }
        let added = add(&user, &mut commit)?;
        match shared.store.commit(commit).await {
            Ok(_) => return Ok((user, added)),
            Err(CommitError::Conflict { index }) if index < proven.uses.len() => {
                shared.metrics.refuse("replay");
                return Err(failed(call, proven.delay_keys.as_ref(), SignInError::InvalidSignature).await);
            }
            // Somebody created the same person between our read and our write: look again.
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(commit_failure(error).into()),
        }
    }
    Err(Failure::Unavailable { what: "commit_conflict" }.into())
}

async fn resolve(call: &Call, key: &KeyProven, bap_id: Option<&str>) -> Result<(Option<UserFacts>, Who), Refused> {
    let shared = &call.core.shared;
    let (tenant, pubkey) = (shared.tenant, *key.pubkey());
    let wanted = bap_id.map_or_else(|| assay_oauth::bitcoin_identity::bap_id(key.pubkey()), str::to_owned);
    let (user, binding) = shared
        .store
        .read(call.now(), move |reader| {
            let user = person::user_by_pubkey(reader, tenant, &pubkey)?;
            let binding = reader.get::<BapBindings>(tenant, &wanted)?;
            Ok((user, binding.map(|row| BindingFacts { pubkey: row.record.pubkey })))
        })
        .await
        .map_err(Failure::from)?;
    let who = bitcoin_login::resolve(key, bap_id, user.as_ref(), binding.as_ref(), &shared.tenant_facts)?;
    Ok((user, who))
}

fn put_person(
    call: &Call,
    key: &KeyProven,
    user: Option<UserFacts>,
    who: Who,
    commit: &mut Commit,
) -> Result<UserFacts, Failure> {
    let shared = &call.core.shared;
    let bind = |commit: &mut Commit, bap_id: &String, user_id: &str| {
        commit.expect_absent::<BapBindings>(bap_id);
        let binding = BapBinding { pubkey: key.pubkey_hex(), user_id: user_id.to_owned(), verified: true };
        commit.put::<BapBindings>(bap_id, &binding);
    };
    match (who, user) {
        (Who::Known { bind_bap_id }, Some(user)) => {
            if let Some(bap_id) = bind_bap_id {
                bind(commit, &bap_id, &user.user_id);
            }
            Ok(user)
        }
        (Who::New(new), _) => {
            let user = User {
                user_id: identifier("usr_", &shared.random()?),
                pubkey: new.pubkey,
                name: new.name,
                status: UserStatus::Active,
                bap_id: new.bap_id,
                created_at: call.now(),
                updated_at: call.now(),
            };
            commit.expect_absent::<UsersByPubkey>(key.pubkey());
            commit.put::<UsersByPubkey>(key.pubkey(), &UserByPubkey { user_id: user.user_id.clone() });
            commit.put::<Users>(&user.user_id, &user);
            if let Some(bap_id) = &user.bap_id {
                bind(commit, bap_id, &user.user_id);
            }
            Ok(person::user_facts(&user))
        }
        (Who::Known { .. }, None) => Err(Failure::Unavailable { what: "user" }), // `resolve` knows a user or makes one
    }
}

fn put_session(commit: &mut Commit, new: &NewSession) {
    let key = new.token.sha256();
    let by_sid = SessionBySid { token_sha256: key, user_id: new.session.user_id.clone(), expires_at: new.expires_at };
    commit.put_expiring::<Sessions>(&key, &new.session, new.expires_at);
    commit.put_expiring::<SessionsBySid>(&new.session.sid, &by_sid, new.expires_at);
}

/// `Set-Cookie` for a committed session.
pub fn cookie(shared: &Shared, session: &NewSession) -> Result<http::HeaderValue, Failure> {
    let secret = person::cookie_secret(shared)?;
    let secure = shared.config.cookies_are_secure();
    let line = session_flow::set_cookie(&secret, &session.token, shared.config.session_lifetime_s, secure);
    let mut value = http::HeaderValue::from_str(&line).map_err(|_| Failure::Unavailable { what: "cookie" })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads a code row's facts into the stored form.
#[must_use]
pub fn code_record(facts: &assay_oauth::facts::CodeFacts) -> record::Code {
    record::Code {
        client_id: facts.client_id.clone(),
        user_id: facts.user_id.clone(),
        redirect_uri: facts.redirect_uri.clone(),
        redirect_uri_given: facts.redirect_uri_given,
        code_challenge: facts.code_challenge.clone(),
        scope: facts.scope.clone(),
        nonce: facts.nonce.clone(),
        sid: facts.sid.clone(),
        auth_time: facts.auth_time,
        amr: facts.amr.clone(),
        resources: facts.resources.clone(),
        r#gen: facts.generation,
        code_expires_at: facts.expires_at,
        state: record::CodeState::Issued,
    }
}

/// What a sign-in body says about fallbacks and challenges, as a demand on its token.
#[must_use]
pub fn demand<'a>(path: &'a str, raw_body: &[u8], body: &'a SignInBody, fallback_body: Option<BodyHash>) -> Demand<'a> {
    let challenge = body.challenge();
    Demand {
        path,
        body: BodyHash::of(raw_body),
        fallback_body: fallback_body.filter(|_| challenge.is_none()),
        challenge,
    }
}
