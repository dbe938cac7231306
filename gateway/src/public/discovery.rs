//! Discovery documents and the key set.

use assay_oauth::flow::discovery::{self, Paths};
use http::StatusCode;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};

use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};

/// OpenID Connect Discovery.
pub async fn get_openid(call: Call) -> Result<Answer, Failure> {
    Ok(document(&call))
}

/// RFC 8414: the same document.
pub async fn get_oauth(call: Call) -> Result<Answer, Failure> {
    Ok(document(&call))
}

/// URLs come from the configured issuer alone: a forged Host header changes nothing (attack 111). Each generation of
/// clients is told the paths it knows; both are told the one issuer that tokens carry.
fn document(call: &Call) -> Answer {
    let tenant = &call.core.shared.tenant_facts;
    let paths = if call.head.uri.path().starts_with("/api/auth/") { Paths::BETTER_AUTH } else { Paths::ROOT };
    response::public_json(
        discovery::render(&tenant.issuer, tenant.base_url(), paths),
        call.core.shared.config.jwks_max_age_s,
    )
}

/// The public signing keys: active, next, and those in grace.
pub async fn get_jwks(call: Call) -> Result<Answer, Failure> {
    let keys = call.core.shared.directory.keys();
    let known = call.head.headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == keys.etag.as_bytes());
    let mut answer = response::public_json(keys.jwks.clone(), call.core.shared.config.jwks_max_age_s);
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Default::default();
    }
    if let Ok(etag) = HeaderValue::from_str(&keys.etag) {
        answer.headers_mut().insert(ETAG, etag);
    }
    Ok(answer)
}
