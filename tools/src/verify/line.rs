//! What a line is: a bare token, or a JSON object that holds a token or a signed message. Reads the shape and nothing
//! beneath it.

use std::borrow::Cow;

use assay_oauth::encoding::base64_decode_padding_optional;
use assay_oauth::jose::Reject;
use assay_oauth::jose::json::{self, Value};
use bytes::Bytes;

use super::reason::Reason;

/// A line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `{"address":…,"message":…,"signature":…}`.
    Addressed(Signed),
    /// A bitcoin-auth token and what its JSON object said beside it.
    BitcoinAuth {
        token: Bytes,
        /// The path it must be for.
        path: Option<String>,
        /// The body it covers.
        body: Vec<u8>,
    },
    /// A compact JWS.
    Jwt(Bytes),
    /// `{"pubkey":…,"message":…,"signature":…}`.
    Signed(Signed),
}

/// A message, a signature, and whose it is said to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) address: Option<String>,
    pub(super) pubkey: Option<String>,
    pub(super) message: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// The word of the scheme, where the line names one.
    pub(super) scheme: Option<String>,
}

/// Tells what a line is. `line` lies within `block`, so that tokens need no copy; `is_jwt` makes a JWT of every text that
/// is nothing else.
///
/// # Errors
/// Why it is nothing that could be verified.
pub(super) fn read(block: &Bytes, line: &[u8], is_jwt: bool) -> Result<Line, Reason> {
    let line = line.trim_ascii();
    let text = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
    match line.first() {
        None => Err(Reason::EmptyLine),
        Some(b'{') => object(block, line),
        Some(b'"') => {
            let token: String = serde_json::from_str(text).map_err(|_| Reason::BadJson)?;
            self::token(Bytes::from(token), is_jwt)
        }
        Some(_) => token(block.slice_ref(line), is_jwt),
    }
}

fn token(token: Bytes, is_jwt: bool) -> Result<Line, Reason> {
    match memchr::memchr2(b'|', b'.', &token) {
        // A path may hold dots, and a JWT holds no bar.
        _ if memchr::memchr(b'|', &token).is_some() => Ok(Line::BitcoinAuth { token, path: None, body: Vec::new() }),
        None if !is_jwt => Err(Reason::UnknownShape),
        _ => Ok(Line::Jwt(token)),
    }
}

/// The members of a line's object that mean something.
#[derive(Default)]
struct Members<'a> {
    address: Option<Cow<'a, str>>,
    body: Option<Cow<'a, str>>,
    body_encoding: Option<Cow<'a, str>>,
    encoding: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    pubkey: Option<Cow<'a, str>>,
    scheme: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
}

impl<'a> Members<'a> {
    fn read(object: &'a [u8]) -> Result<Self, Reason> {
        let mut members = Self::default();
        let mut has_wrong_type = false;
        json::object(object, |name, value| {
            let place = match name {
                "address" => &mut members.address,
                "body" => &mut members.body,
                "bodyEncoding" => &mut members.body_encoding,
                "encoding" => &mut members.encoding,
                "message" => &mut members.message,
                "path" => &mut members.path,
                "pubkey" => &mut members.pubkey,
                "scheme" => &mut members.scheme,
                "signature" => &mut members.signature,
                "token" => &mut members.token,
                _ => return Ok(()),
            };
            match value {
                Value::String(text) => *place = Some(text),
                Value::Null => {}
                _ => has_wrong_type = true,
            }
            Ok(())
        })
        .map_err(|_: Reject| Reason::BadJson)?;
        if has_wrong_type { Err(Reason::UnknownShape) } else { Ok(members) }
    }
}

fn object(block: &Bytes, line: &[u8]) -> Result<Line, Reason> {
    let members = Members::read(line)?;
    if let Some(token) = members.token {
        let token = match token {
            Cow::Borrowed(text) => block.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        return match self::token(token, true)? {
            Line::BitcoinAuth { token, .. } => Ok(Line::BitcoinAuth {
                token,
                path: members.path.map(Cow::into_owned),
                body: members.body.map_or(Ok(Vec::new()), |body| decode(&body, members.body_encoding.as_deref()))?,
            }),
            other => Ok(other),
        };
    }
    let (Some(message), Some(signature)) = (members.message, members.signature) else {
        return Err(Reason::UnknownShape);
    };
    let signed = Signed {
        message: decode(&message, members.encoding.as_deref())?,
        signature: hex_or_base64(&signature).ok_or(Reason::BadEncoding)?,
        address: members.address.map(Cow::into_owned),
        pubkey: members.pubkey.map(Cow::into_owned),
        scheme: members.scheme.map(Cow::into_owned),
    };
    match (&signed.pubkey, &signed.address) {
        (Some(_), _) => Ok(Line::Signed(signed)),
        (None, Some(_)) => Ok(Line::Addressed(signed)),
        (None, None) => Err(Reason::UnknownShape),
    }
}

/// The bytes that a text stands for.
fn decode(text: &str, encoding: Option<&str>) -> Result<Vec<u8>, Reason> {
    match encoding {
        None | Some("utf8") => Ok(text.as_bytes().to_vec()),
        Some("hex") => hex::decode(text).map_err(|_| Reason::BadEncoding),
        Some("base64") => base64_decode_padding_optional(text.as_bytes()).ok_or(Reason::BadEncoding),
        Some(_) => Err(Reason::BadEncoding),
    }
}

/// A signature, however it is spelled. An even number of hex digits is hex: that a base64 text of a signature's length
/// should consist of them alone does not happen.
fn hex_or_base64(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().or_else(|| base64_decode_padding_optional(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Line, Reason> {
        let block = Bytes::from(text.to_owned());
        read(&block, &block, false)
    }

    #[test]
    fn shapes() {
        fn check(text: &str, expected: Result<&str, Reason>) {
            let shape = read_text(text).map(|line| match line {
                Line::Addressed(_) => "addressed",
                Line::BitcoinAuth { .. } => "bitcoin-auth",
                Line::Jwt(_) => "jwt",
                Line::Signed(_) => "signed",
            });
            assert_eq!(shape, expected, "{text}");
        }
        check("a.b.c", Ok("jwt"));
        check("  a.b.c \r", Ok("jwt"));
        check("\"a.b.c\"", Ok("jwt"));
        check("a|b|c|/d.e|f", Ok("bitcoin-auth"));
        check(r#"{"token":"a.b.c"}"#, Ok("jwt"));
        check(r#"{"token":"abc"}"#, Ok("jwt"));
        check(r#"{"token":"a|b","path":"/x","body":"00","bodyEncoding":"hex","extra":[1]}"#, Ok("bitcoin-auth"));
        check(r#"{"pubkey":"02","message":"","signature":"00"}"#, Ok("signed"));
        check(r#"{"pubkey":"02","address":"1","message":"m","signature":"AA=="}"#, Ok("signed"));
        check(r#"{"address":"1","message":"m","signature":"AA=="}"#, Ok("addressed"));
        check("", Err(Reason::EmptyLine));
        check(" \t\r", Err(Reason::EmptyLine));
        check("nothing known", Err(Reason::UnknownShape));
        check("[1]", Err(Reason::UnknownShape));
        check("{}", Err(Reason::UnknownShape));
        check(r#"{"message":"m","signature":"00"}"#, Err(Reason::UnknownShape));
        check(r#"{"pubkey":"02","signature":"00"}"#, Err(Reason::UnknownShape));
        check(r#"{"pubkey":7,"message":"m","signature":"00"}"#, Err(Reason::UnknownShape));
        check("{", Err(Reason::BadJson));
        check(r#"{"token":"a.b.c"} x"#, Err(Reason::BadJson));
        check(r#"{"token":"a","token":"b"}"#, Err(Reason::BadJson));
        check("\"a", Err(Reason::BadJson));
        check(r#"{"pubkey":"02","message":"m","signature":"not base64!"}"#, Err(Reason::BadEncoding));
        check(r#"{"pubkey":"02","message":"m","signature":"00","encoding":"rot13"}"#, Err(Reason::BadEncoding));
        check(r#"{"pubkey":"02","message":"0","signature":"00","encoding":"hex"}"#, Err(Reason::BadEncoding));
        let block = Bytes::from_static(b"\xff.b.c");
        assert_eq!(read(&block, &block, false), Err(Reason::NotUtf8));
        let block = Bytes::from_static(b"abc");
        assert_eq!(read(&block, &block, true), Ok(Line::Jwt(block.clone())));
    }

    #[test]
    fn what_stands_beside_a_token() {
        let line = read_text(r#"{"token":"a\/|b","path":"/x","body":"AQI","bodyEncoding":"base64"}"#);
        let (token, path) = (Bytes::from_static(b"a/|b"), Some("/x".to_owned()));
        assert_eq!(line, Ok(Line::BitcoinAuth { token, path, body: vec![1, 2] }));
    }
}
