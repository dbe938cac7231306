//! The JWS compact form (RFC 7515 §7.1): three parts, one spelling, a header with nothing surprising in it.

use super::json::{self, Value};
use super::{Alg, Reject};
use crate::encoding::{base64url, base64url_decode};
use crate::limits::{JOSE_HEADER_BYTES_MAX, JWS_BYTES_MAX};

/// The three parts, still encoded.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Header in base64url.
    pub header: &'a [u8],
    /// Payload in base64url.
    pub payload: &'a [u8],
    /// Signature in base64url.
    pub signature: &'a [u8],
    /// Header, dot, payload: what is signed.
    pub signing_input: &'a [u8],
}

/// The JOSE header members we read. Members we do not know are ignored, as RFC 7515 §4 asks — except the dangerous ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub alg: Alg,
    /// `typ`.
    pub typ: Option<String>,
    /// `kid`.
    pub kid: Option<String>,
}

/// A header whose algorithm is still a name: for readers of other issuers' tokens, who may know algorithms that we do
/// not mint with. Refuses everything else that [`Header`] refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHeader {
    /// `alg`, as written.
    pub alg: String,
    /// `typ`.
    pub typ: Option<String>,
    /// `kid`.
    pub kid: Option<String>,
}

impl<'a> Parts<'a> {
    /// Splits without decoding.
    ///
    /// # Errors
    /// [`Reject::Length`], [`Reject::Structure`] (attack 14).
    pub fn split(token: &'a [u8]) -> Result<Self, Reject> {
        if token.len() > JWS_BYTES_MAX {
            return Err(Reject::Length);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Reject::Structure);
        };
        let parts = Self {
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
            signing_input: &token[..second],
        };
        if parts.header.is_empty() || parts.payload.is_empty() || parts.signature.is_empty() {
            return Err(Reject::Structure);
        }
        Ok(parts)
    }

    /// Decodes and judges the header.
    ///
    /// # Errors
    /// [`Reject::Base64`], [`Reject::Json`], [`Reject::Header`], [`Reject::Algorithm`].
    pub fn read_header(&self) -> Result<Header, Reject> {
        Header::parse(&self.decode_header()?)
    }

    /// [`Self::read_header`] that leaves the algorithm to the caller.
    ///
    /// # Errors
    /// [`Reject::Base64`], [`Reject::Json`], [`Reject::Header`].
    pub fn read_named_header(&self) -> Result<NamedHeader, Reject> {
        NamedHeader::parse(&self.decode_header()?)
    }

    fn decode_header(&self) -> Result<Vec<u8>, Reject> {
        if self.header.len() > JOSE_HEADER_BYTES_MAX {
            return Err(Reject::Length);
        }
        base64url_decode(self.header).ok_or(Reject::Base64)
    }

    /// Decodes the signature.
    ///
    /// # Errors
    /// [`Reject::Base64`].
    pub fn read_signature(&self) -> Result<Vec<u8>, Reject> {
        base64url_decode(self.signature).ok_or(Reject::Base64)
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// [`Reject::Base64`].
    pub fn read_payload(&self) -> Result<Vec<u8>, Reject> {
        base64url_decode(self.payload).ok_or(Reject::Base64)
    }
}

impl NamedHeader {
    /// Reads a decoded header.
    ///
    /// # Errors
    /// See [`Parts::read_named_header`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let (mut alg, mut typ, mut kid) = (None, None, None);
        json::object(bytes, |name, value| {
            match name {
                "alg" => alg = Some(text(value)?),
                "typ" => typ = Some(text(value)?),
                "kid" => kid = Some(text(value)?),
                // Keys that travel with the token are never used, and a token that brings one is hostile (attacks 4, 5);
                // critical extensions and compression are things we do not understand (attacks 16, 27).
                "crit" | "b64" | "jwk" | "jku" | "x5u" | "x5c" | "x5t" | "x5t#S256" | "zip" | "enc" => {
                    return Err(Reject::Header);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { alg: alg.ok_or(Reject::Header)?, typ, kid })
    }
}

impl Header {
    /// Reads a decoded header.
    ///
    /// # Errors
    /// See [`Parts::read_header`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let NamedHeader { alg, typ, kid } = NamedHeader::parse(bytes)?;
        let alg = Alg::parse(&alg).ok_or(Reject::Algorithm)?;
        Ok(Self { alg, typ, kid })
    }

    /// The header's JSON, members in alphabetical order.
    pub fn to_json(&self) -> String {
        let mut members = serde_json::Map::new();
        members.insert("alg".into(), self.alg.as_str().into());
        members.extend(self.kid.as_deref().map(|kid| ("kid".to_owned(), kid.into())));
        members.extend(self.typ.as_deref().map(|typ| ("typ".to_owned(), typ.into())));
        serde_json::Value::Object(members).to_string()
    }
}

fn text(value: Value<'_>) -> Result<String, Reject> {
    value.string().map(std::borrow::Cow::into_owned).map_err(|_| Reject::Header)
}

/// Builds what must be signed.
pub fn signing_input(header: &Header, payload: &[u8]) -> String {
    format!("{}.{}", base64url(header.to_json()), base64url(payload))
}

/// Completes a token.
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", base64url(signature))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attack_14_exactly_three_parts() {
        fn check(token: &str, expected: bool) {
            assert_eq!(Parts::split(token.as_bytes()).is_ok(), expected, "{token}");
        }
        check("a.b.c", true);
        check("", false);
        check(".", false);
        check("..", false);
        check("a.b", false);
        check("a.b.", false);
        check("a..c", false);
        check(".b.c", false);
        check("a.b.c.", false);
        check("a.b.c.d", false);
        check("a.b.c.d.e", false);
        check(&"a".repeat(100), false);
        check(&format!("a.b.{}", "c".repeat(JWS_BYTES_MAX)), false);
    }

    #[test]
    fn headers() {
        fn check(json: &str, expected: Result<(), Reject>) {
            assert_eq!(Header::parse(json.as_bytes()).map(|_| ()), expected, "{json}");
        }
        check(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#, Ok(()));
        check(r#"{"alg":"RS256"}"#, Ok(()));
        check(r#"{"alg":"EdDSA","cty":"x","foo":[1]}"#, Ok(()));
        // attack 1
        check(r#"{"alg":"none"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":"None"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":"nOnE"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":""}"#, Err(Reject::Algorithm));
        // attacks 2, 3
        check(r#"{"alg":"HS256"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":"ES384"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":"es256"}"#, Err(Reject::Algorithm));
        check(r#"{"alg":"ES256 "}"#, Err(Reject::Algorithm));
        check(r#"{}"#, Err(Reject::Header));
        check(r#"{"alg":1}"#, Err(Reject::Header));
        check(r#"{"alg":null}"#, Err(Reject::Header));
        check(r#"{"alg":["ES256"]}"#, Err(Reject::Header));
        check(r#"{"alg":"ES256","kid":1}"#, Err(Reject::Header));
        check(r#"{"alg":"ES256","typ":null}"#, Err(Reject::Header));
        // attacks 4, 5, 16, 27
        for member in ["crit", "b64", "jwk", "jku", "x5u", "x5c", "x5t", "zip", "enc"] {
            check(&format!(r#"{{"alg":"ES256","{member}":[]}}"#), Err(Reject::Header));
            check(&format!(r#"{{"alg":"ES256","{member}":false}}"#), Err(Reject::Header));
            check(
                &format!(r#"{{"alg":"ES256","\u00{:02x}{}":false}}"#, member.as_bytes()[0], &member[1..]),
                Err(Reject::Header),
            );
        }
        // attack 15
        check(r#"{"alg":"ES256","alg":"none"}"#, Err(Reject::Json));
        check(r#"{"alg":"ES256","\u0061lg":"ES256"}"#, Err(Reject::Json));
        check(r#"{"alg":"ES256"} "#, Ok(()));
        check(r#"{"alg":"ES256"}x"#, Err(Reject::Json));
        check("", Err(Reject::Json));
    }

    #[test]
    fn headers_are_written_in_one_spelling() {
        let header = Header { alg: Alg::Es256, typ: Some("at+jwt".into()), kid: Some("k1".into()) };
        assert_eq!(header.to_json(), r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#);
        assert_eq!(Header::parse(header.to_json().as_bytes()), Ok(header));
    }

    proptest! {
        #[test]
        fn assembled_tokens_split_again(payload in proptest::collection::vec(any::<u8>(), 1..100), signature in proptest::collection::vec(any::<u8>(), 1..80)) {
            let header = Header { alg: Alg::Rs256, typ: None, kid: Some("k".into()) };
            let input = signing_input(&header, &payload);
            let token = assemble(&input, &signature);
            let parts = Parts::split(token.as_bytes()).unwrap();
            prop_assert_eq!(parts.signing_input, input.as_bytes());
            prop_assert_eq!(parts.read_header(), Ok(header));
            prop_assert_eq!(parts.read_payload(), Ok(payload));
            prop_assert_eq!(parts.read_signature(), Ok(signature));
        }
    }
}
