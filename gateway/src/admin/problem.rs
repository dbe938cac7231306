//! What the admin listener answers when it refuses: RFC 9457 problems, all made here.
//!
//! A handler returns a [`Problem`]; the outer layer (`frame.rs`) writes it, because only that layer knows the request
//! id. `detail` says what to do and never repeats a value that was sent: it could be a secret.

use std::borrow::Cow;

use assay_storage::{CommitError, Unavailable};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::ADMIN_FIELD_ERRORS_MAX;

/// Why a request was refused. A row says everything the caller can see of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BodyTooLarge,
    Conflict,
    Internal,
    InvalidBody,
    InvalidParameter,
    InvalidValue,
    MediaType,
    MethodNotAllowed,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
}

impl Kind {
    /// Status, code and title.
    pub(crate) fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Kind::InvalidBody => (StatusCode::BAD_REQUEST, "invalid_body", "Malformed body"),
            Kind::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid_parameter", "Invalid parameter"),
            Kind::InvalidValue => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", "Invalid value"),
            Kind::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type"),
            Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Kind::TooMany => (StatusCode::CONFLICT, "too_many", "Too many"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable"),
        }
    }
}

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// JSON Pointer to the member, empty for the whole body.
    pub(crate) pointer: String,
    /// What is wrong, and what would be right.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
}

/// A refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// A URI naming the kind of problem.
    #[schema(example = "urn:assay:problem:not_found")]
    r#type: String,
    /// The kind in words.
    #[schema(example = "Not found")]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// What happened, and what to do about it.
    #[schema(example = "there is nothing here under this name")]
    detail: &'a str,
    /// The kind for programs.
    #[schema(example = "not_found")]
    code: &'a str,
    /// The id of this request, as in the header `X-Request-ID` and in the log.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "5f1e9c00-a7")]
    request_id: &'a str,
    /// What is wrong with the body, member by member.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { kind, detail: detail.into(), errors: Vec::new() }
    }

    pub(crate) fn not_found() -> Problem {
        Problem::new(Kind::NotFound, "there is nothing here under this name")
    }

    /// 422, member by member.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Problem {
        Problem::with_errors(Kind::InvalidValue, "the body breaks a rule; `errors` names each place", errors)
    }

    pub(crate) fn with_errors(kind: Kind, detail: &'static str, mut errors: Vec<FieldError>) -> Problem {
        errors.truncate(ADMIN_FIELD_ERRORS_MAX);
        Problem { kind, detail: detail.into(), errors }
    }

    /// 503: nothing was changed, or at least nobody was told that it was.
    pub(crate) fn unavailable() -> Problem {
        Problem::new(Kind::Unavailable, "the server cannot do this right now; try again")
    }

    /// Writes the problem into the answer that stands for it.
    pub(crate) fn render(&self, answer: &mut Response, request_id: &str) {
        let (status, code, title) = self.kind.row();
        let body = ProblemBody {
            r#type: format!("urn:assay:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            request_id,
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&body).expect("a struct of strings and numbers is JSON");
        *answer.status_mut() = status;
        *answer.body_mut() = body.into();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind {
            Kind::Unauthorized => {
                drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"assay admin\"")))
            }
            Kind::Unavailable => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => {}
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = Response::new(axum::body::Body::empty());
        *answer.status_mut() = self.kind.row().0;
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Problem {
        Problem::unavailable()
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Problem {
        match error {
            CommitError::Conflict { .. } => Problem::new(
                Kind::Conflict,
                "someone else changed it meanwhile; look at it again and repeat the change",
            ),
            CommitError::TooLarge => {
                tracing::error!("an administrative change is larger than a commit may be; a bound is wrong");
                Problem::new(Kind::Internal, "the change is larger than the store takes")
            }
            CommitError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
