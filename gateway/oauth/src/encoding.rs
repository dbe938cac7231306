//! Canonical text encodings: one spelling per byte string, so that a changed character is always a changed value.
//!
//! `base64-turbo` rejects foreign characters and wrong padding but not stray bits in the last character, so that
//! check stands here (attack 13).

use base64_turbo::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Encodes as unpadded base64url.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes as padded standard base64.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Decodes unpadded base64url; `None` for padding, whitespace, the other alphabet, or non-zero trailing bits.
pub fn base64url_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    base64url_decode_into(text, &mut out).then_some(out)
}

/// As [`base64url_decode`], replacing what is in `out`, whose allocation is reused.
pub fn base64url_decode_into(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    has_canonical_end(text, b'-', b'_') && URL_SAFE_NO_PAD.decode_vec(text, out).is_ok()
}

/// Decodes unpadded base64url of exactly `N` bytes.
pub fn base64url_decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    base64url_decode(text)?.try_into().ok()
}

/// Decodes standard base64 whose padding may be absent but, when present, must be right.
pub fn base64_decode_padding_optional(text: &[u8]) -> Option<Vec<u8>> {
    let bare = match text {
        [head @ .., b'=', b'='] if text.len().is_multiple_of(4) => head,
        [head @ .., b'='] if text.len().is_multiple_of(4) => head,
        _ => text,
    };
    if !has_canonical_end(bare, b'+', b'/') {
        return None;
    }
    STANDARD_NO_PAD.decode(bare).ok()
}

/// Decodes lower-case hex of exactly `N` bytes.
pub fn hex_lower_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut out = [0u8; N];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

/// True if no bits are left over in the last character. A foreign character answers false here or fails in the decoder.
fn has_canonical_end(text: &[u8], char62: u8, char63: u8) -> bool {
    let unused_bits_mask = match text.len() % 4 {
        0 => return true,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    let value = match text[text.len() - 1] {
        c @ b'A'..=b'Z' => c - b'A',
        c @ b'a'..=b'z' => c - b'a' + 26,
        c @ b'0'..=b'9' => c - b'0' + 52,
        c if c == char62 => 62,
        c if c == char63 => 63,
        _ => return false,
    };
    value & unused_bits_mask == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attack_13_base64url_has_one_spelling() {
        fn check(input: &str, expected: Option<&[u8]>) {
            assert_eq!(base64url_decode(input.as_bytes()).as_deref(), expected, "{input:?}");
        }
        check("", Some(b""));
        check("AA", Some(&[0]));
        check("_-8", Some(&[0xff, 0xef]));
        check("AB", None); // trailing bits
        check("AP", None);
        check("AAB", None);
        check("AA==", None);
        check("AA=", None);
        check("A", None);
        check("AAAAA", None);
        check("+/8", None);
        check("A A", None);
        check("AA\n", None);
        check(" AA", None);
        check("AA\0A", None);
        check("ÄA", None);
    }

    #[test]
    fn standard_base64_takes_optional_padding_only() {
        fn check(input: &str, expected: Option<&[u8]>) {
            assert_eq!(base64_decode_padding_optional(input.as_bytes()).as_deref(), expected, "{input:?}");
        }
        check("", Some(b""));
        check("AA==", Some(&[0]));
        check("AA", Some(&[0]));
        check("AAA=", Some(&[0, 0]));
        check("/+8=", Some(&[0xff, 0xef]));
        check("AA=", None);
        check("AAA==", None);
        check("AA===", None);
        check("=", None);
        check("====", None);
        check("AB==", None);
        check("_-8=", None);
        check("AA==\n", None);
        check("A A=", None);
    }

    proptest! {
        #[test]
        fn round_trip_and_no_second_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), other in any::<u8>()) {
            let text = base64url(&bytes);
            prop_assert_eq!(base64url_decode(text.as_bytes()), Some(bytes.clone()));
            if !text.is_empty() {
                let mut changed = text.clone().into_bytes();
                let at = at.index(changed.len());
                if changed[at] != other {
                    changed[at] = other;
                    prop_assert_ne!(base64url_decode(&changed), Some(bytes));
                }
            }
        }
    }
}
