//! The signature schemes of JSON Web Signatures, over a signing input of 600 bytes and without the token around it.

use std::sync::OnceLock;

use assay_engine::{Job, JwsAlgorithm, VerifyKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, KeyPair as _, ParsedPublicKey};
use k256::ecdsa::signature::{Signer as _, Verifier as _};
use ring::signature as ring_sig;
use sha2::{Digest as _, Sha256};

use super::group::{Contestant, Draw, Group, Key, Pool};

/// About as long as header and payload of an access token.
const SIGNING_INPUT_BYTES: usize = 600;
const IS_A_KEY: &str = "a derived key is a key";

struct Signed {
    public: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// Base64url characters that differ in every message.
pub(super) fn signing_input(content: &[u8; 32]) -> Vec<u8> {
    hex::encode(content).into_bytes().into_iter().cycle().take(SIGNING_INPUT_BYTES).collect()
}

fn signed(draw: &Draw, public: Vec<u8>, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Signed {
    Signed { public, signature: sign(&signing_input(&draw.content)), message: signing_input(&draw.shown()) }
}

fn ours(pool: &Pool, alg: JwsAlgorithm, signed: &[Signed], key: impl Fn(&[u8]) -> VerifyKey) -> Contestant {
    let jobs = signed.iter().map(|s| {
        let key = key(&s.public);
        Job::Jws { alg, key, signing_input: s.message.clone().into(), signature: s.signature.clone() }
    });
    let jobs: Vec<Job> = jobs.collect();
    if pool.key == Key::Hot {
        // Keys repeat every sixteen jobs; preparing one twice costs nothing.
        for job in jobs.iter().take(64) {
            let Job::Jws { key, .. } = job else { continue };
            key.prepare();
        }
    }
    Contestant::engine(jobs)
}

/// What a library's own parsed form is made of.
type Raw<K> = (K, Vec<u8>, Vec<u8>);

fn raw<K>(signed: &[Signed], key: impl Fn(&[u8]) -> K) -> Vec<Raw<K>> {
    signed.iter().map(|s| (key(&s.public), s.message.clone(), s.signature.clone())).collect()
}

fn by_aws(algorithm: &'static dyn aws::VerificationAlgorithm, signed: &[Signed]) -> Contestant {
    let jobs = raw(signed, |key| ParsedPublicKey::new(algorithm, key).expect(IS_A_KEY));
    Contestant::one_by_one("aws-lc-rs", jobs, |(key, message, signature)| key.verify_sig(message, signature).is_ok())
}

fn by_ring(algorithm: &'static dyn ring_sig::VerificationAlgorithm, signed: &[Signed]) -> Contestant {
    // ring has no parsed form of a key: it parses with every verification.
    let jobs = raw(signed, |key| ring_sig::UnparsedPublicKey::new(algorithm, key.to_vec()));
    Contestant::one_by_one("ring", jobs, |(key, message, signature)| key.verify(message, signature).is_ok())
}

/// ECDSA over P-256.
pub(super) fn es256(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| {
        let key = p256_key(&draw.key);
        signed(&draw, p256_public(&key), |message| p256_sign(&key, message))
    });
    let p256 = raw(&signed, |key| p256::ecdsa::VerifyingKey::from_sec1_bytes(key).expect(IS_A_KEY));
    Group {
        expected: pool.expected(),
        contestants: vec![
            ours(pool, JwsAlgorithm::Es256, &signed, |key| VerifyKey::p256_sec1(key).expect(IS_A_KEY)),
            by_aws(&aws::ECDSA_P256_SHA256_FIXED, &signed),
            by_ring(&ring_sig::ECDSA_P256_SHA256_FIXED, &signed),
            Contestant::one_by_one("p256", p256, |(key, message, signature): &Raw<p256::ecdsa::VerifyingKey>| {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }),
        ],
    }
}

pub(super) fn p256_key(secret: &[u8; 32]) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(secret).expect("a draw is below the order and not zero")
}

pub(super) fn p256_public(key: &p256::ecdsa::SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

pub(super) fn p256_sign(key: &p256::ecdsa::SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = key.sign(message);
    signature.to_bytes().to_vec()
}

/// ECDSA over secp256k1, as RFC 8812 says: high s verifies too.
pub(super) fn es256k(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| {
        let secret = secp256k1::SecretKey::from_secret_bytes(draw.key).expect("the chance of an invalid key is 2^-128");
        signed(&draw, secret.public_key().serialize_uncompressed().to_vec(), |message| {
            let hash = secp256k1::Message::from_digest(Sha256::digest(message).into());
            secp256k1::ecdsa::sign(hash, &secret).serialize_compact().to_vec()
        })
    });
    let library = raw(&signed, |key| secp256k1::PublicKey::from_slice(key).expect(IS_A_KEY));
    let k256 = raw(&signed, |key| k256::ecdsa::VerifyingKey::from_sec1_bytes(key).expect(IS_A_KEY));
    Group {
        expected: pool.expected(),
        contestants: vec![
            ours(pool, JwsAlgorithm::Es256k, &signed, |key| VerifyKey::secp256k1_sec1(key).expect(IS_A_KEY)),
            Contestant::one_by_one("libsecp256k1", library, |(key, message, signature): &Raw<secp256k1::PublicKey>| {
                let Ok(mut signature) = secp256k1::ecdsa::Signature::from_compact(signature) else { return false };
                signature.normalize_s();
                let hash = secp256k1::Message::from_digest(Sha256::digest(message).into());
                signature.verify(hash, key).is_ok()
            }),
            by_aws(&aws::ECDSA_P256K1_SHA256_FIXED, &signed),
            Contestant::one_by_one("k256", k256, |(key, message, signature): &Raw<k256::ecdsa::VerifyingKey>| {
                k256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }),
        ],
    }
}

/// Ed25519.
pub(super) fn eddsa(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| {
        let key = ed25519_key(&draw.key);
        signed(&draw, key.public_key().as_ref().to_vec(), |message| key.sign(message).as_ref().to_vec())
    });
    Group {
        expected: pool.expected(),
        contestants: vec![
            ours(pool, JwsAlgorithm::EdDsa, &signed, |key| VerifyKey::ed25519(key).expect(IS_A_KEY)),
            by_aws(&aws::ED25519, &signed),
            by_ring(&ring_sig::ED25519, &signed),
        ],
    }
}

pub(super) fn ed25519_key(seed: &[u8; 32]) -> aws::Ed25519KeyPair {
    aws::Ed25519KeyPair::from_seed_unchecked(seed).expect("every seed of 32 bytes is a key")
}

/// RSASSA-PKCS1-v1_5 with a modulus of 2048 bits.
pub(super) fn rs256(pool: &Pool) -> Group {
    let key = rsa_key();
    let (n, e) = rsa_public(key);
    let signed = pool.sign(|draw| signed(&draw, Vec::new(), |message| rsa_sign(key, message)));
    // Parsed once, as AWS-LC's is: a parsed key learns at its first verification what the next ones need.
    let one = VerifyKey::rsa(&n, &e).expect(IS_A_KEY);
    let ours = ours(pool, JwsAlgorithm::Rs256, &signed, |_| one.clone());
    let parsed = ParsedPublicKey::new(&aws::RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).expect(IS_A_KEY);
    let aws = raw(&signed, |_| ());
    let ring = raw(&signed, |_| ());
    Group {
        expected: pool.expected(),
        contestants: vec![
            ours,
            Contestant::one_by_one("aws-lc-rs", aws, move |((), message, signature)| {
                parsed.verify_sig(message, signature).is_ok()
            }),
            Contestant::one_by_one("ring", ring, move |((), message, signature)| {
                let key = ring_sig::RsaPublicKeyComponents { n: &n, e: &e };
                key.verify(&ring_sig::RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }),
        ],
    }
}

/// The one key of RS256. Neither library makes RSA keys from a seed, so this one is random in every run.
pub(super) fn rsa_key() -> &'static aws::RsaKeyPair {
    static KEY: OnceLock<aws::RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| {
        use aws_lc_rs::rsa::KeyPair;
        KeyPair::generate(KeySize::Rsa2048).expect("the operating system has random numbers")
    })
}

pub(super) fn rsa_public(key: &aws::RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let public = key.public_key();
    let bytes = |part: &[u8]| part.iter().copied().skip_while(|byte| *byte == 0).collect();
    (
        bytes(public.modulus().big_endian_without_leading_zero()),
        bytes(public.exponent().big_endian_without_leading_zero()),
    )
}

pub(super) fn rsa_sign(key: &aws::RsaKeyPair, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&aws::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .expect("a buffer of the modulus' length is right");
    signature
}

/// HMAC with SHA-256, a secret of 32 bytes.
pub(super) fn hs256(pool: &Pool) -> Group {
    use aws_lc_rs::hmac;
    let signed = pool.sign(|draw| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &draw.key);
        signed(&draw, draw.key.to_vec(), |message| hmac::sign(&key, message).as_ref().to_vec())
    });
    let aws = raw(&signed, |key| hmac::Key::new(hmac::HMAC_SHA256, key));
    let ring = raw(&signed, |key| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key));
    Group {
        expected: pool.expected(),
        contestants: vec![
            ours(pool, JwsAlgorithm::Hs256, &signed, |key| VerifyKey::hmac(key).expect(IS_A_KEY)),
            Contestant::one_by_one("aws-lc-rs", aws, |(key, message, tag): &Raw<hmac::Key>| {
                hmac::verify(key, message, tag).is_ok()
            }),
            Contestant::one_by_one("ring", ring, |(key, message, tag): &Raw<ring::hmac::Key>| {
                ring::hmac::verify(key, message, tag).is_ok()
            }),
        ],
    }
}
