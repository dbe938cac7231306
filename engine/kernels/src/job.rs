//! Jobs of fixed size: numbers and borrowed slices, nothing left to parse.

use crate::key::{Ed25519PublicKey, HmacKey, P256PublicKey, RsaPublicKey, Secp256k1PublicKey, XOnlyPublicKey};

/// One ECDSA verification over secp256k1.
#[derive(Clone, Copy)]
pub struct EcdsaSecp256k1Job {
    /// The key to verify with.
    pub public_key: Secp256k1PublicKey,
    /// The message hash, big-endian; reduced mod n, so values ≥ n are legal.
    pub msg_hash: [u8; 32],
    /// r, big-endian; outside 1..n the verdict is false.
    pub r: [u8; 32],
    /// s, big-endian; outside 1..n the verdict is false.
    pub s: [u8; 32],
}

/// One ECDSA verification over secp256k1 with a key not yet parsed. A key seen often is not parsed at all, and others are
/// parsed together.
#[derive(Clone, Copy)]
pub struct EcdsaSecp256k1CompressedJob {
    /// The key to verify with, SEC 1 compressed; if it is none, the verdict is false.
    pub public_key: [u8; 33],
    /// The message hash, big-endian; reduced mod n, so values ≥ n are legal.
    pub msg_hash: [u8; 32],
    /// r, big-endian; outside 1..n the verdict is false.
    pub r: [u8; 32],
    /// s, big-endian; outside 1..n the verdict is false.
    pub s: [u8; 32],
}

/// One recovery of a secp256k1 key from an ECDSA signature (SEC 1, §4.1.6).
#[derive(Clone, Copy)]
pub struct RecoverSecp256k1Job {
    /// The message hash, big-endian; reduced mod n.
    pub msg_hash: [u8; 32],
    /// r, big-endian; outside 1..n there is no key.
    pub r: [u8; 32],
    /// s, big-endian; outside 1..n there is no key. Both S and n − S have one, and not the same.
    pub s: [u8; 32],
    /// Bit 0: whether y(R) is odd. Bit 1: whether x(R) is r + n. Above 3 there is no key.
    pub recovery_id: u8,
}

/// One ECDSA verification over P-256.
#[derive(Clone, Copy)]
pub struct EcdsaP256Job<'a> {
    /// The key to verify with.
    pub public_key: &'a P256PublicKey,
    /// The SHA-256 of the message.
    pub msg_hash: [u8; 32],
    /// r, big-endian; outside 1..n the verdict is false.
    pub r: [u8; 32],
    /// s, big-endian; outside 1..n the verdict is false.
    pub s: [u8; 32],
}

/// One BIP-340 verification. The tagged challenge hash is part of the algorithm, so the message comes along.
#[derive(Clone, Copy)]
pub struct Bip340Job<'a> {
    /// The x-only key to verify with.
    pub public_key: XOnlyPublicKey,
    /// The message, of any length.
    pub message: &'a [u8],
    /// r ‖ s.
    pub signature: &'a [u8; 64],
}

/// One Ed25519 verification. SHA-512(R ‖ A ‖ M) is part of the algorithm, so the message comes along.
#[derive(Clone, Copy)]
pub struct Ed25519Job<'a> {
    /// The key to verify with.
    pub public_key: &'a Ed25519PublicKey,
    /// The message, of any length.
    pub message: &'a [u8],
    /// R ‖ S.
    pub signature: &'a [u8; 64],
}

/// One RSASSA-PKCS1-v1_5 SHA-256 verification.
#[derive(Clone, Copy)]
pub struct RsaJob<'a> {
    /// The key to verify with.
    pub public_key: &'a RsaPublicKey,
    /// The SHA-256 of the message.
    pub msg_hash: [u8; 32],
    /// The signature; a length other than the modulus' is a false.
    pub signature: &'a [u8],
}

/// One HMAC-SHA-256 tag comparison.
#[derive(Clone, Copy)]
pub struct HmacJob<'a> {
    /// The shared key.
    pub key: &'a HmacKey,
    /// The message, of any length.
    pub message: &'a [u8],
    /// The claimed tag; a length other than 32 is a false.
    pub tag: &'a [u8],
}
