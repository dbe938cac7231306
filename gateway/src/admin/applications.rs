//! Applications: what may ask for tokens, and what may introspect them.

use assay_oauth::secret::{Secret, SecretKind, identifier};
use assay_storage::record::{self, ClientSecret, Level};
use assay_storage::schema::Clients;
use assay_storage::{Commit, Row};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, OptionalJson, Shaped};
use super::problem::{Kind, Problem};
use super::query::{Id, Page, Params, Seconds};
use super::registration::{Application, Change, Registration, blank, contradictions, uses_secret};
use super::shape::{Member, Rule, Shape, independent, integer};
use super::{Admin, TENANTS_PATH, log_change};
use crate::limits::{APPLICATIONS_COUNT_MAX, SECRET_OVERLAP_S_DEFAULT, SECRET_OVERLAP_S_MAX};
use crate::state::revoke::{keep_until, put_revocation};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(list_applications, create_application))
        .routes(routes!(show_application, change_application, delete_application))
        .routes(routes!(rotate_secret))
        .routes(routes!(disable_application))
        .routes(routes!(enable_application))
}

/// List applications
#[utoipa::path(get, path = "/applications", tag = "applications",
    params(
        ("after" = String, Query, description = "The `next_cursor` of the page before.", max_length = 256),
        ("limit" = u32, Query, description = "Rows on one page; 50 unless given.", minimum = 1, maximum = 200),
    ),
    responses((status = 200, description = "One page of applications, by id.", body = Page<Application>)))]
async fn list_applications(State(admin): State<Admin>, uri: Uri) -> Result<axum::Json<Page<Application>>, Problem> {
    let params = Params::read(&uri, &["after", "limit"])?;
    let (after, limit, now) = (params.after(), params.limit()?, admin.now());
    let clients = admin.shared.directory.clients(admin.shared.tenant);
    let rest = clients
        .iter()
        .map(|client| &client.record)
        .filter(|client| after.as_ref().is_none_or(|id| client.client_id > *id));
    let items = rest.take(limit + 1).map(|client| Application::of(client, now)).collect();
    Ok(axum::Json(Page::of(items, limit, |item| &item.client_id)))
}

/// Register an application
///
/// A `client_secret_*` application gets its secret in this answer and never again.
#[utoipa::path(post, path = "/applications", tag = "applications",
    request_body = ref("#/components/schemas/NewApplication"),
    responses((status = 201, description = "It is registered.", body = Application,
        headers(("Location" = String, description = "Where it is now.")))))]
async fn create_application(
    State(admin): State<Admin>,
    Json(Registration(change)): Json<Registration>,
) -> Result<Response, Problem> {
    let now = admin.now();
    if admin.shared.directory.clients(admin.shared.tenant).len() >= APPLICATIONS_COUNT_MAX {
        return Err(Problem::new(
            Kind::TooMany,
            format!("there are {APPLICATIONS_COUNT_MAX} applications; delete one first"),
        ));
    }
    let mut client = blank(identifier("app_", &admin.random()?), now);
    change.apply(&mut client);
    let errors = contradictions(&client);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let secret = if uses_secret(&client) { Some(add_secret(&admin, &mut client, now, None)?) } else { None };
    let mut commit = admin.start_commit(now);
    commit.expect_absent::<Clients>(&client.client_id).put::<Clients>(&client.client_id, &client);
    admin.shared.store.commit(commit).await?;
    log_change("application registered", &client.client_id);
    let location = format!("{TENANTS_PATH}/{}/applications/{}", admin.shared.tenant_facts.tid, client.client_id);
    let mut answer = (StatusCode::CREATED, axum::Json(with_secret(&client, now, secret.as_ref()))).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// Show an application
#[utoipa::path(get, path = "/applications/{client_id}", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The application.", body = Application)))]
async fn show_application(State(admin): State<Admin>, Id(client_id): Id) -> Result<axum::Json<Application>, Problem> {
    let client = admin.shared.directory.client(admin.shared.tenant, &client_id).ok_or_else(Problem::not_found)?;
    Ok(axum::Json(Application::of(&client.record, admin.now())))
}

/// Change an application
///
/// 409 when the change contradicts what the application is, or somebody else changed it at the same time.
#[utoipa::path(patch, path = "/applications/{client_id}", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    request_body = ref("#/components/schemas/ApplicationChange"),
    responses((status = 200, description = "The application as it is now.", body = Application)))]
async fn change_application(
    State(admin): State<Admin>,
    Id(client_id): Id,
    Json(change): Json<Change>,
) -> Result<axum::Json<Application>, Problem> {
    let now = admin.now();
    let row = load(&admin, now, &client_id).await?;
    let (mut client, seq) = (row.record, row.seq);
    change.apply(&mut client);
    let errors = contradictions(&client);
    if !errors.is_empty() {
        return Err(Problem::with_errors(
            Kind::Conflict,
            "the change contradicts what the application is; change both at once",
            errors,
        ));
    }
    client.updated_at = now;
    let mut commit = admin.start_commit(now);
    commit.expect_unchanged::<Clients>(&client_id, seq).put::<Clients>(&client_id, &client);
    admin.shared.store.commit(commit).await?;
    log_change("application changed", &client_id);
    Ok(axum::Json(Application::of(&client, now)))
}

/// Delete an application
///
/// All its tokens are dead before the answer.
#[utoipa::path(delete, path = "/applications/{client_id}", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    responses((status = 204, description = "It is gone.")))]
async fn delete_application(State(admin): State<Admin>, Id(client_id): Id) -> Result<StatusCode, Problem> {
    let now = admin.now();
    let row = load(&admin, now, &client_id).await?;
    let mut commit = admin.start_commit(now);
    commit.expect_unchanged::<Clients>(&client_id, row.seq).delete::<Clients>(&client_id);
    revoke_client(&mut commit, &client_id, "application deleted", now);
    admin.shared.store.commit(commit).await?;
    log_change("application deleted", &client_id);
    Ok(StatusCode::NO_CONTENT)
}

/// Disable an application
///
/// It is unknown from now on. Its tokens are dead before the answer and stay dead when it is enabled again.
#[utoipa::path(post, path = "/applications/{client_id}/disable", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The application as it is now.", body = Application)))]
async fn disable_application(
    State(admin): State<Admin>,
    Id(client_id): Id,
) -> Result<axum::Json<Application>, Problem> {
    set_enabled(&admin, &client_id, false).await
}

/// Enable an application
#[utoipa::path(post, path = "/applications/{client_id}/enable", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    responses((status = 200, description = "The application as it is now.", body = Application)))]
async fn enable_application(State(admin): State<Admin>, Id(client_id): Id) -> Result<axum::Json<Application>, Problem> {
    set_enabled(&admin, &client_id, true).await
}

async fn set_enabled(admin: &Admin, client_id: &String, enabled: bool) -> Result<axum::Json<Application>, Problem> {
    let now = admin.now();
    let row = load(admin, now, client_id).await?;
    let mut client = row.record;
    client.enabled = enabled;
    client.updated_at = now;
    let mut commit = admin.start_commit(now);
    commit.expect_unchanged::<Clients>(client_id, row.seq).put::<Clients>(client_id, &client);
    if !enabled {
        revoke_client(&mut commit, client_id, "application disabled", now);
    }
    admin.shared.store.commit(commit).await?;
    log_change(if enabled { "application enabled" } else { "application disabled" }, client_id);
    Ok(axum::Json(Application::of(&client, now)))
}

fn revoke_client(commit: &mut Commit, client_id: &str, reason: &str, now: Seconds) {
    put_revocation(commit, Level::Client, client_id, Some(reason.to_owned()), now, keep_until(now));
}

static SECRET_ROTATION: Shape = Shape {
    name: "SecretRotation",
    about: "How to rotate; may be left out.",
    members: &[Member {
        name: "expires_in",
        rule: Rule::Integer { min: 0, max: SECRET_OVERLAP_S_MAX },
        nullable: false,
        about: "Seconds the secret before stays valid; a day unless given.",
    }],
    required: &[],
    across: independent,
    example: || json!({ "expires_in": 3600 }),
};

/// See [`SECRET_ROTATION`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecretRotation {
    #[serde(deserialize_with = "integer")]
    expires_in: Option<u64>,
}

impl Shaped for SecretRotation {
    const SHAPE: &'static Shape = &SECRET_ROTATION;
}

/// Every request shape of this file.
pub(crate) static SHAPES: &[&Shape] = &[Registration::SHAPE, Change::SHAPE, &SECRET_ROTATION];

/// Make a new secret
///
/// The secret before stays valid beside it for a day, or `expires_in`; one before that ends now. 409 when the
/// application uses no secret.
#[utoipa::path(post, path = "/applications/{client_id}/secrets", tag = "applications",
    params(("client_id" = String, Path, description = "The application.", min_length = 1, max_length = 256)),
    request_body = ref("#/components/schemas/SecretRotation"),
    responses((status = 201, description = "The application, with its new secret.", body = Application)))]
async fn rotate_secret(
    State(admin): State<Admin>,
    Id(client_id): Id,
    OptionalJson(how): OptionalJson<SecretRotation>,
) -> Result<Response, Problem> {
    let now = admin.now();
    let row = load(&admin, now, &client_id).await?;
    let mut client = row.record;
    if !uses_secret(&client) {
        return Err(Problem::new(Kind::Conflict, "this application does not authenticate with a secret"));
    }
    let overlap_s = how.expires_in.unwrap_or(SECRET_OVERLAP_S_DEFAULT);
    let secret = add_secret(&admin, &mut client, now, Some(now.saturating_add(overlap_s)))?;
    client.updated_at = now;
    let mut commit = admin.start_commit(now);
    commit.expect_unchanged::<Clients>(&client_id, row.seq).put::<Clients>(&client_id, &client);
    admin.shared.store.commit(commit).await?;
    log_change("application secret rotated", &client_id);
    Ok((StatusCode::CREATED, axum::Json(with_secret(&client, now, Some(&secret)))).into_response())
}

/// Puts a fresh secret last. Of those before, only the newest stays, and no longer than `older_until`.
fn add_secret(
    admin: &Admin,
    client: &mut record::Client,
    now: Seconds,
    older_until: Option<Seconds>,
) -> Result<Secret, Problem> {
    let secret = Secret::from_random(SecretKind::ClientSecret, &admin.random()?);
    client.secrets = with_newest(std::mem::take(&mut client.secrets), secret.sha256(), now, older_until);
    Ok(secret)
}

fn with_newest(
    mut secrets: Vec<ClientSecret>,
    sha256: [u8; 32],
    now: Seconds,
    older_until: Option<Seconds>,
) -> Vec<ClientSecret> {
    secrets.retain(|secret| secret.expires_at.is_none_or(|at| now < at));
    let mut kept: Vec<ClientSecret> = secrets.pop().into_iter().collect();
    for older in &mut kept {
        older.expires_at = match (older.expires_at, older_until) {
            (Some(at), Some(until)) => Some(at.min(until)),
            (at, until) => at.or(until),
        };
    }
    kept.retain(|secret| secret.expires_at.is_none_or(|at| now < at));
    kept.push(ClientSecret { sha256, created_at: now, expires_at: None });
    kept
}

fn with_secret(client: &record::Client, now: Seconds, secret: Option<&Secret>) -> Application {
    let mut shown = Application::of(client, now);
    shown.client_secret = secret.map(|secret| secret.expose().to_owned());
    shown
}

async fn load(admin: &Admin, now: Seconds, client_id: &str) -> Result<Row<record::Client>, Problem> {
    let (tenant, key) = (admin.shared.tenant, client_id.to_owned());
    let row = admin.shared.store.read(now, move |reader| reader.get::<Clients>(tenant, &key)).await?;
    row.ok_or_else(Problem::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_two_secrets_live() {
        let first = with_newest(Vec::new(), [1; 32], 100, None);
        assert_eq!(first.len(), 1);
        let second = with_newest(first, [2; 32], 200, Some(300));
        assert_eq!(second.iter().map(|s| (s.sha256[0], s.expires_at)).collect::<Vec<_>>(), [(1, Some(300)), (2, None)]);
        let third = with_newest(second.clone(), [3; 32], 250, Some(1000));
        assert_eq!(third.iter().map(|s| (s.sha256[0], s.expires_at)).collect::<Vec<_>>(), [(2, Some(1000)), (3, None)]);
        let at_once = with_newest(second, [4; 32], 250, Some(250));
        assert_eq!(at_once.iter().map(|s| s.sha256[0]).collect::<Vec<_>>(), [4]);
    }
}
