//! Signing tokens. What a token says was decided before; this file only puts a signature under it.

use assay_oauth::jose::access::{self, AccessClaims};
use assay_oauth::jose::claims::{self, IdClaims};
use assay_oauth::jose::compact;

use crate::core::Shared;
use crate::http::error::Failure;
use crate::state::keys::Key;

fn active_key(shared: &Shared) -> Result<std::sync::Arc<Key>, Failure> {
    shared.directory.keys().active().cloned().ok_or(Failure::Unavailable { what: "no_signing_key" })
}

fn sign(key: &Key, signing_input: &str) -> Result<String, Failure> {
    let signature = key.sign(signing_input.as_bytes()).ok_or(Failure::Unavailable { what: "randomness" })?;
    Ok(compact::assemble(signing_input, &signature))
}

/// An access token (RFC 9068).
///
/// # Errors
/// There is no signing key, or no randomness.
pub fn access_token(shared: &Shared, claims: &AccessClaims) -> Result<String, Failure> {
    let key = active_key(shared)?;
    let input = compact::signing_input(&access::header(&key.kid), claims.to_json().as_bytes());
    sign(&key, &input)
}

/// An id_token (OpenID Connect Core §2).
///
/// # Errors
/// As [`access_token`].
pub fn id_token(shared: &Shared, claims: &IdClaims) -> Result<String, Failure> {
    let key = active_key(shared)?;
    let input = compact::signing_input(&claims::id_header(&key.kid), claims.to_json().as_bytes());
    sign(&key, &input)
}

/// A signed introspection answer (RFC 9701).
///
/// # Errors
/// As [`access_token`].
pub fn introspection(shared: &Shared, audience: &str, now: u64, answer: &[u8]) -> Result<String, Failure> {
    let key = active_key(shared)?;
    let payload = claims::introspection_payload(&shared.tenant_facts.issuer, audience, now, answer);
    let input = compact::signing_input(&claims::introspection_header(&key.kid), payload.as_bytes());
    sign(&key, &input)
}
