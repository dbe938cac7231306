//! JSON Object Signing: the compact form, JOSE headers, claims, and key sets — as strict as the verifier must be.
//!
//! Knows no cryptography: it yields what must be verified and takes the verdict as an argument.

pub mod json;
pub mod writer;

pub mod compact;

pub mod access;
pub mod claims;
pub mod jwk;

/// Signature algorithms we know; anything else in a header is a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on secp256k1 with SHA-256.
    Es256k,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Alg {
    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es256k => "ES256K",
            Self::Rs256 => "RS256",
        }
    }

    /// Exact, case-sensitive; `none` and the HMAC family are not here.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256, Self::Es256k, Self::Rs256].into_iter().find(|alg| alg.as_str() == text)
    }
}

/// Why a token was refused before or after its signature. For logs and tests; outside, all look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// `alg` unknown, forbidden, or not the key's.
    #[error("algorithm not acceptable")]
    Algorithm,
    /// Not canonical unpadded base64url.
    #[error("base64url not canonical")]
    Base64,
    /// A claim is missing, repeated, or of the wrong type or range.
    #[error("claims not acceptable")]
    Claims,
    /// The header has a forbidden, repeated or wrongly typed member.
    #[error("header not acceptable")]
    Header,
    /// Not JSON as strictly understood here.
    #[error("JSON malformed")]
    Json,
    /// `kid` missing or malformed.
    #[error("key id not acceptable")]
    KeyId,
    /// Longer than [`crate::limits::JWS_BYTES_MAX`].
    #[error("too long")]
    Length,
    /// The signature does not verify, or has the wrong length.
    #[error("signature not valid")]
    Signature,
    /// Not exactly three non-empty parts.
    #[error("not three parts")]
    Structure,
    /// `typ` is not the expected one.
    #[error("token type not acceptable")]
    Type,
}
