//! Signing keys: listing, rotating by hand and by age, revoking.
//!
//! A change is planned from the stored rows and committed only if those rows are still as they were read, so two
//! changes at once never make two signing keys: the second is told to look again.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_storage::record::{KeyState, Level, SigningKey};
use assay_storage::schema::SigningKeys;
use assay_storage::{Commit, Seq};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem};
use super::query::{Id, Seconds};
use super::{Admin, log_change};
use crate::core::Shared;
use crate::limits::{ACCESS_TOKEN_LIFETIME_S_MAX, KEYS_ENDED_COUNT_MAX, KEYS_IN_GRACE_COUNT_MAX, KEYS_READ_MAX};
use crate::state::keys;
use crate::state::revoke::{keep_until, put_revocation};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_keys)).routes(routes!(rotate_keys)).routes(routes!(revoke_key))
}

/// A signing key; only what everyone may know of it.
#[derive(Serialize, ToSchema)]
struct Key {
    /// Its RFC 7638 thumbprint.
    kid: String,
    /// The JWS algorithm.
    #[schema(example = "ES256")]
    alg: String,
    /// Where in its life it is.
    state: KeyStateName,
    /// When it was made, in Unix seconds.
    created_at: u64,
    /// When it began signing, in Unix seconds.
    #[schema(required = true)]
    activated_at: Option<u64>,
    /// Until when its tokens verify after it stopped signing, in Unix seconds.
    #[schema(required = true)]
    grace_until: Option<u64>,
}

/// The life of a key: published, signing, verifying only, over; or revoked.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeyStateName {
    Prepublished,
    Active,
    Grace,
    Retired,
    Revoked,
}

/// All keys, oldest first.
#[derive(Serialize, ToSchema)]
struct Keys {
    items: Vec<Key>,
}

impl Keys {
    fn of(mut rows: Vec<SigningKey>, now: Seconds) -> Keys {
        rows.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
        let items = rows.into_iter().map(|row| Key {
            state: match row.state {
                KeyState::Prepublished => KeyStateName::Prepublished,
                KeyState::Active => KeyStateName::Active,
                KeyState::Grace if row.grace_until.is_some_and(|until| until <= now) => KeyStateName::Retired,
                KeyState::Grace => KeyStateName::Grace,
                KeyState::Retired => KeyStateName::Retired,
                KeyState::Revoked => KeyStateName::Revoked,
            },
            kid: row.kid,
            alg: row.alg,
            created_at: row.created_at,
            activated_at: row.activated_at,
            grace_until: row.grace_until,
        });
        Keys { items: items.collect() }
    }
}

/// List signing keys
#[utoipa::path(get, path = "/keys", tag = "keys", responses((status = 200, description = "All keys, oldest first.", body = Keys)))]
async fn list_keys(State(admin): State<Admin>) -> axum::Json<Keys> {
    axum::Json(Keys::of(admin.shared.directory.key_rows(), admin.now()))
}

/// Rotate the signing key
///
/// The next key signs from now on; tokens of the one before stay valid until they expire. The key after the next is
/// published at once. Services that verify tokens by themselves know the new key only if it was published for longer
/// than they keep the key set, so rotate once and wait, unless it is urgent.
#[utoipa::path(post, path = "/keys/rotate", tag = "keys", responses((status = 200, description = "All keys as they are now.", body = Keys)))]
async fn rotate_keys(State(admin): State<Admin>) -> Result<axum::Json<Keys>, Problem> {
    let now = admin.now();
    rotate(&admin.shared, now).await?;
    Ok(axum::Json(Keys::of(admin.shared.directory.key_rows(), now)))
}

/// Revoke a signing key
///
/// Every token it signed is dead before the answer. If it was signing, its successor signs from now on.
#[utoipa::path(post, path = "/keys/{kid}/revoke", tag = "keys",
    params(("kid" = String, Path, description = "The key.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "All keys as they are now.", body = Keys)))]
async fn revoke_key(State(admin): State<Admin>, Id(kid): Id) -> Result<axum::Json<Keys>, Problem> {
    let (shared, now) = (&admin.shared, admin.now());
    let known = read(shared, now).await?;
    if !known.contains_key(&kid) {
        return Err(Problem::not_found());
    }
    let rows: Vec<SigningKey> = known.values().map(|(row, _)| row.clone()).collect();
    let changed = keys::revoke(&rows, &kid, now, grace_s(shared)).ok_or_else(Problem::unavailable)?;
    let mut commit = plan(shared, now, &known, &changed);
    put_revocation(&mut commit, Level::Key, &kid, Some("signing key revoked".to_owned()), now, keep_until(now));
    shared.store.commit(commit).await?;
    log_change("signing key revoked", &kid);
    Ok(axum::Json(Keys::of(shared.directory.key_rows(), now)))
}

/// Replaces a signing key that has signed for longer than the configuration allows. Called every second: when nothing
/// is due it only looks at the keys in memory.
pub(crate) async fn rotate_if_due(shared: &Arc<Shared>, now: Seconds) {
    let days = shared.config.key_rotation_days;
    // A store that cannot write says so by itself; trying every second would only repeat it.
    if days == 0 || !shared.store.writable() {
        return;
    }
    let rows = shared.directory.key_rows();
    let signing = rows.iter().filter(|row| row.state == KeyState::Active);
    let Some(since) = signing.map(|row| row.activated_at.unwrap_or(row.created_at)).max() else { return };
    if now < since.saturating_add(days.saturating_mul(SECONDS_PER_DAY)) {
        return;
    }
    if let Err(problem) = rotate(shared, now).await {
        tracing::warn!(reason = problem.kind.row().1, "the signing key is due for rotation, and could not be rotated");
    }
}

const SECONDS_PER_DAY: u64 = 86_400;

async fn rotate(shared: &Shared, now: Seconds) -> Result<(), Problem> {
    let known = read(shared, now).await?;
    let is_in_grace =
        |row: &SigningKey| row.state == KeyState::Grace && row.grace_until.is_none_or(|until| now < until);
    if known.values().filter(|(row, _)| is_in_grace(row)).count() >= KEYS_IN_GRACE_COUNT_MAX {
        return Err(Problem::new(
            Kind::TooMany,
            format!("{KEYS_IN_GRACE_COUNT_MAX} keys still verify; wait until one is over, or revoke one"),
        ));
    }
    let rows: Vec<SigningKey> = known.values().map(|(row, _)| row.clone()).collect();
    let changed = keys::rotate(&rows, now, grace_s(shared)).ok_or_else(Problem::unavailable)?;
    let commit = plan(shared, now, &known, &changed);
    shared.store.commit(commit).await?;
    let signing = changed.iter().find(|row| row.state == KeyState::Active);
    log_change("signing key rotated", signing.map_or("", |row| &row.kid));
    Ok(())
}

type Known = BTreeMap<String, (SigningKey, Seq)>;

async fn read(shared: &Shared, now: Seconds) -> Result<Known, Problem> {
    let tenant = shared.tenant;
    let rows = shared.store.read(now, move |reader| reader.scan::<SigningKeys>(tenant, None, KEYS_READ_MAX)).await?;
    Ok(rows.into_iter().map(|(kid, row)| (kid, (row.record, row.seq))).collect())
}

/// The commit that makes `changed` true if what was read still is. It also forgets the oldest keys that are over:
/// an unknown key verifies no more than a retired one.
fn plan(shared: &Shared, now: Seconds, known: &Known, changed: &[SigningKey]) -> Commit {
    let mut commit = Commit::new(shared.tenant, now);
    for row in changed {
        match known.get(&row.kid) {
            Some((_, seq)) => commit.expect_unchanged::<SigningKeys>(&row.kid, *seq),
            None => commit.expect_absent::<SigningKeys>(&row.kid),
        };
        commit.put::<SigningKeys>(&row.kid, row);
    }
    let is_over = |row: &&SigningKey| matches!(row.state, KeyState::Retired | KeyState::Revoked);
    let mut over: Vec<&SigningKey> = known.values().map(|(row, _)| row).filter(is_over).collect();
    over.retain(|row| changed.iter().all(|change| change.kid != row.kid));
    over.sort_by(|a, b| (b.created_at, &b.kid).cmp(&(a.created_at, &a.kid)));
    for row in over.into_iter().skip(KEYS_ENDED_COUNT_MAX) {
        commit.delete::<SigningKeys>(&row.kid);
    }
    commit
}

/// How long a key must verify after its last signature: as long as anything it may have signed lives.
fn grace_s(shared: &Shared) -> u64 {
    let config = shared.config.access_token_lifetime_s.max(shared.config.id_token_lifetime_s);
    let clients = shared.directory.clients(shared.tenant);
    // A client's own lifetime may have been longer yesterday, so the longest possible one is assumed.
    let some_is_longer = clients.iter().any(|client| client.record.access_token_lifetime.is_some_and(|s| s > config));
    if some_is_longer { ACCESS_TOKEN_LIFETIME_S_MAX.max(config) } else { config }
}
