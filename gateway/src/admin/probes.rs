//! Documents without a token: is the process alive, should it get requests, what does it count, what can it do.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use crate::public::health::not_ready;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(get_health))
        .routes(routes!(get_ready))
        .routes(routes!(get_metrics))
        .routes(routes!(get_openapi))
}

/// How the server is.
#[derive(Serialize, ToSchema)]
struct Status {
    /// `ok`, `ready`, or why it is not ready.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Alive
///
/// 200 as long as the process answers.
#[utoipa::path(get, path = "/health", tag = "operation", responses((status = 200, description = "It lives.", body = Status)))]
async fn get_health() -> Response {
    axum::Json(Status { status: "ok" }).into_response()
}

/// Ready
///
/// 200 when the server should get requests.
#[utoipa::path(get, path = "/ready", tag = "operation", responses(
    (status = 200, description = "It should get requests.", body = Status),
    (status = 503, description = "It drains, or storage cannot write.", body = Status),
))]
async fn get_ready(State(admin): State<Admin>) -> Response {
    match not_ready(&admin.shared).await {
        None => axum::Json(Status { status: "ready" }).into_response(),
        Some(status) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(Status { status })).into_response(),
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics
///
/// Everything the server counts, in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses(
    (status = 200, description = "Metrics.", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
))]
async fn get_metrics(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], admin.shared.metrics.render()).into_response()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
async fn get_openapi(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], admin.document.clone()).into_response()
}
