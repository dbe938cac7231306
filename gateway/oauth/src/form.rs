//! Strict `application/x-www-form-urlencoded` reading, for bodies and for query strings.
//!
//! Refuses what two readers could understand differently: repeated parameters (except `resource` and `audience`),
//! broken percent escapes, bytes that are not UTF-8. Parameters without `%` or `+` borrow from the input.

use std::borrow::Cow;

use crate::error::OAuthError;
use crate::limits::{FORM_BYTES_MAX, FORM_PARAMS_MAX};

/// A parsed form in the order it was sent. Values may be secrets, so `Debug` shows names only.
#[derive(Clone, PartialEq, Eq)]
pub struct Form<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Parses a body or a query string (without `?`).
    ///
    /// # Errors
    /// `invalid_request` for anything outside the bounds of this module's header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OAuthError> {
        if bytes.len() > FORM_BYTES_MAX {
            return Err(OAuthError::invalid_request("request too large").with_status(413));
        }
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        let ends = memchr::memchr_iter(b'&', bytes).chain(std::iter::once(bytes.len()));
        let mut start = 0;
        for end in ends {
            let piece = &bytes[start..end];
            start = end + 1;
            if piece.is_empty() {
                continue;
            }
            if pairs.len() == FORM_PARAMS_MAX {
                return Err(OAuthError::invalid_request("too many parameters"));
            }
            let (name, value) = match memchr::memchr(b'=', piece) {
                Some(at) => (&piece[..at], &piece[at + 1..]),
                None => (piece, &[][..]),
            };
            let name = decode(name)?;
            let value = decode(value)?;
            let repeatable = matches!(&*name, "resource" | "audience");
            if !repeatable && pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(OAuthError::invalid_request(format!("parameter {name} is repeated")));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter; a parameter with an empty value counts as omitted (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.present(name).filter(|value| !value.is_empty())
    }

    /// The value of a parameter even if it is empty: `state=` must come back as `state=`.
    pub fn present(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(seen, _)| seen == name).map(|(_, value)| &**value)
    }

    /// All non-empty values of a repeatable parameter, in order.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> + 's {
        self.pairs.iter().filter(move |(seen, value)| seen == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// A required parameter.
    ///
    /// # Errors
    /// `invalid_request` naming the parameter.
    pub fn require(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("{name} is required")))
    }

    /// Every pair in the order sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Serialises as JavaScript's `URLSearchParams` does: what a Sigma client signed before a proxy re-encoded it.
    pub fn to_url_search_params(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.pairs {
            push_pair(&mut out, name, value);
        }
        out
    }

    /// The same form owning its text.
    pub fn into_owned(self) -> Form<'static> {
        Form {
            pairs: self
                .pairs
                .into_iter()
                .map(|(name, value)| (Cow::Owned(name.into_owned()), Cow::Owned(value.into_owned())))
                .collect(),
        }
    }
}

impl std::fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// Appends `name=value` (with `&` where needed) in the `URLSearchParams` spelling.
pub fn push_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    url_search_params_encode(out, name);
    out.push('=');
    url_search_params_encode(out, value);
}

/// The application/x-www-form-urlencoded byte serializer of the URL standard: `A-Za-z0-9*-._` bare, space as `+`.
fn url_search_params_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => push_escape(out, byte),
        }
    }
}

/// Percent-encodes everything outside RFC 3986 unreserved: readable by form decoders and by plain percent decoders.
pub(crate) fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => push_escape(out, byte),
        }
    }
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)] as char);
    out.push(DIGITS[usize::from(byte & 15)] as char);
}

/// Decodes one form component (also each half of Basic credentials).
pub(crate) fn decode(raw: &[u8]) -> Result<Cow<'_, str>, OAuthError> {
    let broken = || OAuthError::invalid_request("malformed form encoding");
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return std::str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| broken());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(broken()) };
                let high = (*high as char).to_digit(16).ok_or_else(broken)?;
                let low = (*low as char).to_digit(16).ok_or_else(broken)?;
                out.push((high << 4 | low) as u8);
                rest = tail;
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_and_serialises_like_url_search_params() {
        fn check(input: &str, expected: Option<&str>) {
            let form = Form::parse(input.as_bytes());
            assert_eq!(form.ok().map(|form| form.to_url_search_params()).as_deref(), expected, "{input:?}");
        }
        check("", Some(""));
        check("a=1&b=2", Some("a=1&b=2"));
        check("b=2&a=1", Some("b=2&a=1"));
        check("a=x+y&b=x%20y", Some("a=x+y&b=x+y"));
        check("a=%c3%a9", Some("a=%C3%A9"));
        check("a=*-._~!'()", Some("a=*-._%7E%21%27%28%29"));
        check("a", Some("a="));
        check("a=", Some("a="));
        check("a=b=c", Some("a=b%3Dc"));
        check("&&a=1&", Some("a=1"));
        check("resource=a&resource=b&audience=c&audience=c", Some("resource=a&resource=b&audience=c&audience=c"));
        check("redirect_uri=https%3A%2F%2Fapp.example%2Fcb", Some("redirect_uri=https%3A%2F%2Fapp.example%2Fcb"));
        check("a=1&a=1", None);
        check("a=1&%61=2", None);
        check("a&a=", None);
        check("a=%", None);
        check("a=%1", None);
        check("a=%zz", None);
        check("a=%+1", None);
        check("a=%ff", None);
        check("%c3=1", None);
        check("a=%ed%a0%80", None);
        check(&"a=1&".repeat(2), None);
    }

    #[test]
    fn bounds() {
        let many = |count: usize| (0..count).map(|i| format!("p{i}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(many(FORM_PARAMS_MAX).as_bytes()).is_ok());
        assert!(Form::parse(many(FORM_PARAMS_MAX + 1).as_bytes()).is_err());
        let long = format!("a={}", "x".repeat(FORM_BYTES_MAX - 2));
        assert!(Form::parse(long.as_bytes()).is_ok());
        let too_long = format!("a={}", "x".repeat(FORM_BYTES_MAX - 1));
        assert_eq!(Form::parse(too_long.as_bytes()).unwrap_err().status(), 413);
    }

    #[test]
    fn empty_counts_as_omitted_but_presence_is_kept() {
        let form = Form::parse(b"state=&scope=openid").unwrap();
        assert_eq!(form.get("state"), None);
        assert_eq!(form.present("state"), Some(""));
        assert_eq!(form.present("nonce"), None);
        assert!(form.require("state").is_err());
        assert_eq!(form.require("scope").unwrap(), "openid");
    }

    #[test]
    fn debug_shows_no_value() {
        let form = Form::parse(b"client_secret=hunter2").unwrap();
        assert_eq!(format!("{form:?}"), r#"["client_secret"]"#);
    }

    #[test]
    fn tokens_are_borrowed() {
        let form = Form::parse(b"token=eyJ.aaa.bbb-_&token_type_hint=access_token").unwrap();
        assert!(matches!(form.pairs[0].1, Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_reparse_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(form) = Form::parse(&bytes) {
                let text = form.to_url_search_params();
                let again = Form::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(again.pairs, form.pairs);
            }
        }
    }
}
