//! From a presented token's bytes to verified claims.
//!
//! What the bytes prove (signature and claims) is cached per core under the full bytes; what may change (revocation,
//! expiry, key state) is judged by the caller on every call. The cache never answers "active".

use std::rc::Rc;

use assay_engine::token_cache::KeyTag;
use assay_engine::{Job, JwsAlgorithm, Verdict};
use assay_oauth::jose::access::{AccessClaims, AccessToken};
use bytes::Bytes;

use crate::core::Core;
use crate::http::error::Failure;
use crate::lane;
use crate::state::keys::Key;

/// A token whose bytes were verified.
#[derive(Debug)]
pub struct Verified {
    /// Its claims.
    pub claims: AccessClaims,
    /// The key that signed it: its state is judged on every call.
    pub kid: Box<str>,
    /// The active introspection answer these claims give, rendered once.
    pub active_answer: Bytes,
}

/// What the token cache holds.
pub type CachedToken = Rc<Verified>;

/// A token on its way through the engine.
pub struct Pending<'t> {
    token: &'t [u8],
    parsed: AccessToken<'t>,
    kid: Box<str>,
    cache_tag: KeyTag,
    now: u64,
}

/// What one look at a token says.
pub enum Look<'t> {
    /// Its bytes were verified before.
    Known(CachedToken),
    /// It cannot be a token of ours: wrong form, or a key that was never ours or no longer verifies.
    Foreign,
    /// Only the engine can tell.
    Ask(Box<Pending<'t>>, Job),
}

/// A token that was verified before.
pub fn known(core: &Core, token: &[u8], now: u64) -> Option<CachedToken> {
    let known = core.cache.borrow_mut().get(token, now).map(Rc::clone)?;
    core.shared.metrics.cache_hits.inc();
    Some(known)
}

/// Looks a token up, or prepares the question to the engine.
pub fn look<'t>(core: &Core, token: &'t [u8], now: u64) -> Look<'t> {
    if let Some(known) = known(core, token, now) {
        return Look::Known(known);
    }
    let Ok(parsed) = AccessToken::parse(token) else { return Look::Foreign };
    let keys = core.shared.directory.keys();
    let Some(key) = keys.get(parsed.kid()).filter(|key| key.verifies(now)) else { return Look::Foreign };
    core.shared.metrics.cache_misses.inc();
    let job = job(key, &parsed);
    let pending = Pending { token, kid: parsed.kid().into(), cache_tag: key.cache_tag, now, parsed };
    Look::Ask(Box::new(pending), job)
}

fn job(key: &Key, parsed: &AccessToken<'_>) -> Job {
    Job::Jws {
        alg: JwsAlgorithm::Es256,
        key: key.verify.clone(),
        signing_input: Bytes::copy_from_slice(parsed.signing_input()),
        signature: parsed.signature().to_vec(),
    }
}

/// Takes the engine's verdict; good tokens enter the cache. `None`: the bytes prove nothing.
///
/// # Errors
/// The engine broke on this job: not a verdict.
pub fn conclude(core: &Core, pending: Pending<'_>, verdict: Verdict) -> Result<Option<CachedToken>, Failure> {
    if verdict == Verdict::Internal {
        return Err(Failure::Unavailable { what: "engine" });
    }
    let Ok(claims) = pending.parsed.conclude(verdict.is_valid(), &mut Vec::new()) else { return Ok(None) };
    let active_answer = assay_oauth::flow::introspect::render_active(&claims).into();
    let expires_at = claims.exp;
    let known = Rc::new(Verified { claims, kid: pending.kid, active_answer });
    let cost = size_of::<Verified>() + 2 * known.active_answer.len();
    core.cache.borrow_mut().insert(pending.token, Rc::clone(&known), expires_at, pending.cache_tag, cost, pending.now);
    Ok(Some(known))
}

/// One token, through the cache or the engine.
///
/// # Errors
/// The engine is full or broke: "unavailable", never a verdict.
pub async fn verify(core: &Rc<Core>, token: &[u8], now: u64) -> Result<Option<CachedToken>, Failure> {
    match look(core, token, now) {
        Look::Known(known) => Ok(Some(known)),
        Look::Foreign => Ok(None),
        Look::Ask(pending, job) => {
            let verdict = lane::verify(core, job).await.map_err(|_| Failure::Unavailable { what: "engine_full" })?;
            conclude(core, *pending, verdict)
        }
    }
}
