//! Token revocation (RFC 7009, oauth.md §4): always 200, effective only for the client's own tokens.

use crate::UnixSeconds;
use crate::error::OAuthError;
use crate::form::Form;
use crate::jose::access::AccessClaims;
use crate::proof::ClientAuthenticated;

/// What to commit before answering 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: unknown, expired or foreign. The answer is the same (attack 82).
    Ignore,
    /// A revocation of this token.
    RevokeToken {
        /// Its id.
        jti: String,
        /// Until when it must be remembered.
        expires_at: UnixSeconds,
    },
}

/// Reads the token; the hint is not needed.
///
/// # Errors
/// `invalid_request` without a token.
pub fn parse<'a>(form: &'a Form<'_>) -> Result<&'a str, OAuthError> {
    form.require("token")
}

/// Decides. `claims` must come from a token whose signature verified with one of our keys (any state but unknown);
/// `None` when it did not.
pub fn decide(
    authenticated: &ClientAuthenticated,
    claims: Option<&AccessClaims>,
    issuer: &str,
    now: UnixSeconds,
) -> Decision {
    match claims {
        Some(claims) if claims.client_id == authenticated.client_id() && claims.iss == issuer && now < claims.exp => {
            Decision::RevokeToken { jti: claims.jti.clone(), expires_at: claims.exp }
        }
        _ => Decision::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::AuthMethod;
    use crate::jose::access::tests::sample;

    #[test]
    fn attack_82_only_own_tokens() {
        fn check(client_id: &str, claims: Option<&AccessClaims>, issuer: &str, now: u64, expected: bool) {
            let authenticated = ClientAuthenticated::new(client_id, AuthMethod::None);
            let decision = decide(&authenticated, claims, issuer, now);
            assert_eq!(decision != Decision::Ignore, expected);
        }
        let claims = sample();
        check("app", Some(&claims), "https://id.example", 1_500, true);
        check("other", Some(&claims), "https://id.example", 1_500, false);
        check("app", Some(&claims), "https://id.example/", 1_500, false);
        check("app", Some(&claims), "https://id.example", 2_000, false);
        check("app", None, "https://id.example", 1_500, false);
        assert!(parse(&Form::parse(b"token=").unwrap()).is_err());
        assert_eq!(parse(&Form::parse(b"token=x&token_type_hint=what").unwrap()), Ok("x"));
    }
}
