//! The engine against independent implementations: k256, p256 and ed25519-dalek, on random and mutated triples.
//!
//! `ASSAY_DIFFERENTIAL_COUNT` sets how many triples per scheme; the default keeps the suite short.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::{Backend, Job, SchemeId, VerifyKey};
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest, Sha256};
use support::{Rng, Secp256k1, Signer, der, flip_s, mutate, verdict};

fn count() -> usize {
    std::env::var("ASSAY_DIFFERENTIAL_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

fn k256_verifies(key: &[u8], msg_hash: &[u8], compact: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (k256::ecdsa::VerifyingKey::from_sec1_bytes(key), k256::ecdsa::Signature::from_slice(compact))
    else {
        return false;
    };
    // k256 refuses high S like libsecp256k1; the policy under test accepts it.
    key.verify_prehash(msg_hash, &signature.normalize_s()).is_ok()
}

fn p256_verifies(key: &[u8], msg_hash: &[u8], compact: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (p256::ecdsa::VerifyingKey::from_sec1_bytes(key), p256::ecdsa::Signature::from_slice(compact))
    else {
        return false;
    };
    key.verify_prehash(msg_hash, &signature).is_ok()
}

/// Numbers where implementations differ if they differ anywhere.
fn interesting(rng: &mut Rng, order: &[u8; 32]) -> [u8; 32] {
    let mut number = match rng.below(6) {
        0 => [0; 32],
        1 => *order,
        2 => [0xff; 32],
        3 => {
            // Around p − n: r values that have a second candidate r + n.
            let mut small = [0; 32];
            small[16..].copy_from_slice(&rng.bytes::<16>());
            small
        }
        _ => rng.bytes(),
    };
    match rng.below(3) {
        0 => number[31] = number[31].wrapping_add(1),
        1 => number[31] = number[31].wrapping_sub(1),
        _ => {}
    }
    number
}

fn es_job(alg: assay_engine::JwsAlgorithm, key: VerifyKey, message: &[u8], signature: &[u8]) -> Job {
    Job::Jws { alg, key, signing_input: bytes::Bytes::copy_from_slice(message), signature: signature.to_vec() }
}

#[test]
fn es256k_agrees_with_k256() {
    let mut rng = Rng::from_env("es256k_agrees_with_k256");
    let mut accepted = 0;
    for index in 0..count() {
        let pair = Secp256k1::random(&mut rng);
        let message = rng.vec(index % 90);
        let digest: [u8; 32] = Sha256::digest(&message).into();
        let mut compact = pair.sign(digest).serialize_compact();
        perturb(&mut rng, index, &mut compact, &support::SECP256K1_ORDER);
        let expected = k256_verifies(&pair.public, &digest, &compact);
        accepted += usize::from(expected);
        let alg = assay_engine::JwsAlgorithm::Es256k;
        let job = es_job(alg, pair.verify_key(), &message, &compact);
        for &backend in Backend::available() {
            assert_eq!(verdict(backend, &job).is_valid(), expected, "triple {index}");
        }
    }
    assert!(accepted >= count() / 4, "{accepted} of {} accepted", count());
}

#[test]
fn es256_agrees_with_p256() {
    let mut rng = Rng::from_env("es256_agrees_with_p256");
    let signers: Vec<_> = (0..4).map(|_| support::p256_pair(&mut rng)).collect();
    let mut accepted = 0;
    for index in 0..count() {
        use p256::ecdsa::signature::hazmat::PrehashSigner as _;
        let pair = &signers[index % signers.len()];
        let key = pair.verifying_key().to_sec1_bytes();
        let message = rng.vec(index % 90);
        let digest: [u8; 32] = Sha256::digest(&message).into();
        let signature: p256::ecdsa::Signature = pair.sign_prehash(&digest).expect("a prehash");
        let mut compact: [u8; 64] = signature.to_bytes().into();
        perturb(&mut rng, index, &mut compact, &support::P256_ORDER);
        let expected = p256_verifies(&key, &digest, &compact);
        accepted += usize::from(expected);
        let alg = assay_engine::JwsAlgorithm::Es256;
        let key = VerifyKey::p256_sec1(&key).expect("a key");
        let job = es_job(alg, key, &message, &compact);
        for &backend in Backend::available() {
            assert_eq!(verdict(backend, &job).is_valid(), expected, "triple {index}");
        }
    }
    assert!(accepted >= count() / 4, "{accepted} of {} accepted", count());
}

fn perturb(rng: &mut Rng, index: usize, compact: &mut [u8; 64], order: &[u8; 32]) {
    match index % 6 {
        0 | 1 => {}
        2 => flip_s(compact, order),
        3 => {
            let bit = rng.below(512);
            compact[bit / 8] ^= 1 << (bit % 8);
        }
        4 => compact[..32].copy_from_slice(&interesting(rng, order)),
        _ => compact[32..].copy_from_slice(&interesting(rng, order)),
    }
}

#[test]
fn eddsa_agrees_with_dalek_strict() {
    let mut rng = Rng::from_env("eddsa_agrees_with_dalek_strict");
    let signer = Signer::random(SchemeId::EdDsa, &mut rng);
    for index in 0..count() {
        let message = rng.vec(index % 90);
        let pair = ed25519_dalek::SigningKey::from_bytes(&rng.bytes());
        let mut key = pair.verifying_key().to_bytes();
        let mut signature = ed25519_dalek::Signer::sign(&pair, &message).to_bytes();
        match index % 5 {
            0 | 1 => {}
            2 => signature[rng.below(64)] ^= 1 << rng.below(8),
            3 => key[rng.below(32)] ^= 1 << rng.below(8),
            _ => signature[..32].copy_from_slice(&rng.bytes::<32>()),
        }
        let expected = ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature);
            key.verify_strict(&message, &signature).is_ok()
        });
        let given = VerifyKey::ed25519(&key).is_ok_and(|key| {
            let mut job = signer.sign(&mut rng, &message);
            if let Job::Jws { key: job_key, signature: job_signature, .. } = &mut job {
                *job_key = key;
                *job_signature = signature.to_vec();
            }
            verdict(Backend::detect(), &job).is_valid()
        });
        assert_eq!(given, expected, "triple {index}");
    }
}

#[test]
fn bip340_agrees_with_k256() {
    let mut rng = Rng::from_env("bip340_agrees_with_k256");
    let signer = Signer::random(SchemeId::SchnorrBip340, &mut rng);
    for index in 0..count() {
        let message = rng.vec(index % 90);
        let mut job = signer.sign(&mut rng, &message);
        if index % 2 == 1 {
            job = mutate(&mut rng, &job).0;
        }
        let Job::SchnorrBip340 { message, signature, .. } = &mut job else {
            panic!("a BIP-340 job");
        };
        // Sign with a key known here, so that k256 can be asked about the same triple.
        let pair = Secp256k1::random(&mut rng).secret.keypair();
        let x = pair.x_only_public_key().0.to_byte_array();
        if index % 3 != 0 {
            *signature = pair.sign_schnorr_no_aux_rand(message).to_byte_array();
        }
        if index % 4 == 3 {
            signature[rng.below(64)] ^= 1 << rng.below(8);
        }
        let expected = k256::schnorr::VerifyingKey::from_slice(&x).is_ok_and(|key| {
            k256::schnorr::Signature::try_from(signature.as_slice())
                .is_ok_and(|signature| key.verify_raw(message, &signature).is_ok())
        });
        if let Job::SchnorrBip340 { key, .. } = &mut job {
            *key = VerifyKey::schnorr_x_only(&x).expect("a key");
        }
        assert_eq!(verdict(Backend::detect(), &job).is_valid(), expected, "triple {index}");
    }
}

/// BRC-77 by its definition: compute the child key and verify under it with k256.
#[test]
fn brc77_agrees_with_the_child_key_written_out() {
    let mut rng = Rng::from_env("brc77_agrees_with_the_child_key_written_out");
    let mut accepted = 0;
    for index in 0..count() {
        let pair = Secp256k1::random(&mut rng);
        let key_id = rng.bytes();
        let message = rng.vec(index % 90);
        let digest: [u8; 32] = Sha256::digest(&message).into();
        let child = pair.brc77_child(&key_id);
        let mut compact = child.sign(digest).serialize_compact();
        perturb(&mut rng, index, &mut compact, &support::SECP256K1_ORDER);
        let expected = k256_verifies(&child.public, &digest, &compact);
        accepted += usize::from(expected);
        let job = Job::Brc77 {
            claimed_key: pair.public,
            message,
            envelope: support::brc77_envelope(&pair.public, &key_id, &der(&compact)),
        };
        for &backend in Backend::available() {
            assert_eq!(verdict(backend, &job).is_valid(), expected, "triple {index}");
        }
    }
    assert!(accepted >= count() / 4, "{accepted} of {} accepted", count());
}
