//! Users: finding them, suspending them and bringing them back.

use assay_storage::record::{self, Level, UserStatus};
use assay_storage::schema::{Users, UsersByPubkey};
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem};
use super::query::{Id, Page, Params};
use super::{Admin, log_change};
use crate::state::client::parse_pubkey;
use crate::state::revoke::{keep_until, put_revocation};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list_users))
        .routes(routes!(show_user))
        .routes(routes!(suspend_user))
        .routes(routes!(reactivate_user))
}

/// A person.
#[derive(Serialize, ToSchema)]
struct User {
    /// The subject of their tokens.
    user_id: String,
    /// Their public key, compressed, in hex.
    pubkey: String,
    /// What people see.
    name: String,
    /// `active` or `suspended`.
    status: UserStatusName,
    /// Their BAP identity.
    #[schema(required = true)]
    bap_id: Option<String>,
    /// When they first signed in, in Unix seconds.
    #[schema(example = 1_767_225_600)]
    created_at: u64,
    /// When they were last changed, in Unix seconds.
    #[schema(example = 1_767_225_600)]
    updated_at: u64,
}

/// Whether a person may sign in.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UserStatusName {
    Active,
    Suspended,
}

impl User {
    fn of(user: record::User) -> User {
        User {
            user_id: user.user_id,
            pubkey: user.pubkey,
            name: user.name,
            status: match user.status {
                UserStatus::Active => UserStatusName::Active,
                UserStatus::Suspended => UserStatusName::Suspended,
            },
            bap_id: user.bap_id,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// List users
#[utoipa::path(get, path = "/users", tag = "users",
    params(
        ("after" = String, Query, description = "The `next_cursor` of the page before.", max_length = 256),
        ("limit" = u32, Query, description = "Rows on one page; 50 unless given.", minimum = 1, maximum = 200),
        ("pubkey" = String, Query, description = "Only the user with this key.", pattern = "^0[23][0-9a-fA-F]{64}$"),
    ),
    responses((status = 200, description = "One page of users, by id.", body = Page<User>)))]
async fn list_users(State(admin): State<Admin>, uri: Uri) -> Result<axum::Json<Page<User>>, Problem> {
    let params = Params::read(&uri, &["after", "limit", "pubkey"])?;
    let (after, limit, tenant) = (params.after(), params.limit()?, admin.shared.tenant);
    let rows = match params.text("pubkey") {
        Some(text) => {
            let pubkey = parse_pubkey(text)
                .filter(|key| matches!(key[0], 2 | 3))
                .ok_or_else(|| Problem::new(Kind::InvalidParameter, "pubkey must be 66 hex digits from 02 or 03 on"))?;
            let read = admin.shared.store.read(admin.now(), move |reader| {
                let Some(found) = reader.get::<UsersByPubkey>(tenant, &pubkey)? else { return Ok(None) };
                reader.get::<Users>(tenant, &found.record.user_id)
            });
            let user = read.await?.map(|row| row.record);
            user.into_iter().filter(|user| after.as_ref().is_none_or(|id| user.user_id > *id)).map(User::of).collect()
        }
        None => {
            let read = admin
                .shared
                .store
                .read(admin.now(), move |reader| reader.scan::<Users>(tenant, after.as_ref(), limit + 1));
            read.await?.into_iter().map(|(_, row)| User::of(row.record)).collect()
        }
    };
    Ok(axum::Json(Page::of(rows, limit, |user| &user.user_id)))
}

/// Show a user
#[utoipa::path(get, path = "/users/{user_id}", tag = "users",
    params(("user_id" = String, Path, description = "The user.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The user.", body = User)))]
async fn show_user(State(admin): State<Admin>, Id(user_id): Id) -> Result<axum::Json<User>, Problem> {
    let tenant = admin.shared.tenant;
    let row = admin.shared.store.read(admin.now(), move |reader| reader.get::<Users>(tenant, &user_id)).await?;
    row.map(|row| axum::Json(User::of(row.record))).ok_or_else(Problem::not_found)
}

/// Suspend a user
///
/// Before the answer, on every core: sign-in is refused, sessions are over, and every token is inactive.
#[utoipa::path(post, path = "/users/{user_id}/suspend", tag = "users",
    params(("user_id" = String, Path, description = "The user.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The user as they are now.", body = User)))]
async fn suspend_user(State(admin): State<Admin>, Id(user_id): Id) -> Result<axum::Json<User>, Problem> {
    set_status(&admin, user_id, UserStatus::Suspended).await
}

/// Let a user sign in again
///
/// Tokens and sessions from before the suspension stay dead.
#[utoipa::path(post, path = "/users/{user_id}/reactivate", tag = "users",
    params(("user_id" = String, Path, description = "The user.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The user as they are now.", body = User)))]
async fn reactivate_user(State(admin): State<Admin>, Id(user_id): Id) -> Result<axum::Json<User>, Problem> {
    set_status(&admin, user_id, UserStatus::Active).await
}

async fn set_status(admin: &Admin, user_id: String, status: UserStatus) -> Result<axum::Json<User>, Problem> {
    let (now, tenant, key) = (admin.now(), admin.shared.tenant, user_id.clone());
    let row = admin.shared.store.read(now, move |reader| reader.get::<Users>(tenant, &key)).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let mut user = row.record;
    user.status = status;
    user.updated_at = now;
    let mut commit = admin.start_commit(now);
    commit.expect_unchanged::<Users>(&user_id, row.seq).put::<Users>(&user_id, &user);
    if status == UserStatus::Suspended {
        put_revocation(&mut commit, Level::User, &user_id, Some("user suspended".to_owned()), now, keep_until(now));
    }
    admin.shared.store.commit(commit).await?;
    log_change(if status == UserStatus::Suspended { "user suspended" } else { "user reactivated" }, &user_id);
    Ok(axum::Json(User::of(user)))
}
