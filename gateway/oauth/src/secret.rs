//! Generated secrets and identifiers: their text form, their checksum, their hash. Randomness is the caller's.
//!
//! A secret is `prefix ‖ base62(32 random bytes) ‖ base62(CRC-32)`: a scanner can find a leaked one by its prefix and
//! tell it from noise by its checksum. Stored only as SHA-256; they carry 256 random bits, so a fast hash is right.

use sha2::{Digest, Sha256};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62^43 > 2^256.
const BODY_CHARS: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM_CHARS: usize = 6;
/// 62^22 > 2^128.
const ID_CHARS: usize = 22;

/// What a secret is for; its prefix says it aloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// Bearer token of the admin listener.
    AdminToken,
    /// Authorization code.
    AuthorizationCode,
    /// Client secret.
    ClientSecret,
    /// Refresh token.
    RefreshToken,
    /// Browser session.
    SessionToken,
}

impl SecretKind {
    /// The prefix that leak scanners look for.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AdminToken => "as_at_",
            Self::AuthorizationCode => "as_ac_",
            Self::ClientSecret => "as_cs_",
            Self::RefreshToken => "as_rt_",
            Self::SessionToken => "as_st_",
        }
    }

    /// True if `text` has this kind's prefix, length, alphabet and checksum. It may still be unknown to us.
    pub fn is_well_formed(self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(self.prefix()) else { return false };
        rest.len() == BODY_CHARS + CHECKSUM_CHARS
            && rest.bytes().all(|b| b.is_ascii_alphanumeric())
            && text[text.len() - CHECKSUM_CHARS..] == checksum(&text[..text.len() - CHECKSUM_CHARS])
    }
}

/// A secret in clear, on its way to the one who asked for it. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Formats 32 random bytes.
    pub fn from_random(kind: SecretKind, random: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + BODY_CHARS + CHECKSUM_CHARS);
        text.push_str(kind.prefix());
        text.push_str(&base62(random, BODY_CHARS));
        let sum = checksum(&text);
        text.push_str(&sum);
        Self(text)
    }

    /// Takes a text that was kept somewhere; `None` if it is not a well-formed secret of this kind.
    pub fn from_text(kind: SecretKind, text: &str) -> Option<Self> {
        kind.is_well_formed(text).then(|| Self(text.to_owned()))
    }

    /// The text, for the response that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be stored.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The storage key of a presented secret, code or session token.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// An identifier that is not secret (client id, user id, session id, jti): an optional prefix and 128 random bits.
pub fn identifier(prefix: &str, random: &[u8; 16]) -> String {
    format!("{prefix}{}", base62(random, ID_CHARS))
}

/// Fixed-width big-endian base62.
fn base62(bytes: &[u8], chars: usize) -> String {
    let mut number = bytes.to_vec();
    let mut out = vec![b'0'; chars];
    for digit in out.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *digit = BASE62[remainder as usize];
    }
    String::from_utf8(out).expect("the base62 alphabet is ASCII")
}

fn checksum(text: &str) -> String {
    base62(&crc32(text.as_bytes()).to_be_bytes(), CHECKSUM_CHARS)
}

/// CRC-32 (ISO-HDLC, the one of zip): bit by bit, because it runs once per generated secret.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crc32_known_answer() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn base62_keeps_all_bits() {
        assert_eq!(base62(&[0xff; 32], BODY_CHARS).len(), BODY_CHARS);
        assert_eq!(base62(&[0; 16], ID_CHARS), "0".repeat(ID_CHARS));
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[62], 2), "10");
    }

    #[test]
    fn secrets_hide_in_debug() {
        let secret = Secret::from_random(SecretKind::ClientSecret, &[7; 32]);
        assert!(secret.expose().starts_with("as_cs_"));
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert_eq!(Secret::from_text(SecretKind::ClientSecret, secret.expose()).as_ref(), Some(&secret));
        assert_eq!(Secret::from_text(SecretKind::AdminToken, secret.expose()), None);
        assert_eq!(Secret::from_text(SecretKind::ClientSecret, &secret.expose()[1..]), None);
    }

    proptest! {
        #[test]
        fn a_changed_character_breaks_the_checksum(random in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), other in "[0-9A-Za-z]") {
            let secret = Secret::from_random(SecretKind::SessionToken, &random);
            let text = secret.expose();
            prop_assert!(SecretKind::SessionToken.is_well_formed(text));
            prop_assert!(!SecretKind::ClientSecret.is_well_formed(text));
            for end in 0..text.len() {
                prop_assert!(!SecretKind::SessionToken.is_well_formed(&text[..end]));
            }
            let at = at.index(text.len());
            let mut changed = text.to_owned();
            changed.replace_range(at..at + 1, &other);
            prop_assert_eq!(SecretKind::SessionToken.is_well_formed(&changed), changed == text);
        }
    }
}
