//! Strict HTTP/1.1 framing, judged on the raw bytes before the HTTP library sees them.
//!
//! Request smuggling lives where two parsers disagree about where a message ends. hyper, like every lenient parser,
//! accepts a bare LF as a line end, drops `Content-Length` beside `Transfer-Encoding`, and so on; each is legal, and
//! each has been somebody's hole. This guard reads only what framing needs (line ends, `Content-Length`,
//! `Transfer-Encoding`) and refuses everything RFC 9112 allows a server to refuse. It never changes a byte: what it
//! lets through, hyper parses as usual.
//!
//! It follows message boundaries by itself (length-delimited bodies are skipped by count), so a pipelined second
//! request is judged like the first. After a chunked body it stops looking, and says so by [`HeadGuard::must_close`]:
//! the connection then ends with that response, so nothing unjudged is ever interpreted.

use memchr::memchr_iter;

use crate::limits::{HEADERS_COUNT_MAX, URI_BYTES_MAX};

/// Why a head was refused: the status the client is told before the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: framing that two parsers could read differently, or no HTTP at all.
    BadRequest,
    /// 431: the head is longer than the configured bound, or has too many lines.
    HeaderTooLarge,
    /// 414: the request line is longer than the bound.
    UriTooLong,
}

impl Refusal {
    /// The whole response, ready to write: the connection closes after it.
    #[must_use]
    pub fn response(self) -> &'static [u8] {
        match self {
            Refusal::BadRequest => {
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 74\r\n\r\n\
                  {\"error\":\"invalid_request\",\"error_description\":\"malformed HTTP message\"}\n\n"
            }
            Refusal::HeaderTooLarge => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            Refusal::UriTooLong => b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        }
    }

    /// A short label for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Refusal::BadRequest => "malformed",
            Refusal::HeaderTooLarge => "header_too_large",
            Refusal::UriTooLong => "uri_too_long",
        }
    }
}

/// Where in the stream of messages the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    RequestLine,
    HeaderLine,
    /// This many bytes of a length-delimited body.
    Body(u64),
    /// A chunked body: unjudged until the connection ends.
    Opaque,
}

/// The state of one connection.
#[derive(Debug)]
pub struct HeadGuard {
    expect: Expect,
    /// A line that began in an earlier read; empty nearly always.
    partial: Vec<u8>,
    head_bytes: usize,
    head_bytes_max: usize,
    headers_count: usize,
    content_length: Option<u64>,
    chunked: bool,
}

impl HeadGuard {
    /// A guard at the start of a connection that allows heads of `head_bytes_max` bytes.
    #[must_use]
    pub fn new(head_bytes_max: usize) -> HeadGuard {
        HeadGuard {
            expect: Expect::RequestLine,
            partial: Vec::new(),
            head_bytes: 0,
            head_bytes_max,
            headers_count: 0,
            content_length: None,
            chunked: false,
        }
    }

    /// Whether the next byte belongs to a request head.
    #[must_use]
    pub fn in_head(&self) -> bool {
        matches!(self.expect, Expect::RequestLine | Expect::HeaderLine)
    }

    /// Whether a head has begun and not ended.
    #[must_use]
    pub fn mid_head(&self) -> bool {
        self.in_head() && self.head_bytes > 0
    }

    /// Whether this connection must not carry another request.
    #[must_use]
    pub fn must_close(&self) -> bool {
        self.expect == Expect::Opaque
    }

    /// Judges the next bytes of the stream.
    ///
    /// # Errors
    /// The first refusal; the guard must not be fed afterwards.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            match self.expect {
                Expect::Opaque => return Ok(()),
                Expect::Body(left) => {
                    let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[skip..];
                    let left = left - skip as u64;
                    self.expect = if left == 0 { Expect::RequestLine } else { Expect::Body(left) };
                }
                Expect::RequestLine | Expect::HeaderLine => bytes = self.feed_head(bytes)?,
            }
        }
        Ok(())
    }

    /// Consumes head lines; returns what follows the head (nothing when the head goes on in the next read).
    fn feed_head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Refusal> {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let piece = &bytes[start..end];
            self.head_bytes += piece.len() + 1;
            start = end + 1;
            let head_ended = if self.partial.is_empty() {
                self.line(piece)?
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(piece);
                self.line(&line)?
            };
            self.check_size()?;
            if head_ended {
                return Ok(&bytes[start..]);
            }
        }
        let rest = &bytes[start..];
        self.head_bytes += rest.len();
        self.check_size()?;
        if self.expect == Expect::RequestLine && self.partial.len() + rest.len() > URI_BYTES_MAX + 32 {
            return Err(Refusal::UriTooLong);
        }
        self.partial.extend_from_slice(rest);
        Ok(&[])
    }

    fn check_size(&self) -> Result<(), Refusal> {
        if self.head_bytes > self.head_bytes_max {
            // A long request line is the URI's fault, and 414 says so better than 431.
            return Err(if self.expect == Expect::RequestLine { Refusal::UriTooLong } else { Refusal::HeaderTooLarge });
        }
        Ok(())
    }

    /// Judges one line without its LF. Returns whether it ended the head.
    fn line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(Refusal::BadRequest); // bare LF
        };
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return Err(Refusal::BadRequest);
        }
        if self.expect == Expect::RequestLine {
            if line.is_empty() {
                return Ok(false); // RFC 9112 §2.2: ignore an empty line before a request line; the size bound holds
            }
            let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
            if target.len() > URI_BYTES_MAX {
                return Err(Refusal::UriTooLong);
            }
            self.expect = Expect::HeaderLine;
            return Ok(false);
        }
        if line.is_empty() {
            return self.end_of_head().map(|()| true);
        }
        self.headers_count += 1;
        if self.headers_count > HEADERS_COUNT_MAX {
            return Err(Refusal::HeaderTooLarge);
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(Refusal::BadRequest); // obs-fold
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(Refusal::BadRequest);
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.content_length.is_some() {
                    return Err(Refusal::BadRequest);
                }
                self.content_length = Some(decimal(value).ok_or(Refusal::BadRequest)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::BadRequest);
                }
                self.chunked = true;
            }
            _ => {
                // "Transfer-Encoding : chunked" and its kin: a name is a token and nothing else.
                if name.is_empty() || name.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
                    return Err(Refusal::BadRequest);
                }
            }
        }
        Ok(false)
    }

    fn end_of_head(&mut self) -> Result<(), Refusal> {
        if self.chunked && self.content_length.is_some() {
            return Err(Refusal::BadRequest);
        }
        self.expect = match (self.chunked, self.content_length) {
            (true, _) => Expect::Opaque,
            (false, None | Some(0)) => Expect::RequestLine,
            (false, Some(length)) => Expect::Body(length),
        };
        self.head_bytes = 0;
        self.headers_count = 0;
        self.content_length = None;
        self.chunked = false;
        Ok(())
    }
}

/// A `Content-Length` value: digits only (RFC 9110 §8.6), at most 18 so that it cannot overflow.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(stream: &[u8], expected: Result<(), Refusal>) {
        let shown = String::from_utf8_lossy(stream).into_owned();
        assert_eq!(HeadGuard::new(16 * 1024).feed(stream), expected, "at once: {shown:?}");
        let mut guard = HeadGuard::new(16 * 1024);
        let bytewise = stream.chunks(1).try_for_each(|byte| guard.feed(byte));
        assert_eq!(bytewise, expected, "byte by byte: {shown:?}");
    }

    const BAD: Result<(), Refusal> = Err(Refusal::BadRequest);

    #[test]
    fn ordinary_requests_pass() {
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
        check(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
        check(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb", Ok(()));
        check(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\na\nbGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Ok(()));
        check(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(()));
    }

    #[test]
    fn attack_107_smuggling_set_is_refused() {
        check(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", BAD);
        check(b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\nHost: a\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\nHost: a\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\n", BAD);
        check(b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", BAD);
        check(b"GET / HTTP/1.1\r\n: empty\r\n\r\n", BAD);
    }

    #[test]
    fn a_smuggled_second_request_is_judged_too() {
        check(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\nHost: a\n\n", BAD);
    }

    #[test]
    fn attack_113_sizes() {
        let long = |count| [b"GET /".as_slice(), &vec![b'a'; count], b" HTTP/1.1\r\n\r\n"].concat();
        check(&long(4096), Ok(()));
        check(&long(64 * 1024), Err(Refusal::UriTooLong));
        let header = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; 20_000], b"\r\n\r\n"].concat();
        check(&header, Err(Refusal::HeaderTooLarge));
        let many = [b"GET / HTTP/1.1\r\n".as_slice(), &b"x: 1\r\n".repeat(101), b"\r\n"].concat();
        check(&many, Err(Refusal::HeaderTooLarge));
    }

    #[test]
    fn the_refusal_states_its_length() {
        let response = String::from_utf8(Refusal::BadRequest.response().to_vec()).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}, {} bytes", body.len());
    }

    proptest! {
        #[test]
        fn where_reads_split_never_changes_the_verdict(
            stream in proptest::collection::vec(prop_oneof![
                Just(b"\r\n".to_vec()), Just(b"\n".to_vec()), Just(b"GET / HTTP/1.1".to_vec()), Just(b"Content-Length: 2".to_vec()),
                Just(b"Transfer-Encoding: chunked".to_vec()), Just(b"a: b".to_vec()), proptest::collection::vec(any::<u8>(), 0..6),
            ], 0..12),
            at in 0_usize..200,
        ) {
            let stream = stream.concat();
            let at = at.min(stream.len());
            let whole = HeadGuard::new(4096).feed(&stream);
            let mut guard = HeadGuard::new(4096);
            let parts = guard.feed(&stream[..at]).and_then(|()| guard.feed(&stream[at..]));
            prop_assert_eq!(whole, parts);
        }
    }
}
