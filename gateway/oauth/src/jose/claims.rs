//! The other JWTs we mint: id_tokens (OpenID Connect Core §2) and signed introspection answers (RFC 9701).

use super::Alg;
use super::compact::Header;
use super::writer::ObjectWriter;
use crate::UnixSeconds;

/// `acr` of a sign-in with one factor, as better-auth names it.
pub const ACR_BRONZE: &str = "urn:mace:incommon:iap:bronze";

/// `amr` of a sign-in by Bitcoin signature: RFC 8176 "proof of possession of a key".
pub const AMR_POP: &str = "pop";

/// Claims of an id_token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdClaims {
    /// Issuer.
    pub iss: String,
    /// The person.
    pub sub: String,
    /// The one client it is for.
    pub aud: String,
    /// Expiry.
    pub exp: UnixSeconds,
    /// Issuance.
    pub iat: UnixSeconds,
    /// When the person proved who they are.
    pub auth_time: UnixSeconds,
    /// How.
    pub amr: Vec<String>,
    /// Authentication context.
    pub acr: String,
    /// The client's nonce, unchanged.
    pub nonce: Option<String>,
    /// Session.
    pub sid: Option<String>,
    /// Display name.
    pub name: String,
    /// Bitcoin public key, hex.
    pub pubkey: String,
    /// BAP identity.
    pub bap_id: Option<String>,
}

impl IdClaims {
    /// The payload.
    pub fn to_json(&self) -> String {
        ObjectWriter::with_capacity(512)
            .string("iss", &self.iss)
            .string("sub", &self.sub)
            .string("aud", &self.aud)
            .integer("exp", self.exp)
            .integer("iat", self.iat)
            .integer("auth_time", self.auth_time)
            .strings("amr", &self.amr)
            .string("acr", &self.acr)
            .string_opt("nonce", self.nonce.as_deref())
            .string_opt("sid", self.sid.as_deref())
            .string("name", &self.name)
            .string("pubkey", &self.pubkey)
            .string_opt("bap_id", self.bap_id.as_deref())
            .finish()
    }
}

/// Header of an id_token: `typ` is `JWT`, so it can never pass for an access token.
pub fn id_header(kid: &str) -> Header {
    Header { alg: Alg::Es256, typ: Some("JWT".to_owned()), kid: Some(kid.to_owned()) }
}

/// Header of a signed introspection answer.
pub fn introspection_header(kid: &str) -> Header {
    Header { alg: Alg::Es256, typ: Some("token-introspection+jwt".to_owned()), kid: Some(kid.to_owned()) }
}

/// Payload of a signed introspection answer: no `exp`, no `sub` beside the inner object (RFC 9701 §5).
/// `answer` is the JSON object that the plain response would carry.
pub fn introspection_payload(issuer: &str, audience: &str, now: UnixSeconds, answer: &[u8]) -> String {
    let answer = std::str::from_utf8(answer).expect("answers are rendered by this crate from strings");
    ObjectWriter::with_capacity(answer.len() + 200)
        .string("iss", issuer)
        .string("aud", audience)
        .integer("iat", now)
        .raw("token_introspection", answer)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_token_payload() {
        let claims = IdClaims {
            iss: "https://id.example".into(),
            sub: "u".into(),
            aud: "app".into(),
            exp: 2,
            iat: 1,
            auth_time: 1,
            amr: vec![AMR_POP.into()],
            acr: ACR_BRONZE.into(),
            nonce: Some("n\"1".into()),
            sid: None,
            name: "Ann".into(),
            pubkey: "02".into(),
            bap_id: None,
        };
        let value: serde_json::Value = serde_json::from_str(&claims.to_json()).unwrap();
        assert_eq!(value["nonce"], "n\"1");
        assert_eq!(value["acr"], ACR_BRONZE);
        assert!(value.get("sid").is_none());
    }

    #[test]
    fn signed_introspection_has_no_outer_exp_or_sub() {
        let text = introspection_payload("https://id.example", "rs", 5, br#"{"active":false}"#);
        assert_eq!(text, r#"{"iss":"https://id.example","aud":"rs","iat":5,"token_introspection":{"active":false}}"#);
    }
}
