//! Around every admin request: who may pass, the request id, and the form of every refusal.
//!
//! Nothing below this layer sees a request without the admin token, except the four documents that carry nothing
//! secret ([`OPEN_PATHS`]). Nothing above it sees an answer without a request id or one that may be cached.

use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;
use tracing::Instrument;

use super::problem::{Kind, Problem};
use super::{Admin, TENANTS_PATH};
use crate::http::dispatch::is_request_id;
use crate::telemetry::RouteStatus;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Served without a token: they are read by load balancers, by Prometheus and by people writing clients.
pub(crate) const OPEN_PATHS: [&str; 4] = ["/health", "/metrics", "/openapi.json", "/ready"];

/// The outermost layer.
pub(crate) async fn frame(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let request_id = request_id(&admin, request.headers());
    let id_text = request_id.to_str().unwrap_or_default();
    let mut answer = match admit(&admin, &request) {
        Ok(()) => next.run(request).instrument(tracing::info_span!("admin", request_id = id_text)).await,
        Err(problem) => problem.into_response(),
    };
    let problem = answer.extensions_mut().remove::<Problem>().or_else(|| {
        let is_bare = answer.status() == StatusCode::METHOD_NOT_ALLOWED;
        is_bare.then(|| Problem::new(Kind::MethodNotAllowed, "the header Allow names the methods of this path"))
    });
    if let Some(problem) = problem {
        problem.render(&mut answer, id_text);
        admin.shared.metrics.refuse(problem.kind.row().1);
    }
    let labels = RouteStatus { route: "admin", status: answer.status().as_u16() };
    admin.shared.metrics.requests.get_or_create(&labels).inc();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_REQUEST_ID, request_id);
    answer
}

/// The token first: without it, one cannot even learn which paths exist.
fn admit(admin: &Admin, request: &Request) -> Result<(), Problem> {
    let path = request.uri().path();
    if OPEN_PATHS.contains(&path) {
        return Ok(());
    }
    if !is_admin(admin, request.headers()) {
        return Err(Problem::new(Kind::Unauthorized, "send the token of DATA/admin.token as Authorization: Bearer"));
    }
    // A foreign tenant is answered like any other absent thing, whatever the method and the rest of the path.
    let of_tenant = path.strip_prefix(TENANTS_PATH).and_then(|rest| rest.strip_prefix('/'));
    match of_tenant.map(|rest| rest.split('/').next().unwrap_or_default()) {
        Some(slug) if slug != admin.shared.tenant_facts.tid => Err(Problem::not_found()),
        _ => Ok(()),
    }
}

fn is_admin(admin: &Admin, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
    let presented = assay_oauth::secret::sha256(token.as_bytes());
    scheme.eq_ignore_ascii_case("bearer") & bool::from(presented.ct_eq(&admin.token_sha256))
}

/// The caller's request id if it is harmless in a log, a fresh one otherwise (oauth.md §0).
fn request_id(admin: &Admin, headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&X_REQUEST_ID).filter(|value| is_request_id(value.as_bytes()));
    given.cloned().unwrap_or_else(|| {
        let number = admin.request_id_next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{}-a{number}", admin.request_id_prefix);
        HeaderValue::from_str(&text).expect("hex and digits make a header value")
    })
}
