//! People and their sessions: rows into the facts that decisions read.

use assay_oauth::facts::{SessionFacts, UserFacts};
use assay_oauth::flow::session as session_flow;
use assay_oauth::secret::sha256;
use assay_storage::record::{Session, User, UserStatus};
use assay_storage::schema::{Sessions, Users, UsersByPubkey};
use assay_storage::{KvError, Reader, Row, TenantId};
use http::header::COOKIE;

use crate::core::Shared;
use crate::http::dispatch::Call;
use crate::http::error::Failure;

/// Name of the server secret behind session cookies and form tokens.
pub const COOKIE_SECRET_NAME: &str = "cookie";

/// What decisions read of a user.
#[must_use]
pub fn user_facts(user: &User) -> UserFacts {
    UserFacts {
        user_id: user.user_id.clone(),
        pubkey: user.pubkey.clone(),
        name: user.name.clone(),
        suspended: user.status == UserStatus::Suspended,
        bap_id: user.bap_id.clone(),
    }
}

/// What decisions read of a session.
#[must_use]
pub fn session_facts(row: &Row<Session>) -> SessionFacts {
    let session = &row.record;
    SessionFacts {
        sid: session.sid.clone(),
        user_id: session.user_id.clone(),
        created_at: session.created_at,
        expires_at: row.expires_at.unwrap_or(u64::MAX),
        auth_time: session.auth_time,
        amr: session.amr.clone(),
        generation: session.r#gen,
        ip: session.ip.clone(),
        user_agent: session.user_agent.clone(),
    }
}

/// A user by id.
///
/// # Errors
/// The store could not read.
pub fn user(reader: &Reader, tenant: TenantId, user_id: &str) -> Result<Option<UserFacts>, KvError> {
    Ok(reader.get::<Users>(tenant, &user_id.to_owned())?.map(|row| user_facts(&row.record)))
}

/// The user who signs in with a key.
///
/// # Errors
/// The store could not read.
pub fn user_by_pubkey(reader: &Reader, tenant: TenantId, pubkey: &[u8; 33]) -> Result<Option<UserFacts>, KvError> {
    match reader.get::<UsersByPubkey>(tenant, pubkey)? {
        Some(row) => user(reader, tenant, &row.record.user_id),
        None => Ok(None),
    }
}

/// The secret behind cookies.
///
/// # Errors
/// The server has none: its first start was cut short by a foreign hand.
pub fn cookie_secret(shared: &Shared) -> Result<[u8; 32], Failure> {
    shared.directory.server_secret(COOKIE_SECRET_NAME).ok_or(Failure::Unavailable { what: "no_cookie_secret" })
}

/// Somebody's browser session, loaded and found to stand.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: SessionFacts,
    /// Its owner.
    pub user: UserFacts,
    /// The cookie's token: shown to its holder by get-session, and the key of the row.
    pub token: SessionToken,
}

/// A session token in clear; `Debug` hides it.
#[derive(Clone)]
pub struct SessionToken(pub String);

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(hidden)")
    }
}

/// The session of the request's cookie, if there is one and nothing has ended it.
///
/// # Errors
/// The store could not read.
pub async fn signed_in(call: &Call) -> Result<Option<SignedIn>, Failure> {
    let shared = &call.core.shared;
    let secret = cookie_secret(shared)?;
    let secure = shared.config.cookies_are_secure();
    let cookies = call.head.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let Some(token) = cookies.into_iter().find_map(|line| session_flow::token_in_cookie(&secret, line, secure)) else {
        return Ok(None);
    };
    let token = token.to_owned();
    let (key, tenant) = (sha256(token.as_bytes()), shared.tenant);
    let loaded = shared
        .store
        .read(call.now(), move |reader| {
            let Some(row) = reader.get::<Sessions>(tenant, &key)? else { return Ok(None) };
            let session = session_facts(&row);
            Ok(user(reader, tenant, &session.user_id)?.map(|user| (session, user)))
        })
        .await?;
    let Some((session, user)) = loaded else { return Ok(None) };
    let view = shared.directory.view(shared.tenant, call.now());
    let pair = assay_oauth::facts::SignedIn { session: &session, user: &user };
    if !session_flow::is_valid(&pair, &shared.tenant_facts.tid, &view, call.now()) {
        return Ok(None);
    }
    Ok(Some(SignedIn { session, user, token: SessionToken(token) }))
}
