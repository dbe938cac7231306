//! `grant_type=client_credentials`: a confidential client for itself.

use super::issue::IssueTokens;
use super::token::{self, GrantType};
use crate::client_auth::AuthMethod;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::{ClientFacts, TenantFacts};
use crate::form::Form;
use crate::proof::ClientAuthenticated;
use crate::scope;

/// Decides the grant. `client` is the record of the authenticated client.
///
/// # Errors
/// `unauthorized_client` (public, or not registered for it), `invalid_scope`, `invalid_target`.
pub fn decide(
    form: &Form<'_>,
    authenticated: &ClientAuthenticated,
    client: &ClientFacts,
    tenant: &TenantFacts,
) -> Result<IssueTokens, OAuthError> {
    if authenticated.method() == AuthMethod::None || authenticated.client_id() != client.client_id {
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "a public client cannot use this grant"));
    }
    GrantType::ClientCredentials.require(client)?;
    let requested = form.get("scope");
    // Without a request only what was registered: the defaults for people (openid …) mean nothing here.
    let scope = match requested {
        None => client.scope.clone(),
        Some(_) => scope::grant(requested, client.scope.iter().map(String::as_str))?,
    };
    let resources = token::resources(form, client)?;
    Ok(IssueTokens::new(client, tenant, None, scope, resources))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::issue::Mint;
    use crate::flow::tests::{client, tenant};
    use crate::jose::access::SubjectType;

    #[test]
    fn grants() {
        fn check(form: &str, method: AuthMethod, grants: &[&str], expected: Result<&str, ErrorCode>) {
            let mut facts = client();
            facts.grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
            facts.scope = vec!["read".into(), "write".into()];
            let form = Form::parse(form.as_bytes()).unwrap();
            let got = decide(&form, &ClientAuthenticated::new("app", method), &facts, &tenant());
            assert_eq!(
                got.map(|issue| scope::join(&issue.scope)).map_err(|error| error.code),
                expected.map(str::to_owned),
                "{form:?}"
            );
        }
        let basic = AuthMethod::ClientSecretBasic;
        let grants = ["client_credentials"];
        check("", basic, &grants, Ok("read write"));
        check("scope=read", basic, &grants, Ok("read"));
        check("scope=read&resource=https%3A%2F%2Fapi.example", basic, &grants, Ok("read"));
        check("scope=admin", basic, &grants, Err(ErrorCode::InvalidScope));
        check("scope=openid", basic, &grants, Err(ErrorCode::InvalidScope));
        check("resource=https%3A%2F%2Fother.example", basic, &grants, Err(ErrorCode::InvalidTarget));
        check("", AuthMethod::None, &grants, Err(ErrorCode::UnauthorizedClient));
        check("", basic, &["authorization_code"], Err(ErrorCode::UnauthorizedClient));
        check("", basic, &[], Err(ErrorCode::UnauthorizedClient));
    }

    #[test]
    fn the_token_names_the_client() {
        let mut facts = client();
        facts.grants = vec!["client_credentials".into()];
        let form = Form::parse(b"").unwrap();
        let issue =
            decide(&form, &ClientAuthenticated::new("app", AuthMethod::ClientSecretPost), &facts, &tenant()).unwrap();
        let claims = issue.access_claims(&tenant(), Mint { jti: "j", generation: 5, now: 100 });
        assert_eq!((claims.sub.as_str(), claims.sty, claims.exp), ("app", SubjectType::Service, 1_000));
        assert_eq!(claims.aud, ["https://api.example"]);
        assert_eq!(issue.id_claims(&tenant(), 100), None);
    }
}
