//! The userinfo endpoint: one union object for all three generations of clients (sigma.md 2.3b).

use crate::bitcoin_identity;
use crate::client_auth::strip_scheme;
use crate::encoding::hex_lower_array;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::UserFacts;
use crate::jose::access::{AccessClaims, SubjectType};
use crate::jose::writer::ObjectWriter;

/// Value of `WWW-Authenticate` beside a 401 for a bad token.
pub const BEARER_CHALLENGE: &str = r#"Bearer error="invalid_token""#;

/// Reads the bearer token of a request.
///
/// # Errors
/// 401 `invalid_request` without one (Sigma's answer).
pub fn bearer(authorization: Option<&str>) -> Result<&str, OAuthError> {
    authorization
        .and_then(|value| strip_scheme(value, "bearer"))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| OAuthError::invalid_request("authorization header not found").with_status(401))
}

/// The answer to a bad, expired or revoked token.
pub fn invalid_token() -> OAuthError {
    OAuthError::invalid_token("Invalid access token")
}

/// Renders the person. `claims` were judged active.
///
/// # Errors
/// 401 `invalid_token` when there is no such person any more or they are suspended; 403 for a service token.
pub fn decide(claims: &AccessClaims, user: Option<&UserFacts>) -> Result<String, OAuthError> {
    if claims.sty != SubjectType::User {
        return Err(OAuthError::new(ErrorCode::InsufficientScope, "the token is not for a person"));
    }
    let user = user.filter(|user| !user.suspended && user.user_id == claims.sub).ok_or_else(invalid_token)?;
    Ok(render(user))
}

fn render(user: &UserFacts) -> String {
    let address = hex_lower_array::<33>(user.pubkey.as_bytes()).map(|key| bitcoin_identity::address(&key));
    ObjectWriter::new()
        .string("sub", &user.user_id)
        .string("name", &user.name)
        .string("pubkey", &user.pubkey)
        .string_opt("address", address.as_deref())
        .string_opt("bap_id", user.bap_id.as_deref())
        .string_opt("bapIdKey", user.bap_id.as_deref())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::user;
    use crate::jose::access::tests::sample;

    #[test]
    fn union_object() {
        let value: serde_json::Value = serde_json::from_str(&decide(&sample(), Some(&user())).unwrap()).unwrap();
        for name in ["sub", "name", "pubkey", "address", "bap_id", "bapIdKey"] {
            assert!(value[name].is_string(), "{name}");
        }
        let nobody = UserFacts { bap_id: None, pubkey: "odd".into(), ..user() };
        let value: serde_json::Value = serde_json::from_str(&decide(&sample(), Some(&nobody)).unwrap()).unwrap();
        assert!(value.get("bap_id").is_none() && value.get("address").is_none());
    }

    #[test]
    fn refusals() {
        fn check(claims: &AccessClaims, user: Option<&UserFacts>, expected: u16) {
            assert_eq!(decide(claims, user).unwrap_err().status(), expected);
        }
        let service = AccessClaims { sty: SubjectType::Service, ..sample() };
        check(&service, Some(&user()), 403);
        check(&sample(), None, 401);
        check(&sample(), Some(&UserFacts { suspended: true, ..user() }), 401);
        check(&sample(), Some(&UserFacts { user_id: "usr_2".into(), ..user() }), 401);
    }

    #[test]
    fn bearer_tokens() {
        assert_eq!(bearer(Some("Bearer abc")), Ok("abc"));
        assert_eq!(bearer(Some("bearer  abc")), Ok("abc"));
        for wrong in
            [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic abc"), Some("Bearerabc"), Some("abc")]
        {
            let error = bearer(wrong).unwrap_err();
            assert_eq!((error.status(), error.code), (401, ErrorCode::InvalidRequest), "{wrong:?}");
        }
    }
}
