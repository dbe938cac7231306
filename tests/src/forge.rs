//! Tokens nobody should make: any header over any payload, signed with any key, the server's own included.

use assay_gateway::clock::Clock;
use assay_gateway::state::keys;
use assay_storage::record::{KeyState, SigningKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64_turbo::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The order of P-256, big-endian.
pub const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of secp256k1, big-endian.
pub const SECP256K1_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// A P-256 key that signs JWTs.
pub struct Signer {
    /// The row that gives a server this key.
    pub row: SigningKey,
    pair: EcdsaKeyPair,
}

impl Signer {
    /// A fresh key, made now: an old one would be rotated out at once.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn new(state: KeyState) -> Signer {
        let row = keys::generate(state, Clock::system().unix_seconds()).expect("the system has randomness");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &row.pkcs8).expect("made a moment ago");
        Signer { row, pair }
    }

    /// The key's identifier.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.row.kid
    }

    /// The public point, uncompressed.
    #[must_use]
    pub fn public_point(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// The public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.row.kid, "x": self.row.public_x, "y": self.row.public_y})
    }

    /// The header of our access tokens.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.row.kid, "typ": "at+jwt"})
    }

    /// r ‖ s over any bytes.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn signature(&self, input: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), input).expect("the system has randomness").as_ref().to_vec()
    }

    /// A compact JWS over header and payload as they are, whatever bytes those are.
    #[must_use]
    pub fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A compact JWS.
    #[must_use]
    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), payload.to_string().as_bytes())
    }

    /// An access token with these claims.
    #[must_use]
    pub fn access_token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// The decoded payload of a JWT.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn payload(token: &str) -> Value {
    part(token, 1)
}

/// The decoded header of a JWT.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap_or_else(|| panic!("no JWT: {token:?}"));
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_else(|error| panic!("{error:?}: {token:?}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {token:?}"))
}

/// `token` with another signature.
///
/// # Panics
/// If it is no JWT.
#[must_use]
pub fn with_signature(token: &str, signature: &[u8]) -> String {
    let (input, _) = token.rsplit_once('.').expect("a JWT");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The signature bytes of a JWT.
///
/// # Panics
/// If it is no JWT.
#[must_use]
pub fn signature(token: &str) -> Vec<u8> {
    let (_, signature) = token.rsplit_once('.').expect("a JWT");
    URL_SAFE_NO_PAD.decode(signature).expect("base64url")
}

/// `modulus − value`, both big-endian: the other root of an ECDSA signature.
#[must_use]
pub fn negate(value: &[u8], modulus: &[u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut borrow = 0_i16;
    for index in (0..32).rev() {
        let difference = i16::from(modulus[index]) - i16::from(value[index]) - borrow;
        borrow = i16::from(difference < 0);
        out[index] = u8::try_from(difference.rem_euclid(256)).expect("a remainder of 256");
    }
    out
}

/// An ECDSA signature of 64 bytes as DER.
#[must_use]
pub fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut bytes = bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        if bytes.first().is_none_or(|first| *first >= 0x80) {
            bytes.insert(0, 0);
        }
        let mut out = vec![2, u8::try_from(bytes.len()).expect("33 at most")];
        out.extend(bytes);
        out
    };
    let (r, s) = signature.split_at(32);
    let body = [integer(r), integer(s)].concat();
    let mut out = vec![0x30, u8::try_from(body.len()).expect("70 at most")];
    out.extend(body);
    out
}
