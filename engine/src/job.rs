//! What can be asked: one variant per way of framing a signature.
//!
//! Jobs own their bytes, so they can cross to another core. `Debug` shows the scheme and nothing that could be
//! replayed.

use std::fmt;

use bytes::Bytes;

use crate::key::VerifyKey;
use crate::scheme::SchemeId;

/// One question to the engine.
#[derive(Clone)]
pub enum Job {
    /// A Bitcoin Signed Message, verified against the claimed key; see [`crate::scheme::bitcoin_message`].
    BitcoinMessage {
        /// The claimed key, SEC 1 compressed.
        public_key: [u8; 33],
        /// The message before framing and hashing.
        message: Vec<u8>,
        /// Header byte, r, s.
        signature: [u8; 65],
    },
    /// A BRC-77 signed message that anyone can verify; see [`crate::scheme::brc77`].
    Brc77 {
        /// The key the caller claims; the envelope must name the same one.
        claimed_key: [u8; 33],
        /// The message before hashing.
        message: Vec<u8>,
        /// Version, signer, verifier, key id and DER signature.
        envelope: Vec<u8>,
    },
    /// Bare ECDSA over secp256k1; see [`crate::scheme::ecdsa_secp256k1`].
    EcdsaSecp256k1 {
        /// A secp256k1 key.
        key: VerifyKey,
        /// The hash that was signed.
        msg_hash: [u8; 32],
        /// Compact or DER.
        signature: EcdsaSignature,
        /// Whether s > n/2 is acceptable.
        high_s: HighS,
    },
    /// A JSON Web Signature in any of the supported algorithms.
    Jws {
        /// The algorithm from the protected header. It must fit the key.
        alg: JwsAlgorithm,
        /// The key the header's `kid` leads to.
        key: VerifyKey,
        /// `BASE64URL(header) . BASE64URL(payload)` as received.
        signing_input: Bytes,
        /// The decoded signature part.
        signature: Vec<u8>,
    },
    /// A BIP-340 signature; see [`crate::scheme::schnorr_bip340`].
    SchnorrBip340 {
        /// An x-only key.
        key: VerifyKey,
        /// The message, of any length.
        message: Vec<u8>,
        /// r ‖ s.
        signature: [u8; 64],
    },
}

impl Job {
    /// The scheme that judges this job.
    #[must_use]
    pub fn scheme(&self) -> SchemeId {
        match self {
            Self::BitcoinMessage { .. } => SchemeId::BitcoinMessage,
            Self::Brc77 { .. } => SchemeId::Brc77,
            Self::EcdsaSecp256k1 { .. } => SchemeId::EcdsaSecp256k1,
            Self::Jws { alg, .. } => match alg {
                JwsAlgorithm::EdDsa => SchemeId::EdDsa,
                JwsAlgorithm::Es256 => SchemeId::Es256,
                JwsAlgorithm::Es256k => SchemeId::Es256k,
                JwsAlgorithm::Hs256 => SchemeId::Hs256,
                JwsAlgorithm::Rs256 => SchemeId::Rs256,
            },
            Self::SchnorrBip340 { .. } => SchemeId::SchnorrBip340,
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({})", self.scheme().name())
    }
}

/// The encoding of a bare ECDSA signature.
#[derive(Clone)]
pub enum EcdsaSignature {
    /// r ‖ s, 32 bytes each, big-endian.
    Compact([u8; 64]),
    /// Strict DER.
    Der(Vec<u8>),
}

impl fmt::Debug for EcdsaSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact(_) => "Compact(..)",
            Self::Der(_) => "Der(..)",
        })
    }
}

/// Whether n − s is accepted where s is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighS {
    /// Both forms verify, as ECDSA and JWA say.
    Accept,
    /// Only s ≤ n/2, as Bitcoin's relay rules say.
    Refuse,
}

/// `alg` values of RFC 7518, RFC 8037 and RFC 8812 that are verified here. `none` is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over secp256k1 with SHA-256 (RFC 8812).
    Es256k,
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl JwsAlgorithm {
    /// Reads the `alg` header value; comparison is exact and case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "ES256K" => Some(Self::Es256k),
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    /// The `alg` header value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es256k => "ES256K",
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
        }
    }
}
