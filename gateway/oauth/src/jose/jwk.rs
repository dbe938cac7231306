//! JSON Web Keys: clients' public keys in, our public keys out, thumbprints (RFC 7517, 7518, 7638).
//!
//! A private member in a client's document is refused, not ignored: someone is about to leak a key.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Alg;
use super::writer::ObjectWriter;
use crate::encoding::{base64url, base64url_decode, base64url_decode_array};
use crate::limits::{JWKS_KEYS_MAX, RSA_BITS_MAX, RSA_BITS_MIN};

/// Public key material. Whether a point is on its curve is for the engine to say when it parses the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// P-256.
    EcP256 {
        /// Big-endian x.
        x: [u8; 32],
        /// Big-endian y.
        y: [u8; 32],
    },
    /// secp256k1.
    EcSecp256k1 {
        /// Big-endian x.
        x: [u8; 32],
        /// Big-endian y.
        y: [u8; 32],
    },
    /// Ed25519.
    Ed25519 {
        /// Encoded point.
        x: [u8; 32],
    },
    /// RSA.
    Rsa {
        /// Big-endian modulus without leading zeros.
        n: Vec<u8>,
        /// Big-endian exponent without leading zeros.
        e: Vec<u8>,
    },
}

/// One public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Key id, when the document gives one.
    pub kid: Option<String>,
    /// The key.
    pub material: Material,
}

/// A client's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    /// At most [`JWKS_KEYS_MAX`], with distinct `kid`s.
    pub keys: Vec<Jwk>,
}

/// Why a JWK document was refused; shown to whoever registers the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `alg` contradicts the key, or `use`/`key_ops` is not for signatures.
    #[error("alg, use or key_ops does not fit the key")]
    Algorithm,
    /// Two keys with one `kid`, or several keys and one without.
    #[error("every key needs its own kid")]
    KeyId,
    /// A member is missing, of the wrong type, length or encoding.
    #[error("a member is missing or malformed")]
    Member,
    /// A private or symmetric member is there.
    #[error("contains private key material")]
    Private,
    /// Not an object with an array `keys` of 1 to [`JWKS_KEYS_MAX`] objects.
    #[error("is not a JWK set of a sensible size")]
    Shape,
    /// `kty` or `crv` is not one of ours, or the RSA size is out of bounds.
    #[error("has a key type, curve or size that is not supported")]
    Unsupported,
}

impl Material {
    /// The one algorithm this key signs with.
    pub fn alg(&self) -> Alg {
        match self {
            Self::EcP256 { .. } => Alg::Es256,
            Self::EcSecp256k1 { .. } => Alg::Es256k,
            Self::Ed25519 { .. } => Alg::EdDsa,
            Self::Rsa { .. } => Alg::Rs256,
        }
    }

    /// RFC 7638: base64url(SHA-256) of the required members in lexicographic order.
    pub fn thumbprint(&self) -> String {
        let mut out = ObjectWriter::new();
        match self {
            Self::EcP256 { x, y } => {
                out.string("crv", "P-256").string("kty", "EC").string("x", &base64url(x)).string("y", &base64url(y))
            }
            Self::EcSecp256k1 { x, y } => {
                out.string("crv", "secp256k1").string("kty", "EC").string("x", &base64url(x)).string("y", &base64url(y))
            }
            Self::Ed25519 { x } => out.string("crv", "Ed25519").string("kty", "OKP").string("x", &base64url(x)),
            Self::Rsa { n, e } => out.string("e", &base64url(e)).string("kty", "RSA").string("n", &base64url(n)),
        };
        base64url(Sha256::digest(out.finish()))
    }
}

impl Jwk {
    /// Reads one public key.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn parse(value: &Value) -> Result<Self, Refused> {
        let members = value.as_object().ok_or(Refused::Shape)?;
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| members.contains_key(*name)) {
            return Err(Refused::Private);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Refused::Member),
        };
        let required = |name: &str| text(name)?.ok_or(Refused::Member);
        let coordinate = |name: &str| base64url_decode_array::<32>(required(name)?.as_bytes()).ok_or(Refused::Member);
        let material = match (required("kty")?, text("crv")?) {
            ("EC", Some("P-256")) => Material::EcP256 { x: coordinate("x")?, y: coordinate("y")? },
            ("EC", Some("secp256k1")) => Material::EcSecp256k1 { x: coordinate("x")?, y: coordinate("y")? },
            ("OKP", Some("Ed25519")) => Material::Ed25519 { x: coordinate("x")? },
            ("RSA", _) => {
                let n = positive_integer(required("n")?)?;
                let e = positive_integer(required("e")?)?;
                let bits = n.len() * 8 - n[0].leading_zeros() as usize;
                let e_is_sensible = e.len() <= 8 && e[e.len() - 1] & 1 == 1 && e != [1];
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || !e_is_sensible {
                    return Err(Refused::Unsupported);
                }
                Material::Rsa { n, e }
            }
            _ => return Err(Refused::Unsupported),
        };
        if text("alg")?.is_some_and(|alg| alg != material.alg().as_str())
            || text("use")?.is_some_and(|usage| usage != "sig")
        {
            return Err(Refused::Algorithm);
        }
        if let Some(operations) = members.get("key_ops") {
            let operations = operations.as_array().ok_or(Refused::Member)?;
            if !operations.iter().any(|operation| operation == "verify") {
                return Err(Refused::Algorithm);
            }
        }
        Ok(Self { kid: text("kid")?.map(str::to_owned), material })
    }
}

impl JwkSet {
    /// Reads a client's `jwks`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn parse(value: &Value) -> Result<Self, Refused> {
        let keys = value.get("keys").and_then(Value::as_array).ok_or(Refused::Shape)?;
        if keys.is_empty() || keys.len() > JWKS_KEYS_MAX {
            return Err(Refused::Shape);
        }
        let keys = keys.iter().map(Jwk::parse).collect::<Result<Vec<_>, _>>()?;
        let distinct =
            keys.iter().enumerate().all(|(index, key)| keys[..index].iter().all(|other| other.kid != key.kid));
        if !distinct || keys.len() > 1 && keys.iter().any(|key| key.kid.is_none()) {
            return Err(Refused::KeyId);
        }
        Ok(Self { keys })
    }

    /// The key a header names; without a `kid` only a lone key will do. The algorithm must be the key's own.
    pub fn choose(&self, kid: Option<&str>, alg: Alg) -> Option<&Jwk> {
        let key = match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid))?,
            (None, [key]) => key,
            (None, _) => return None,
        };
        (key.material.alg() == alg).then_some(key)
    }
}

fn positive_integer(text: &str) -> Result<Vec<u8>, Refused> {
    let bytes = base64url_decode(text.as_bytes()).ok_or(Refused::Member)?;
    match bytes.first() {
        None | Some(0) => Err(Refused::Member),
        Some(_) => Ok(bytes),
    }
}

/// One of our ES256 keys, as the key set shows it. Coordinates are base64url already.
#[derive(Clone, Copy, Debug)]
pub struct PublishedKey<'a> {
    /// RFC 7638 thumbprint.
    pub kid: &'a str,
    /// x.
    pub x: &'a str,
    /// y.
    pub y: &'a str,
}

/// Our key set document: public members only.
pub fn render_jwks<'a>(keys: impl IntoIterator<Item = PublishedKey<'a>>) -> String {
    let keys: Vec<String> = keys
        .into_iter()
        .map(|key| {
            ObjectWriter::new()
                .string("kty", "EC")
                .string("crv", "P-256")
                .string("alg", "ES256")
                .string("use", "sig")
                .string("kid", key.kid)
                .string("x", key.x)
                .string("y", key.y)
                .finish()
        })
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    #[test]
    fn rfc_7638_thumbprint() {
        let key = Jwk::parse(&json!({
            "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        })).unwrap();
        assert_eq!(key.material.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn keys() {
        fn check(value: Value, expected: Result<Alg, Refused>) {
            assert_eq!(Jwk::parse(&value).map(|key| key.material.alg()), expected, "{value}");
        }
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y}), Ok(Alg::Es256));
        check(
            json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"alg":"ES256","use":"sig","key_ops":["verify"],"kid":"a","ext":1}),
            Ok(Alg::Es256),
        );
        check(json!({"kty":"EC","crv":"secp256k1","x":X,"y":Y}), Ok(Alg::Es256k));
        check(json!({"kty":"OKP","crv":"Ed25519","x":X}), Ok(Alg::EdDsa));
        check(json!({"kty":"EC","crv":"P-384","x":X,"y":Y}), Err(Refused::Unsupported));
        check(json!({"kty":"EC","x":X,"y":Y}), Err(Refused::Unsupported));
        check(json!({"kty":"OKP","crv":"X25519","x":X}), Err(Refused::Unsupported));
        check(json!({"kty":"oct","k":"AAAA"}), Err(Refused::Private));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"d":X}), Err(Refused::Private));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"d":null}), Err(Refused::Private));
        check(json!({"kty":"EC","crv":"P-256","x":X}), Err(Refused::Member));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":1}), Err(Refused::Member));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":format!("{Y}=")}), Err(Refused::Member));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":&Y[1..]}), Err(Refused::Member));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"kid":7}), Err(Refused::Member));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"alg":"ES256K"}), Err(Refused::Algorithm));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"use":"enc"}), Err(Refused::Algorithm));
        check(json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"key_ops":["sign"]}), Err(Refused::Algorithm));
        check(json!({"kty":"RSA","n":base64url([0xff; 128]),"e":"AQAB"}), Err(Refused::Unsupported));
        check(json!({"kty":"RSA","n":base64url([0xff; 256]),"e":"AQAB"}), Ok(Alg::Rs256));
        check(json!({"kty":"RSA","n":base64url([0x7f; 256]),"e":"AQAB"}), Err(Refused::Unsupported));
        check(json!({"kty":"RSA","n":base64url([0xff; 2048]),"e":"AQAB"}), Err(Refused::Unsupported));
        check(json!({"kty":"RSA","n":base64url([0xff; 256]),"e":"AQ"}), Err(Refused::Unsupported));
        check(json!({"kty":"RSA","n":base64url([0xff; 256]),"e":"Ag"}), Err(Refused::Unsupported));
        check(json!({"kty":"RSA","n":base64url([0xff; 256]),"e":""}), Err(Refused::Member));
        check(json!({"kty":"RSA","n":"AAAA","e":"AQAB"}), Err(Refused::Member));
        check(json!([]), Err(Refused::Shape));
        check(json!({}), Err(Refused::Member));
    }

    #[test]
    fn sets_and_choice() {
        let one = json!({"kty":"EC","crv":"P-256","x":X,"y":Y});
        let a = json!({"kty":"EC","crv":"P-256","x":X,"y":Y,"kid":"a"});
        let b = json!({"kty":"OKP","crv":"Ed25519","x":X,"kid":"b"});
        assert_eq!(JwkSet::parse(&json!({"keys": []})), Err(Refused::Shape));
        assert_eq!(JwkSet::parse(&json!([a.clone()])), Err(Refused::Shape));
        assert_eq!(JwkSet::parse(&json!({"keys": [a.clone(), a.clone()]})), Err(Refused::KeyId));
        assert_eq!(JwkSet::parse(&json!({"keys": [a.clone(), one.clone()]})), Err(Refused::KeyId));
        assert_eq!(JwkSet::parse(&json!({"keys": vec![one.clone(); 17]})), Err(Refused::Shape));
        let lone = JwkSet::parse(&json!({"keys": [one]})).unwrap();
        let two = JwkSet::parse(&json!({"keys": [a, b]})).unwrap();
        assert!(lone.choose(None, Alg::Es256).is_some());
        assert!(lone.choose(Some("x"), Alg::Es256).is_none());
        assert!(lone.choose(None, Alg::Es256k).is_none());
        assert!(two.choose(None, Alg::Es256).is_none());
        assert!(two.choose(Some("a"), Alg::Es256).is_some());
        assert!(two.choose(Some("a"), Alg::EdDsa).is_none());
        assert!(two.choose(Some("b"), Alg::EdDsa).is_some());
        assert!(JwkSet::default().choose(None, Alg::Es256).is_none());
    }

    #[test]
    fn our_key_set_shows_public_members_only() {
        let text = render_jwks([PublishedKey { kid: "k", x: X, y: Y }]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(JwkSet::parse(&value).unwrap().keys[0].material.alg(), Alg::Es256);
        assert_eq!(render_jwks([]), r#"{"keys":[]}"#);
    }
}
