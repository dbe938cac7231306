//! A strict single-pass reader of the top level of one JSON object.
//!
//! Stricter than general parsers on purpose: repeated member names are refused even when spelled with escapes, lone
//! surrogates and invalid UTF-8 are refused, depth and member count are bounded, nothing may follow the object.
//! Nested values are checked for syntax and handed over as text.

use std::borrow::Cow;

use super::Reject;
use crate::limits::{JSON_DEPTH_MAX, JSON_INTEGER_MAX, JSON_MEMBERS_MAX};

/// A member's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `true` / `false`.
    Bool(bool),
    /// An array or object, syntax checked, as it stands in the text.
    Nested(&'a str),
    /// `null`.
    Null,
    /// A number as it stands in the text.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// The string, or a rejection for any other type.
    pub fn string(self) -> Result<Cow<'a, str>, Reject> {
        match self {
            Self::String(text) => Ok(text),
            _ => Err(Reject::Claims),
        }
    }

    /// A non-negative integer up to 2^53, written without fraction, exponent or sign (attack 17).
    pub fn integer(&self) -> Result<u64, Reject> {
        let Self::Number(text) = self else { return Err(Reject::Claims) };
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Reject::Claims);
        }
        text.parse().ok().filter(|number| *number <= JSON_INTEGER_MAX).ok_or(Reject::Claims)
    }

    /// A flat array of strings with at most `max` items.
    pub fn strings(&self, max: usize) -> Result<Vec<String>, Reject> {
        let Self::Nested(text) = self else { return Err(Reject::Claims) };
        let mut scanner = Scanner { text, at: 0 };
        scanner.expect(b'[').map_err(|_| Reject::Claims)?;
        let mut out = Vec::new();
        scanner.skip_space();
        if scanner.peek() == Some(b']') {
            return Ok(out);
        }
        loop {
            scanner.skip_space();
            if scanner.peek() != Some(b'"') || out.len() == max {
                return Err(Reject::Claims);
            }
            out.push(scanner.string()?.into_owned());
            scanner.skip_space();
            match scanner.next() {
                Some(b',') => {}
                Some(b']') => return Ok(out),
                _ => return Err(Reject::Claims),
            }
        }
    }
}

/// Calls `member` for each member of the one object in `bytes`, in order.
///
/// # Errors
/// [`Reject::Json`] for anything that is not one strict object; whatever `member` refuses.
pub fn object<'a>(
    bytes: &'a [u8],
    mut member: impl FnMut(&str, Value<'a>) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reject::Json)?;
    let mut scanner = Scanner { text, at: 0 };
    let mut names = Names { bits: 0, seen: Vec::with_capacity(24) };
    scanner.skip_space();
    scanner.expect(b'{')?;
    scanner.skip_space();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
    } else {
        loop {
            scanner.skip_space();
            let start = scanner.at + 1;
            let name = names.add(scanner.string()?, &bytes[start.min(bytes.len())..])?;
            scanner.skip_space();
            scanner.expect(b':')?;
            scanner.skip_space();
            let value = scanner.value()?;
            member(name, value)?;
            scanner.skip_space();
            match scanner.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(Reject::Json),
            }
        }
    }
    scanner.skip_space();
    if scanner.at == text.len() { Ok(()) } else { Err(Reject::Json) }
}

/// The member names seen so far. Each leaves one of 64 bits behind, drawn from its first bytes and its length; only a
/// name that meets its own bit set is compared with the others.
struct Names<'a> {
    bits: u64,
    seen: Vec<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// `text` starts with the name if it was written without escapes.
    fn add(&mut self, name: Cow<'a, str>, text: &[u8]) -> Result<&str, Reject> {
        let count = self.seen.len();
        if count == JSON_MEMBERS_MAX {
            return Err(Reject::Json);
        }
        let bit = match (&name, text.first_chunk::<8>()) {
            (Cow::Borrowed(_), Some(word)) => bit_of(u64::from_le_bytes(*word), name.len()),
            _ => {
                let mut word = [0; 8];
                let length = name.len().min(8);
                word[..length].copy_from_slice(&name.as_bytes()[..length]);
                bit_of(u64::from_le_bytes(word), name.len())
            }
        };
        if self.bits & bit != 0 && self.seen.contains(&name) {
            return Err(Reject::Json);
        }
        self.bits |= bit;
        self.seen.push(name);
        Ok(&self.seen[count])
    }
}

/// Mixes the first seven bytes of a name and its length into one of 64 bits (Fibonacci hashing: the top six bits of the
/// product with 2^64 / φ).
fn bit_of(word: u64, length: usize) -> u64 {
    let kept = length.min(7) as u32;
    let tag = word & ((1 << (8 * kept)) - 1) | (length as u64) << 56;
    1 << (tag.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
}

/// Eight copies of a byte.
const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Bytes before the first that can end a run of plain string characters: a quote, a backslash, or a control character.
///
/// Eight at a time: `x − 0x20…` borrows into the top bit of a byte below 0x20, and `x ⊕ pattern` turns a wanted byte to
/// zero, which `− 0x01…` borrows from. `& !x` drops bytes that had the top bit themselves. A borrow can only spoil bytes
/// above the first hit, so the lowest hit is exact.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const TOP: u64 = splat(0x80);
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let x = u64::from_le_bytes(*chunk);
        let zero = |x: u64| x.wrapping_sub(splat(1)) & !x;
        let hits = (x.wrapping_sub(splat(0x20)) & !x | zero(x ^ splat(b'"')) | zero(x ^ splat(b'\\'))) & TOP;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| !matches!(b, 0..0x20 | b'"' | b'\\')).count()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Reject> {
        if self.next() == Some(byte) { Ok(()) } else { Err(Reject::Json) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Value<'a>, Reject> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{' | b'[') => self.nested().map(Value::Nested),
            Some(b't') => self.literal("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.literal("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.literal("null").map(|()| Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => Err(Reject::Json),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Reject> {
        if self.bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Reject::Json)
        }
    }

    /// RFC 8259 §6, nothing more.
    fn number(&mut self) -> Result<&'a str, Reject> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next() {
            Some(b'0') => {}
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(Reject::Json),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Reject> {
        let start = self.at;
        self.digits();
        if self.at > start { Ok(()) } else { Err(Reject::Json) }
    }

    /// A string; borrowed when it has no escapes.
    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>, Reject> {
        self.expect(b'"')?;
        let (plain, end) = self.plain()?;
        if end == b'"' {
            return Ok(Cow::Borrowed(plain));
        }
        self.unescape(plain)
    }

    /// The rest of a string whose first backslash has just been read.
    #[cold]
    fn unescape(&mut self, plain: &str) -> Result<Cow<'a, str>, Reject> {
        let mut out = plain.to_owned();
        loop {
            // Here a backslash has just been read.
            out.push(self.escape()?);
            let (plain, end) = self.plain()?;
            out.push_str(plain);
            if end == b'"' {
                return Ok(Cow::Owned(out));
            }
        }
    }

    /// A run of plain characters and the quote or backslash that ends it.
    #[inline]
    fn plain(&mut self) -> Result<(&'a str, u8), Reject> {
        let start = self.at;
        self.at += plain_length(&self.bytes()[start..]);
        let plain = &self.text[start..self.at];
        match self.next() {
            Some(end @ (b'"' | b'\\')) => Ok((plain, end)),
            _ => Err(Reject::Json),
        }
    }

    fn escape(&mut self) -> Result<char, Reject> {
        Ok(match self.next().ok_or(Reject::Json)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let scalar = match first {
                    0xD800..=0xDBFF => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        let second = self.hex4()?;
                        if !(0xDC00..=0xDFFF).contains(&second) {
                            return Err(Reject::Json);
                        }
                        0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    }
                    _ => first,
                };
                // `from_u32` refuses a lone low surrogate.
                char::from_u32(scalar).ok_or(Reject::Json)?
            }
            _ => return Err(Reject::Json),
        })
    }

    fn hex4(&mut self) -> Result<u32, Reject> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = (self.next().ok_or(Reject::Json)? as char).to_digit(16).ok_or(Reject::Json)?;
            value = value << 4 | digit;
        }
        Ok(value)
    }

    /// Walks over an array or object without recursion: one bit per open bracket says which kind it is.
    fn nested(&mut self) -> Result<&'a str, Reject> {
        let start = self.at;
        let mut is_object = [false; JSON_DEPTH_MAX];
        let mut depth = 0;
        loop {
            // A value starts here.
            self.skip_space();
            let opened = matches!(self.peek(), Some(b'{' | b'['));
            if opened {
                if depth == JSON_DEPTH_MAX {
                    return Err(Reject::Json);
                }
                is_object[depth] = self.next() == Some(b'{');
                depth += 1;
                self.skip_space();
                let closer = if is_object[depth - 1] { b'}' } else { b']' };
                if self.peek() != Some(closer) {
                    self.name_if(is_object[depth - 1])?;
                    continue;
                }
            } else {
                self.value()?;
            }
            // A value ended here, or an empty bracket is about to.
            loop {
                self.skip_space();
                let inside_object = is_object[depth - 1];
                match self.next() {
                    Some(b',') => {
                        self.name_if(inside_object)?;
                        break;
                    }
                    Some(b'}') if inside_object => depth -= 1,
                    Some(b']') if !inside_object => depth -= 1,
                    _ => return Err(Reject::Json),
                }
                if depth == 0 {
                    return Ok(&self.text[start..self.at]);
                }
            }
        }
    }

    fn name_if(&mut self, inside_object: bool) -> Result<(), Reject> {
        if inside_object {
            self.skip_space();
            self.string()?;
            self.skip_space();
            self.expect(b':')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, Reject> {
        let mut out = Vec::new();
        object(bytes, |name, value| {
            out.push((name.to_owned(), format!("{value:?}")));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn accepts_and_refuses() {
        fn check(text: impl AsRef<[u8]>, expected: bool) {
            let text = text.as_ref();
            assert_eq!(parse(text).is_ok(), expected, "{}", String::from_utf8_lossy(text));
        }
        check("{}", true);
        check(" { } ", true);
        check(r#"{"a":1}"#, true);
        check(r#"{"a":-0.5e+10,"b":[],"c":{},"d":[1,[2],{"x":null}],"e":true,"f":false,"g":null}"#, true);
        check(r#"{"a":"\u00e9\ud83d\ude00\n\/"}"#, true);
        check("{\"a\":\"é\"}", true);
        check(r#"{"a":[ ] , "b" : { } }"#, true);
        check(r#"{"a":{"x":1,"x":2}}"#, true); // nested repetition is nobody's claim
        check("", false);
        check("[]", false);
        check("null", false);
        check("{", false);
        check("}", false);
        check(r#"{"a"}"#, false);
        check(r#"{"a":}"#, false);
        check(r#"{"a":1,}"#, false);
        check(r#"{,"a":1}"#, false);
        check(r#"{"a":1 "b":2}"#, false);
        check(r#"{"a":1}x"#, false);
        check(r#"{"a":1}{}"#, false);
        check(r#"{a:1}"#, false);
        check(r#"{'a':1}"#, false);
        check(r#"{1:1}"#, false);
        check(r#"{"a":01}"#, false);
        check(r#"{"a":+1}"#, false);
        check(r#"{"a":1.}"#, false);
        check(r#"{"a":.5}"#, false);
        check(r#"{"a":1e}"#, false);
        check(r#"{"a":-}"#, false);
        check(r#"{"a":0x1}"#, false);
        check(r#"{"a":NaN}"#, false);
        check(r#"{"a":Infinity}"#, false);
        check(r#"{"a":tru}"#, false);
        check(r#"{"a":truex}"#, false);
        check(r#"{"a":nul"#, false);
        check(r#"{"a":"x}"#, false);
        check("{\"a\":\"x\ny\"}", false);
        check("{\"a\":\"x\0y\"}", false);
        check(r#"{"a":"\x"}"#, false);
        check(r#"{"a":"\u12"}"#, false);
        check(r#"{"a":"\u12G4"}"#, false);
        check(r#"{"a":[}"#, false);
        check(r#"{"a":[1,]}"#, false);
        check(r#"{"a":[,1]}"#, false);
        check(r#"{"a":[1 2]}"#, false);
        check(r#"{"a":{"b"}}"#, false);
        check(r#"{"a":{"b":1]}"#, false);
        check(r#"{"a":[1}}"#, false);
        check(r#"{"a":{"b":1,}}"#, false);
        check(r#"{"a":{1:1}}"#, false);
        check("\u{feff}{}", false);
        check("{}//", false);
        check("{}\u{a0}", false);
    }

    #[test]
    fn attack_15_repeated_members_in_any_spelling() {
        for text in [
            r#"{"sub":1,"sub":2}"#,
            r#"{"sub":1,"\u0073ub":2}"#,
            r#"{"s\u0075b":1,"sub":1}"#,
            r#"{"":1,"":1}"#,
            r#"{"x\/":1,"x/":1}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Reject::Json), "{text}");
        }
    }

    #[test]
    fn attack_25_depth_and_size_are_bounded() {
        let deep = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse(deep(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(parse(deep(JSON_DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(parse(deep(100_000).as_bytes()).is_err());
        assert!(parse(format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000)).as_bytes()).is_err());
        let wide = |members: usize| {
            format!("{{{}}}", (0..members).map(|i| format!("\"m{i}\":0")).collect::<Vec<_>>().join(","))
        };
        assert!(parse(wide(JSON_MEMBERS_MAX).as_bytes()).is_ok());
        assert!(parse(wide(JSON_MEMBERS_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn attack_26_unicode() {
        for text in [
            &b"{\"a\":\"\xff\"}"[..],
            b"{\"\xc3\":1}",
            b"{\"a\":\"\xed\xa0\x80\"}",
            br#"{"a":"\ud800"}"#,
            br#"{"a":"\udc00"}"#,
            br#"{"a":"\ud800\u0041"}"#,
            br#"{"a":"\ud800x"}"#,
            br#"{"a":"\ud800\ud800"}"#,
            br#"{"a":["\ud800"]}"#,
            br#"{"a":{"\udfff":1}}"#,
            br#"{"\ud800":1}"#,
        ] {
            assert_eq!(parse(text), Err(Reject::Json), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn attack_17_integers() {
        fn check(text: &str, expected: Option<u64>) {
            let json = format!(r#"{{"exp":{text}}}"#);
            let mut got = None;
            let _ = object(json.as_bytes(), |_, value| {
                got = value.integer().ok();
                Ok(())
            });
            assert_eq!(got, expected, "{text}");
        }
        check("0", Some(0));
        check("1768478400", Some(1_768_478_400));
        check("9007199254740992", Some(1 << 53));
        check("9007199254740993", None);
        check("18446744073709551616", None);
        check("99999999999999999999999999", None);
        check("1768478400.0", None);
        check("1e9", None);
        check("1e99", None);
        check("-1", None);
        check("-0", None);
        check("\"1768478400\"", None);
        check("null", None);
        check("true", None);
        check("[1]", None);
        check("{}", None);
    }

    #[test]
    fn string_arrays() {
        fn check(text: &str, expected: Option<&[&str]>) {
            let json = format!(r#"{{"aud":{text}}}"#);
            let mut got = None;
            let _ = object(json.as_bytes(), |_, value| {
                got = value.strings(3).ok();
                Ok(())
            });
            let expected = expected.map(|items| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
            assert_eq!(got, expected, "{text}");
        }
        check(r#"["a"]"#, Some(&["a"]));
        check(r#"[ "a" , "\u0062" ]"#, Some(&["a", "b"]));
        check("[]", Some(&[]));
        check(r#"["a","b","c","d"]"#, None);
        check(r#"["a",1]"#, None);
        check(r#"[["a"]]"#, None);
        check(r#"[null]"#, None);
        check(r#"{"a":1}"#, None);
        check(r#""a""#, None);
    }

    #[test]
    fn attack_15_names_that_share_their_first_bytes() {
        fn check(names: &[&str], expected: bool) {
            let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
            assert_eq!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok(), expected, "{names:?}");
        }
        check(&["", "a", "aa", "aaaaaaa", "aaaaaaaa", "aaaaaaaab", "aaaaaaaac"], true);
        check(&["aaaaaaaab", "aaaaaaaab"], false);
        check(&["aaaaaaaa", "\\u0061aaaaaaa"], false);
        check(&["\\u0061", "a"], false);
        let long = "x".repeat(300);
        check(&[&long, &"x".repeat(44)], true);
        check(&[&long, &long], false);
        check(&["a", "a\\u0000"], true);
    }

    proptest! {
        #[test]
        fn plain_runs_end_where_a_byte_loop_ends_them(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(0x1f), Just(0x20), Just(0x80), Just(0xa2)], 0..40)) {
            let expected = bytes.iter().take_while(|b| !matches!(b, 0..0x20 | b'"' | b'\\')).count();
            prop_assert_eq!(plain_length(&bytes), expected);
        }

        /// Where we accept, serde_json accepts and sees the same members; where serde_json refuses, so do we.
        #[test]
        fn agrees_with_serde_json(text in "[{}\\[\\]\",:a\\\\u0de8 1.\\-]{0,40}") {
            let ours = parse(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
            if let Ok(members) = ours {
                let theirs = theirs.expect("serde_json must accept what we accept");
                prop_assert_eq!(members.len(), theirs.len());
            }
        }

        #[test]
        fn serialised_objects_are_accepted(map in proptest::collection::btree_map(".{0,8}", ".{0,20}", 0..20)) {
            let text = serde_json::to_vec(&map).unwrap();
            let mut seen = std::collections::BTreeMap::new();
            object(&text, |name, value| { seen.insert(name.to_owned(), value.string()?.into_owned()); Ok(()) }).unwrap();
            prop_assert_eq!(seen, map);
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
