//! `POST /revoke` (RFC 7009): always 200, visible on every core before it.

use assay_oauth::client_auth::missing_credentials;
use assay_oauth::flow::revoke::{self, Decision};
use assay_oauth::form::Form;
use assay_storage::Commit;
use assay_storage::record::Level;
use http::StatusCode;

use super::access_token;
use super::client::{self, commit_failure};
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::state::revoke::put_revocation;

/// Revokes the client's own token; anything else is answered the same and does nothing.
pub async fn post(call: Call) -> Result<Answer, Failure> {
    let form = Form::parse(&call.body)?;
    let headers = &call.head.headers;
    if form.get("client_id").is_none()
        && form.get("client_assertion").is_none()
        && !headers.contains_key("authorization")
        && !headers.contains_key("x-auth-token")
    {
        return Err(missing_credentials().into());
    }
    let authenticated = client::authenticate(&call, &form).await?;
    let token = revoke::parse(&form)?;
    let shared = &call.core.shared;
    let verified = access_token::verify(&call.core, token.as_bytes(), call.now()).await?;
    let claims = verified.as_deref().map(|verified| &verified.claims);
    match revoke::decide(&authenticated.proof, claims, &shared.tenant_facts.issuer, call.now()) {
        Decision::Ignore => {}
        Decision::RevokeToken { jti, expires_at } => {
            if !shared.directory.can_revoke_token() {
                return Err(Failure::Unavailable { what: "revocations_full" });
            }
            let mut commit = Commit::new(shared.tenant, call.now());
            put_revocation(&mut commit, Level::Jti, &jti, None, call.now(), expires_at);
            shared.store.commit(commit).await.map_err(commit_failure)?;
        }
    }
    Ok(response::empty(StatusCode::OK))
}
