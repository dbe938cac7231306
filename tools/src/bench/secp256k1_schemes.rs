//! Everything over secp256k1 that is not a JSON Web Signature.

use assay_engine::recover::Secp256k1PublicKey;
use assay_engine::scheme::bitcoin_message::message_digest;
use assay_engine::scheme::brc77::Envelope;
use assay_engine::{EcdsaSignature, HighS, Job, Recoverable, VerifyKey, recover_now};
use hmac::{Hmac, KeyInit as _, Mac as _};
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::elliptic_curve::bigint::U256;
use k256::elliptic_curve::ops::Reduce as _;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature};
use secp256k1::{Message, PublicKey, Scalar, SecretKey, XOnlyPublicKey};
use sha2::{Digest as _, Sha256};

use super::group::{Contestant, Draw, Group, Key, OURS, Pool, engine_verdicts};
use crate::bitcoin_sign::{PrivateKey, sign_brc77, sign_bsm};

/// A signature over a hash, as it comes from outside.
#[derive(Clone)]
struct Signed {
    public: [u8; 33],
    hash: [u8; 32],
    compact: [u8; 64],
    recovery: RecoveryId,
}

fn secret(bytes: [u8; 32]) -> SecretKey {
    SecretKey::from_secret_bytes(bytes).expect("the chance of an invalid key is 2^-128")
}

fn sign(draw: &Draw) -> Signed {
    let secret = secret(draw.key);
    let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(draw.content), &secret);
    let (recovery, compact) = signature.serialize_compact();
    Signed { public: secret.public_key().serialize(), hash: draw.shown(), compact, recovery }
}

/// Gives hot keys the tables that a server's busy keys have.
fn prepare<'a>(pool: &Pool, keys: impl Iterator<Item = &'a [u8; 33]>) {
    if pool.key == Key::Hot {
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            engine_key(key).prepare();
        }
    }
}

fn engine_key(public: &[u8; 33]) -> VerifyKey {
    VerifyKey::secp256k1_sec1(public).expect("a derived key is a key")
}

fn engine_job(key: VerifyKey, signed: &Signed) -> Job {
    let signature = EcdsaSignature::Compact(signed.compact);
    Job::EcdsaSecp256k1 { key, msg_hash: signed.hash, signature, high_s: HighS::Refuse }
}

fn k256_key(public: &[u8; 33]) -> k256::ecdsa::VerifyingKey {
    k256::ecdsa::VerifyingKey::from_sec1_bytes(public).expect("a derived key is a key")
}

fn libsecp256k1_verify(key: &PublicKey, hash: [u8; 32], compact: &[u8]) -> bool {
    Signature::from_compact(compact).is_ok_and(|signature| signature.verify(Message::from_digest(hash), key).is_ok())
}

fn k256_verify(key: &k256::ecdsa::VerifyingKey, hash: &[u8; 32], compact: &[u8]) -> bool {
    k256::ecdsa::Signature::from_slice(compact).is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

/// Key parsed before, hash and compact signature from outside.
pub(super) fn ecdsa(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| sign(&draw));
    prepare(pool, signed.iter().map(|signed| &signed.public));
    let ours = signed.iter().map(|signed| engine_job(engine_key(&signed.public), signed)).collect();
    let library = signed.iter().map(|s| (libsecp256k1_key(&s.public), s.hash, s.compact)).collect();
    let k256 = signed.iter().map(|s| (k256_key(&s.public), s.hash, s.compact)).collect();
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::engine(ours),
            Contestant::one_by_one("libsecp256k1", library, |(key, hash, compact): &(_, _, [u8; 64])| {
                libsecp256k1_verify(key, *hash, compact)
            }),
            Contestant::one_by_one("k256", k256, |(key, hash, compact): &(_, _, [u8; 64])| {
                k256_verify(key, hash, compact)
            }),
        ],
    }
}

fn libsecp256k1_key(public: &[u8; 33]) -> PublicKey {
    PublicKey::from_byte_array_compressed(*public).expect("a derived key is a key")
}

/// As [`ecdsa`], and the key comes as 33 bytes that must be parsed.
pub(super) fn ecdsa_parse33(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| sign(&draw));
    prepare(pool, signed.iter().map(|signed| &signed.public));
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::batches(OURS, signed.clone(), |batch: &[Signed], verdicts| {
                let jobs: Vec<Job> =
                    batch.iter().map(|signed| engine_job(engine_key(&signed.public), signed)).collect();
                engine_verdicts(&jobs, verdicts);
            }),
            Contestant::one_by_one("libsecp256k1", signed.clone(), |s: &Signed| {
                PublicKey::from_byte_array_compressed(s.public)
                    .is_ok_and(|key| libsecp256k1_verify(&key, s.hash, &s.compact))
            }),
            Contestant::one_by_one("k256", signed, |s: &Signed| {
                k256::ecdsa::VerifyingKey::from_sec1_bytes(&s.public)
                    .is_ok_and(|key| k256_verify(&key, &s.hash, &s.compact))
            }),
        ],
    }
}

/// Which key signed this? Where a key is claimed with the signature, `bsm-verify` is the question.
pub(super) fn recover(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| sign(&draw));
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::batches(OURS, signed.clone(), |batch: &[Signed], verdicts| {
                let recoverable =
                    |s: &Signed| Recoverable { msg_hash: s.hash, compact: s.compact, recovery_id: s.recovery.to_u8() };
                let keys = recover_now(&batch.iter().map(recoverable).collect::<Vec<_>>());
                let is_signer = |(key, s): (Option<Secp256k1PublicKey>, &Signed)| {
                    key.is_some_and(|key| key.to_compressed() == s.public)
                };
                verdicts.extend(keys.into_iter().zip(batch).map(is_signer));
            }),
            Contestant::one_by_one("libsecp256k1", signed.clone(), |s: &Signed| {
                RecoverableSignature::from_compact(&s.compact, s.recovery)
                    .and_then(|signature| signature.recover(Message::from_digest(s.hash)))
                    .is_ok_and(|key| key.serialize() == s.public)
            }),
            Contestant::one_by_one("k256", signed, |s: &Signed| {
                let Some(recovery) = k256::ecdsa::RecoveryId::from_byte(s.recovery.to_u8()) else { return false };
                k256::ecdsa::Signature::from_slice(&s.compact)
                    .and_then(|sig| k256::ecdsa::VerifyingKey::recover_from_prehash(&s.hash, &sig, recovery))
                    .is_ok_and(|key| key.to_sec1_point(true).as_bytes() == s.public)
            }),
        ],
    }
}

/// x-only key parsed before, a message of 32 bytes.
pub(super) fn bip340(pool: &Pool) -> Group {
    let signed: Vec<([u8; 32], [u8; 32], [u8; 64])> = pool.sign(|draw| {
        let pair = secret(draw.key).keypair();
        let signature = secp256k1::schnorr::sign_no_aux_rand(&draw.content, &pair);
        (pair.x_only_public_key().0.to_byte_array(), draw.shown(), signature.to_byte_array())
    });
    let even: Vec<[u8; 33]> = signed.iter().map(|(x, ..)| even_point(x)).collect();
    prepare(pool, even.iter());
    let ours = signed.iter().map(|(x, message, signature)| Job::SchnorrBip340 {
        key: VerifyKey::schnorr_x_only(x).expect("a derived key is a key"),
        message: message.to_vec(),
        signature: *signature,
    });
    let ours = ours.collect();
    let library = signed.iter().map(|(x, message, signature)| {
        (XOnlyPublicKey::from_byte_array(*x).expect("a derived key is a key"), *message, *signature)
    });
    let library = library.collect();
    let k256 = signed.iter().map(|(x, message, signature)| {
        (k256::schnorr::VerifyingKey::from_slice(x).expect("a derived key is a key"), *message, *signature)
    });
    let k256 = k256.collect();
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::engine(ours),
            Contestant::one_by_one("libsecp256k1", library, |(key, message, signature): &(_, [u8; 32], _)| {
                secp256k1::schnorr::Signature::from_byte_array(*signature).verify(message, key).is_ok()
            }),
            Contestant::one_by_one(
                "k256",
                k256,
                |(key, message, signature): &(k256::schnorr::VerifyingKey, _, [u8; 64])| {
                    k256::schnorr::Signature::try_from(signature.as_slice())
                        .is_ok_and(|signature| key.verify_raw(message as &[u8; 32], &signature).is_ok())
                },
            ),
        ],
    }
}

/// The point that an x-only key stands for: the one with the even y.
fn even_point(x: &[u8; 32]) -> [u8; 33] {
    let mut point = [0x02; 33];
    point[1..].copy_from_slice(x);
    point
}

/// A message such as a sign-in signs: a path, a time and a hash in hexadecimal.
fn sign_in_message(content: &[u8; 32]) -> Vec<u8> {
    format!("/auth/bitcoin|2026-01-01T00:00:00.000Z|{}", hex::encode(content)).into_bytes()
}

#[derive(Clone)]
struct SignedMessage {
    public: [u8; 33],
    message: Vec<u8>,
    signature: Vec<u8>,
}

fn sign_message(draw: &Draw, sign: impl Fn(&PrivateKey, &[u8]) -> Vec<u8>) -> SignedMessage {
    let key = PrivateKey::from_bytes(&draw.key).expect("the chance of an invalid key is 2^-128");
    let signature = sign(&key, &sign_in_message(&draw.content));
    SignedMessage { public: key.public_key(), message: sign_in_message(&draw.shown()), signature }
}

/// Bitcoin Signed Message against the claimed 33 bytes: parse the key, frame and hash, verify.
pub(super) fn bsm(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| sign_message(&draw, |key, message| sign_bsm(key, message).to_vec()));
    prepare(pool, signed.iter().map(|signed| &signed.public));
    let ours = signed.iter().map(|signed| Job::BitcoinMessage {
        public_key: signed.public,
        message: signed.message.clone(),
        signature: signed.signature.as_slice().try_into().expect("sign_bsm makes 65 bytes"),
    });
    let ours = ours.collect();
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::engine(ours),
            Contestant::one_by_one("libsecp256k1", signed.clone(), |s: &SignedMessage| {
                PublicKey::from_byte_array_compressed(s.public)
                    .is_ok_and(|key| libsecp256k1_verify(&key, message_digest(&s.message), &s.signature[1..]))
            }),
            Contestant::one_by_one("k256", signed, |s: &SignedMessage| {
                k256::ecdsa::VerifyingKey::from_sec1_bytes(&s.public)
                    .is_ok_and(|key| k256_verify(&key, &message_digest(&s.message), &s.signature[1..]))
            }),
        ],
    }
}

/// BRC-77 for anyone. The libraries derive the child key, as the scheme says; the engine needs no child.
pub(super) fn brc77(pool: &Pool) -> Group {
    let signed = pool.sign(|draw| {
        let key_id: [u8; 32] = Sha256::digest(draw.content).into();
        sign_message(&draw, |key, message| sign_brc77(key, message, &key_id))
    });
    prepare(pool, signed.iter().map(|signed| &signed.public));
    let ours = signed.iter().map(|signed| Job::Brc77 {
        claimed_key: signed.public,
        message: signed.message.clone(),
        envelope: signed.signature.clone(),
    });
    let ours = ours.collect();
    Group {
        expected: pool.expected(),
        contestants: vec![
            Contestant::engine(ours),
            Contestant::one_by_one("libsecp256k1", signed.clone(), |s| brc77_by_libsecp256k1(s).unwrap_or(false)),
            Contestant::one_by_one("k256", signed, |s| brc77_by_k256(s).unwrap_or(false)),
        ],
    }
}

fn brc77_by_libsecp256k1(signed: &SignedMessage) -> Option<bool> {
    let envelope = Envelope::parse(&signed.signature).ok().filter(|envelope| *envelope.signer == signed.public)?;
    let offset = Scalar::from_be_bytes(child_offset(&envelope)).ok()?;
    let child = PublicKey::from_byte_array_compressed(signed.public).ok()?.add_exp_tweak(&offset).ok()?;
    let signature = Signature::from_der(envelope.der).ok()?;
    let hash: [u8; 32] = Sha256::digest(&signed.message).into();
    Some(signature.verify(Message::from_digest(hash), &child).is_ok())
}

fn brc77_by_k256(signed: &SignedMessage) -> Option<bool> {
    let envelope = Envelope::parse(&signed.signature).ok().filter(|envelope| *envelope.signer == signed.public)?;
    let offset = k256::Scalar::reduce(&U256::from_be_slice(&child_offset(&envelope)));
    let signer = k256::ecdsa::VerifyingKey::from_sec1_bytes(&signed.public).ok()?;
    let child = k256::ProjectivePoint::from(*signer.as_affine()) + k256::ProjectivePoint::GENERATOR * offset;
    let child = k256::ecdsa::VerifyingKey::from_affine(child.to_affine()).ok()?;
    let signature = k256::ecdsa::Signature::from_der(envelope.der).ok()?;
    Some(child.verify_prehash(&Sha256::digest(&signed.message), &signature).is_ok())
}

/// BRC-42 towards anyone: HMAC of the invoice number under the signer's own key.
fn child_offset(envelope: &Envelope<'_>) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(envelope.signer).expect("HMAC takes a key of any length");
    mac.update(b"2-message signing-");
    mac.update(base64_turbo::STANDARD.encode(envelope.key_id).as_bytes());
    mac.finalize().into_bytes().into()
}
