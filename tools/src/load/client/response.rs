//! Where an HTTP/1.1 response ends: by length, by chunks, by the end of the connection, or without a body. Strict about
//! framing, because an answer read to the wrong end would be blamed on the next request; blind to everything else.

use memchr::{memchr, memmem};

/// Longest line that announces a chunk, bytes.
const CHUNK_LINE_BYTES: usize = 1024;

/// How far a response has come.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// All of it is there; the body is in [`Parser::body`].
    Complete,
    /// No HTTP/1.1 response: why.
    Malformed(&'static str),
    /// Read on.
    Partial,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Chunked,
    Length(usize),
    UntilClose,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    status: u16,
    head_bytes: usize,
    framing: Framing,
    closes: bool,
}

/// Reads one response out of the bytes that a connection has received since its request.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    found: Option<Found>,
    /// Where the next chunk begins.
    chunk_at: usize,
    /// Chunks put together.
    assembled: Vec<u8>,
    /// Where interim answers (1xx) end.
    start: usize,
    /// Bytes of the response.
    end: usize,
    /// The request was `HEAD`, whose answer never has a body.
    pub is_head: bool,
}

impl Parser {
    /// Forgets the response before.
    pub(crate) fn reset(&mut self, is_head: bool) {
        self.found = None;
        self.start = 0;
        self.is_head = is_head;
    }

    /// Looks at everything received so far; `is_closed` when the server has closed its side.
    pub(crate) fn advance(&mut self, received: &[u8], is_closed: bool) -> Progress {
        let found = loop {
            if let Some(found) = self.found {
                break found;
            }
            match head(&received[self.start..], self.is_head) {
                Ok(Some(found)) if found.status < 200 => {
                    // An interim answer; 101 would change the protocol, and nobody asked for that.
                    if found.status == 101 {
                        return Progress::Malformed("switched protocols unasked");
                    }
                    self.start += found.head_bytes;
                }
                Ok(Some(found)) => {
                    self.found = Some(found);
                    self.chunk_at = self.start + found.head_bytes;
                    self.assembled.clear();
                }
                Ok(None) => return if is_closed { Progress::Malformed("closed early") } else { Progress::Partial },
                Err(why) => return Progress::Malformed(why),
            }
        };
        let body_at = self.start + found.head_bytes;
        match found.framing {
            Framing::Length(length) => {
                self.end = body_at + length;
                if received.len() == self.end {
                    Progress::Complete
                } else if received.len() > self.end {
                    Progress::Malformed("bytes after the response")
                } else {
                    partial(is_closed)
                }
            }
            Framing::UntilClose => {
                self.end = received.len();
                if is_closed { Progress::Complete } else { Progress::Partial }
            }
            Framing::Chunked => match self.chunks(received) {
                Ok(true) if received.len() > self.end => Progress::Malformed("bytes after the response"),
                Ok(true) => Progress::Complete,
                Ok(false) => partial(is_closed),
                Err(why) => Progress::Malformed(why),
            },
        }
    }

    /// The status of a response whose head is there.
    pub(crate) fn status(&self) -> u16 {
        self.found.map_or(0, |found| found.status)
    }

    /// The connection closes after this response.
    pub(crate) fn closes(&self) -> bool {
        self.found.is_some_and(|found| found.closes)
    }

    /// Status line and headers of a complete response.
    pub(crate) fn head<'a>(&self, received: &'a [u8]) -> &'a [u8] {
        &received[self.start..self.start + self.found.map_or(0, |found| found.head_bytes)]
    }

    /// The body of a complete response.
    pub(crate) fn body<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self.found {
            Some(Found { framing: Framing::Chunked, .. }) => &self.assembled,
            Some(found) => &received[self.start + found.head_bytes..self.end],
            None => &[],
        }
    }

    fn chunks(&mut self, received: &[u8]) -> Result<bool, &'static str> {
        loop {
            let rest = &received[self.chunk_at..];
            let Some(line_end) = memchr(b'\n', rest) else {
                return if rest.len() > CHUNK_LINE_BYTES { Err("a chunk size without end") } else { Ok(false) };
            };
            let line = rest[..line_end].strip_suffix(b"\r").ok_or("a chunk size line without CR")?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let is_hex = !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_hexdigit);
            let size = std::str::from_utf8(digits).ok().filter(|_| is_hex);
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or("a chunk size that is none")?;
            let data = line_end + 1;
            if size == 0 {
                // Trailers, if any, end with an empty line, which may be the one right here.
                let trailers = &rest[data..];
                let bytes = if trailers.starts_with(b"\r\n") {
                    Some(2)
                } else {
                    memmem::find(trailers, b"\r\n\r\n").map(|at| at + 4)
                };
                let Some(bytes) = bytes else { return Ok(false) };
                self.end = self.chunk_at + data + bytes;
                return Ok(true);
            }
            let Some(chunk) = rest.get(data..data + size + 2) else { return Ok(false) };
            let chunk = chunk.strip_suffix(b"\r\n").ok_or("a chunk longer than it said")?;
            self.assembled.extend_from_slice(chunk);
            self.chunk_at += data + size + 2;
        }
    }
}

fn partial(is_closed: bool) -> Progress {
    if is_closed { Progress::Malformed("closed early") } else { Progress::Partial }
}

/// Head lines end with CRLF CRLF.
fn head(received: &[u8], is_head: bool) -> Result<Option<Found>, &'static str> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else {
        // Whatever is not HTTP is told apart early: its end would never come.
        let known = received.len().min(7);
        return if received[..known] == b"HTTP/1."[..known] { Ok(None) } else { Err("not HTTP/1.1") };
    };
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', digits @ ..] = received else {
        return Err("not HTTP/1.1");
    };
    let digits = digits.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or("a bad status line")?;
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(*digit - b'0'));

    let (mut length, mut is_chunked, mut closes) = (None, false, *minor == b'0');
    let mut rest = &received[..end + 2];
    while let Some(line_end) = memchr(b'\n', rest) {
        let line = &rest[..line_end];
        rest = &rest[line_end + 1..];
        // Most lines are told apart by their first letter.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value_of(line, b"content-length") {
                    let value = decimal(value).ok_or("a bad content-length")?;
                    if length.replace(value).is_some_and(|before| before != value) {
                        return Err("two content-lengths");
                    }
                } else if let Some(value) = value_of(line, b"connection") {
                    let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    let is = |word: &[u8], text: &[u8]| word.eq_ignore_ascii_case(text);
                    closes = words.clone().any(|word| is(word, b"close"))
                        || (closes && !words.any(|word| is(word, b"keep-alive")));
                }
            }
            Some(b't') => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err("an unknown transfer-encoding");
                    }
                    is_chunked = true;
                }
            }
            _ => {}
        }
    }
    let framing = match (is_chunked, length) {
        _ if is_head || status < 200 || matches!(status, 204 | 304) => Framing::Length(0),
        (true, Some(_)) => return Err("both chunked and a content-length"),
        (true, None) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    let closes = closes || framing == Framing::UntilClose;
    Ok(Some(Found { status, head_bytes: end + 4, framing, closes }))
}

fn value_of<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let (before, after) = line.split_at_checked(name.len())?;
    let value = after.strip_prefix(b":")?;
    before.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(text: &[u8]) -> Option<usize> {
    // `parse` would take a plus sign.
    let is_decimal = !text.is_empty() && text.len() <= 15 && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_decimal)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(received: &str, is_closed: bool, expected: Result<(u16, &str, bool), Progress>) {
        let mut parser = Parser::default();
        let got = match parser.advance(received.as_bytes(), is_closed) {
            Progress::Complete => {
                Ok((parser.status(), std::str::from_utf8(parser.body(received.as_bytes())).unwrap(), parser.closes()))
            }
            other => Err(other),
        };
        assert_eq!(got, expected, "{received:?}");
    }

    #[test]
    fn responses() {
        let length = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\n";
        check(&format!("{length}hi"), false, Ok((200, "hi", false)));
        check(&format!("{length}h"), false, Err(Progress::Partial));
        check(&format!("{length}h"), true, Err(Progress::Malformed("closed early")));
        check("", false, Err(Progress::Partial));
        check("", true, Err(Progress::Malformed("closed early")));
        check("HTTP/1.1 503 x\r\nconnection: close\r\ncontent-length:0\r\n\r\n", false, Ok((503, "", true)));
        check("HTTP/1.1 204 No Content\r\n\r\n", false, Ok((204, "", false)));
        check("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", false, Ok((200, "x", true)));
        check("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", false, Ok((200, "x", false)));
        check("HTTP/1.1 200 OK\r\n\r\nto the end", false, Err(Progress::Partial));
        check("HTTP/1.1 200 OK\r\n\r\nto the end", true, Ok((200, "to the end", true)));
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            false,
            Ok((200, "x", false)),
        );
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"),
            false,
            Ok((200, "abc0123456789", false)),
        );
        check(&format!("{chunked}1\r\na\r\n0\r\ntrailer: x\r\n\r\n"), false, Ok((200, "a", false)));
        check(&format!("{chunked}1\r\na\r\n0\r\n"), false, Err(Progress::Partial));
    }

    #[test]
    fn what_is_refused() {
        for (received, why) in [
            ("nonsense", "not HTTP/1.1"),
            ("HTTP/2 200 OK\r\n\r\n", "not HTTP/1.1"),
            ("HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n", "a bad status line"),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "a bad content-length"),
            ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n", "a bad content-length"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "two content-lengths"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "an unknown transfer-encoding"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
                "both chunked and a content-length",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxy", "bytes after the response"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ng\r\n", "a chunk size that is none"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk longer than it said"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "switched protocols unasked"),
        ] {
            check(received, false, Err(Progress::Malformed(why)));
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let mut parser = Parser { is_head: true, ..Parser::default() };
        let received = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
        assert_eq!(parser.advance(received, false), Progress::Complete);
        assert_eq!(parser.body(received), b"");
    }

    proptest! {
        /// However the bytes arrive, the same response comes out, and never before its last byte.
        #[test]
        fn split_points_do_not_matter(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            is_chunked: bool,
            mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let body = chunks.concat();
            let mut received = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\nx: y\r\n".to_vec();
            if is_chunked {
                received.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    received.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    received.extend_from_slice(chunk);
                    received.extend_from_slice(b"\r\n");
                }
                received.extend_from_slice(b"0\r\n\r\n");
            } else {
                received.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                received.extend_from_slice(&body);
            }
            let mut parser = Parser::default();
            let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(received.len())).collect();
            ends.sort_unstable();
            for end in ends {
                prop_assert_eq!(parser.advance(&received[..end], false), Progress::Partial);
            }
            prop_assert_eq!(parser.advance(&received, false), Progress::Complete);
            prop_assert_eq!((parser.status(), parser.body(&received)), (201, &body[..]));
        }

        /// Nothing panics on any bytes.
        #[test]
        fn any_bytes_are_survived(received in proptest::collection::vec(any::<u8>(), 0..300), is_closed: bool) {
            let _any = Parser::default().advance(&received, is_closed);
            let mut framed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            framed.extend_from_slice(&received);
            let _any = Parser::default().advance(&framed, is_closed);
        }
    }
}
