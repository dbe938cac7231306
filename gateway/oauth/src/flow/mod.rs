//! One file per flow; each is a pure decision over a parsed request and loaded facts.

pub mod authorize;
pub mod bitcoin_login;
pub mod challenge;
pub mod client_credentials;
pub mod discovery;
pub mod introspect;
pub mod issue;
pub mod revoke;
pub mod session;
pub mod token;
pub mod token_code;
pub mod userinfo;

#[cfg(test)]
pub(crate) mod tests {
    //! The cast of every flow test: one client, one person, one session, one code.

    use crate::client_auth::AuthMethod;
    use crate::facts::{ClientFacts, CodeFacts, CodeState, SessionFacts, TenantFacts, UserFacts};

    pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    pub(crate) fn tenant() -> TenantFacts {
        TenantFacts {
            issuer: "https://id.example".into(),
            tid: "default".into(),
            access_token_lifetime: 900,
            id_token_lifetime: 36_000,
            code_lifetime: 60,
            implicit_sign_up: true,
        }
    }

    pub(crate) fn client() -> ClientFacts {
        ClientFacts {
            client_id: "app".into(),
            name: "App".into(),
            redirect_uris: vec!["https://app.example/cb".into(), "https://app.example/q?a=1".into()],
            grants: vec!["authorization_code".into()],
            scope: vec!["openid".into(), "profile".into()],
            auth_method: AuthMethod::None,
            audiences: vec!["https://api.example".into()],
            first_party: false,
            ..ClientFacts::direct()
        }
    }

    pub(crate) fn user() -> UserFacts {
        UserFacts {
            user_id: "usr_1".into(),
            pubkey: "033e2c619db997691b2ab406f81538cc1e15d58ca6a554970b32424b8af77dbc80".into(),
            name: "Ann".into(),
            suspended: false,
            bap_id: Some("2sxzL4acYnCZW9MxGRDJgr4DaH9j".into()),
        }
    }

    pub(crate) fn session() -> SessionFacts {
        SessionFacts {
            sid: "s1".into(),
            user_id: "usr_1".into(),
            created_at: 900,
            expires_at: 10_000,
            auth_time: 900,
            amr: vec!["pop".into()],
            generation: 10,
            ip: "192.0.2.1".into(),
            user_agent: "test".into(),
        }
    }

    pub(crate) fn code() -> CodeFacts {
        CodeFacts {
            client_id: "app".into(),
            user_id: "usr_1".into(),
            redirect_uri: "https://app.example/cb".into(),
            redirect_uri_given: true,
            code_challenge: Some(CHALLENGE.into()),
            scope: vec!["openid".into(), "profile".into()],
            nonce: Some("n1".into()),
            sid: Some("s1".into()),
            auth_time: 900,
            amr: vec!["pop".into()],
            resources: Vec::new(),
            generation: 10,
            expires_at: 1_060,
            state: CodeState::Issued,
        }
    }
}
