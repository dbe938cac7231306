//! Requests signed with a Bitcoin key: finding the token, verifying it, naming its single use.

use std::rc::Rc;

use assay_engine::{Job, Verdict};
use assay_oauth::bitcoin_token::{self, Checked, Expect, Reject, SignatureBytes};
use assay_oauth::proof::{KeyProven, ReplayKey};
use assay_storage::Commit;
use assay_storage::record::Replay;
use assay_storage::schema::Replays;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::core::Core;
use crate::http::error::Failure;
use crate::http::request::{X_AUTH_TOKEN, single_header};
use crate::lane;

/// The signed token of a request: `X-Auth-Token: …` or `Authorization: Bitcoin-Auth …`.
///
/// # Errors
/// 400 when a header is repeated, or both are there and differ.
pub fn presented(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let own = single_header(headers, &X_AUTH_TOKEN)?.map(str::trim);
    let authorization = single_header(headers, &AUTHORIZATION)?
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bitcoin-auth"))
        .map(|(_, token)| token.trim());
    match (own, authorization) {
        (Some(own), Some(other)) if own != other => Err(Failure::invalid_request("two different signed tokens")),
        (own, other) => Ok(own.or(other)),
    }
}

/// Path and query as received: what an honest signer signed.
#[must_use]
pub fn signed_path(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("", |path| path.as_str())
}

/// Verifies a token against what it must be for.
///
/// # Errors
/// `Err(Failure)` when the engine could not look; `Ok(Err(reject))` is the verdict that the token is bad.
pub async fn prove(
    core: &Rc<Core>,
    token: &[u8],
    expect: &Expect<'_>,
) -> Result<Result<(KeyProven, ReplayKey), Reject>, Failure> {
    let checked = match bitcoin_token::check(token, expect) {
        Ok(checked) => checked,
        Err(reject) => return Ok(Err(reject)),
    };
    let verdict = ask(core, job(&checked, checked.message())).await?;
    if verdict {
        return Ok(checked.conclude(true));
    }
    let Some(fallback) = checked.fallback_message() else { return Ok(checked.conclude(false)) };
    let verdict = ask(core, job(&checked, fallback)).await?;
    Ok(checked.conclude_fallback(verdict))
}

/// One question to the engine: is this signature good?
///
/// # Errors
/// The engine is full or broke: "unavailable", never a verdict.
pub async fn ask(core: &Rc<Core>, job: Job) -> Result<bool, Failure> {
    match lane::verify(core, job).await {
        Ok(Verdict::Internal) => Err(Failure::Unavailable { what: "engine" }),
        Ok(verdict) => Ok(verdict.is_valid()),
        Err(_) => Err(Failure::Unavailable { what: "engine_full" }),
    }
}

/// The question to the engine.
#[must_use]
pub fn job(checked: &Checked, message: &[u8]) -> Job {
    let message = message.to_vec();
    match checked.signature() {
        SignatureBytes::Brc77(envelope) => {
            Job::Brc77 { claimed_key: *checked.pubkey(), message, envelope: envelope.clone() }
        }
        SignatureBytes::Bsm(signature) => {
            Job::BitcoinMessage { public_key: *checked.pubkey(), message, signature: **signature }
        }
    }
}

/// Makes the commit fail if this use was seen before, and remembers it.
pub fn use_once(commit: &mut Commit, replay: &ReplayKey) {
    commit.expect_absent::<Replays>(&replay.digest);
    commit.put_expiring::<Replays>(&replay.digest, &Replay {}, replay.expires_at);
}
