//! Keys parsed and validated once, shared by every job that uses them.
//!
//! A [`VerifyKey`] knows its kind, and a scheme takes only its own: an RSA key can never become an HMAC secret,
//! because the two are different variants and no constructor reads one from the other's bytes.

use std::fmt;
use std::sync::Arc;

use assay_kernels::key::{Ed25519PublicKey, HmacKey, P256PublicKey, RsaPublicKey, Secp256k1PublicKey, XOnlyPublicKey};

use crate::error::KeyError;
use crate::job::JwsAlgorithm;

/// A validated key. Cloning copies a pointer.
#[derive(Clone)]
pub struct VerifyKey(Arc<Inner>);

pub(crate) enum Inner {
    Ed25519(Ed25519PublicKey),
    Hmac(HmacKey),
    P256(P256PublicKey),
    Rsa(RsaPublicKey),
    SchnorrXOnly(XOnlyPublicKey),
    Secp256k1(Secp256k1PublicKey),
}

/// What a [`VerifyKey`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Edwards curve 25519 (JWK `OKP`).
    Ed25519,
    /// A shared secret (JWK `oct`).
    Hmac,
    /// NIST P-256 (JWK `EC`).
    P256,
    /// RSA (JWK `RSA`).
    Rsa,
    /// secp256k1, x coordinate only (BIP-340).
    SchnorrXOnly,
    /// secp256k1 (JWK `EC`, RFC 8812).
    Secp256k1,
}

/// Members of a JSON Web Key, already base64url-decoded. Members the key type does not use are ignored.
#[derive(Clone, Copy, Default)]
pub struct JwkParts<'a> {
    /// `kty`: `EC`, `OKP`, `RSA` or `oct`.
    pub kty: &'a str,
    /// `crv` of `EC` and `OKP`.
    pub crv: Option<&'a str>,
    /// x coordinate, full length.
    pub x: Option<&'a [u8]>,
    /// y coordinate, full length.
    pub y: Option<&'a [u8]>,
    /// RSA modulus without leading zeros.
    pub n: Option<&'a [u8]>,
    /// RSA exponent without leading zeros.
    pub e: Option<&'a [u8]>,
    /// Octets of a symmetric key.
    pub k: Option<&'a [u8]>,
}

impl VerifyKey {
    /// Builds what makes this key's verifications fast before the first one comes, and keeps it until [`Self::release`]: for
    /// keys that are known to be busy, such as a server's own. Takes up to a few milliseconds. Returns whether there was
    /// anything to build and room for it; verification works either way, and a key that is seen often earns the same by itself.
    pub fn prepare(&self) -> bool {
        let backend = assay_kernels::Backend::detect();
        match &*self.0 {
            Inner::P256(key) => assay_kernels::prepare_p256_key(backend, key),
            Inner::Secp256k1(key) => assay_kernels::prepare_secp256k1_key(backend, key),
            Inner::Ed25519(_) | Inner::Hmac(_) | Inner::Rsa(_) | Inner::SchnorrXOnly(_) => false,
        }
    }

    /// Leaves the room that [`Self::prepare`] took to keys that earn it, this one among them.
    pub fn release(&self) {
        match &*self.0 {
            Inner::P256(key) => assay_kernels::release_p256_key(key),
            Inner::Secp256k1(key) => assay_kernels::release_secp256k1_key(key),
            Inner::Ed25519(_) | Inner::Hmac(_) | Inner::Rsa(_) | Inner::SchnorrXOnly(_) => {}
        }
    }

    /// Builds the key a JWK describes (RFC 7518 §6, RFC 8037 §2, RFC 8812 §3.1).
    ///
    /// # Errors
    /// [`KeyError`] if a member is missing or malformed, or the type unknown. Coordinates must have full length.
    pub fn from_jwk(parts: &JwkParts<'_>) -> Result<Self, KeyError> {
        let need = |name, member: Option<_>| member.ok_or(KeyError::Missing(name));
        match (parts.kty, parts.crv) {
            ("EC", Some("P-256")) => Self::p256_xy(need("x", parts.x)?, need("y", parts.y)?),
            ("EC", Some("secp256k1")) => Self::secp256k1_xy(need("x", parts.x)?, need("y", parts.y)?),
            ("OKP", Some("Ed25519")) => Self::ed25519(need("x", parts.x)?),
            ("RSA", _) => Self::rsa(need("n", parts.n)?, need("e", parts.e)?),
            ("oct", _) => Self::hmac(need("k", parts.k)?),
            ("EC" | "OKP", None) => Err(KeyError::Missing("crv")),
            _ => Err(KeyError::Unsupported),
        }
    }

    /// A P-256 key from its two coordinates of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if a length differs or the point is not on the curve.
    pub fn p256_xy(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        Self::p256_sec1(&uncompressed(x, y)?)
    }

    /// A P-256 key from SEC 1 bytes, compressed or uncompressed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is neither or not on the curve.
    pub fn p256_sec1(bytes: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::wrap(Inner::P256(P256PublicKey::from_sec1(bytes)?)))
    }

    /// A secp256k1 key from its two coordinates of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if a length differs or the point is not on the curve.
    pub fn secp256k1_xy(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        Self::secp256k1_sec1(&uncompressed(x, y)?)
    }

    /// A secp256k1 key from SEC 1 bytes, compressed or uncompressed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is neither or not on the curve.
    pub fn secp256k1_sec1(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = if let Ok(compressed) = bytes.try_into() {
            Secp256k1PublicKey::from_compressed(compressed)?
        } else if let Ok(uncompressed) = bytes.try_into() {
            Secp256k1PublicKey::from_uncompressed(uncompressed)?
        } else {
            return Err(KeyError::Malformed);
        };
        Ok(Self::wrap(Inner::Secp256k1(key)))
    }

    /// A BIP-340 key from its 32-byte x coordinate.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if no point has this x.
    pub fn schnorr_x_only(x: &[u8]) -> Result<Self, KeyError> {
        let x = x.try_into().map_err(|_| KeyError::Malformed)?;
        Ok(Self::wrap(Inner::SchnorrXOnly(XOnlyPublicKey::from_bytes(x)?)))
    }

    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the encoding is not canonical, no point, or a point of small order.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        Ok(Self::wrap(Inner::Ed25519(Ed25519PublicKey::from_bytes(bytes)?)))
    }

    /// An RSA key of 2048 to 8192 bits from modulus and exponent, big-endian without leading zeros.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if either is out of bounds, even or padded.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::wrap(Inner::Rsa(RsaPublicKey::from_components(n, e)?)))
    }

    /// A shared secret of at least 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is shorter.
    pub fn hmac(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::wrap(Inner::Hmac(HmacKey::from_bytes(secret)?)))
    }

    /// What this key is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match *self.0 {
            Inner::Ed25519(_) => KeyKind::Ed25519,
            Inner::Hmac(_) => KeyKind::Hmac,
            Inner::P256(_) => KeyKind::P256,
            Inner::Rsa(_) => KeyKind::Rsa,
            Inner::SchnorrXOnly(_) => KeyKind::SchnorrXOnly,
            Inner::Secp256k1(_) => KeyKind::Secp256k1,
        }
    }

    /// The one JWS algorithm this key may be used with; `None` for kinds that sign no JWS.
    #[must_use]
    pub fn jws_algorithm(&self) -> Option<JwsAlgorithm> {
        match self.kind() {
            KeyKind::Ed25519 => Some(JwsAlgorithm::EdDsa),
            KeyKind::Hmac => Some(JwsAlgorithm::Hs256),
            KeyKind::P256 => Some(JwsAlgorithm::Es256),
            KeyKind::Rsa => Some(JwsAlgorithm::Rs256),
            KeyKind::SchnorrXOnly => None,
            KeyKind::Secp256k1 => Some(JwsAlgorithm::Es256k),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    fn wrap(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// Shows the kind only: an HMAC key is a secret, and the others say nothing worth a log line.
impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({:?})", self.kind())
    }
}

fn uncompressed(x: &[u8], y: &[u8]) -> Result<[u8; 65], KeyError> {
    if x.len() != 32 || y.len() != 32 {
        return Err(KeyError::Malformed);
    }
    let mut sec1 = [0x04; 65];
    sec1[1..33].copy_from_slice(x);
    sec1[33..].copy_from_slice(y);
    Ok(sec1)
}
