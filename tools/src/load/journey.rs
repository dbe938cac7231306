//! What one simulated caller does: a journey is a small state machine that gives requests and judges answers. It opens no
//! socket and reads no clock, so every scenario is tested without a server.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

/// Why a journey failed, as the report counts it.
pub(crate) type Kind = Cow<'static, str>;

/// The present, as a journey may know it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Milliseconds since 1970, for signed timestamps.
    pub unix_ms: u64,
}

/// One request, ready for either protocol version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    /// Index into the scenario's list of steps.
    pub step: usize,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The whole request as HTTP/1.1 writes it, serialised once.
    pub wire: Vec<u8>,
}

impl Request {
    pub(crate) fn new(step: usize, method: &str, target: &str) -> Request {
        Request { step, method: method.to_owned(), target: target.to_owned(), ..Request::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body of that type.
    pub(crate) fn body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Request {
        Request { body: body.into(), ..self.header("content-type", media_type) }
    }

    /// With a form.
    pub(crate) fn form(self, pairs: &[(&str, &str)]) -> Request {
        self.body("application/x-www-form-urlencoded", form(pairs))
    }

    /// Serialises it for a host.
    pub(crate) fn to(mut self, host: &str) -> Arc<Request> {
        let mut head = String::with_capacity(256);
        let _never = write!(head, "{} {} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _never = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            let _never = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        self.wire = head.into_bytes();
        self.wire.extend_from_slice(&self.body);
        Arc::new(self)
    }
}

/// The head of an answer, as the protocol version has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// HTTP/2: decoded already.
    Map(&'a http::HeaderMap),
    /// HTTP/1.1: status line and header lines; searched only when somebody asks.
    Raw(&'a [u8]),
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub status: u16,
    pub head: Head<'a>,
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Every value of a header, in order.
    pub(crate) fn headers(&self, name: &str) -> Vec<&'a str> {
        match self.head {
            Head::Map(map) => map.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect(),
            Head::Raw(raw) => raw
                .split(|byte| *byte == b'\n')
                .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
                .filter(|(line_name, _)| line_name.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .collect(),
        }
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers(name).first().copied()
    }

    /// The kind of error for a status nobody expected.
    pub(crate) fn unexpected_status(&self) -> Kind {
        match self.status {
            429 => Cow::Borrowed(RATE_LIMITED),
            status => Cow::Owned(format!("status {status}")),
        }
    }
}

/// The kind of error that the summary explains: the server limits rates.
pub(crate) const RATE_LIMITED: &str = "status 429 (rate limited)";

/// What a journey does next.
#[derive(Debug)]
pub(crate) enum Next {
    Done,
    Failed(Kind),
    Send(Arc<Request>),
}

/// One caller's way through a scenario.
pub(crate) trait Journey {
    /// The first request.
    fn start(&mut self, at: Moment) -> Next;
    /// What follows from an answer.
    fn answer(&mut self, answer: &Answer<'_>, at: Moment) -> Next;
}

/// A source of journeys; each worker has its own.
pub(crate) trait Scenario {
    /// The next journey; `None` when there are no more.
    fn begin(&mut self, at: Moment) -> Option<Box<dyn Journey>>;
}

/// A form body.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&encode(name));
        text.push('=');
        text.push_str(&encode(value));
    }
    text
}

/// Percent-encodes everything that is not unreserved.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _never = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The value of a parameter in a URL's query, decoded.
pub(crate) fn query_value(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1.split('#').next()?;
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| decode(key) == name)?;
    Some(decode(value))
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let escaped = escaped.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// HTTP Basic credentials, both halves form-encoded (RFC 6749 §2.3.1).
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", base64_turbo::STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_a_server_expects() {
        let request = Request::new(0, "POST", "/token").header("accept", "*/*").form(&[("a", "b c"), ("d", "é&")]);
        assert_eq!(
            String::from_utf8(request.to("h:1").wire.clone()).unwrap(),
            "POST /token HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: 19\r\n\r\na=b%20c&d=%C3%A9%26"
        );
        assert_eq!(Request::new(0, "GET", "/x").to("h").wire, b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n");
    }

    #[test]
    fn headers_are_found_in_either_shape() {
        let raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nx: y\r\nset-cookie:b=2\r\n\r\n";
        let mut map = http::HeaderMap::new();
        map.append("set-cookie", "a=1; Path=/".parse().unwrap());
        map.append("set-cookie", "b=2".parse().unwrap());
        for head in [Head::Raw(raw), Head::Map(&map)] {
            let answer = Answer { status: 200, head, body: b"" };
            assert_eq!(answer.headers("set-cookie"), ["a=1; Path=/", "b=2"]);
            assert_eq!(answer.header("nothing"), None);
        }
    }

    #[test]
    fn queries_are_decoded() {
        let url = "https://a/cb?code=a%2Bb%20c+d&state=%zz&empty=#code=fragment";
        for (name, value) in [("code", Some("a+b c d")), ("state", Some("%zz")), ("empty", Some("")), ("none", None)] {
            assert_eq!(query_value(url, name).as_deref(), value, "{name}");
        }
        assert_eq!(query_value("/no-query", "code"), None);
    }
}
