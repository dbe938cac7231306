//! Reading a JSON body: media type, size, time, syntax, shape, in this order, each with its own status.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Admin;
use super::problem::{FieldError, Kind, Problem};
use super::shape::Shape;
use crate::limits::ADMIN_BYTES_MAX;

/// A body with a shape.
pub(crate) trait Shaped: DeserializeOwned {
    /// What it may hold.
    const SHAPE: &'static Shape;
}

/// A body that must be there.
pub(crate) struct Json<T>(pub(crate) T);

/// A body that may be absent: the same as an empty object.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: Shaped> FromRequest<Admin> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Admin) -> Result<Json<T>, Problem> {
        expect_json(request.headers())?;
        let bytes = read(request, admin).await?;
        parse(&bytes).map(Json)
    }
}

impl<T: Shaped> FromRequest<Admin> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Admin) -> Result<OptionalJson<T>, Problem> {
        if request.body().is_end_stream() {
            return parse(b"{}").map(OptionalJson);
        }
        expect_json(request.headers())?;
        let bytes = read(request, admin).await?;
        parse(if bytes.is_empty() { b"{}" } else { &bytes }).map(OptionalJson)
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::new(Kind::MediaType, "send the body as application/json"))
    }
}

async fn read(request: Request, admin: &Admin) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Kind::BodyTooLarge, format!("the body is over {ADMIN_BYTES_MAX} bytes"));
    // A length that is announced is believed before a byte is read.
    if request.body().size_hint().lower() > ADMIN_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(request.into_body(), ADMIN_BYTES_MAX).collect();
    let patience = Duration::from_millis(admin.shared.config.body_timeout_ms);
    match tokio::time::timeout(patience, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(Problem::new(Kind::InvalidBody, "the body broke off")),
    }
}

fn parse<T: Shaped>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(Kind::InvalidBody, format!("not JSON, from line {} column {}", error.line(), error.column()))
    })?;
    let errors = T::SHAPE.check(&value);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    // From the text once more: the typed reader refuses a repeated member, of which a JSON value keeps only the last.
    serde_json::from_slice(bytes).map_err(|_| Problem::invalid(vec![FieldError::new("", "a member is repeated")]))
}
