//! Private keys that come from a seed, and what is published of them. Every signature is a function of key and message.

use assay_oauth::encoding::base64url;
use assay_oauth::jose::jwk::Material;
use assay_oauth::jose::writer::ObjectWriter;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use num_bigint::BigUint;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use sha2::{Digest, Sha256};

use super::digest;
use crate::bitcoin_sign::{PrivateKey, Scheme};

/// Public exponent of every RSA key.
const RSA_E: u32 = 65_537;
/// Bits of each of the two primes.
const RSA_PRIME_BITS: u64 = 1_024;
/// Rounds of Miller-Rabin; for a random candidate of this size even five leave an error below 2^-100.
const MILLER_RABIN_ROUNDS: u64 = 8;

/// One private key.
pub(super) struct Signer {
    key: Key,
    kid: String,
}

enum Key {
    Bitcoin(PrivateKey, Scheme),
    EdDsa(Ed25519KeyPair),
    Es256(Box<p256::ecdsa::SigningKey>),
    Es256k(secp256k1::SecretKey),
    /// The secret is text, so that it can be looked at and pasted.
    Hs256(String),
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// Key number `index` of this seed.
    pub(super) fn from_seed(scheme: &str, seed: &[u8], index: u64) -> Self {
        let key = match scheme {
            "brc77" => {
                Key::Bitcoin(secret(scheme, seed, index, |bytes| PrivateKey::from_bytes(bytes).ok()), Scheme::Brc77)
            }
            "bsm" => Key::Bitcoin(secret(scheme, seed, index, |bytes| PrivateKey::from_bytes(bytes).ok()), Scheme::Bsm),
            "eddsa" => Key::EdDsa(secret(scheme, seed, index, |bytes| Ed25519KeyPair::from_seed_unchecked(bytes).ok())),
            "es256k" => {
                Key::Es256k(secret(scheme, seed, index, |bytes| secp256k1::SecretKey::from_secret_bytes(*bytes).ok()))
            }
            "hs256" => Key::Hs256(hex::encode(digest(seed, "hs256 key", &[index]))),
            "rs256" => Key::Rs256(Box::new(rsa_key(seed, index))),
            _ => Key::Es256(Box::new(secret(scheme, seed, index, |bytes| {
                p256::ecdsa::SigningKey::from_slice(bytes).ok()
            }))),
        };
        let kid = key.material().map_or_else(|| format!("{scheme}-{index}"), |material| material.thumbprint());
        Self { key, kid }
    }

    /// The key of a bitcoin-auth token.
    pub(super) fn bitcoin(&self) -> Option<(&PrivateKey, Scheme)> {
        match &self.key {
            Key::Bitcoin(key, scheme) => Some((key, *scheme)),
            _ => None,
        }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn alg(&self) -> &'static str {
        match &self.key {
            Key::Hs256(_) | Key::Bitcoin(..) => "HS256",
            key => key.material().map_or("none", |material| material.alg().as_str()),
        }
    }

    /// Signs as JWS does.
    pub(super) fn sign(&self, input: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Bitcoin(..) => Vec::new(),
            Key::EdDsa(key) => key.sign(input).as_ref().to_vec(),
            Key::Es256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(&Sha256::digest(input)).expect("a hash of 32 bytes is long enough");
                signature.to_bytes().to_vec()
            }
            Key::Es256k(key) => {
                let message = secp256k1::Message::from_digest(Sha256::digest(input).into());
                key.sign_ecdsa(message).serialize_compact().to_vec()
            }
            Key::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, input).as_ref().to_vec()
            }
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                // PKCS #1 v1.5 has no randomness; the argument is there for the other padding.
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)
                    .expect("the signature is as long as the modulus");
                signature
            }
        }
    }
}

impl Key {
    fn material(&self) -> Option<Material> {
        let halves = |point: &[u8]| {
            let (x, y) = point[1..].split_at(32);
            (x.try_into().expect("32 bytes"), y.try_into().expect("32 bytes"))
        };
        match self {
            Self::Bitcoin(..) | Self::Hs256(_) => None,
            Self::EdDsa(key) => {
                let x = key.public_key().as_ref().try_into().expect("32 bytes");
                Some(Material::Ed25519 { x })
            }
            Self::Es256(key) => {
                let (x, y) = halves(key.verifying_key().to_sec1_point(false).as_bytes());
                Some(Material::EcP256 { x, y })
            }
            Self::Es256k(key) => {
                let (x, y) = halves(&secp256k1::PublicKey::from_secret_key(key).serialize_uncompressed());
                Some(Material::EcSecp256k1 { x, y })
            }
            Self::Rs256(key) => {
                let public = key.public_key();
                let n = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                Some(Material::Rsa { n, e })
            }
        }
    }
}

/// What `--jwks-out` holds: a JWK set of public keys, or the secret of hs256.
pub(super) fn verification_keys(signers: &[Signer]) -> String {
    if let [Signer { key: Key::Hs256(secret), .. }] = signers {
        return format!("{secret}\n");
    }
    let keys = signers.iter().filter_map(|signer| {
        let material = signer.key.material()?;
        let mut out = ObjectWriter::new();
        match &material {
            Material::EcP256 { x, y } => {
                out.string("kty", "EC").string("crv", "P-256").string("x", &base64url(x)).string("y", &base64url(y))
            }
            Material::EcSecp256k1 { x, y } => {
                out.string("kty", "EC").string("crv", "secp256k1").string("x", &base64url(x)).string("y", &base64url(y))
            }
            Material::Ed25519 { x } => out.string("kty", "OKP").string("crv", "Ed25519").string("x", &base64url(x)),
            Material::Rsa { n, e } => out.string("kty", "RSA").string("n", &base64url(n)).string("e", &base64url(e)),
        };
        out.string("alg", material.alg().as_str()).string("use", "sig").string("kid", &signer.kid);
        Some(out.finish())
    });
    format!("{{\"keys\":[{}]}}\n", keys.collect::<Vec<_>>().join(",\n"))
}

/// The first of the seed's digests that is a key.
fn secret<K>(scheme: &str, seed: &[u8], index: u64, key: impl Fn(&[u8; 32]) -> Option<K>) -> K {
    let purpose = format!("{scheme} key");
    (0..)
        .find_map(|attempt| key(&digest(seed, &purpose, &[index, attempt])))
        .expect("all but one of 2^32 digests are keys, so the search ends")
}

fn rsa_key(seed: &[u8], index: u64) -> RsaKeyPair {
    let (one, e) = (BigUint::from(1_u8), BigUint::from(RSA_E));
    let (p, q) = (rsa_prime(seed, index, 0), rsa_prime(seed, index, 1));
    let (p_less, q_less) = (&p - &one, &q - &one);
    let d = e.modinv(&(&p_less * &q_less)).expect("neither prime is 1 modulo e, which is prime");
    let numbers = [
        BigUint::ZERO,
        &p * &q,
        e,
        d.clone(),
        p.clone(),
        q.clone(),
        &d % &p_less,
        &d % &q_less,
        q.modinv(&p).expect("two different primes"),
    ];
    RsaKeyPair::from_der(&der_sequence(&numbers)).expect("the numbers are an RSA key (RFC 8017, A.1.2)")
}

/// A prime with its two highest bits set, so that two of them have a product of full length.
fn rsa_prime(seed: &[u8], index: u64, which: u64) -> BigUint {
    let small: Vec<u32> =
        (3_u32..2_000).step_by(2).filter(|n| (3..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect();
    let words = RSA_PRIME_BITS / 256;
    (0..)
        .map(|attempt| {
            let bytes: Vec<u8> =
                (0..words).flat_map(|word| digest(seed, "rs256 prime", &[index, which, attempt, word])).collect();
            let mut candidate = BigUint::from_bytes_be(&bytes);
            for bit in [0, RSA_PRIME_BITS - 1, RSA_PRIME_BITS - 2] {
                candidate.set_bit(bit, true);
            }
            candidate
        })
        .find(|candidate| {
            small.iter().all(|prime| candidate % prime != BigUint::ZERO)
                && candidate % RSA_E != BigUint::from(1_u8)
                && is_prime(candidate)
        })
        .expect("one odd number in 355 of this size is prime, so the search ends")
}

/// Miller-Rabin with bases that come from the candidate itself.
fn is_prime(candidate: &BigUint) -> bool {
    let one = BigUint::from(1_u8);
    let less = candidate - &one;
    let twos = less.trailing_zeros().unwrap_or_default();
    let odd = &less >> twos;
    let bytes = candidate.to_bytes_be();
    (0..MILLER_RABIN_ROUNDS).all(|round| {
        // Two first: it settles nearly every composite, and is the cheapest to raise.
        let base = if round == 0 {
            BigUint::from(2_u8)
        } else {
            BigUint::from_bytes_be(&digest(&bytes, "base", &[round])) + 2_u8
        };
        let mut power = base.modpow(&odd, candidate);
        if power == one || power == less {
            return true;
        }
        for _ in 1..twos {
            power = &power * &power % candidate;
            if power == less {
                return true;
            }
        }
        false
    })
}

/// DER of a sequence of non-negative integers.
fn der_sequence(numbers: &[BigUint]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in numbers {
        let mut bytes = number.to_bytes_be();
        // A set first bit would mean a negative number.
        if bytes[0] & 0x80 != 0 {
            bytes.insert(0, 0);
        }
        der_head(&mut body, 0x02, bytes.len());
        body.extend_from_slice(&bytes);
    }
    let mut der = Vec::new();
    der_head(&mut der, 0x30, body.len());
    der.extend_from_slice(&body);
    der
}

fn der_head(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[length.leading_zeros() as usize / 8..];
            out.push(0x80 | bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told_from_composites() {
        let number = |text: &str| text.parse::<BigUint>().expect("digits");
        for prime in ["170141183460469231731687303715884105727", "162259276829213363391578010288127"] {
            assert!(is_prime(&number(prime)), "{prime}");
        }
        // The square of a prime, a Carmichael number, a strong pseudoprime to base 2, a Fermat number.
        for composite in
            ["26327835", "1590231231043178376951698401", "3215031751", "340282366920938463463374607431768211457"]
        {
            assert!(!is_prime(&number(composite)), "{composite}");
        }
    }

    #[test]
    fn der_lengths() {
        let head = |length| {
            let mut out = Vec::new();
            der_head(&mut out, 2, length);
            out
        };
        assert_eq!(head(0), [2, 0]);
        assert_eq!(head(127), [2, 127]);
        assert_eq!(head(128), [2, 0x81, 128]);
        assert_eq!(head(1190), [2, 0x82, 4, 166]);
    }
}
