//! Discovery documents (OpenID Connect Discovery, RFC 8414): only what is on, and the issuer that tokens carry.

use super::token::GrantType;
use crate::client_auth::AuthMethod;
use crate::facts::DEFAULT_SCOPES;
use crate::jose::writer::ObjectWriter;

/// Paths of one generation of routes, appended to the base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Authorization endpoint.
    pub authorize: &'static str,
    /// Token endpoint.
    pub token: &'static str,
    /// Userinfo endpoint.
    pub userinfo: &'static str,
    /// Key set.
    pub jwks: &'static str,
    /// Introspection endpoint.
    pub introspect: &'static str,
    /// Revocation endpoint.
    pub revoke: &'static str,
}

impl Paths {
    /// `/authorize`, `/token`, …
    pub const ROOT: Self = Self {
        authorize: "/authorize",
        token: "/token",
        userinfo: "/userinfo",
        jwks: "/.well-known/jwks.json",
        introspect: "/introspect",
        revoke: "/revoke",
    };

    /// `/api/auth/oauth2/authorize`, …
    pub const BETTER_AUTH: Self = Self {
        authorize: "/api/auth/oauth2/authorize",
        token: "/api/auth/oauth2/token",
        userinfo: "/api/auth/oauth2/userinfo",
        jwks: "/api/auth/jwks",
        introspect: "/api/auth/oauth2/introspect",
        revoke: "/api/auth/oauth2/revoke",
    };
}

/// The document; both well-known forms serve it. `base_url` has no trailing slash.
pub fn render(issuer: &str, base_url: &str, paths: Paths) -> String {
    let url = |path: &str| format!("{base_url}{path}");
    let methods = || AuthMethod::ALL.map(AuthMethod::as_str);
    let confidential = || methods().into_iter().filter(|method| *method != AuthMethod::None.as_str());
    let assertion_algs = ["EdDSA", "ES256", "ES256K", "RS256"];
    ObjectWriter::with_capacity(2_048)
        .string("issuer", issuer)
        .string("authorization_endpoint", &url(paths.authorize))
        .string("token_endpoint", &url(paths.token))
        .string("userinfo_endpoint", &url(paths.userinfo))
        .string("jwks_uri", &url(paths.jwks))
        .string("introspection_endpoint", &url(paths.introspect))
        .string("revocation_endpoint", &url(paths.revoke))
        .strings("scopes_supported", DEFAULT_SCOPES)
        .strings("response_types_supported", ["code"])
        .strings("response_modes_supported", ["query"])
        .strings("grant_types_supported", GrantType::ALL.map(GrantType::as_str))
        .strings("token_endpoint_auth_methods_supported", methods())
        .strings("token_endpoint_auth_signing_alg_values_supported", assertion_algs)
        .strings("introspection_endpoint_auth_methods_supported", confidential())
        .strings("introspection_endpoint_auth_signing_alg_values_supported", assertion_algs)
        .strings("introspection_signing_alg_values_supported", ["ES256"])
        .strings("revocation_endpoint_auth_methods_supported", methods())
        .strings("revocation_endpoint_auth_signing_alg_values_supported", assertion_algs)
        .strings("code_challenge_methods_supported", ["S256"])
        .strings("subject_types_supported", ["public"])
        .strings("id_token_signing_alg_values_supported", ["ES256"])
        .strings("acr_values_supported", [crate::jose::claims::ACR_BRONZE])
        .strings("prompt_values_supported", ["none", "login", "consent", "create", "select_account"])
        .strings(
            "claims_supported",
            ["sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid", "name", "pubkey", "bap_id"],
        )
        .bool("authorization_response_iss_parameter_supported", true)
        .bool("claims_parameter_supported", false)
        .bool("request_parameter_supported", false)
        .bool("request_uri_parameter_supported", false)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        for paths in [Paths::ROOT, Paths::BETTER_AUTH] {
            let value: serde_json::Value =
                serde_json::from_str(&render("https://id.example", "https://id.example", paths)).unwrap();
            assert_eq!(value["issuer"], "https://id.example");
            assert_eq!(value["token_endpoint"], format!("https://id.example{}", paths.token));
            assert_eq!(value["code_challenge_methods_supported"], serde_json::json!(["S256"]));
            // Nothing that is not served.
            assert!(value.get("registration_endpoint").is_none());
            assert!(!value["grant_types_supported"].as_array().unwrap().contains(&"refresh_token".into()));
            assert!(
                !value["introspection_endpoint_auth_methods_supported"].as_array().unwrap().contains(&"none".into())
            );
        }
    }
}
