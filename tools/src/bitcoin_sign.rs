//! Bitcoin keys and bitcoin-auth tokens, made as the npm package `bitcoin-auth` 0.0.7 makes them.
//!
//! Signs; never verifies (that is the engine's job) and reads no clock: the timestamp is an argument. Two schemes:
//! `bsm` (Bitcoin Signed Message, a 65-byte recoverable signature) and `brc77` (BRC-77 addressed to anyone, with a
//! child key derived by BRC-42). Nonces are RFC 6979 and `s` is low, so a `bsm` token is a function of its inputs.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use k256::ecdsa::SigningKey;
use k256::elliptic_curve::bigint::U256;
use k256::elliptic_curve::ops::Reduce;
use k256::{NonZeroScalar, Scalar};
use sha2::{Digest, Sha256};

/// Version byte of a main-net WIF.
const WIF_MAINNET: u8 = 0x80;
/// Byte after the key in the WIF of a key whose public form is compressed.
const WIF_COMPRESSED: u8 = 0x01;

/// A secp256k1 private key, 1 ≤ key < group order. `Debug` shows the public key only.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Reads a main-net WIF of a compressed key, or 64 hex digits.
    ///
    /// # Errors
    /// What is wrong with the text; the text itself is never repeated.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() == 64
            && let Ok(bytes) = hex::decode(text)
        {
            return Self::from_slice(&bytes);
        }
        let bytes = bs58::decode(text).with_check(None).into_vec().map_err(|_| KeyError::NotAKey)?;
        match bytes.as_slice() {
            [WIF_MAINNET, key @ .., WIF_COMPRESSED] if key.len() == 32 => Self::from_slice(key),
            [WIF_MAINNET, key @ ..] if key.len() == 32 => Err(KeyError::Uncompressed),
            [0xEF, ..] if bytes.len() == 33 || bytes.len() == 34 => Err(KeyError::TestNet),
            _ => Err(KeyError::NotAKey),
        }
    }

    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    /// [`KeyError::OutOfRange`] for zero and for numbers not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_slice(bytes)
    }

    fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::OutOfRange)
    }

    /// A fresh key from the operating system's random numbers.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)?;
            // One draw in 2^128 is out of range.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// The key as text: main net, compressed. Whoever reads it owns the key.
    #[must_use]
    pub fn wif(&self) -> String {
        let mut bytes = vec![WIF_MAINNET];
        bytes.extend_from_slice(&self.0.to_bytes());
        bytes.push(WIF_COMPRESSED);
        bs58::encode(bytes).with_check().into_string()
    }

    /// The compressed public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 33] {
        let point = self.0.verifying_key().to_sec1_point(true);
        point.as_bytes().try_into().expect("a compressed point has 33 bytes and a public key is not infinity")
    }

    /// The main-net P2PKH address.
    #[must_use]
    pub fn address(&self) -> String {
        address(&self.public_key())
    }

    /// The BAP identity whose root address is this key's own (sigma.md §3, rule 1).
    #[must_use]
    pub fn bap_id(&self) -> String {
        bap_id(&self.address())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public_key", &hex::encode(self.public_key())).finish_non_exhaustive()
    }
}

/// Why a text is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Neither WIF nor 64 hex digits.
    NotAKey,
    /// Zero, or not below the group order.
    OutOfRange,
    /// A WIF of a test network.
    TestNet,
    /// A WIF without the compression byte: its owner is known under another address.
    Uncompressed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAKey => "the key is neither a WIF nor 64 hex digits",
            Self::OutOfRange => "the key is not in 1..n of secp256k1",
            Self::TestNet => "the key is a test-net WIF; only main-net keys (first letter K or L) are used",
            Self::Uncompressed => {
                "the key is the WIF of an uncompressed key (first digit 5); export it compressed (first letter K or L)"
            }
        })
    }
}

impl std::error::Error for KeyError {}

/// The main-net P2PKH address of a compressed public key.
#[must_use]
pub fn address(public_key: &[u8; 33]) -> String {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&hash160(public_key));
    bs58::encode(bytes).with_check().into_string()
}

/// The BAP identity of a root address: base58 without version byte and without checksum.
#[must_use]
pub fn bap_id(root_address: &str) -> String {
    bs58::encode(hash160(root_address.as_bytes())).into_string()
}

fn hash160(bytes: &[u8]) -> [u8; 20] {
    // ripemd is a release of `digest` older than sha2, so its trait is named in full.
    <ripemd::Ripemd160 as ripemd::Digest>::digest(Sha256::digest(bytes)).into()
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// BRC-77 signed message that anyone can verify.
    Brc77,
    /// Bitcoin Signed Message.
    Bsm,
}

impl Scheme {
    /// The word in the token's second field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brc77 => "brc77",
            Self::Bsm => "bsm",
        }
    }
}

/// Makes `pubkey|scheme|timestamp|path|signature` with a random BRC-77 keyID.
///
/// `path` and `timestamp` are signed as they are; one that contains `|` gives a token that no one can parse.
///
/// # Errors
/// When the operating system has no random numbers to give.
pub fn token(
    key: &PrivateKey,
    scheme: Scheme,
    path: &str,
    timestamp: &str,
    body: &[u8],
) -> Result<String, getrandom::Error> {
    let mut key_id = [0; 32];
    getrandom::fill(&mut key_id)?;
    Ok(token_with_key_id(key, scheme, path, timestamp, body, &key_id))
}

/// As [`token`], with the BRC-77 keyID as an argument; `bsm` has none and ignores it.
#[must_use]
pub fn token_with_key_id(
    key: &PrivateKey,
    scheme: Scheme,
    path: &str,
    timestamp: &str,
    body: &[u8],
    key_id: &[u8; 32],
) -> String {
    let message = message(path, timestamp, body);
    let signature = match scheme {
        Scheme::Brc77 => sign_brc77(key, &message, key_id),
        Scheme::Bsm => sign_bsm(key, &message).to_vec(),
    };
    let (public_key, scheme) = (hex::encode(key.public_key()), scheme.as_str());
    format!("{public_key}|{scheme}|{timestamp}|{path}|{}", base64_turbo::STANDARD.encode(signature))
}

/// The bytes a token signs (sigma.md §1.3). An empty body has no hash, not the hash of nothing.
#[must_use]
pub fn message(path: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let body_hash = if body.is_empty() { String::new() } else { hex::encode(Sha256::digest(body)) };
    format!("{path}|{timestamp}|{body_hash}").into_bytes()
}

/// Signs a Bitcoin Signed Message: header (31 + recovery id, as for every compressed key), r, s.
#[must_use]
pub fn sign_bsm(key: &PrivateKey, message: &[u8]) -> [u8; 65] {
    let mut preimage = b"\x18Bitcoin Signed Message:\n".to_vec();
    preimage.extend_from_slice(&varint(message.len()));
    preimage.extend_from_slice(message);
    let digest = Sha256::digest(Sha256::digest(&preimage));
    let (signature, recovery_id) = key.0.sign_prehash_recoverable(&digest);
    let mut bytes = [0; 65];
    bytes[0] = 31 + recovery_id.to_byte();
    bytes[1..].copy_from_slice(&signature.to_bytes());
    bytes
}

/// Bitcoin's length prefix.
fn varint(n: usize) -> Vec<u8> {
    let wide = u64::try_from(n).expect("no slice is longer than 2^64 bytes");
    let le = wide.to_le_bytes();
    match wide {
        0..=0xFC => vec![le[0]],
        0xFD..=0xFFFF => [&[0xFD], &le[..2]].concat(),
        0x1_0000..=0xFFFF_FFFF => [&[0xFE], &le[..4]].concat(),
        _ => [&[0xFF], &le[..]].concat(),
    }
}

/// Signs a BRC-77 message that anyone can verify: version, signer, the byte for "anyone", keyID, DER signature.
#[must_use]
pub fn sign_brc77(key: &PrivateKey, message: &[u8], key_id: &[u8; 32]) -> Vec<u8> {
    let signer = key.public_key();
    let child = child_for_anyone(key, &invoice(key_id));
    let (signature, _) = child.sign_prehash_recoverable(&Sha256::digest(message));
    let mut envelope = vec![0x42, 0x42, 0x33, 0x01];
    envelope.extend_from_slice(&signer);
    envelope.push(0x00);
    envelope.extend_from_slice(key_id);
    envelope.extend_from_slice(signature.to_der().as_bytes());
    envelope
}

/// Security level 2, protocol "message signing", and the keyID in base64.
fn invoice(key_id: &[u8; 32]) -> String {
    format!("2-message signing-{}", base64_turbo::STANDARD.encode(key_id))
}

/// BRC-42 with the counterparty "anyone", whose private key is 1: the shared point is the signer's own public key.
///
/// child = key + HMAC-SHA256(shared, invoice) mod n. HMAC outputs that give zero exist, but no one can find one.
fn child_for_anyone(key: &PrivateKey, invoice: &str) -> SigningKey {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.public_key()).expect("HMAC takes a key of any length");
    mac.update(invoice.as_bytes());
    let tweak = <Scalar as Reduce<U256>>::reduce(&U256::from_be_slice(&mac.finalize().into_bytes()));
    let child = **key.0.as_nonzero_scalar() + tweak;
    let child = NonZeroScalar::new(child)
        .into_option()
        .expect("a SHA-256 output chosen by no one equals n - key once in 2^256");
    SigningKey::from(child)
}

/// `YYYY-MM-DDTHH:mm:ss.sssZ`, as JavaScript's `toISOString` writes it; the year 9999 ends what it can say.
#[must_use]
pub fn timestamp(unix_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    // The last day of the year 9999 is day 2_932_896.
    let (days, ms) = ((unix_ms / DAY_MS).min(2_932_896), unix_ms % DAY_MS);
    // Civil date from days, counted in 400-year eras that begin on 1 March, so that a leap day ends its year:
    // 719_468 days lie between 0000-03-01 and 1970-01-01.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "24f268573981c3389117495f2679169f7d8fb492a57c8f349e9b3a3e9f7ecefe";
    const ORDER_MINUS_1: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

    #[test]
    fn keys_in_every_spelling() {
        let key = PrivateKey::parse(ALICE).unwrap();
        assert_eq!(hex::encode(key.public_key()), "035b9317203cf5ea7be559b1b907f37bfce151bebaa80c97931c85eaa5ad571a56");
        assert_eq!(key.wif(), "KxTXjz6cKAjYChX475hPP9SLbxYd9zjGdpmJUKLgFLqWKQ7nT66q");
        assert_eq!(key.address(), "1HMP6kbtiz8FTchXJWTTfhYamoXXE2dxJw");
        for spelling in [key.wif(), format!(" {}\n", key.wif()), ALICE.to_uppercase()] {
            assert_eq!(PrivateKey::parse(&spelling).unwrap().public_key(), key.public_key());
        }
        assert!(PrivateKey::parse(ORDER_MINUS_1).is_ok());
        let debug = format!("{key:?}");
        assert!(!debug.contains("24f268") && debug.contains("035b93"), "{debug}");
    }

    #[test]
    fn what_is_no_key() {
        let mut uncompressed = vec![0x80];
        uncompressed.extend_from_slice(&hex::decode(ALICE).unwrap());
        let mut test_net = uncompressed.clone();
        test_net[0] = 0xEF;
        let mut bad_suffix = uncompressed.clone();
        bad_suffix.push(0x02);
        let check = |bytes: &[u8]| bs58::encode(bytes).with_check().into_string();
        let mut wrong_checksum = PrivateKey::parse(ALICE).unwrap().wif();
        wrong_checksum.replace_range(51.., "r");
        for (text, error) in [
            (check(&uncompressed), KeyError::Uncompressed),
            (check(&test_net), KeyError::TestNet),
            (check(&bad_suffix), KeyError::NotAKey),
            (check(&[]), KeyError::NotAKey),
            (wrong_checksum, KeyError::NotAKey),
            (String::new(), KeyError::NotAKey),
            (ALICE[..62].to_owned(), KeyError::NotAKey),
            (format!("{}zz", &ALICE[..62]), KeyError::NotAKey),
            ("0".repeat(64), KeyError::OutOfRange),
            (ORDER.to_owned(), KeyError::OutOfRange),
            ("f".repeat(64), KeyError::OutOfRange),
        ] {
            assert_eq!(PrivateKey::parse(&text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn two_fresh_keys_differ_and_survive_their_wif() {
        let (a, b) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        assert_ne!(a.public_key(), b.public_key());
        assert_eq!(PrivateKey::parse(&a.wif()).unwrap().public_key(), a.public_key());
    }

    #[test]
    fn worked_examples_of_the_contract() {
        // sigma.md §1.5 and §1.4: the vectors v000 and v045.
        let key = PrivateKey::parse(ALICE).unwrap();
        let key_id: [u8; 32] =
            base64_turbo::STANDARD.decode("bUthcxdxXE8tX8iM22m2B8WB4+bfamRPw3dJ96xSaDo=").unwrap().try_into().unwrap();
        let token =
            token_with_key_id(&key, Scheme::Brc77, "/api/auth/sign-in/sigma", "2026-01-15T12:00:00.000Z", b"", &key_id);
        assert_eq!(
            token,
            "035b9317203cf5ea7be559b1b907f37bfce151bebaa80c97931c85eaa5ad571a56|brc77|2026-01-15T12:00:00.000Z|/api/auth/sign-in/sigma|\
             QkIzAQNbkxcgPPXqe+VZsbkH83v84VG+uqgMl5McheqlrVcaVgBtS2FzF3FcTy1fyIzbabYHxYHj5t9qZE/Dd0n3rFJoOjBEAiApr9T1PwwXs/bjMfevldgkH858Q6pMo62lYYuIXUAwtwIgC+GFR9pU49jN5RJIEhS2uR3jnyDxzlh9DIQ2zsc/DO4="
        );
        let message = message("/api/body", "2026-01-15T11:59:58.000Z", b"{\"message\":\"hello\"}");
        let signature = sign_bsm(&key, &message);
        assert_eq!(signature[0], 32);
        assert_eq!(hex::encode(&signature[1..33]), "f39a30e066f6e2ac200023127299ea471a47c6f3aa1819252b1f291010a1e5e7");
        assert_eq!(hex::encode(&signature[33..]), "6cda696a9b6e0efd6f3ed8c649593b383a971391212aa73048bc7ae4d748a6e1");
    }

    #[test]
    fn messages_without_a_body_have_no_hash() {
        assert_eq!(message("/p", "t", b""), b"/p|t|");
        assert_eq!(message("/p", "t", b" ").len(), 5 + 64);
        assert_eq!(varint(0xFC), [0xFC]);
        assert_eq!(varint(0xFD), [0xFD, 0xFD, 0x00]);
        assert_eq!(varint(0x1_0000), [0xFE, 0, 0, 1, 0]);
    }

    #[test]
    fn timestamps_are_those_of_javascript() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_768_478_400_000, "2026-01-15T12:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(timestamp(unix_ms), text);
        }
        assert!(timestamp(u64::MAX).starts_with("9999-12-31T"));
    }
}
