//! Browser sessions: finding and ending them.

use assay_oauth::revocation::Holder;
use assay_storage::record::{self, Level};
use assay_storage::schema::{Sessions, SessionsBySid};
use assay_storage::{KvError, Reader, TenantId};
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::query::{Id, Page, Params, Revoked, Seconds};
use super::{Admin, log_change};
use crate::limits::{SESSION_SCAN_ROWS, SESSION_SCAN_ROWS_MAX};
use crate::state::revoke::{keep_until, put_revocation};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_sessions)).routes(routes!(revoke_session))
}

/// A signed-in browser.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Its public identifier; useless for signing in.
    sid: String,
    /// Whose it is.
    user_id: String,
    /// When it began, in Unix seconds.
    created_at: u64,
    /// When the user last authenticated in it, in Unix seconds.
    auth_time: u64,
    /// When it ends, in Unix seconds.
    expires_at: u64,
    /// How the user authenticated.
    amr: Vec<String>,
    /// Address it began from.
    ip: String,
    /// Browser it began in.
    user_agent: String,
    /// False once something that covers it was revoked.
    active: bool,
}

/// List sessions
///
/// With `user_id` a page may be shorter than `limit`, even empty, before the last: follow `next_cursor` until it is
/// null.
#[utoipa::path(get, path = "/sessions", tag = "sessions",
    params(
        ("after" = String, Query, description = "The `next_cursor` of the page before.", max_length = 256),
        ("limit" = u32, Query, description = "Rows on one page; 50 unless given.", minimum = 1, maximum = 200),
        ("user_id" = String, Query, description = "Only sessions of this user.", max_length = 256),
    ),
    responses((status = 200, description = "One page of sessions, by sid.", body = Page<Session>)))]
async fn list_sessions(State(admin): State<Admin>, uri: Uri) -> Result<axum::Json<Page<Session>>, Problem> {
    let params = Params::read(&uri, &["after", "limit", "user_id"])?;
    let (after, limit, tenant, now) = (params.after(), params.limit()?, admin.shared.tenant, admin.now());
    let user_id = params.text("user_id").filter(|text| !text.is_empty()).map(str::to_owned);
    let read = admin.shared.store.read(now, move |reader| find(reader, tenant, user_id.as_deref(), after, limit));
    let (found, next_cursor) = read.await?;
    let view = admin.shared.directory.view(tenant, now);
    let tid = admin.shared.tenant_facts.tid.as_str();
    let items = found.into_iter().map(|(session, expires_at)| {
        let holder = Holder { tid, client_id: None, user_id: Some(&session.user_id), sid: Some(&session.sid) };
        let active = !holder.is_revoked(session.r#gen, &view);
        Session {
            sid: session.sid,
            user_id: session.user_id,
            created_at: session.created_at,
            auth_time: session.auth_time,
            expires_at,
            amr: session.amr,
            ip: session.ip,
            user_agent: session.user_agent,
            active,
        }
    });
    Ok(axum::Json(Page { items: items.collect(), next_cursor }))
}

type Found = (Vec<(record::Session, Seconds)>, Option<String>);

/// Walks the sessions by sid, not further than [`SESSION_SCAN_ROWS_MAX`] rows: what one request costs is bounded, and
/// the cursor says where it stopped.
fn find(
    reader: &Reader,
    tenant: TenantId,
    user_id: Option<&str>,
    mut after: Option<String>,
    limit: usize,
) -> Result<Found, KvError> {
    let mut found = Vec::new();
    for _ in 0..SESSION_SCAN_ROWS_MAX / SESSION_SCAN_ROWS {
        let rows = reader.scan::<SessionsBySid>(tenant, after.as_ref(), SESSION_SCAN_ROWS)?;
        let is_last = rows.len() < SESSION_SCAN_ROWS;
        for (sid, row) in rows {
            after = Some(sid);
            if user_id.is_some_and(|wanted| wanted != row.record.user_id) {
                continue;
            }
            if let Some(session) = reader.get::<Sessions>(tenant, &row.record.token_sha256)? {
                found.push((session.record, row.record.expires_at));
                if found.len() == limit {
                    return Ok((found, after));
                }
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
    Ok((found, after))
}

/// End a session
///
/// Its cookie and every token that came from it are dead before the answer.
#[utoipa::path(post, path = "/sessions/{sid}/revoke", tag = "sessions",
    params(("sid" = String, Path, description = "The session.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "It is over.", body = Revoked)))]
async fn revoke_session(State(admin): State<Admin>, Id(sid): Id) -> Result<axum::Json<Revoked>, Problem> {
    let (now, tenant, key) = (admin.now(), admin.shared.tenant, sid.clone());
    let row = admin.shared.store.read(now, move |reader| reader.get::<SessionsBySid>(tenant, &key)).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let mut commit = admin.start_commit(now);
    commit.delete::<Sessions>(&row.record.token_sha256).delete::<SessionsBySid>(&sid);
    put_revocation(&mut commit, Level::Session, &sid, Some("session revoked".to_owned()), now, keep_until(now));
    let seq = admin.shared.store.commit(commit).await?;
    log_change("session revoked", &sid);
    Ok(axum::Json(Revoked { seq: seq.0 }))
}
