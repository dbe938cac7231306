//! Public keys that have been validated: on the curve, not the identity, canonical, within size bounds.
//!
//! A value of these types can be used in any job without another check. Parsing happens once per key; jobs borrow
//! the result, or copy it where it is 64 bytes of coordinates.

use crate::limits::{RSA_EXPONENT_BITS_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN};
use crate::portable::hmac::Prepared;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};

/// The bytes are not a key of this kind, or not one we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl std::fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("invalid key")
    }
}

impl std::error::Error for InvalidKey {}

/// A point on secp256k1 other than the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secp256k1PublicKey(pub(crate) secp256k1::PublicKey);

impl Secp256k1PublicKey {
    /// Parses SEC 1 compressed form: `02` or `03`, then x < p for which x³ + 7 is a square.
    ///
    /// # Errors
    /// [`InvalidKey`] if no such point exists.
    pub fn from_compressed(bytes: &[u8; 33]) -> Result<Self, InvalidKey> {
        secp256k1::PublicKey::from_byte_array_compressed(*bytes).map(Self).map_err(|_| InvalidKey)
    }

    /// Parses SEC 1 uncompressed form: `04`, x, y. The hybrid forms `06` and `07` are refused.
    ///
    /// # Errors
    /// [`InvalidKey`] if the prefix differs or the point is not on the curve.
    pub fn from_uncompressed(bytes: &[u8; 65]) -> Result<Self, InvalidKey> {
        // libsecp256k1 reads the hybrid prefixes as well, so the check is ours.
        if bytes[0] != 0x04 {
            return Err(InvalidKey);
        }
        secp256k1::PublicKey::from_byte_array_uncompressed(*bytes).map(Self).map_err(|_| InvalidKey)
    }

    /// SEC 1 compressed form.
    #[must_use]
    pub fn to_compressed(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// SEC 1 uncompressed form.
    #[must_use]
    pub fn to_uncompressed(&self) -> [u8; 65] {
        self.0.serialize_uncompressed()
    }
}

/// A BIP-340 public key: the x of a point whose y is even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XOnlyPublicKey(pub(crate) secp256k1::XOnlyPublicKey);

impl XOnlyPublicKey {
    /// `lift_x` of BIP-340: x < p and x³ + 7 a square.
    ///
    /// # Errors
    /// [`InvalidKey`] if the point does not exist.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        secp256k1::XOnlyPublicKey::from_byte_array(*bytes).map(Self).map_err(|_| InvalidKey)
    }

    /// The 32 bytes of x.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_byte_array()
    }
}

/// A point on P-256 other than the identity.
#[derive(Clone)]
pub struct P256PublicKey(pub(crate) ParsedPublicKey);

impl P256PublicKey {
    /// Parses SEC 1: 33 bytes (`02`, `03`) or 65 bytes (`04`). Hybrid forms, DER and everything else are refused.
    ///
    /// # Errors
    /// [`InvalidKey`] if the form differs or the point is not on the curve.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, InvalidKey> {
        // The length is checked first: AWS-LC would also read a DER document here.
        match (bytes.len(), bytes.first()) {
            (33, Some(0x02 | 0x03)) | (65, Some(0x04)) => {}
            _ => return Err(InvalidKey),
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes).map(Self).map_err(|_| InvalidKey)
    }

    /// The SEC 1 bytes this key was parsed from.
    #[must_use]
    pub fn as_sec1(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// An Ed25519 public key of RFC 8032 whose encoding is canonical and whose order is not small.
///
/// A key of small order verifies signatures nobody made, so it is refused when parsed, not when used.
#[derive(Clone)]
pub struct Ed25519PublicKey(pub(crate) ParsedPublicKey);

impl Ed25519PublicKey {
    /// Parses 32 bytes.
    ///
    /// # Errors
    /// [`InvalidKey`] if y ≥ 2^255 − 19, the point does not exist, or its order divides 8.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        if !ed25519_y_is_canonical(bytes) || ed25519_is_small_order(bytes) {
            return Err(InvalidKey);
        }
        // AWS-LC only stores the bytes and meets the curve equation at the first verification, so existence of the
        // point is asked of curve25519-dalek, once per key.
        ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey)?;
        ParsedPublicKey::new(&ED25519, bytes.as_slice()).map(Self).map_err(|_| InvalidKey)
    }
}

/// y of the points whose order divides 8, little endian, sign bit cleared: 0 and the roots for order 4, 1 and −1
/// for orders 1 and 2, and the two values of order 8. The test compares them with an independent implementation.
const ED25519_SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

pub(crate) fn ed25519_is_small_order(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    y[31] &= 0x7f;
    ED25519_SMALL_ORDER_Y.contains(&y)
}

/// True when the encoded y is below 2^255 − 19 (the sign bit is not part of y).
fn ed25519_y_is_canonical(encoded: &[u8; 32]) -> bool {
    let top_is_full = encoded[31] & 0x7f == 0x7f;
    let middle_is_full = encoded[1..31].iter().all(|&byte| byte == 0xff);
    !(top_is_full && middle_is_full && encoded[0] >= 0xed)
}

/// An RSA public key of 2048 to 8192 bits.
#[derive(Clone)]
pub struct RsaPublicKey {
    pub(crate) key: ParsedPublicKey,
    modulus_bytes: usize,
}

impl RsaPublicKey {
    /// Parses big-endian modulus and exponent without leading zeros (RFC 7518 §6.3.1).
    ///
    /// # Errors
    /// [`InvalidKey`] if the modulus is even or outside 2048..=8192 bits, the exponent even, below 3 or above 33
    /// bits, or either starts with a zero octet.
    pub fn from_components(n: &[u8], e: &[u8]) -> Result<Self, InvalidKey> {
        let n_bits = bit_length(n).ok_or(InvalidKey)?;
        let e_bits = bit_length(e).ok_or(InvalidKey)?;
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
        let acceptable = (RSA_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX).contains(&n_bits)
            && (2..=RSA_EXPONENT_BITS_MAX).contains(&e_bits)
            && odd(n)
            && odd(e);
        if !acceptable {
            return Err(InvalidKey);
        }
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| InvalidKey)?;
        Ok(Self { key, modulus_bytes: n.len() })
    }

    /// Length of the modulus and therefore of every signature, in octets.
    #[must_use]
    pub fn modulus_bytes(&self) -> usize {
        self.modulus_bytes
    }
}

/// Bits of a big-endian number; `None` when it is empty or starts with a zero octet.
fn bit_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first() {
        None | Some(0) => None,
        Some(first) => Some(bytes.len() * 8 - first.leading_zeros() as usize),
    }
}

/// A symmetric HMAC-SHA-256 key.
#[derive(Clone)]
pub struct HmacKey(pub(crate) Prepared);

/// Shortest HMAC-SHA-256 key accepted, in bytes (RFC 7518 §3.2: at least the hash output).
pub const HMAC_KEY_BYTES_MIN: usize = 32;

impl HmacKey {
    /// Takes the key octets.
    ///
    /// # Errors
    /// [`InvalidKey`] if there are fewer than [`HMAC_KEY_BYTES_MIN`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        if bytes.len() < HMAC_KEY_BYTES_MIN {
            return Err(InvalidKey);
        }
        Ok(Self(Prepared::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_order_table_is_what_dalek_calls_weak() {
        for y in ED25519_SMALL_ORDER_Y {
            for sign in [0x00, 0x80] {
                let mut encoded = y;
                encoded[31] |= sign;
                // y = ±1 with the sign bit set names no point; every other entry is a point of small order.
                if let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&encoded) {
                    assert!(key.is_weak(), "{}", hex::encode(encoded));
                }
                assert!(Ed25519PublicKey::from_bytes(&encoded).is_err());
            }
        }
    }

    #[test]
    fn ed25519_keys_must_be_canonical_points() {
        let base_point = {
            let mut bytes = [0x66; 32];
            bytes[0] = 0x58;
            bytes
        };
        assert!(Ed25519PublicKey::from_bytes(&base_point).is_ok());
        // y = 2 is not on the curve; p + 3 is a second spelling of y = 3.
        let mut y_two = [0; 32];
        y_two[0] = 2;
        assert!(Ed25519PublicKey::from_bytes(&y_two).is_err());
        let mut p_plus_three = [0xff; 32];
        p_plus_three[0] = 0xf0;
        p_plus_three[31] = 0x7f;
        assert!(Ed25519PublicKey::from_bytes(&p_plus_three).is_err());
    }

    #[test]
    fn hybrid_and_identity_encodings_are_refused() {
        let generator = secp256k1::PublicKey::from_byte_array_compressed(
            hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
                .expect("hex")
                .try_into()
                .expect("33 bytes"),
        )
        .expect("the generator is on its curve")
        .serialize_uncompressed();
        assert!(Secp256k1PublicKey::from_uncompressed(&generator).is_ok());
        let mut hybrid = generator;
        hybrid[0] = 0x06;
        assert!(Secp256k1PublicKey::from_uncompressed(&hybrid).is_err());
        hybrid[0] = 0x07;
        assert!(Secp256k1PublicKey::from_uncompressed(&hybrid).is_err());
        assert!(Secp256k1PublicKey::from_uncompressed(&[0; 65]).is_err());
        assert!(Secp256k1PublicKey::from_compressed(&[0; 33]).is_err());
        assert!(P256PublicKey::from_sec1(&[0]).is_err());
        assert!(P256PublicKey::from_sec1(&[]).is_err());
        assert!(P256PublicKey::from_sec1(&generator).is_err(), "other curve");
    }

    #[test]
    fn rsa_bounds_are_on_both_sides() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            if !bits.is_multiple_of(8) {
                n[0] >>= 8 - bits % 8;
            }
            n
        };
        let e = [1, 0, 1];
        for (bits, accepted) in [(2047, false), (2048, true), (4096, true), (8192, true), (8193, false)] {
            let parsed = RsaPublicKey::from_components(&modulus(bits), &e);
            assert_eq!(parsed.is_ok(), accepted, "{bits}");
        }
        let n = modulus(2048);
        for (e, accepted) in [
            (&[3][..], true),
            (&[1], false),
            (&[1, 0], false),
            (&[0, 1, 0, 1], false),
            (&[], false),
            (&[1, 0, 0, 0, 1], true),
            (&[2, 0, 0, 0, 1], false),
        ] {
            assert_eq!(RsaPublicKey::from_components(&n, e).is_ok(), accepted, "{e:?}");
        }
        let mut even = n.clone();
        even[255] = 0xfe;
        assert!(RsaPublicKey::from_components(&even, &e).is_err());
        let mut padded = vec![0];
        padded.extend_from_slice(&n);
        assert!(RsaPublicKey::from_components(&padded, &e).is_err());
    }

    #[test]
    fn short_hmac_keys_are_refused() {
        assert!(HmacKey::from_bytes(&[7; 31]).is_err());
        assert!(HmacKey::from_bytes(&[7; 32]).is_ok());
    }
}
