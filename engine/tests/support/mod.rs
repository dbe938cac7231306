//! Signers, a seeded generator of cases for every scheme, and the one way verdicts are checked.
//!
//! The signers are other people's code: libsecp256k1, RustCrypto and AWS-LC, plus BRC-42 written from its text.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    unreachable_pub,
    reason = "each test binary uses its part of this module"
)]

use assay_engine::{Backend, EcdsaSignature, HighS, Job, JwsAlgorithm, SchemeId, Verdict, VerifyKey, verify_now_with};
use aws_lc_rs::signature::KeyPair as _;
use bytes::Bytes;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use sha2::{Digest, Sha256};

/// Batch sizes every batched test goes through: 1 to 70 covers each lane position and tail, then full batches.
pub fn batch_sizes() -> impl Iterator<Item = usize> {
    (1..=70).chain([128, 256, 257, 600])
}

/// SplitMix64: short, seedable, good enough to pick test data.
pub struct Rng(pub u64);

impl Rng {
    /// Seeded by `ASSAY_TEST_SEED` or a fixed number; the seed is printed when a test using it fails.
    pub fn from_env(test: &str) -> Self {
        let seed = std::env::var("ASSAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x00a5_5a41);
        println!("{test}: ASSAY_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("bound is a usize")
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        bytes
    }

    pub fn vec(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// A job and the verdict it must get.
#[derive(Clone)]
pub struct Case {
    pub job: Job,
    pub valid: bool,
    pub what: String,
}

impl Case {
    pub fn new(job: Job, valid: bool, what: impl Into<String>) -> Self {
        Self { job, valid, what: what.into() }
    }
}

/// Judges one job alone.
pub fn verdict(backend: Backend, job: &Job) -> Verdict {
    let mut out = Vec::new();
    verify_now_with(backend, std::slice::from_ref(job), &mut out);
    assert_eq!(out.len(), 1);
    out[0]
}

/// Every case alone, then in batches of every size with a bad neighbour on alternating sides: the verdict is the
/// expected one and, down to the reason, the same everywhere.
pub fn check(cases: &[Case], bad_neighbour: &Job) {
    for &backend in Backend::available() {
        let alone: Vec<_> = cases.iter().map(|case| verdict(backend, &case.job)).collect();
        for (case, verdict) in cases.iter().zip(&alone) {
            assert_ne!(*verdict, Verdict::Internal, "{}", case.what);
            assert_eq!(verdict.is_valid(), case.valid, "{}: {verdict:?}", case.what);
        }
        let bad = verdict(backend, bad_neighbour);
        assert!(!bad.is_valid(), "the bad neighbour is bad");
        let mut start = 0;
        for size in batch_sizes() {
            let mut jobs = Vec::with_capacity(size);
            let mut expected = Vec::with_capacity(size);
            for position in 0..size {
                if (position + size) % 2 == 0 {
                    jobs.push(bad_neighbour.clone());
                    expected.push(bad);
                } else {
                    jobs.push(cases[start].job.clone());
                    expected.push(alone[start]);
                    start = (start + 1) % cases.len();
                }
            }
            let mut out = Vec::new();
            verify_now_with(backend, &jobs, &mut out);
            assert_eq!(out, expected, "batch of {size}");
        }
    }
}

/// A secp256k1 key pair.
pub struct Secp256k1 {
    pub secret: secp256k1::SecretKey,
    pub public: [u8; 33],
}

impl Secp256k1 {
    pub fn random(rng: &mut Rng) -> Self {
        loop {
            if let Ok(secret) = secp256k1::SecretKey::from_secret_bytes(rng.bytes()) {
                return Self::new(secret);
            }
        }
    }

    pub fn new(secret: secp256k1::SecretKey) -> Self {
        Self { public: secret.public_key().serialize(), secret }
    }

    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey::secp256k1_sec1(&self.public).expect("a derived key is a key")
    }

    pub fn sign(&self, msg_hash: [u8; 32]) -> secp256k1::ecdsa::Signature {
        self.secret.sign_ecdsa(secp256k1::Message::from_digest(msg_hash))
    }

    pub fn bitcoin_message(&self, message: &[u8]) -> Job {
        let digest = assay_engine::scheme::bitcoin_message::message_digest(message);
        let mut signature = [31; 65];
        signature[1..].copy_from_slice(&self.sign(digest).serialize_compact());
        Job::BitcoinMessage { public_key: self.public, message: message.to_vec(), signature }
    }

    /// BRC-77 for anyone, from the text: sign with the BRC-42 child for the verifier whose private key is 1.
    pub fn brc77(&self, message: &[u8], key_id: [u8; 32]) -> Job {
        let signature = self.brc77_child(&key_id).sign(Sha256::digest(message).into());
        let envelope = brc77_envelope(&self.public, &key_id, &signature.serialize_der());
        Job::Brc77 { claimed_key: self.public, message: message.to_vec(), envelope }
    }

    /// The key that signs a BRC-77 message with this key id.
    pub fn brc77_child(&self, key_id: &[u8; 32]) -> Self {
        let invoice = format!("2-message signing-{}", base64_turbo::STANDARD.encode(key_id.as_slice()));
        self.brc42_child(&self.public, invoice.as_bytes())
    }

    /// BRC-42 with the shared point given: child = secret + HMAC-SHA256(shared, invoice).
    pub fn brc42_child(&self, shared: &[u8; 33], invoice: &[u8]) -> Self {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, shared);
        let tag = aws_lc_rs::hmac::sign(&key, invoice);
        let offset = tag.as_ref().try_into().expect("32 bytes");
        let offset = secp256k1::Scalar::from_be_bytes(offset).expect("≥ n with probability 2^-128");
        Self::new(self.secret.add_tweak(&offset).expect("not −secret"))
    }
}

pub fn brc77_envelope(signer: &[u8; 33], key_id: &[u8; 32], der: &[u8]) -> Vec<u8> {
    let mut envelope = vec![0x42, 0x42, 0x33, 0x01];
    envelope.extend_from_slice(signer);
    envelope.push(0);
    envelope.extend_from_slice(key_id);
    envelope.extend_from_slice(der);
    envelope
}

/// n − s for compact signatures; `order` is big-endian.
pub fn flip_s(compact: &mut [u8], order: &[u8; 32]) {
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(order[index]) - i16::from(compact[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        compact[32 + index] = difference.rem_euclid(256).to_be_bytes()[1];
    }
}

pub const SECP256K1_ORDER: [u8; 32] = order("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
pub const P256_ORDER: [u8; 32] = order("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

const fn order(hex: &str) -> [u8; 32] {
    const fn nibble(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit - b'a' + 10,
        }
    }
    let digits = hex.as_bytes();
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 32 {
        bytes[index] = nibble(digits[2 * index]) << 4 | nibble(digits[2 * index + 1]);
        index += 1;
    }
    bytes
}

/// DER of two numbers of 32 bytes, as strict as it gets.
pub fn der(compact: &[u8; 64]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let significant = number.iter().position(|&byte| byte != 0).unwrap_or(31);
        let mut octets = number[significant..].to_vec();
        if octets[0] & 0x80 != 0 {
            octets.insert(0, 0);
        }
        let mut integer = vec![0x02, u8::try_from(octets.len()).expect("at most 33")];
        integer.append(&mut octets);
        integer
    };
    let mut body = integer(&compact[..32]);
    body.append(&mut integer(&compact[32..]));
    let mut der = vec![0x30, u8::try_from(body.len()).expect("at most 70")];
    der.append(&mut body);
    der
}

type Sign = Box<dyn Fn(&mut Rng, &[u8]) -> Job>;

/// A key of the kind this scheme takes, and the function that signs with it.
pub struct Signer {
    sign: Sign,
}

impl Signer {
    pub fn random(scheme: SchemeId, rng: &mut Rng) -> Self {
        let sign: Sign = match scheme {
            SchemeId::BitcoinMessage => {
                let pair = Secp256k1::random(rng);
                Box::new(move |_, message| pair.bitcoin_message(message))
            }
            SchemeId::Brc77 => {
                let pair = Secp256k1::random(rng);
                Box::new(move |rng, message| pair.brc77(message, rng.bytes()))
            }
            SchemeId::EcdsaSecp256k1 => {
                let pair = Secp256k1::random(rng);
                Box::new(move |rng, message| {
                    let msg_hash = Sha256::digest(message).into();
                    let signature = pair.sign(msg_hash);
                    Job::EcdsaSecp256k1 {
                        key: pair.verify_key(),
                        msg_hash,
                        signature: if rng.below(2) == 0 {
                            EcdsaSignature::Compact(signature.serialize_compact())
                        } else {
                            EcdsaSignature::Der(signature.serialize_der().to_vec())
                        },
                        high_s: HighS::Accept,
                    }
                })
            }
            SchemeId::EdDsa => {
                let pair = ed25519_dalek::SigningKey::from_bytes(&rng.bytes());
                let key = VerifyKey::ed25519(pair.verifying_key().as_bytes()).expect("a key");
                jws(JwsAlgorithm::EdDsa, key, move |message| pair.sign(message).to_bytes().to_vec())
            }
            SchemeId::Es256 => {
                let pair = p256_pair(rng);
                let key = VerifyKey::p256_sec1(&pair.verifying_key().to_sec1_bytes()).expect("a derived key is a key");
                jws(JwsAlgorithm::Es256, key, move |message| {
                    let signature: p256::ecdsa::Signature =
                        pair.sign_prehash(&Sha256::digest(message)).expect("32 bytes are a prehash");
                    signature.to_bytes().to_vec()
                })
            }
            SchemeId::Es256k => {
                let pair = Secp256k1::random(rng);
                let key = pair.verify_key();
                jws(JwsAlgorithm::Es256k, key, move |message| {
                    let digest = Sha256::digest(message).into();
                    pair.sign(digest).serialize_compact().to_vec()
                })
            }
            SchemeId::Hs256 => {
                let secret: [u8; 48] = rng.bytes();
                let key = VerifyKey::hmac(&secret).expect("48 ≥ 32");
                jws(JwsAlgorithm::Hs256, key, move |message| {
                    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
                    aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
                })
            }
            SchemeId::Rs256 => {
                // AWS-LC draws this key itself, so it is the one thing a seed does not repeat.
                let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("entropy");
                let (n, e) = rsa_components(pair.public_key().as_ref());
                let key = VerifyKey::rsa(&n, &e).expect("a generated key is a key");
                jws(JwsAlgorithm::Rs256, key, move |message| {
                    let mut signature = vec![0; pair.public_modulus_len()];
                    pair.sign(
                        &aws_lc_rs::signature::RSA_PKCS1_SHA256,
                        &aws_lc_rs::rand::SystemRandom::new(),
                        message,
                        &mut signature,
                    )
                    .expect("the buffer has the modulus' length");
                    signature
                })
            }
            SchemeId::SchnorrBip340 => {
                let pair = Secp256k1::random(rng).secret.keypair();
                let x = pair.x_only_public_key().0.to_byte_array();
                let key = VerifyKey::schnorr_x_only(&x).expect("a derived key is a key");
                Box::new(move |_, message| Job::SchnorrBip340 {
                    key: key.clone(),
                    message: message.to_vec(),
                    signature: pair.sign_schnorr_no_aux_rand(message).to_byte_array(),
                })
            }
        };
        Self { sign }
    }

    pub fn sign(&self, rng: &mut Rng, message: &[u8]) -> Job {
        (self.sign)(rng, message)
    }
}

fn jws(alg: JwsAlgorithm, key: VerifyKey, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Sign {
    Box::new(move |_, message| Job::Jws {
        alg,
        key: key.clone(),
        signing_input: Bytes::copy_from_slice(message),
        signature: sign(message),
    })
}

pub fn p256_pair(rng: &mut Rng) -> p256::ecdsa::SigningKey {
    loop {
        if let Ok(pair) = p256::ecdsa::SigningKey::from_slice(&rng.bytes::<32>()) {
            return pair;
        }
    }
}

/// n and e out of DER `RSAPublicKey { n, e }` with long-form lengths, as AWS-LC writes it.
fn rsa_components(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(input: &[u8]) -> (&[u8], &[u8]) {
        let (length, header) = match input[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(input[2]), 3),
            _ => (usize::from(u16::from_be_bytes([input[2], input[3]])), 4),
        };
        input[header..].split_at(length)
    }
    let unpadded = |integer: &[u8]| {
        let start = usize::from(integer[0] == 0);
        integer[start..].to_vec()
    };
    let (body, _) = element(der);
    let (n, rest) = element(body);
    let (e, _) = element(rest);
    (unpadded(n), unpadded(e))
}

/// One random change to message, signature or key that must make a valid job invalid.
pub fn mutate(rng: &mut Rng, job: &Job) -> (Job, String) {
    let mut job = job.clone();
    let mut flip = |bytes: &mut [u8]| {
        let bit = rng.below(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bit
    };
    let what = match &mut job {
        Job::BitcoinMessage { public_key, message, signature } => match message.len() % 4 {
            0 => format!("key bit {}", flip(public_key)),
            1 => {
                message.push(b'x');
                "longer message".to_owned()
            }
            // The header byte is not covered; r and s are.
            _ => format!("signature bit {}", flip(&mut signature[1..])),
        },
        Job::Brc77 { claimed_key, message, envelope } => match message.len() % 4 {
            0 => format!("claimed key bit {}", flip(claimed_key)),
            1 => {
                message.push(b'x');
                "longer message".to_owned()
            }
            _ => format!("envelope bit {}", flip(envelope)),
        },
        Job::EcdsaSecp256k1 { msg_hash, signature, .. } => match signature {
            EcdsaSignature::Compact(compact) => format!("compact bit {}", flip(compact)),
            EcdsaSignature::Der(der) if msg_hash[0] & 1 == 0 => format!("DER bit {}", flip(der)),
            EcdsaSignature::Der(_) => format!("hash bit {}", flip(msg_hash)),
        },
        Job::Jws { signing_input, signature, .. } => match signing_input.len() % 4 {
            0 => {
                signature.push(0);
                "longer signature".to_owned()
            }
            1 => {
                signature.pop();
                "shorter signature".to_owned()
            }
            2 => {
                let mut longer = signing_input.to_vec();
                longer.push(b'x');
                *signing_input = longer.into();
                "longer message".to_owned()
            }
            _ => format!("signature bit {}", flip(signature)),
        },
        Job::SchnorrBip340 { message, signature, .. } => {
            if message.len() % 2 == 0 {
                message.push(b'x');
                "longer message".to_owned()
            } else {
                format!("signature bit {}", flip(signature))
            }
        }
    };
    (job, what)
}

/// `count` cases of one scheme, a third of them valid.
pub fn cases(scheme: SchemeId, rng: &mut Rng, count: usize) -> Vec<Case> {
    let signers: Vec<_> = (0..4).map(|_| Signer::random(scheme, rng)).collect();
    (0..count)
        .map(|index| {
            let length = rng.below(600);
            let message = rng.vec(length);
            let signer = &signers[rng.below(signers.len())];
            let job = signer.sign(rng, &message);
            if index % 3 == 0 {
                Case::new(job, true, format!("{} signed", scheme.name()))
            } else {
                let (job, what) = mutate(rng, &job);
                Case::new(job, false, format!("{}: {what}", scheme.name()))
            }
        })
        .collect()
}
