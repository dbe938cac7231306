//! Failures become answers here and nowhere else.
//!
//! Sorted by whose fault it is: what the caller sent, what we could not look at. The outward text says what to do;
//! it never carries a token, a code, a secret or a signature.

use assay_oauth::error::OAuthError;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use serde_json::json;

use super::response::{self, Answer};
use crate::admission::Decision;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum Failure {
    /// The body broke off or its coding is broken.
    BodyBroken,
    /// The body is over the route's bound.
    BodyTooLarge {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The path exists with another method.
    Method {
        /// What it may be called with.
        allow: &'static str,
    },
    /// The body's media type is not the one this route takes.
    MediaType {
        /// The type it takes.
        expected: &'static str,
    },
    /// No such path.
    NotFound,
    /// A protocol error.
    OAuth(OAuthError),
    /// A protocol error of a client that tried HTTP Basic: the answer names the scheme (RFC 6749 §5.2).
    OAuthBasic(OAuthError),
    /// A bearer token that does not open this resource (RFC 6750 §3).
    Bearer {
        /// The RFC 6750 error code; `None` when no token was sent at all.
        error: Option<OAuthError>,
    },
    /// A limit or a delay: come back later.
    TooMany {
        /// Seconds until it is worth trying again.
        retry_after_s: u64,
        /// The policy that refused.
        policy: &'static str,
    },
    /// A batch over its item bound.
    TooManyItems {
        /// The bound.
        items_max: usize,
    },
    /// We could not look: a full queue, storage that cannot write, shutting down.
    Unavailable {
        /// What, for the log and the metrics; not told to the caller.
        what: &'static str,
    },
    /// A ready answer of a route whose errors have a shape of their own.
    Answer(Box<Answer>),
}

impl Failure {
    /// 400 `invalid_request`.
    #[must_use]
    pub fn invalid_request(description: &'static str) -> Failure {
        Failure::OAuth(OAuthError::invalid_request(description))
    }

    /// 429 for a charge that was refused.
    #[must_use]
    pub fn over_quota(decision: &Decision) -> Failure {
        Failure::TooMany {
            retry_after_s: decision.quota.map_or(1, |quota| quota.reset_after_s.max(1)),
            policy: decision.class.row().name,
        }
    }

    /// A short label for the refusal metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Failure::BodyBroken => "body_broken",
            Failure::BodyTooLarge { .. } => "body_too_large",
            Failure::Method { .. } => "method",
            Failure::MediaType { .. } => "media_type",
            Failure::NotFound => "not_found",
            Failure::OAuth(error) | Failure::OAuthBasic(error) => error.code.as_str(),
            Failure::Bearer { .. } => "invalid_token",
            Failure::TooMany { policy, .. } => policy,
            Failure::TooManyItems { .. } => "too_many_items",
            Failure::Unavailable { what } => what,
            Failure::Answer(_) => "refused",
        }
    }

    /// The answer the caller gets.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        match self {
            Failure::BodyBroken => oauth_body(StatusCode::BAD_REQUEST, "invalid_request", "the request body broke off"),
            Failure::BodyTooLarge { bytes_max } => oauth_body(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                &format!("the request body is over {bytes_max} bytes"),
            ),
            Failure::Method { allow } => {
                let mut answer = oauth_body(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", &format!("use {allow}"));
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                answer
            }
            Failure::MediaType { expected } => oauth_body(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request",
                &format!("send the body as {expected}"),
            ),
            Failure::NotFound => oauth_body(StatusCode::NOT_FOUND, "not_found", "no such path"),
            Failure::OAuth(error) => oauth(&error),
            Failure::OAuthBasic(error) => {
                let mut answer = oauth(&error);
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"assay\""));
                answer
            }
            Failure::Bearer { error } => bearer(error.as_ref()),
            Failure::TooMany { retry_after_s, policy } => too_many(retry_after_s, policy),
            Failure::TooManyItems { items_max } => {
                oauth_body(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", &format!("at most {items_max} items"))
            }
            Failure::Unavailable { .. } => {
                let mut answer = oauth_body(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "the server cannot do this right now; try again",
                );
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
            Failure::Answer(answer) => *answer,
        }
    }
}

impl From<OAuthError> for Failure {
    fn from(error: OAuthError) -> Failure {
        Failure::OAuth(error)
    }
}

impl From<assay_storage::Unavailable> for Failure {
    fn from(unavailable: assay_storage::Unavailable) -> Failure {
        Failure::Unavailable {
            what: match unavailable {
                assay_storage::Unavailable::QueueFull => "commit_queue_full",
                assay_storage::Unavailable::ShuttingDown => "shutting_down",
                assay_storage::Unavailable::Storage => "storage",
            },
        }
    }
}

fn oauth(error: &OAuthError) -> Answer {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    oauth_body(status, error.code.as_str(), &error.description)
}

fn oauth_body(status: StatusCode, error: &str, description: &str) -> Answer {
    response::json_value(status, &json!({ "error": error, "error_description": description }))
}

fn bearer(error: Option<&OAuthError>) -> Answer {
    let (mut answer, challenge) = match error {
        // RFC 6750 §3.1: no error code when no credentials were sent at all.
        None => (
            oauth_body(StatusCode::UNAUTHORIZED, "invalid_request", "authorization header not found"),
            "Bearer realm=\"assay\"".to_owned(),
        ),
        Some(error) => (
            oauth(error),
            format!(
                "Bearer realm=\"assay\", error=\"{}\", error_description=\"{}\"",
                error.code.as_str(),
                error.description
            ),
        ),
    };
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn too_many(retry_after_s: u64, policy: &'static str) -> Answer {
    // One body for three readers: OAuth's `error`, Sigma's `error_description`, and the problem type of the
    // rate-limit-headers draft (oauth.md §15).
    let mut answer = response::json_value(
        StatusCode::TOO_MANY_REQUESTS,
        &json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Too many requests",
            "status": 429,
            "violated-policies": [policy],
            "error": "rate_limit_exceeded",
            "error_description": format!("Too many requests. Try again in {retry_after_s} seconds."),
        }),
    );
    let seconds = response::number_header("", retry_after_s);
    answer.headers_mut().insert(HeaderName::from_static("x-retry-after"), seconds.clone());
    answer.headers_mut().insert(RETRY_AFTER, seconds);
    answer
}
