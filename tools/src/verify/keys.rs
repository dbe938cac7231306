//! The keys that JWTs are verified with: a JWK set from a file or a URL, a shared secret from a file. Parsed once; which
//! one a token is verified with is decided here and nowhere else.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use assay_engine::{JwsAlgorithm, VerifyKey};
use assay_oauth::jose::jwk::{Jwk, Material, Refused};
use serde_json::Value;

use super::fetch;
use super::reason::Reason;
use crate::failure::Failure;
use crate::limits::{JWKS_BYTES_MAX, SECRET_BYTES_MAX, VERIFY_KEYS_MAX};

/// Keys by what a JOSE header says of them.
#[derive(Default)]
pub struct KeyRing {
    /// A `kid` may stand for one key of each algorithm (RFC 7517 §4.5).
    by_kid: HashMap<String, Vec<VerifyKey>>,
    /// By algorithm, for tokens without a `kid`.
    by_algorithm: HashMap<JwsAlgorithm, Vec<VerifyKey>>,
    secret: Option<VerifyKey>,
}

impl KeyRing {
    /// Loads what the command line names.
    ///
    /// # Errors
    /// One line saying which of the two cannot be used, and why.
    pub(super) fn load(jwks: Option<&str>, secret_file: Option<&str>) -> Result<Self, Failure> {
        let mut ring = match jwks {
            None => Self::default(),
            Some(place) => {
                let text = if place.starts_with("https://") || place.starts_with("http://") {
                    fetch::get(place, JWKS_BYTES_MAX)?
                } else {
                    read_file("--jwks", place, JWKS_BYTES_MAX)?
                };
                Self::parse(&text).map_err(|wrong| {
                    Failure::Usage(format!("{place} {wrong}; --jwks takes a JSON Web Key Set of public keys"))
                })?
            }
        };
        if let Some(file) = secret_file {
            let bytes = read_file("--secret-file", file, SECRET_BYTES_MAX)?;
            // Editors end files with a line end that nobody thinks of as a part of the secret.
            let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
            ring.secret = Some(VerifyKey::hmac(secret).map_err(|_| {
                Failure::Usage(format!("{file} holds {} bytes; a secret for HS256 needs at least 32", secret.len()))
            })?);
        }
        Ok(ring)
    }

    /// Reads a JWK set, or a single JWK. Keys of other types, or for encryption, are passed over: sets have them.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its name.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(text).map_err(|error| format!("is not JSON: {error}"))?;
        let keys = match document.get("keys") {
            Some(keys) => keys.as_array().map(Vec::as_slice),
            None if document.get("kty").is_some() => Some(std::slice::from_ref(&document)),
            None => None,
        };
        let keys = keys.ok_or("has no array \"keys\"")?;
        if keys.len() > VERIFY_KEYS_MAX {
            return Err(format!("has {} keys; {VERIFY_KEYS_MAX} are the most that are read", keys.len()));
        }
        let mut ring = Self::default();
        for (index, key) in keys.iter().enumerate() {
            let wrong = |what: String| format!("has a bad key at index {index}: it {what}");
            match Jwk::parse(key) {
                Ok(jwk) => ring.add(jwk).map_err(wrong)?,
                Err(Refused::Unsupported | Refused::Algorithm) => {}
                Err(refused) => return Err(wrong(refused.to_string())),
            }
        }
        if ring.by_algorithm.is_empty() {
            return Err("has no key that can verify ES256, ES256K, EdDSA or RS256".to_owned());
        }
        Ok(ring)
    }

    fn add(&mut self, jwk: Jwk) -> Result<(), String> {
        let key = match &jwk.material {
            Material::EcP256 { x, y } => VerifyKey::p256_xy(x, y),
            Material::EcSecp256k1 { x, y } => VerifyKey::secp256k1_xy(x, y),
            Material::Ed25519 { x } => VerifyKey::ed25519(x),
            Material::Rsa { n, e } => VerifyKey::rsa(n, e),
        };
        let key = key.map_err(|error| format!("is no key: {error}"))?;
        let alg = key.jws_algorithm().expect("the four kinds of JWK all sign");
        if let Some(kid) = jwk.kid {
            let same_kid = self.by_kid.entry(kid).or_default();
            if same_kid.iter().any(|other| other.jws_algorithm() == Some(alg)) {
                return Err(format!("is the second {} key of its kid", alg.name()));
            }
            same_kid.push(key.clone());
        }
        self.by_algorithm.entry(alg).or_default().push(key);
        Ok(())
    }

    /// True if there is nothing to verify a JWT with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_algorithm.is_empty() && self.secret.is_none()
    }

    /// The key for a token with this header: the one its `kid` names, or without a `kid` the only one that fits its
    /// algorithm. A secret has no name, so it serves HS256 under any `kid` that names no public key.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn choose(&self, kid: Option<&str>, alg: JwsAlgorithm) -> Result<VerifyKey, Reason> {
        let named = kid.and_then(|kid| self.by_kid.get(kid));
        if alg == JwsAlgorithm::Hs256 {
            return match named {
                // The old trick: a public key, taken for a secret.
                Some(_) => Err(Reason::AlgMismatch),
                None => self.secret.clone().ok_or(Reason::NoKey),
            };
        }
        match (kid, named) {
            (Some(_), Some(keys)) => {
                let fits = |key: &&VerifyKey| key.jws_algorithm() == Some(alg);
                keys.iter().find(fits).cloned().ok_or(Reason::AlgMismatch)
            }
            (Some(_), None) if self.by_algorithm.is_empty() => Err(Reason::NoKey),
            (Some(_), None) => Err(Reason::UnknownKid),
            (None, _) => match self.by_algorithm.get(&alg).map(Vec::as_slice) {
                None | Some([]) => Err(Reason::NoKey),
                Some([key]) => Ok(key.clone()),
                Some(_) => Err(Reason::AmbiguousKey),
            },
        }
    }
}

fn read_file(option: &str, path: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::Usage(format!("cannot read {path}: {error}; correct {option}"));
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::Usage(format!("{path} is longer than {bytes_max} bytes; correct {option}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of RFC 7517's example set, and the generator of secp256k1.
    fn p256(kid: Option<&str>) -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": kid.unwrap_or("-"),
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    fn secp256k1(kid: &str) -> Value {
        json!({"kty": "EC", "crv": "secp256k1", "kid": kid,
            "x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g", "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg"})
    }

    fn ring(keys: Value) -> Result<KeyRing, String> {
        KeyRing::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn what_is_no_key_set_says_why() {
        fn check(text: &str, words: &str) {
            let said = KeyRing::parse(text.as_bytes()).map(drop).unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
        check("", "not JSON");
        check("[]", "no array");
        check(r#"{"keys":{}}"#, "no array");
        check(r#"{"keys":[]}"#, "no key that can verify");
        check(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "private key material");
        check(r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#, "index 0");
        check(r#"{"keys":[7]}"#, "index 0");
        let off_curve = p256(None).to_string().replace("f83", "f93");
        check(&format!(r#"{{"keys":[{off_curve}]}}"#), "is no key");
        let twice = json!({"keys": [p256(Some("a")), p256(Some("a"))]}).to_string();
        check(&twice, "second ES256 key");
    }

    #[test]
    fn other_peoples_keys_are_passed_over() {
        let mut encryption = p256(Some("e"));
        encryption["use"] = json!("enc");
        let ring = ring(json!([encryption, {"kty": "EC", "crv": "P-384"}, p256(Some("a"))])).unwrap();
        assert!(ring.choose(Some("a"), JwsAlgorithm::Es256).is_ok());
        assert_eq!(ring.choose(Some("e"), JwsAlgorithm::Es256).map(drop), Err(Reason::UnknownKid));
        assert!(!KeyRing::parse(p256(None).to_string().as_bytes()).unwrap().is_empty(), "a lone key");
    }

    #[test]
    fn which_key_a_header_leads_to() {
        let mut ring = ring(json!([p256(Some("a")), secp256k1("a"), p256(Some("b")), secp256k1("c")])).unwrap();
        let check = |ring: &KeyRing, kid: Option<&str>, alg, expected: Result<(), Reason>| {
            assert_eq!(ring.choose(kid, alg).map(drop), expected, "{kid:?} {alg:?}");
        };
        check(&ring, Some("a"), JwsAlgorithm::Es256, Ok(()));
        check(&ring, Some("a"), JwsAlgorithm::Es256k, Ok(()));
        check(&ring, Some("b"), JwsAlgorithm::Es256k, Err(Reason::AlgMismatch));
        check(&ring, Some("a"), JwsAlgorithm::Rs256, Err(Reason::AlgMismatch));
        check(&ring, Some("z"), JwsAlgorithm::Es256, Err(Reason::UnknownKid));
        check(&ring, None, JwsAlgorithm::Es256, Err(Reason::AmbiguousKey));
        check(&ring, None, JwsAlgorithm::EdDsa, Err(Reason::NoKey));
        check(&ring, None, JwsAlgorithm::Hs256, Err(Reason::NoKey));
        ring.secret = Some(VerifyKey::hmac(&[7; 32]).unwrap());
        check(&ring, None, JwsAlgorithm::Hs256, Ok(()));
        check(&ring, Some("z"), JwsAlgorithm::Hs256, Ok(()));
        check(&ring, Some("a"), JwsAlgorithm::Hs256, Err(Reason::AlgMismatch));
        check(&KeyRing::default(), Some("a"), JwsAlgorithm::Es256, Err(Reason::NoKey));
    }

    #[test]
    fn one_fitting_key_serves_tokens_without_a_kid() {
        let ring = ring(json!([p256(Some("a")), secp256k1("b")])).unwrap();
        assert!(ring.choose(None, JwsAlgorithm::Es256).is_ok());
        assert!(ring.choose(None, JwsAlgorithm::Es256k).is_ok());
    }
}
