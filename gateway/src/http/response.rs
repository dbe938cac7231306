//! Writing one answer.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, PRAGMA};
use http::{Response, StatusCode};
use http_body_util::Full;

/// A whole answer: every body the gateway sends is in memory.
pub type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// A JSON answer that no cache may keep: tokens, errors, introspection (oauth.md §0).
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = answer(status, JSON, body);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer.headers_mut().insert(PRAGMA, NO_CACHE);
    answer
}

/// A JSON answer built from a value.
#[must_use]
pub fn json_value(status: StatusCode, value: &serde_json::Value) -> Answer {
    json(status, value.to_string())
}

/// A JSON document that caches may keep for `max_age_s` seconds: discovery and key sets.
#[must_use]
pub fn public_json(body: impl Into<Bytes>, max_age_s: u64) -> Answer {
    let mut answer = answer(StatusCode::OK, JSON, body);
    answer.headers_mut().insert(CACHE_CONTROL, number_header("public, max-age=", max_age_s));
    answer
}

/// An HTML page that may not be framed, cached, or leak its address.
#[must_use]
pub fn html(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = answer(status, HeaderValue::from_static("text/html; charset=utf-8"), body);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    browser_safety(&mut answer);
    answer
}

/// Plain text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = answer(status, HeaderValue::from_static("text/plain; charset=utf-8"), body);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer.headers_mut().insert(PRAGMA, NO_CACHE);
    answer
}

/// 302 to `location`. A location that is no header value (it always is: redirect URIs are checked on registration
/// and parameters are percent-encoded) answers 500 rather than a broken header.
#[must_use]
pub fn redirect(location: &str) -> Answer {
    let Ok(value) = HeaderValue::from_str(location) else { return empty(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut answer = empty(StatusCode::FOUND);
    answer.headers_mut().insert(LOCATION, value);
    browser_safety(&mut answer);
    answer
}

/// Headers of every answer that a browser shows or follows (attack 60).
fn browser_safety(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    );
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
}

/// A header value of a fixed text and a number.
#[must_use]
pub fn number_header(prefix: &str, number: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("{prefix}{number}")).expect("ASCII text and digits make a header value")
}
