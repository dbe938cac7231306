//! Access tokens (RFC 9068, `at+jwt`, ES256): the hot path of introspection.
//!
//! [`AccessToken::parse`] yields what must be verified; only [`AccessToken::conclude`] with a good verdict turns the
//! payload into [`AccessClaims`]. Claims say nothing about being *active*: that is judged on every call.

use super::compact::{Header, Parts};
use super::json::{self, Value};
use super::writer::ObjectWriter;
use super::{Alg, Reject};
use crate::UnixSeconds;
use crate::encoding::{base64url, base64url_decode_array, base64url_decode_into};
use crate::limits::AUDIENCES_MAX;

/// `typ` of our access tokens.
pub const TYP: &str = "at+jwt";

/// Characters of a `kid`: an RFC 7638 thumbprint, base64url of 32 bytes.
pub const KID_CHARS: usize = 43;

/// Whom `sub` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectType {
    /// A client acting for itself.
    Service,
    /// A person.
    User,
}

impl SubjectType {
    /// The `sty` claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::User => "user",
        }
    }
}

/// The claims of one access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Issuer.
    pub iss: String,
    /// User id or client id.
    pub sub: String,
    /// Audiences; never empty.
    pub aud: Vec<String>,
    /// Client it was issued to.
    pub client_id: String,
    /// Space-separated scopes; may be empty.
    pub scope: String,
    /// Expiry.
    pub exp: UnixSeconds,
    /// Issuance.
    pub iat: UnixSeconds,
    /// Not before.
    pub nbf: Option<UnixSeconds>,
    /// Unique identifier.
    pub jti: String,
    /// Tenant.
    pub tid: String,
    /// What `sub` names.
    pub sty: SubjectType,
    /// Commit sequence number at issuance; see [`crate::revocation`].
    pub generation: u64,
    /// Session.
    pub sid: Option<String>,
    /// When the person proved who they are.
    pub auth_time: Option<UnixSeconds>,
    /// How.
    pub amr: Option<Vec<String>>,
    /// Authentication context.
    pub acr: Option<String>,
    /// Name for display.
    pub username: Option<String>,
    /// Bitcoin public key.
    pub pubkey: Option<String>,
    /// BAP identity.
    pub bap_id: Option<String>,
    /// Confirmation (JSON text).
    pub cnf: Option<String>,
}

/// A token whose signature has not been judged yet.
#[derive(Clone, Copy)]
pub struct AccessToken<'a> {
    parts: Parts<'a>,
    kid: [u8; KID_CHARS],
    signature: [u8; 64],
}

impl<'a> AccessToken<'a> {
    /// Reads structure, header and signature bytes of a presented token.
    ///
    /// # Errors
    /// The first thing that is not exactly as we mint it.
    pub fn parse(token: &'a [u8]) -> Result<Self, Reject> {
        let parts = Parts::split(token)?;
        let header = parts.read_header()?;
        if header.alg != Alg::Es256 {
            return Err(Reject::Algorithm);
        }
        // Keeps id_tokens, logout tokens, DPoP proofs and client assertions out (attack 22).
        if header.typ.as_deref() != Some(TYP) {
            return Err(Reject::Type);
        }
        let kid = header.kid.as_deref().and_then(parse_kid).ok_or(Reject::KeyId)?;
        let signature = base64url_decode_array(parts.signature).ok_or(Reject::Signature)?;
        Ok(Self { parts, kid, signature })
    }

    /// The signing key's identifier: 43 base64url characters.
    pub fn kid(&self) -> &str {
        std::str::from_utf8(&self.kid).expect("parse_kid admits ASCII only")
    }

    /// The bytes the signature covers; a prefix of the token.
    pub fn signing_input(&self) -> &'a [u8] {
        self.parts.signing_input
    }

    /// r ‖ s, big-endian.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Reads the claims if the signature verified with the key named by [`Self::kid`].
    /// `scratch` is a buffer to reuse; its content is replaced.
    ///
    /// # Errors
    /// [`Reject::Signature`] for a bad verdict; otherwise what is wrong with the claims.
    pub fn conclude(self, signature_verdict: bool, scratch: &mut Vec<u8>) -> Result<AccessClaims, Reject> {
        if !signature_verdict {
            return Err(Reject::Signature);
        }
        if !base64url_decode_into(self.parts.payload, scratch) {
            return Err(Reject::Base64);
        }
        AccessClaims::parse(scratch)
    }
}

fn parse_kid(text: &str) -> Option<[u8; KID_CHARS]> {
    let bytes: [u8; KID_CHARS] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).then_some(bytes)
}

/// The header we mint: its base64url is the same for every token of a key.
pub fn header(kid: &str) -> Header {
    Header { alg: Alg::Es256, typ: Some(TYP.to_owned()), kid: Some(kid.to_owned()) }
}

/// [`header`] as it stands in front of every access token of this key.
pub fn header_base64url(kid: &str) -> String {
    base64url(header(kid).to_json())
}

impl AccessClaims {
    /// Reads a decoded payload strictly: required claims present, every claim we know of its right type, none twice.
    ///
    /// # Errors
    /// [`Reject::Json`], [`Reject::Claims`] (attacks 15, 17, 18, 20, 21, 25, 26).
    pub fn parse(payload: &[u8]) -> Result<Self, Reject> {
        let mut read = Read::default();
        json::object(payload, |name, value| read.member(name, value))?;
        read.finish()
    }

    /// The payload we mint.
    pub fn to_json(&self) -> String {
        let mut out = ObjectWriter::with_capacity(512);
        out.string("iss", &self.iss)
            .string("sub", &self.sub)
            .strings("aud", &self.aud)
            .integer("exp", self.exp)
            .integer("iat", self.iat)
            .integer_opt("nbf", self.nbf)
            .string("jti", &self.jti)
            .string("client_id", &self.client_id)
            .string("scope", &self.scope)
            .string("tid", &self.tid)
            .string("sty", self.sty.as_str())
            .integer("gen", self.generation);
        self.write_principal(&mut out);
        out.finish()
    }

    /// The members about the person, shared with introspection.
    pub(crate) fn write_principal(&self, out: &mut ObjectWriter) {
        out.string_opt("sid", self.sid.as_deref()).integer_opt("auth_time", self.auth_time);
        if let Some(amr) = &self.amr {
            out.strings("amr", amr);
        }
        out.string_opt("acr", self.acr.as_deref())
            .string_opt("username", self.username.as_deref())
            .string_opt("pubkey", self.pubkey.as_deref())
            .string_opt("bap_id", self.bap_id.as_deref());
        if let Some(cnf) = &self.cnf {
            out.raw("cnf", cnf);
        }
    }

    /// True if the space-separated scope holds `wanted`.
    pub fn has_scope(&self, wanted: &str) -> bool {
        crate::scope::contains(&self.scope, wanted)
    }
}

#[derive(Default)]
struct Read {
    iss: Option<String>,
    sub: Option<String>,
    aud: Vec<String>,
    client_id: Option<String>,
    scope: Option<String>,
    exp: Option<u64>,
    iat: Option<u64>,
    nbf: Option<u64>,
    jti: Option<String>,
    tid: Option<String>,
    sty: Option<SubjectType>,
    generation: Option<u64>,
    sid: Option<String>,
    auth_time: Option<u64>,
    amr: Option<Vec<String>>,
    acr: Option<String>,
    username: Option<String>,
    pubkey: Option<String>,
    bap_id: Option<String>,
    cnf: Option<String>,
}

impl Read {
    fn member(&mut self, name: &str, value: Value<'_>) -> Result<(), Reject> {
        match name {
            "iss" => self.iss = Some(non_empty(value)?),
            "sub" => self.sub = Some(non_empty(value)?),
            "aud" => self.aud = audiences(value)?,
            "client_id" => self.client_id = Some(non_empty(value)?),
            "scope" => self.scope = Some(value.string()?.into_owned()),
            "exp" => self.exp = Some(value.integer()?),
            "iat" => self.iat = Some(value.integer()?),
            "nbf" => self.nbf = Some(value.integer()?),
            "jti" => self.jti = Some(non_empty(value)?),
            "tid" => self.tid = Some(non_empty(value)?),
            "sty" => {
                self.sty = Some(match &*value.string()? {
                    "service" => SubjectType::Service,
                    "user" => SubjectType::User,
                    _ => return Err(Reject::Claims),
                });
            }
            "gen" => self.generation = Some(value.integer()?),
            "sid" => self.sid = Some(non_empty(value)?),
            "auth_time" => self.auth_time = Some(value.integer()?),
            "amr" => self.amr = Some(value.strings(AUDIENCES_MAX)?),
            "acr" => self.acr = Some(value.string()?.into_owned()),
            "username" => self.username = Some(value.string()?.into_owned()),
            "pubkey" => self.pubkey = Some(non_empty(value)?),
            "bap_id" => self.bap_id = Some(non_empty(value)?),
            "cnf" => match value {
                Value::Nested(text) if text.starts_with('{') => self.cnf = Some(text.to_owned()),
                _ => return Err(Reject::Claims),
            },
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<AccessClaims, Reject> {
        if self.aud.is_empty() {
            return Err(Reject::Claims);
        }
        Ok(AccessClaims {
            iss: self.iss.ok_or(Reject::Claims)?,
            sub: self.sub.ok_or(Reject::Claims)?,
            aud: self.aud,
            client_id: self.client_id.ok_or(Reject::Claims)?,
            scope: self.scope.unwrap_or_default(),
            exp: self.exp.ok_or(Reject::Claims)?,
            iat: self.iat.ok_or(Reject::Claims)?,
            nbf: self.nbf,
            jti: self.jti.ok_or(Reject::Claims)?,
            tid: self.tid.ok_or(Reject::Claims)?,
            sty: self.sty.ok_or(Reject::Claims)?,
            generation: self.generation.ok_or(Reject::Claims)?,
            sid: self.sid,
            auth_time: self.auth_time,
            amr: self.amr,
            acr: self.acr,
            username: self.username,
            pubkey: self.pubkey,
            bap_id: self.bap_id,
            cnf: self.cnf,
        })
    }
}

fn non_empty(value: Value<'_>) -> Result<String, Reject> {
    let text = value.string()?;
    if text.is_empty() { Err(Reject::Claims) } else { Ok(text.into_owned()) }
}

fn audiences(value: Value<'_>) -> Result<Vec<String>, Reject> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(vec![text.into_owned()]),
        other => other.strings(AUDIENCES_MAX),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::compact::{assemble, signing_input};

    pub(crate) fn sample() -> AccessClaims {
        AccessClaims {
            iss: "https://id.example".into(),
            sub: "usr_1".into(),
            aud: vec!["https://api.example".into()],
            client_id: "app".into(),
            scope: "openid profile".into(),
            exp: 2_000,
            iat: 1_000,
            nbf: None,
            jti: "j1".into(),
            tid: "default".into(),
            sty: SubjectType::User,
            generation: 10,
            sid: Some("s1".into()),
            auth_time: Some(990),
            amr: Some(vec!["pop".into()]),
            acr: None,
            username: None,
            pubkey: Some("02ab".into()),
            bap_id: Some("bap".into()),
            cnf: None,
        }
    }

    pub(crate) const KID: &str = "0123456789-_abcdefghijklmnopqrstuvwxyzABCDE";

    fn token(payload: &[u8]) -> String {
        assemble(&signing_input(&header(KID), payload), &[7; 64])
    }

    fn read(token: &[u8]) -> Result<AccessClaims, Reject> {
        AccessToken::parse(token)?.conclude(true, &mut Vec::new())
    }

    #[test]
    fn minted_tokens_come_back() {
        let claims = sample();
        let token = token(claims.to_json().as_bytes());
        let parsed = AccessToken::parse(token.as_bytes()).unwrap();
        assert_eq!(parsed.kid(), KID);
        assert_eq!(parsed.signature(), &[7; 64]);
        assert!(token.starts_with(&header_base64url(KID)));
        assert_eq!(parsed.conclude(true, &mut Vec::new()), Ok(claims));
        assert_eq!(parsed.conclude(false, &mut Vec::new()), Err(Reject::Signature));
    }

    /// One member of a good payload replaced (or dropped) at a time.
    #[test]
    fn claims_are_judged_one_by_one() {
        fn check(name: &str, json: Option<&str>, expected: bool) {
            let mut members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&sample().to_json()).unwrap();
            members.remove(name);
            let mut text = serde_json::to_string(&members).unwrap();
            if let Some(json) = json {
                text.truncate(text.len() - 1);
                text.push_str(&format!(",\"{name}\":{json}}}"));
            }
            assert_eq!(AccessClaims::parse(text.as_bytes()).is_ok(), expected, "{name}: {json:?}");
        }
        // attack 20 and its like
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "tid", "sty", "gen"] {
            check(name, None, false);
            for wrong in ["null", "true", "{}", "[]", "[[\"x\"]]", "-1", "1.5", "\"\""] {
                check(name, Some(wrong), false);
            }
        }
        for name in ["scope", "sid", "auth_time", "amr", "acr", "username", "pubkey", "bap_id", "nbf", "cnf"] {
            check(name, None, true);
            for wrong in ["null", "true", "-1", "1.5"] {
                check(name, Some(wrong), false);
            }
        }
        // attack 17
        for wrong in ["\"2000\"", "2000.0", "2e3", "1e99", "-2000", "9007199254740993", "[2000]"] {
            check("exp", Some(wrong), false);
            check("iat", Some(wrong), false);
            check("nbf", Some(wrong), false);
            check("gen", Some(wrong), false);
        }
        // attack 18
        check("nbf", Some("\"never\""), false);
        check("nbf", Some("1000"), true);
        // attack 21
        check("aud", Some("\"https://api.example\""), true);
        check("aud", Some("[\"https://api.example\",\"other\"]"), true);
        check("aud", Some("[[\"https://api.example\"]]"), false);
        check("aud", Some("[\"https://api.example\",1]"), false);
        check("aud", Some("{\"a\":\"https://api.example\"}"), false);
        check("sty", Some("\"agent\""), false);
        check("sty", Some("\"service\""), true);
        check("cnf", Some("{\"jkt\":\"x\"}"), true);
        check("cnf", Some("\"x\""), false);
        check("unknown", Some("{\"x\":[1,2,{}]}"), true);
    }

    #[test]
    fn attack_15_repeated_claims() {
        for extra in [r#""sub":"usr_2""#, r#""s\u0075b":"usr_2""#, r#""exp":9999999999"#, r#""x":1,"x":1"#] {
            let mut text = sample().to_json();
            text.truncate(text.len() - 1);
            let text = format!("{text},{extra}}}");
            assert!(AccessClaims::parse(text.as_bytes()).is_err(), "{extra}");
        }
    }

    #[test]
    fn attack_6_kids() {
        fn check(kid: &str, expected: bool) {
            let header = format!(r#"{{"alg":"ES256","kid":{kid},"typ":"at+jwt"}}"#);
            let token = format!("{}.{}.{}", base64url(header), base64url("{}"), base64url([0; 64]));
            assert_eq!(AccessToken::parse(token.as_bytes()).is_ok(), expected, "{kid}");
        }
        check(&format!("{KID:?}"), true);
        check("\"../../x\"", false);
        check("\"' OR 1=1 --\"", false);
        check("\"\\u0000\"", false);
        check(&format!("\"{}\"", "k".repeat(10_000)), false);
        check(&format!("\"{}\"", "k".repeat(42)), false);
        check(&format!("\"{}\"", "k".repeat(44)), false);
        check(&format!("\"{}\"", "é".repeat(21)), false);
        check(&format!("\"{}/\"", "k".repeat(42)), false);
        check("1", false);
        check("null", false);
        check("\"\"", false);
        let without =
            format!("{}.{}.{}", base64url(r#"{"alg":"ES256","typ":"at+jwt"}"#), base64url("{}"), base64url([0; 64]));
        assert!(matches!(AccessToken::parse(without.as_bytes()), Err(Reject::KeyId)));
    }

    #[test]
    fn attack_22_other_token_types() {
        for typ in ["JWT", "logout+jwt", "dpop+jwt", "AT+JWT", "application/at+jwt", "token-introspection+jwt", ""] {
            let header = Header { alg: Alg::Es256, typ: Some(typ.into()), kid: Some(KID.into()) };
            let token = assemble(&signing_input(&header, sample().to_json().as_bytes()), &[7; 64]);
            assert_eq!(read(token.as_bytes()), Err(Reject::Type), "{typ}");
        }
        let header = Header { alg: Alg::Es256, typ: None, kid: Some(KID.into()) };
        let token = assemble(&signing_input(&header, sample().to_json().as_bytes()), &[7; 64]);
        assert_eq!(read(token.as_bytes()), Err(Reject::Type));
    }

    #[test]
    fn attack_10_signatures_of_other_lengths() {
        for bytes in [0, 1, 63, 65, 70, 72] {
            let token = assemble(&signing_input(&header(KID), sample().to_json().as_bytes()), &vec![7; bytes]);
            assert!(AccessToken::parse(token.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn attack_29_truncated_at_every_length() {
        let token = token(sample().to_json().as_bytes());
        for end in 0..token.len() {
            assert!(read(&token.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    /// A changed byte changes what is verified or what is claimed, or is refused: never the same token in other bytes.
    #[test]
    fn attack_28_flipped_at_every_position() {
        let original = token(sample().to_json().as_bytes());
        let reference = AccessToken::parse(original.as_bytes()).unwrap();
        for at in 0..original.len() {
            for flip in [0x01, 0x02, 0x20, 0x80] {
                let mut bytes = original.clone().into_bytes();
                bytes[at] ^= flip;
                if let Ok(parsed) = AccessToken::parse(&bytes) {
                    let same = parsed.signing_input() == reference.signing_input()
                        && parsed.signature() == reference.signature();
                    assert!(!same, "byte {at} flipped by {flip:#x}");
                    let _ = parsed.conclude(true, &mut Vec::new());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
            let _ = AccessClaims::parse(&bytes);
        }

        #[test]
        fn any_strings_survive_minting(sub in ".{1,20}", scope in ".{0,20}", aud in proptest::collection::vec(".{0,10}", 1..5)) {
            let claims = AccessClaims { sub, scope, aud, ..sample() };
            prop_assert_eq!(AccessClaims::parse(claims.to_json().as_bytes()), Ok(claims));
        }
    }
}
