//! The stored records, one per file: plain data, no rule of any protocol. `Debug` never shows a secret.
//!
//! The version of a record stands in its row of [`crate::schema`]. A new optional field with `#[serde(default)]`
//! keeps the version; anything else raises it and adds a migration.

mod bap_binding;
mod client;
mod code;
mod consent;
mod failure;
mod replay;
mod revocation;
mod server_secret;
mod session;
mod signing_key;
mod user;

pub use bap_binding::BapBinding;
pub use client::{Client, ClientSecret};
pub use code::{Code, CodeState};
pub use consent::Consent;
pub use failure::Failure;
pub use replay::Replay;
pub use revocation::{Level, Revocation};
pub use server_secret::ServerSecret;
pub use session::{Session, SessionBySid};
pub use signing_key::{KeyState, SigningKey};
pub use user::{User, UserByPubkey, UserStatus};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Clients, Codes, ServerSecrets, Sessions, SessionsBySid, SigningKeys};
    use crate::table::{Table, decode_value, encode_value};
    use crate::{Commit, TenantId};

    /// Nothing secret shows in `Debug`, and a record is read back as it was written.
    fn check<T: Table>(record: &T::Record, secrets: &[&str])
    where
        T::Record: std::fmt::Debug + PartialEq,
    {
        let shown = format!("{record:?} {record:#?}");
        for secret in secrets {
            assert!(!shown.contains(secret), "{} shows {secret}: {shown}", T::NAME);
        }
        let row = decode_value::<T>(&encode_value::<T>(record, Some(7))).expect("readable");
        assert_eq!(&row.record, record);
        assert_eq!(row.expires_at, Some(7));
    }

    // 171 and 0xab: the byte of every secret below, as a list shows it and in hex.
    const BYTES: [&str; 2] = ["171", "abab"];

    #[test]
    fn debug_shows_no_secret_and_records_survive_the_trip() {
        let secret = ClientSecret { sha256: [0xab; 32], created_at: 1, expires_at: None };
        let client = Client {
            client_id: "c".to_owned(),
            name: "n".to_owned(),
            secrets: vec![secret.clone(), secret],
            redirect_uris: vec!["https://a.example/".to_owned()],
            grants: vec!["authorization_code".to_owned()],
            scope: vec!["openid".to_owned()],
            auth_method: "none".to_owned(),
            pubkey: None,
            jwks: Some(serde_json::json!({ "keys": [{ "kty": "EC" }] })),
            audiences: vec![],
            introspect: true,
            first_party: false,
            native: false,
            enabled: true,
            access_token_lifetime: Some(900),
            introspection_max_age: None,
            introspection_signed_response_alg: None,
            created_at: 1,
            updated_at: 2,
        };
        check::<Clients>(&client, &BYTES);
        let code = Code {
            client_id: "c".to_owned(),
            user_id: "u".to_owned(),
            redirect_uri: "https://a.example/?x=171".to_owned(),
            redirect_uri_given: true,
            code_challenge: Some("challenge".to_owned()),
            scope: vec![],
            nonce: Some("nonce-value".to_owned()),
            sid: None,
            auth_time: 1,
            amr: vec![],
            resources: vec![],
            r#gen: 3,
            code_expires_at: 4,
            state: CodeState::Redeemed { jti: "j".to_owned(), access_expires_at: 5 },
        };
        check::<Codes>(&code, &["challenge", "nonce-value"]);
        check::<ServerSecrets>(&ServerSecret { bytes: [0xab; 32] }, &BYTES);
        let by_sid = SessionBySid { token_sha256: [0xab; 32], user_id: "u".to_owned(), expires_at: 1 };
        check::<SessionsBySid>(&by_sid, &BYTES);
        let session = Session {
            sid: "s".to_owned(),
            user_id: "u".to_owned(),
            created_at: 1,
            auth_time: 1,
            ip: "::1".to_owned(),
            user_agent: "a".to_owned(),
            amr: vec![],
            r#gen: 9,
        };
        check::<Sessions>(&session, &[]);
        let key = SigningKey {
            kid: "k".to_owned(),
            alg: "ES256".to_owned(),
            pkcs8: vec![0xab; 40],
            public_x: "x".to_owned(),
            public_y: "y".to_owned(),
            state: KeyState::Active,
            created_at: 1,
            activated_at: Some(1),
            grace_until: None,
        };
        check::<SigningKeys>(&key, &BYTES);

        let mut commit = Commit::new(TenantId::DEFAULT, 1);
        commit.expect_absent::<Sessions>(&[0xab; 32]).put_expiring::<Sessions>(&[0xab; 32], &session, 9);
        commit.put::<ServerSecrets>(&"cookie".to_owned(), &ServerSecret { bytes: [0xab; 32] });
        let shown = format!("{commit:?}");
        assert!(BYTES.iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("Sessions") && shown.contains("Absent"), "{shown}");
    }
}
