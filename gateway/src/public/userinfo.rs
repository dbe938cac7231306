//! `GET|POST /userinfo`: who the token speaks for.

use assay_oauth::flow::introspect;
use assay_oauth::flow::userinfo;
use assay_oauth::form::Form;
use http::StatusCode;
use http::header::AUTHORIZATION;

use super::{access_token, person};
use crate::admission::Class;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::request::single_header;
use crate::http::response::{self, Answer};

/// The bearer token comes by header.
pub async fn get(call: Call) -> Result<Answer, Failure> {
    let authorization = single_header(&call.head.headers, &AUTHORIZATION)?;
    let token = userinfo::bearer(authorization).map_err(|_| Failure::Bearer { error: None })?.to_owned();
    answer(&call, &token).await
}

/// The bearer token comes by header, or in the form (RFC 6750 §2.2); never both.
pub async fn post(call: Call) -> Result<Answer, Failure> {
    let form = Form::parse(&call.body)?;
    let authorization = single_header(&call.head.headers, &AUTHORIZATION)?;
    let token = match (authorization, form.get("access_token")) {
        (Some(_), Some(_)) => return Err(Failure::invalid_request("two access tokens")),
        (None, Some(token)) => token,
        (authorization, None) => userinfo::bearer(authorization).map_err(|_| Failure::Bearer { error: None })?,
    };
    answer(&call, token).await
}

async fn answer(call: &Call, token: &str) -> Result<Answer, Failure> {
    let invalid = || Failure::Bearer { error: Some(userinfo::invalid_token()) };
    let shared = &call.core.shared;
    let verified = access_token::verify(&call.core, token.as_bytes(), call.now()).await?.ok_or_else(invalid)?;
    let view = shared.directory.view(shared.tenant, call.now());
    introspect::judge(&verified.claims, &verified.kid, &shared.tenant_facts, &view, call.now())
        .map_err(|_| invalid())?;
    call.charge_subject(Class::Api, "user:", &verified.claims.sub, 1)?;
    let (tenant, user_id) = (shared.tenant, verified.claims.sub.clone());
    let user = shared.store.read(call.now(), move |reader| person::user(reader, tenant, &user_id)).await?;
    let body =
        userinfo::decide(&verified.claims, user.as_ref()).map_err(|error| Failure::Bearer { error: Some(error) })?;
    Ok(response::json(StatusCode::OK, body))
}
