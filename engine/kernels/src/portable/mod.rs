//! The readable truth and the test oracle: libsecp256k1 for secp256k1, AWS-LC for everything else but HMAC,
//! which is put together from SHA-256 blocks and has AWS-LC as the oracle of its tests.
//!
//! One signature after the other, no shared work, so a verdict cannot depend on its neighbours.

pub mod ed25519;
pub mod hmac;
pub mod p256;
pub mod rsa;
pub mod secp256k1;
