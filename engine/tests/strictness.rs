//! Edges of range and encoding, scheme by scheme: what the policy table promises.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::{
    Backend, EcdsaSignature, HighS, Job, JwkParts, JwsAlgorithm, KeyError, KeyKind, Reject, SchemeId, Verdict,
    VerifyKey,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use support::{P256_ORDER, Rng, SECP256K1_ORDER, Secp256k1, Signer, brc77_envelope, der, flip_s, verdict};

fn expect(job: &Job, expected: Verdict, what: &str) {
    for &backend in Backend::available() {
        assert_eq!(verdict(backend, job), expected, "{what}");
    }
}

fn compact(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&r);
    compact[32..].copy_from_slice(&s);
    compact
}

fn plus_one(mut number: [u8; 32]) -> [u8; 32] {
    for byte in number.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            break;
        }
    }
    number
}

/// Attack 9, and CVE-2022-21449: zero, n and beyond are never numbers of a signature.
#[test]
fn attack_9_r_and_s_stay_in_range() {
    let mut rng = Rng::from_env("attack_9");
    let pair = Secp256k1::random(&mut rng);
    let p256 = VerifyKey::p256_sec1(&support::p256_pair(&mut rng).verifying_key().to_sec1_bytes()).expect("a key");
    let mut one = [0; 32];
    one[31] = 1;
    for (order, alg, key) in
        [(SECP256K1_ORDER, JwsAlgorithm::Es256k, pair.verify_key()), (P256_ORDER, JwsAlgorithm::Es256, p256)]
    {
        let out_of_range = [[0; 32], order, plus_one(order), [0xff; 32]];
        for bad in out_of_range {
            for signature in [compact(bad, one), compact(one, bad), compact(bad, bad)] {
                let job = Job::Jws {
                    alg,
                    key: key.clone(),
                    signing_input: Bytes::from_static(b"a.b"),
                    signature: signature.to_vec(),
                };
                let malformed = Verdict::Invalid(Reject::MalformedSignature);
                expect(&job, malformed, alg.name());
                if alg == JwsAlgorithm::Es256 {
                    continue;
                }
                let mut bsm = [31; 65];
                bsm[1..].copy_from_slice(&signature);
                let job = Job::BitcoinMessage { public_key: pair.public, message: Vec::new(), signature: bsm };
                expect(&job, malformed, "bitcoin message");
            }
        }
    }
}

/// Attack 10: DER, 63 and 65 bytes are no JWS signatures.
#[test]
fn attack_10_jws_signatures_have_exactly_64_bytes() {
    let mut rng = Rng::from_env("attack_10");
    for scheme in [SchemeId::Es256, SchemeId::Es256k, SchemeId::EdDsa] {
        let signed = Signer::random(scheme, &mut rng).sign(&mut rng, b"header.payload");
        expect(&signed, Verdict::Valid, scheme.name());
        let Job::Jws { signature, .. } = &signed else {
            panic!("a JWS scheme");
        };
        let raw: [u8; 64] = signature.as_slice().try_into().expect("64 bytes");
        let longer = [&raw[..], &[0]].concat();
        let padded = [&[0], &raw[..]].concat();
        for wrong in [der(&raw), raw[..63].to_vec(), longer, padded, Vec::new()] {
            let mut job = signed.clone();
            if let Job::Jws { signature, .. } = &mut job {
                *signature = wrong;
            }
            expect(&job, Verdict::Invalid(Reject::MalformedSignature), scheme.name());
        }
    }
}

/// Attack 11: which schemes take n − s.
#[test]
fn attack_11_high_s_by_policy() {
    let mut rng = Rng::from_env("attack_11");
    let mut flipped_count = 0;
    for _ in 0..8 {
        for scheme in [SchemeId::Es256, SchemeId::Es256k, SchemeId::BitcoinMessage] {
            let mut job = Signer::random(scheme, &mut rng).sign(&mut rng, b"message");
            match &mut job {
                Job::Jws { signature, .. } if scheme == SchemeId::Es256 => {
                    flip_s(signature, &P256_ORDER);
                }
                Job::Jws { signature, .. } => flip_s(signature, &SECP256K1_ORDER),
                Job::BitcoinMessage { signature, .. } => {
                    flip_s(&mut signature[1..], &SECP256K1_ORDER);
                }
                _ => panic!("three schemes"),
            }
            expect(&job, Verdict::Valid, scheme.name());
            flipped_count += 1;
        }
        let pair = Secp256k1::random(&mut rng);
        let msg_hash = rng.bytes();
        let low = pair.sign(msg_hash).serialize_compact();
        let mut high = low;
        flip_s(&mut high, &SECP256K1_ORDER);
        for (signature, policy, expected) in [
            (low, HighS::Refuse, Verdict::Valid),
            (low, HighS::Accept, Verdict::Valid),
            (high, HighS::Accept, Verdict::Valid),
            (high, HighS::Refuse, Verdict::Invalid(Reject::HighS)),
        ] {
            for signature in [EcdsaSignature::Compact(signature), EcdsaSignature::Der(der(&signature))] {
                let job = Job::EcdsaSecp256k1 { key: pair.verify_key(), msg_hash, signature, high_s: policy };
                expect(&job, expected, "bare ECDSA");
            }
        }
        // BRC-77 with the DER of n − s.
        let key_id = rng.bytes();
        let child = pair.brc77_child(&key_id);
        let mut high = child.sign(Sha256::digest(b"m").into()).serialize_compact();
        flip_s(&mut high, &SECP256K1_ORDER);
        let job = Job::Brc77 {
            claimed_key: pair.public,
            message: b"m".to_vec(),
            envelope: brc77_envelope(&pair.public, &key_id, &der(&high)),
        };
        expect(&job, Verdict::Valid, "brc77");
    }
    assert_eq!(flipped_count, 24);
}

/// Attack 12: keys of small order, keys and S that are not canonical.
#[test]
fn attack_12_ed25519_is_strict() {
    let mut rng = Rng::from_env("attack_12");
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(VerifyKey::ed25519(&identity).map(drop), Err(KeyError::Malformed));
    let signed = Signer::random(SchemeId::EdDsa, &mut rng).sign(&mut rng, b"message");
    // S + L is the same number mod L in other bytes.
    let order = {
        let mut order = [0_u8; 32];
        order[..16].copy_from_slice(&[
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
        ]);
        order[31] = 0x10;
        order
    };
    let mut malleated = signed.clone();
    if let Job::Jws { signature, .. } = &mut malleated {
        let mut carry = 0;
        for (byte, addend) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
    }
    expect(&signed, Verdict::Valid, "untouched");
    expect(&malleated, Verdict::Invalid(Reject::Mismatch), "S + L");
    // R of small order.
    let mut small = signed;
    if let Job::Jws { signature, .. } = &mut small {
        signature[..32].copy_from_slice(&identity);
    }
    expect(&small, Verdict::Invalid(Reject::Mismatch), "small-order R");
}

/// Attacks 124 and 130 at the level of the engine: every way an envelope can be wrong has its own answer.
#[test]
fn attack_124_brc77_envelopes() {
    let mut rng = Rng::from_env("attack_124");
    let (victim, attacker) = (Secp256k1::random(&mut rng), Secp256k1::random(&mut rng));
    let Job::Brc77 { message, envelope, .. } = attacker.brc77(b"sign-in", rng.bytes()) else {
        panic!("a BRC-77 job");
    };
    let check = |claimed_key: [u8; 33], envelope: &[u8], expected: Verdict, what: &str| {
        let job = Job::Brc77 { claimed_key, message: message.clone(), envelope: envelope.to_vec() };
        expect(&job, expected, what);
    };
    let invalid = Verdict::Invalid;
    check(attacker.public, &envelope, Verdict::Valid, "honest");
    check(victim.public, &envelope, invalid(Reject::KeyMismatch), "spoof");

    let mut rewritten = envelope.clone();
    rewritten[4..37].copy_from_slice(&victim.public);
    check(victim.public, &rewritten, invalid(Reject::Mismatch), "signer rewritten");

    let mut off_curve = envelope.clone();
    off_curve[5..37].fill(0xff);
    let mut claimed = attacker.public;
    claimed[1..].fill(0xff);
    check(claimed, &off_curve, invalid(Reject::MalformedKey), "x ≥ p");

    for version in [[0x42, 0x42, 0x33, 0x02], [0x42, 0x42, 0x10, 0x33], [0; 4]] {
        let mut other = envelope.clone();
        other[..4].copy_from_slice(&version);
        check(attacker.public, &other, invalid(Reject::EnvelopeVersion), "version");
    }
    for verifier in [1, 2, 3, 4, 0xff] {
        let mut other = envelope.clone();
        other[37] = verifier;
        check(attacker.public, &other, invalid(Reject::NotForAnyone), "verifier byte");
    }
    for length in 0..envelope.len() {
        let expected = if length < 78 { Reject::EnvelopeVersion } else { Reject::MalformedDer };
        check(attacker.public, &envelope[..length], invalid(expected), "truncated");
    }
    let mut longer = envelope.clone();
    longer.push(0);
    check(attacker.public, &longer, invalid(Reject::MalformedDer), "trailing byte");
    let mut other_key_id = envelope;
    other_key_id[40] ^= 1;
    check(attacker.public, &other_key_id, invalid(Reject::Mismatch), "key id is signed");
}

#[test]
fn attack_130_bitcoin_message_headers() {
    let mut rng = Rng::from_env("attack_130");
    let signed = Secp256k1::random(&mut rng).bitcoin_message(b"hello");
    for header in 0..=u8::MAX {
        let mut job = signed.clone();
        if let Job::BitcoinMessage { signature, .. } = &mut job {
            signature[0] = header;
        }
        let expected =
            if (27..=34).contains(&header) { Verdict::Valid } else { Verdict::Invalid(Reject::MalformedSignature) };
        expect(&job, expected, "header");
    }
}

/// Attack 129: forms of secp256k1 keys.
#[test]
fn attack_129_key_forms() {
    let mut rng = Rng::from_env("attack_129");
    let pair = Secp256k1::random(&mut rng);
    let uncompressed = pair.secret.public_key().serialize_uncompressed();
    assert!(VerifyKey::secp256k1_sec1(&pair.public).is_ok());
    assert!(VerifyKey::secp256k1_sec1(&uncompressed).is_ok());
    let mut hybrid = uncompressed;
    hybrid[0] = 6 + (uncompressed[64] & 1);
    let mut off_curve = uncompressed;
    off_curve[64] ^= 1;
    for bad in [&hybrid[..], &off_curve, &[0], &[0; 33], &[0; 65], &[], &pair.public[..32]] {
        assert_eq!(VerifyKey::secp256k1_sec1(bad).map(drop), Err(KeyError::Malformed), "{}", hex::encode(bad));
    }
}

#[test]
fn json_web_keys() {
    let mut rng = Rng::from_env("json_web_keys");
    let uncompressed = Secp256k1::random(&mut rng).secret.public_key().serialize_uncompressed();
    let (x, y) = (&uncompressed[1..33], &uncompressed[33..]);
    let ec = JwkParts { kty: "EC", crv: Some("secp256k1"), x: Some(x), y: Some(y), ..JwkParts::default() };
    let kind = |parts: &JwkParts<'_>| VerifyKey::from_jwk(parts).map(|key| key.kind());
    assert_eq!(kind(&ec), Ok(KeyKind::Secp256k1));
    let secret = [7; 32];
    let oct = JwkParts { kty: "oct", k: Some(&secret), ..JwkParts::default() };
    assert_eq!(kind(&oct), Ok(KeyKind::Hmac));
    for (parts, error) in [
        (JwkParts { y: None, ..ec }, KeyError::Missing("y")),
        (JwkParts { crv: None, ..ec }, KeyError::Missing("crv")),
        (JwkParts { crv: Some("P-256"), ..ec }, KeyError::Malformed),
        (JwkParts { crv: Some("P-384"), ..ec }, KeyError::Unsupported),
        (JwkParts { x: Some(&x[1..]), ..ec }, KeyError::Malformed),
        (JwkParts { kty: "ec", ..ec }, KeyError::Unsupported),
        (JwkParts { kty: "RSA", ..ec }, KeyError::Missing("n")),
        (JwkParts { kty: "OKP", crv: Some("X25519"), ..ec }, KeyError::Unsupported),
        (JwkParts { k: Some(&secret[1..]), ..oct }, KeyError::Malformed),
        (JwkParts { k: None, ..oct }, KeyError::Missing("k")),
        (JwkParts::default(), KeyError::Unsupported),
    ] {
        assert_eq!(kind(&parts), Err(error));
    }
}
