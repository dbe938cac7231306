//! The engine against RustCrypto: whatever the bytes, both say the same.
//!
//! Random signatures never verify, so the differential targets sign honestly and let the input spoil the result:
//! an input of zeros is an honest signature.

use assay_engine::scheme::bitcoin_message::{message_digest, signature_from_slice};
use assay_engine::scheme::brc77::Envelope;
use assay_engine::{EcdsaSignature, HighS, Job, JwsAlgorithm, Verdict, VerifyKey, verify_now};
use hmac::{Hmac, KeyInit, Mac};
use k256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use k256::elliptic_curve::ops::Reduce;
use sha2::{Digest, Sha256};

fn judge(job: Job) -> Verdict {
    let mut out = Vec::new();
    verify_now(&[job], &mut out);
    assert_eq!(out.len(), 1, "one verdict per job");
    assert_ne!(out[0], Verdict::Internal, "the engine panicked");
    out[0]
}

/// The first `N` bytes, zeros where the input ends, and the rest.
fn take<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = data.split_at(data.len().min(N));
    let mut bytes = [0; N];
    bytes[..head.len()].copy_from_slice(head);
    (bytes, rest)
}

fn spoil(bytes: &mut [u8], mask: &[u8]) {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn secp256k1_pair(number: u8) -> k256::ecdsa::SigningKey {
    let mut secret = [0; 32];
    secret[31] = 1 + number % 7;
    secret[7] = number / 7;
    k256::ecdsa::SigningKey::from_slice(&secret).expect("between 1 and n")
}

fn k256_verifies(key: &k256::ecdsa::VerifyingKey, msg_hash: &[u8], signature: Option<k256::ecdsa::Signature>) -> bool {
    // k256 refuses high S by itself; the policy under test accepts it.
    signature.is_some_and(|signature| key.verify_prehash(msg_hash, &signature.normalize_s()).is_ok())
}

fn sec1_33(key: &k256::ecdsa::VerifyingKey) -> [u8; 33] {
    let point = key.to_sec1_point(true);
    point.as_bytes().try_into().expect("compressed points have 33 bytes")
}

/// Compact and DER signatures over secp256k1 against k256. Input: key, form, message hash, mask.
pub fn ecdsa_secp256k1_differential(data: &[u8]) {
    let ([number, form], rest) = take(data);
    let (msg_hash, mask) = take::<32>(rest);
    let pair = secp256k1_pair(number);
    let honest: k256::ecdsa::Signature = pair.sign_prehash(&msg_hash).expect("32 bytes");
    let (signature, parsed) = if form & 1 == 0 {
        let mut compact: [u8; 64] = honest.to_bytes().into();
        spoil(&mut compact, mask);
        let parsed = k256::ecdsa::Signature::from_slice(&compact).ok();
        (EcdsaSignature::Compact(compact), parsed)
    } else {
        let mut der = honest.to_der().as_bytes().to_vec();
        // The other bits of the form cut the end off or add to it.
        match form >> 1 & 3 {
            1 => der.truncate(usize::from(form >> 3) * 3),
            2 => der.extend_from_slice(&vec![form; usize::from(form >> 6)]),
            _ => {}
        }
        spoil(&mut der, mask);
        let parsed = k256::ecdsa::Signature::from_der(&der).ok();
        (EcdsaSignature::Der(der), parsed)
    };
    let expected = k256_verifies(pair.verifying_key(), &msg_hash, parsed);
    let key = VerifyKey::secp256k1_sec1(&sec1_33(pair.verifying_key())).expect("a key");
    let job = |high_s| Job::EcdsaSecp256k1 { key: key.clone(), msg_hash, signature: signature.clone(), high_s };
    assert_eq!(judge(job(HighS::Accept)).is_valid(), expected);
    let is_low = parsed.is_some_and(|signature| signature.normalize_s() == signature);
    assert_eq!(judge(job(HighS::Refuse)).is_valid(), expected && is_low);
}

/// ES256 against p256. Input: key, tail length, message, mask over the signature.
pub fn es256_differential(data: &[u8]) {
    let ([number, tail], rest) = take(data);
    let (message, mask) = take::<16>(rest);
    let mut secret = [0; 32];
    secret[30..].copy_from_slice(&[number, 1]);
    let pair = p256::ecdsa::SigningKey::from_slice(&secret).expect("between 1 and n");
    let digest = Sha256::digest(message);
    let honest: p256::ecdsa::Signature = pair.sign_prehash(&digest).expect("32 bytes");
    let mut signature = honest.to_bytes().to_vec();
    match tail & 3 {
        1 => signature.truncate(usize::from(tail >> 2)),
        2 => signature.extend_from_slice(&vec![tail; usize::from(tail >> 5)]),
        _ => {}
    }
    spoil(&mut signature, mask);
    let expected = signature.len() == 64
        && p256::ecdsa::Signature::from_slice(&signature)
            .is_ok_and(|signature| pair.verifying_key().verify_prehash(&digest, &signature).is_ok());
    let key = VerifyKey::p256_sec1(&pair.verifying_key().to_sec1_bytes()).expect("a key");
    let given = judge(Job::Jws {
        alg: JwsAlgorithm::Es256,
        key,
        signing_input: bytes::Bytes::copy_from_slice(&message),
        signature,
    });
    assert_eq!(given.is_valid(), expected);
}

/// Seeds of the differential targets: honest in each form, then one changed byte at a few places.
pub fn ecdsa_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for form in [0, 1, 2, 3, 5, 0x43, 0x85] {
        for changed in [None, Some(2), Some(34), Some(37), Some(66), Some(97)] {
            let mut seed = vec![0; 110];
            seed[1] = form;
            if let Some(position) = changed {
                seed[position] = 1;
            }
            seeds.push(seed);
        }
    }
    seeds
}

const BRC77_MESSAGE: &[u8] = b"/sigma/authorize|2026-01-15T12:00:00.000Z|";

/// Arbitrary envelopes. What the engine accepts must verify under the child key written out with k256, and what
/// verifies there with canonical DER must be accepted.
pub fn brc77_parse(data: &[u8]) {
    // The claimed key is the one inside, so that inputs get past the comparison.
    let claimed_key = data.get(4..37).and_then(|key| key.try_into().ok()).unwrap_or([2; 33]);
    let given = judge(Job::Brc77 { claimed_key, message: BRC77_MESSAGE.to_vec(), envelope: data.to_vec() });
    let written_out = Envelope::parse(data).ok().and_then(|envelope| {
        let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(envelope.signer).ok()?;
        Some((child_key(&key, envelope.key_id)?, envelope.der))
    });
    let expected = written_out.is_some_and(|(child, der)| {
        let signature = k256::ecdsa::Signature::from_der(&repad(der)).ok();
        k256_verifies(&child, &Sha256::digest(BRC77_MESSAGE), signature)
    });
    assert_eq!(given.is_valid(), expected);
}

/// Puts missing sign pads back: the one leniency of BRC-77, expressed on the bytes so that a strict parser follows.
fn repad(der: &[u8]) -> Vec<u8> {
    let pad = || -> Option<Vec<u8>> {
        let [0x30, length, body @ ..] = der else {
            return None;
        };
        (usize::from(*length) == body.len()).then_some(())?;
        let mut padded = Vec::new();
        let mut rest = body;
        for _ in 0..2 {
            let [0x02, length @ 0..=0x7f, tail @ ..] = rest else {
                return None;
            };
            let (octets, tail) = tail.split_at_checked(usize::from(*length))?;
            let pad = octets.first()? & 0x80 != 0;
            padded.extend_from_slice(&[0x02, length + u8::from(pad)]);
            padded.extend_from_slice(&[0][..usize::from(pad)]);
            padded.extend_from_slice(octets);
            rest = tail;
        }
        rest.is_empty().then_some(())?;
        let length = u8::try_from(padded.len()).ok().filter(|length| *length < 0x80)?;
        Some([&[0x30, length][..], &padded].concat())
    };
    pad().unwrap_or_else(|| der.to_vec())
}

/// Q + h·G, computed the long way.
fn child_key(key: &k256::ecdsa::VerifyingKey, key_id: &[u8; 32]) -> Option<k256::ecdsa::VerifyingKey> {
    let offset = child_offset(&sec1_33(key), key_id);
    let point = k256::ProjectivePoint::from(*key.as_affine()) + k256::ProjectivePoint::GENERATOR * offset;
    k256::ecdsa::VerifyingKey::from_affine(point.to_affine()).ok()
}

fn child_offset(signer: &[u8; 33], key_id: &[u8; 32]) -> k256::Scalar {
    let mut mac = Hmac::<Sha256>::new_from_slice(signer).expect("HMAC takes any key");
    mac.update(b"2-message signing-");
    mac.update(base64(key_id).as_bytes());
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    <k256::Scalar as Reduce<k256::FieldBytes>>::reduce(&tag.into())
}

/// Standard base64 with padding, written out so that the engine's encoder is compared with something else.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain(&[0; 2]).take(3).fold(0_u32, |group, &byte| group << 8 | u32::from(byte));
        for position in 0..4 {
            if position <= chunk.len() {
                let index = group >> (18 - 6 * position) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Honest envelopes of a few keys, and one that lacks its sign pads.
pub fn brc77_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for number in 0..12 {
        let pair = secp256k1_pair(number);
        let signer = sec1_33(pair.verifying_key());
        let key_id = [number; 32];
        let secret = *pair.as_nonzero_scalar().as_ref() + child_offset(&signer, &key_id);
        let child = k256::ecdsa::SigningKey::from_slice(&secret.to_bytes()).expect("not zero");
        let digest = Sha256::digest(BRC77_MESSAGE);
        let signature: k256::ecdsa::Signature = child.sign_prehash(&digest).expect("32 bytes");
        let der = signature.to_der();
        let envelope = |der: &[u8]| [&[0x42, 0x42, 0x33, 0x01], &signer[..], &[0], &key_id, der].concat();
        seeds.push(envelope(der.as_bytes()));
        seeds.push(envelope(&unpad(der.as_bytes())));
    }
    for seed in &seeds {
        brc77_parse(seed);
    }
    seeds
}

/// Strips the pad of r, if there is one.
fn unpad(der: &[u8]) -> Vec<u8> {
    let mut unpadded = der.to_vec();
    if der[4] == 0 {
        unpadded.remove(4);
        unpadded[1] -= 1;
        unpadded[3] -= 1;
    }
    unpadded
}

/// Arbitrary Bitcoin Signed Message signatures against k256. Input: key, message length, mask over header, r, s;
/// what follows is the signature as text would have decoded it.
pub fn bsm_parse(data: &[u8]) {
    if signature_from_slice(data).is_ok() != (data.len() == 65) {
        panic!("65 bytes and nothing else");
    }
    let ([number, length], mask) = take(data);
    let message = vec![b'm'; usize::from(length) * 3];
    let digest = message_digest(&message);
    let pair = secp256k1_pair(number);
    let honest: k256::ecdsa::Signature = pair.sign_prehash(&digest).expect("32 bytes");
    let mut signature = [31; 65];
    signature[1..].copy_from_slice(&honest.to_bytes());
    spoil(&mut signature, mask);
    let parsed = k256::ecdsa::Signature::from_slice(&signature[1..]).ok();
    let expected = (27..=34).contains(&signature[0]) && k256_verifies(pair.verifying_key(), &digest, parsed);
    let given = judge(Job::BitcoinMessage { public_key: sec1_33(pair.verifying_key()), message, signature });
    assert_eq!(given.is_valid(), expected);
}

/// Honest signatures with every header nearby, and changed ones.
pub fn bsm_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for mask in 0..64 {
        seeds.push(vec![mask, 255 - mask, mask]);
    }
    seeds.push([vec![3, 90], vec![0; 40], vec![1]].concat());
    seeds.push(vec![0; 65]);
    seeds
}
