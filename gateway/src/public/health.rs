//! `GET /health` (the process lives) and `GET /ready` (send it requests).

use bytes::Bytes;
use http::StatusCode;

use crate::core::Shared;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};

/// 200 as long as a core answers.
pub async fn get_health(_call: Call) -> Result<Answer, Failure> {
    Ok(response::json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}")))
}

/// 200 when this server should get requests; 503 while it drains or storage cannot write.
pub async fn get_ready(call: Call) -> Result<Answer, Failure> {
    Ok(match not_ready(&call.core.shared).await {
        None => response::json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ready\"}")),
        Some(reason) => response::json(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"status\":\"{reason}\"}}")),
    })
}

/// Why the server should not get requests. Storage that failed is asked again, so readiness returns by itself.
pub async fn not_ready(shared: &Shared) -> Option<&'static str> {
    if shared.is_draining() {
        return Some("draining");
    }
    if !shared.store.writable() && shared.store.probe_write().await.is_err() {
        return Some("storage cannot write");
    }
    None
}
