//! `private_key_jwt` assertions (RFC 7523, OpenID Connect Core §9).
//!
//! Order: parse → key by kid → signature (the caller's) → claims → single use of the `jti` (the caller's, last).

use sha2::{Digest, Sha256};

use crate::UnixSeconds;
use crate::facts::ClientFacts;
use crate::jose::Reject;
use crate::jose::compact::{Header, Parts};
use crate::jose::json::{self, Value};
use crate::jose::jwk::Jwk;
use crate::limits::{
    ASSERTION_AGE_SECONDS_MAX, ASSERTION_JTI_BYTES_MAX, ASSERTION_LEEWAY_SECONDS, ASSERTION_LIFETIME_SECONDS_MAX,
};
use crate::proof::ReplayKey;

/// The only `client_assertion_type`.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion whose signature has not been judged yet.
#[derive(Clone)]
pub struct Assertion<'a> {
    parts: Parts<'a>,
    header: Header,
    claims: Claims,
}

#[derive(Clone)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: UnixSeconds,
    iat: Option<UnixSeconds>,
    nbf: Option<UnixSeconds>,
    jti: String,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion without trusting it.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(assertion: &'a str) -> Result<Self, Reject> {
        let parts = Parts::split(assertion.as_bytes())?;
        let header = parts.read_header()?;
        // Other kinds of our JWTs name themselves; clients' libraries write nothing, or these.
        if !matches!(header.typ.as_deref(), None | Some("JWT" | "jwt" | "client-authentication+jwt")) {
            return Err(Reject::Type);
        }
        let claims = Claims::parse(&parts.read_payload()?)?;
        Ok(Self { parts, header, claims })
    }

    /// The client it claims to come from.
    pub fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// The client's key that must have signed it.
    pub fn choose_key<'k>(&self, client: &'k ClientFacts) -> Option<&'k Jwk> {
        client.jwks.choose(self.header.kid.as_deref(), self.header.alg)
    }

    /// The bytes the signature covers.
    pub fn signing_input(&self) -> &'a [u8] {
        self.parts.signing_input
    }

    /// The signature.
    ///
    /// # Errors
    /// [`Reject::Base64`].
    pub fn signature(&self) -> Result<Vec<u8>, Reject> {
        self.parts.read_signature()
    }

    /// Judges the claims; what must be inserted-if-absent comes back.
    ///
    /// # Errors
    /// [`Reject::Claims`].
    pub fn decide(&self, client_id: &str, audiences: &[&str], now: UnixSeconds) -> Result<ReplayKey, Reject> {
        let claims = &self.claims;
        let addressed = audiences.contains(&claims.aud.as_str());
        if claims.iss != client_id || claims.sub != client_id || !addressed {
            return Err(Reject::Claims);
        }
        let latest_exp = now + ASSERTION_LIFETIME_SECONDS_MAX + ASSERTION_LEEWAY_SECONDS;
        if claims.exp <= now || claims.exp > latest_exp {
            return Err(Reject::Claims);
        }
        let latest_start = now + ASSERTION_LEEWAY_SECONDS;
        if claims.nbf.is_some_and(|nbf| nbf > latest_start)
            || claims.iat.is_some_and(|iat| iat > latest_start || iat + ASSERTION_AGE_SECONDS_MAX < now)
        {
            return Err(Reject::Claims);
        }
        let mut hash = Sha256::new();
        hash.update(b"assay replay: client assertion\0");
        hash.update(client_id.as_bytes());
        hash.update(b"\0");
        hash.update(claims.jti.as_bytes());
        Ok(ReplayKey { digest: hash.finalize().into(), expires_at: claims.exp })
    }
}

impl Claims {
    fn parse(payload: &[u8]) -> Result<Self, Reject> {
        let (mut iss, mut sub, mut aud, mut jti) = (None, None, None, None);
        let (mut exp, mut iat, mut nbf) = (None, None, None);
        let text = |value: Value<'_>| value.string().map(std::borrow::Cow::into_owned);
        json::object(payload, |name, value| {
            match name {
                "iss" => iss = Some(text(value)?),
                "sub" => sub = Some(text(value)?),
                // One string: a list is how one assertion gets used at two servers (attack 66).
                "aud" => aud = Some(text(value)?),
                "jti" => jti = Some(text(value)?),
                "exp" => exp = Some(value.integer()?),
                "iat" => iat = Some(value.integer()?),
                "nbf" => nbf = Some(value.integer()?),
                _ => {}
            }
            Ok(())
        })?;
        let jti = jti.ok_or(Reject::Claims)?;
        if jti.is_empty() || jti.len() > ASSERTION_JTI_BYTES_MAX {
            return Err(Reject::Claims);
        }
        Ok(Self {
            iss: iss.ok_or(Reject::Claims)?,
            sub: sub.ok_or(Reject::Claims)?,
            aud: aud.ok_or(Reject::Claims)?,
            exp: exp.ok_or(Reject::Claims)?,
            iat,
            nbf,
            jti,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::encoding::base64url;

    const NOW: u64 = 1_000_000;

    pub(crate) fn assertion(header: &serde_json::Value, claims: &serde_json::Value) -> String {
        format!("{}.{}.{}", base64url(header.to_string()), base64url(claims.to_string()), base64url([5; 64]))
    }

    fn verdict(header: serde_json::Value, claims: serde_json::Value) -> Result<ReplayKey, Reject> {
        let text = assertion(&header, &claims);
        Assertion::parse(&text)?.decide("app", &["https://id.example", "https://id.example/token"], NOW)
    }

    #[test]
    fn attack_66_claims() {
        fn check(name: &str, value: serde_json::Value, expected: bool) {
            let mut claims =
                json!({"iss":"app","sub":"app","aud":"https://id.example","exp":NOW+60,"iat":NOW,"jti":"j"});
            claims[name] = value.clone();
            assert_eq!(verdict(json!({"alg":"ES256","kid":"k"}), claims).is_ok(), expected, "{name} {value}");
        }
        check("x", json!({"any": [1]}), true);
        check("aud", json!("https://id.example/token"), true);
        check("aud", json!("https://id.example/"), false);
        check("aud", json!("https://ID.example"), false);
        check("aud", json!("https://other.example"), false);
        check("aud", json!(["https://id.example"]), false);
        check("aud", json!(["https://id.example", "https://other.example"]), false);
        check("aud", json!(null), false);
        check("iss", json!("other"), false);
        check("sub", json!("other"), false);
        check("sub", json!(null), false);
        check("exp", json!(NOW), false);
        check("exp", json!(NOW - 1), false);
        check("exp", json!(NOW + 1), true);
        check("exp", json!(NOW + 300), true);
        check("exp", json!(NOW + 361), false);
        check("exp", json!(NOW + 3600), false);
        check("exp", json!((NOW + 60).to_string()), false);
        check("exp", json!(null), false);
        check("iat", json!(NOW - 300), true);
        check("iat", json!(NOW - 301), false);
        check("iat", json!(NOW + 60), true);
        check("iat", json!(NOW + 61), false);
        check("iat", json!("x"), false);
        check("nbf", json!(NOW + 60), true);
        check("nbf", json!(NOW + 61), false);
        check("nbf", json!(1.5), false);
        check("jti", json!(""), false);
        check("jti", json!(7), false);
        check("jti", json!("j".repeat(257)), false);
        for missing in ["iss", "sub", "aud", "exp", "jti"] {
            let mut claims = json!({"iss":"app","sub":"app","aud":"https://id.example","exp":NOW+60,"jti":"j"});
            assert!(verdict(json!({"alg":"ES256"}), claims.clone()).is_ok());
            claims.as_object_mut().unwrap().remove(missing);
            assert!(verdict(json!({"alg":"ES256"}), claims).is_err(), "{missing}");
        }
    }

    #[test]
    fn attack_66_headers() {
        fn check(header: serde_json::Value, expected: bool) {
            let claims = json!({"iss":"app","sub":"app","aud":"https://id.example","exp":NOW+60,"jti":"j"});
            assert_eq!(verdict(header.clone(), claims).is_ok(), expected, "{header}");
        }
        check(json!({"alg":"ES256"}), true);
        check(json!({"alg":"ES256","typ":"JWT"}), true);
        check(json!({"alg":"RS256","typ":"client-authentication+jwt"}), true);
        check(json!({"alg":"none"}), false);
        check(json!({"alg":"HS256"}), false);
        check(json!({"alg":"ES256","typ":"at+jwt"}), false);
        check(json!({"alg":"ES256","jwk":{}}), false);
        check(json!({"alg":"ES256","jku":"https://x"}), false);
        check(json!({"alg":"ES256","crit":["x"]}), false);
    }

    #[test]
    fn replay_keys_are_per_client_and_jti() {
        let key = |client: &str, jti: &str| {
            let text = assertion(
                &json!({"alg":"ES256"}),
                &json!({"iss":client,"sub":client,"aud":"a","exp":NOW+60,"jti":jti}),
            );
            Assertion::parse(&text).unwrap().decide(client, &["a"], NOW).unwrap()
        };
        assert_eq!(key("a", "1"), key("a", "1"));
        assert_eq!(key("a", "1").expires_at, NOW + 60);
        assert_ne!(key("a", "1"), key("a", "2"));
        assert_ne!(key("a", "1"), key("b", "1"));
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }
}
