//! The admin listener: applications, users, sessions, signing keys and revocations over JSON, beside the cores.
//!
//! One file per resource, each a router whose handlers carry their own documentation. A request meets, in this order:
//! the connection and its bounds (`listen`), the token, the tenant and the request id (`frame`), path and query
//! (`query`), the body (`body`, `shape`), the handler; a refusal becomes a `problem` on the way out. The
//! listener runs on the side runtime: nothing here may wait on a core, and no core ever waits for it.

mod applications;
mod body;
mod frame;
pub(crate) mod keys;
mod listen;
mod openapi;
mod probes;
mod problem;
mod query;
mod registration;
mod revocations;
mod sessions;
mod shape;
mod users;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use assay_oauth::secret::Secret;
use assay_storage::Commit;
use axum::Router;
use bytes::Bytes;
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

use crate::core::Shared;
use problem::Problem;
use query::Seconds;

/// Before the tenant in every path.
const TENANTS_PATH: &str = "/v1/tenants";

/// What handlers find around them.
#[derive(Clone)]
pub(crate) struct Admin(Arc<AdminParts>);

pub(crate) struct AdminParts {
    shared: Arc<Shared>,
    token_sha256: [u8; 32],
    document: Bytes,
    request_id_prefix: String,
    request_id_next: AtomicU64,
}

impl std::ops::Deref for Admin {
    type Target = AdminParts;

    fn deref(&self) -> &AdminParts {
        &self.0
    }
}

impl Admin {
    fn now(&self) -> Seconds {
        self.shared.clock.unix_seconds()
    }

    fn start_commit(&self, now: Seconds) -> Commit {
        Commit::new(self.shared.tenant, now)
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Problem> {
        self.shared.random().map_err(|_| Problem::unavailable())
    }
}

/// One line for every administrative change. `id` is an identifier, never a secret.
fn log_change(what: &'static str, id: &str) {
    tracing::info!(who = "admin", what, id, "administrative change");
}

/// Serves until the server drains.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, admin_token: Secret) {
    let router = router(Arc::clone(&shared), &admin_token);
    drop(admin_token);
    listen::serve(listener, router, shared).await;
}

fn router(shared: Arc<Shared>, admin_token: &Secret) -> Router {
    let of_tenant = OpenApiRouter::new()
        .merge(applications::router())
        .merge(users::router())
        .merge(sessions::router())
        .merge(keys::router())
        .merge(revocations::router());
    let (router, gathered) = OpenApiRouter::new()
        .merge(probes::router())
        .nest(&format!("{TENANTS_PATH}/{{tenant}}"), of_tenant)
        .split_for_parts();
    let shapes: Vec<_> = applications::SHAPES.iter().chain(revocations::SHAPES).copied().collect();
    let document = openapi::document(&gathered, &shapes, &shared.tenant_facts.tid);
    let start_id = getrandom::u32().unwrap_or_default();
    let admin = Admin(Arc::new(AdminParts {
        token_sha256: admin_token.sha256(),
        document: Bytes::from(document.to_string()),
        request_id_prefix: format!("{start_id:08x}"),
        request_id_next: AtomicU64::new(0),
        shared,
    }));
    router
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(admin.clone(), frame::frame))
        .with_state(admin)
}

async fn not_found() -> Problem {
    Problem::not_found()
}

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
