//! What does one verification cost in each scheme, and how much of it is not the underlying library?
//!
//! `cargo bench -p assay-engine --bench verify`. The engine rows include parsing, hashing of a 500-byte message,
//! grouping and verdicts, in batches of 64; the library rows are the bare call with the key parsed.
#![allow(missing_docs, reason = "criterion's macros make public items")]

#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use assay_engine::{Job, SchemeId, scheme, verify_now};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use sha2::{Digest, Sha256};
use support::{Rng, Secp256k1, Signer};

const BATCH: usize = 64;

fn engine(criterion: &mut Criterion) {
    let mut rng = Rng(1);
    let mut group = criterion.benchmark_group("engine");
    for row in &scheme::ALL {
        let signer = Signer::random(row.id, &mut rng);
        let jobs: Vec<Job> = (0..BATCH)
            .map(|_| {
                let message = rng.vec(500);
                signer.sign(&mut rng, &message)
            })
            .collect();
        let mut out = Vec::new();
        verify_now(&jobs, &mut out);
        assert!(out.iter().all(|verdict| verdict.is_valid()));
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(row.name, |bencher| {
            bencher.iter(|| verify_now(black_box(&jobs), &mut out));
        });
    }
    group.finish();
}

fn library(criterion: &mut Criterion) {
    let mut rng = Rng(1);
    let mut group = criterion.benchmark_group("library");
    let message = rng.vec(500);
    let digest: [u8; 32] = Sha256::digest(&message).into();

    let pair = Secp256k1::random(&mut rng);
    let (key, signature) = (pair.secret.public_key(), pair.sign(digest));
    let digest_message = secp256k1::Message::from_digest(digest);
    group.bench_function("libsecp256k1 ECDSA, key parsed", |bencher| {
        bencher.iter(|| black_box(&signature).verify(digest_message, &key).is_ok());
    });
    group.bench_function("libsecp256k1 parse of 33 bytes", |bencher| {
        bencher.iter(|| secp256k1::PublicKey::from_byte_array_compressed(black_box(pair.public)).is_ok());
    });
    let keypair = pair.secret.keypair();
    let (x, schnorr) = (keypair.x_only_public_key().0, keypair.sign_schnorr_no_aux_rand(&message));
    group.bench_function("libsecp256k1 BIP-340, key parsed", |bencher| {
        bencher.iter(|| secp256k1::schnorr::verify(black_box(&schnorr), &message, &x).is_ok());
    });

    let pair = support::p256_pair(&mut rng);
    let signature: p256::ecdsa::Signature = pair.sign_prehash(&digest).expect("a prehash");
    let signature: [u8; 64] = signature.to_bytes().into();
    let sec1 = pair.verifying_key().to_sec1_bytes();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &sec1).expect("a key");
    group.bench_function("AWS-LC ES256, key parsed", |bencher| {
        bencher.iter(|| key.verify_sig(black_box(&message), &signature).is_ok());
    });

    let Job::Jws { signing_input, signature, .. } =
        Signer::random(SchemeId::EdDsa, &mut Rng(7)).sign(&mut rng, &message)
    else {
        return;
    };
    let public = ed25519_dalek::SigningKey::from_bytes(&Rng(7).bytes()).verifying_key();
    let key = ParsedPublicKey::new(&ED25519, public.as_bytes()).expect("a key");
    assert!(key.verify_sig(&signing_input, &signature).is_ok());
    group.bench_function("AWS-LC Ed25519, key parsed", |bencher| {
        bencher.iter(|| key.verify_sig(black_box(&signing_input), &signature).is_ok());
    });
    group.finish();
}

criterion_group!(benches, engine, library);
criterion_main!(benches);
