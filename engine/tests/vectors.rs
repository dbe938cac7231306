//! The committed vectors: BIP-340, Bitcoin Signed Messages, BRC-42/BRC-77, and the signatures of whole tokens.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::scheme::bitcoin_message::{message_digest, signature_from_slice};
use assay_engine::{Backend, Job, Reject, Verdict, VerifyKey};
use serde_json::Value;
use support::{Case, Secp256k1, check, verdict};

macro_rules! vectors {
    ($name:literal) => {
        include_str!(concat!("../../tests/vectors/", $name))
    };
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("committed vectors are JSON")
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is text"))
}

fn unhex(hex: &str) -> Vec<u8> {
    hex::decode(hex).expect("vectors spell hex")
}

fn key33(hex: &str) -> [u8; 33] {
    unhex(hex).try_into().expect("33 bytes")
}

#[test]
fn bip340() {
    let mut cases = Vec::new();
    let mut rows = 0;
    for line in vectors!("bip340.csv").lines().skip(1) {
        rows += 1;
        let fields: Vec<_> = line.splitn(8, ',').collect();
        let [index, _, key, _, message, signature, result, comment] = fields[..] else {
            panic!("eight columns: {line}");
        };
        let valid = result == "TRUE";
        let Ok(key) = VerifyKey::schnorr_x_only(&unhex(key)) else {
            assert!(!valid, "row {index}: the key was refused");
            continue;
        };
        let job = Job::SchnorrBip340 {
            key,
            message: unhex(message),
            signature: unhex(signature).try_into().expect("64 bytes"),
        };
        cases.push(Case::new(job, valid, format!("row {index} {comment}")));
    }
    assert_eq!((rows, cases.len()), (19, 17), "two keys do not exist");
    let bad = cases.iter().find(|case| !case.valid).expect("row 6").clone();
    check(&cases, &bad.job);
}

/// The key of a variant whose original is not in the file, from the header the signer wrote.
fn recover(variant: &Value, message: &[u8]) -> [u8; 33] {
    let signature = base64_turbo::STANDARD.decode(text(variant, "signature")).expect("vectors spell base64");
    let header = variant["originalHeader"].as_u64().expect("a number");
    let recovery_id = u8::try_from((header - 27) & 3).expect("two bits");
    let key = k256::ecdsa::VerifyingKey::recover_from_prehash(
        &message_digest(message),
        &k256::ecdsa::Signature::from_slice(&signature[1..]).expect("in range"),
        k256::ecdsa::RecoveryId::from_byte(recovery_id).expect("two bits"),
    )
    .expect("an honest signature");
    let sec1 = key.to_sec1_point(true);
    sec1.as_bytes().try_into().expect("33 bytes")
}

fn bitcoin_message(key: &[u8; 33], message: &[u8], signature: &str) -> Result<Job, Reject> {
    let signature = base64_turbo::STANDARD.decode(signature).expect("vectors spell base64");
    Ok(Job::BitcoinMessage {
        public_key: *key,
        message: message.to_vec(),
        signature: signature_from_slice(&signature)?,
    })
}

#[test]
fn bsm() {
    let file = json(vectors!("bsm.json"));
    let vectors = file["vectors"].as_array().expect("a list");
    let mut cases = Vec::new();
    for vector in vectors {
        let message = unhex(text(vector, "messageHex"));
        assert_eq!(hex::encode(message_digest(&message)), text(vector, "digest"));
        let key = key33(text(vector, "pubkey"));
        let job = bitcoin_message(&key, &message, text(vector, "signature")).expect("65 bytes");
        assert_eq!(vector["npmVerify"], true);
        cases.push(Case::new(job, true, text(vector, "id")));
    }
    let variants = file["headerVariants"].as_array().expect("a list");
    for variant in variants {
        let message = text(variant, "message").as_bytes();
        let original = vectors.iter().find(|vector| vector["id"] == variant["of"]);
        let key = match original {
            Some(original) => key33(text(original, "pubkey")),
            None => recover(variant, message),
        };
        let job = bitcoin_message(&key, message, text(variant, "signature")).expect("65 bytes");
        // The npm verifier throws outside 27..=34, which is a refusal here.
        let accepted = variant["npmVerifyByPubkey"] == true;
        let header = variant["header"].as_u64().expect("a number");
        assert_eq!(accepted, (27..=34).contains(&header));
        cases.push(Case::new(job, accepted, format!("header {header}")));
    }
    assert!(cases.iter().any(|case| !case.valid));
    let bad = cases.iter().find(|case| !case.valid).expect("checked").clone();
    check(&cases, &bad.job);
}

#[test]
fn brc42_derivations_prove_the_test_signer() {
    let file = json(vectors!("brc42-brc77.json"));
    let mut checked = 0;
    for vector in file["vectors"].as_array().expect("a list") {
        if vector["kind"] != "brc42" {
            continue;
        }
        let secret = |name| {
            let bytes = unhex(text(vector, name)).try_into().expect("32 bytes");
            secp256k1::SecretKey::from_secret_bytes(bytes).expect("a key")
        };
        let (sender, recipient) = (secret("senderPriv"), secret("recipientPriv"));
        let scalar = secp256k1::Scalar::from_be_bytes(*sender.as_secret_bytes()).expect("< n");
        let shared = recipient.public_key().mul_tweak(&scalar).expect("not zero").serialize();
        let invoice = text(vector, "invoiceNumber").as_bytes();
        let child = Secp256k1::new(sender).brc42_child(&shared, invoice);
        assert_eq!(hex::encode(child.public), text(vector, "childPub"));
        assert_eq!(hex::encode(child.secret.as_secret_bytes()), text(vector, "childPriv"));
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn brc77_signatures_for_one_verifier_are_refused() {
    let file = json(vectors!("brc42-brc77.json"));
    let mut checked = 0;
    for vector in file["vectors"].as_array().expect("a list") {
        if vector["kind"] != "brc77" {
            continue;
        }
        let job = Job::Brc77 {
            claimed_key: key33(text(vector, "signerPub")),
            message: text(vector, "message").as_bytes().to_vec(),
            envelope: unhex(text(vector, "signatureHex")),
        };
        let expected =
            if vector["verifier"].is_null() { Verdict::Valid } else { Verdict::Invalid(Reject::NotForAnyone) };
        for &backend in Backend::available() {
            assert_eq!(verdict(backend, &job), expected);
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// The worked example of the format's description, byte by byte.
#[test]
fn brc77_worked_example() {
    let file = json(vectors!("bitcoin-auth-valid.json"));
    let vector = &file["vectors"][0];
    let detail = &vector["detail"];
    let secret = unhex(text(vector, "privateKeyHex"));
    let secret = secp256k1::SecretKey::from_secret_bytes(secret.try_into().expect("32 bytes")).expect("a key");
    let key_id = base64_turbo::STANDARD.decode(text(&detail["sig"], "keyID")).expect("base64");
    let child = Secp256k1::new(secret).brc77_child(&key_id.try_into().expect("32 bytes"));
    assert_eq!(hex::encode(child.public), text(&detail["sig"], "childPub"));
}

/// The signature part of a token: what remains to judge when time, path and encoding were accepted.
fn token_job(token: &str, signed_message: &str) -> Option<Result<Job, Reject>> {
    let fields: Vec<_> = token.split('|').collect();
    let [key, scheme, _, _, signature] = fields[..] else {
        return None;
    };
    let key: [u8; 33] = hex::decode(key).ok()?.try_into().ok()?;
    let padded = format!("{signature}{}", &"==="[..(4 - signature.len() % 4) % 4]);
    let signature = base64_turbo::STANDARD.decode(padded).ok()?;
    let message = signed_message.as_bytes().to_vec();
    match scheme {
        "brc77" => Some(Ok(Job::Brc77 { claimed_key: key, message, envelope: signature })),
        "bsm" => Some(signature_from_slice(&signature).map(|signature| Job::BitcoinMessage {
            public_key: key,
            message,
            signature,
        })),
        _ => None,
    }
}

#[test]
fn signatures_of_valid_tokens() {
    let file = json(vectors!("bitcoin-auth-valid.json"));
    let mut cases = Vec::new();
    for vector in file["vectors"].as_array().expect("a list") {
        let job = token_job(text(vector, "token"), text(&vector["detail"], "signedMessage"))
            .expect("valid tokens parse")
            .expect("and so do their signatures");
        cases.push(Case::new(job, true, text(vector, "id")));
    }
    assert_eq!(cases.len(), 34);
    let (bad, _) = support::mutate(&mut support::Rng(1), &cases[0].job);
    check(&cases, &bad);
}

#[test]
fn signatures_of_invalid_tokens_fail_for_the_reason_given() {
    let file = json(vectors!("bitcoin-auth-invalid.json"));
    let mut checked = 0;
    for vector in file["vectors"].as_array().expect("a list") {
        let code = text(vector, "strictCode");
        let judged_here = ["accept", "bad_der", "bad_signature", "bad_version", "not_for_anyone", "pubkey_mismatch"];
        let (true, Some(message)) = (judged_here.contains(&code), vector["detail"]["signedMessage"].as_str()) else {
            continue;
        };
        let Some(job) = token_job(text(vector, "token"), message) else {
            panic!("{}: the token parses", text(vector, "id"));
        };
        let verdict = match job {
            Ok(job) => verdict(Backend::detect(), &job),
            Err(reject) => Verdict::Invalid(reject),
        };
        let given = match verdict {
            Verdict::Valid => "accept",
            Verdict::Invalid(reject) => reject.code(),
            Verdict::Internal => "internal",
        };
        assert_eq!(given, code, "{} {}", text(vector, "id"), text(vector, "description"));
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}
