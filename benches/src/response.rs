//! As much of an HTTP/1.1 response as a load generator needs: the status, where the body lies, whether the connection
//! stays open. Not a validating parser: the end-to-end tests judge responses, this only finds their end.

use memchr::memmem;

/// A complete response at the start of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response {
    /// The three digits of the status line.
    pub status: u16,
    /// Bytes before the body.
    pub head_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The server closes the connection after this response.
    pub closes: bool,
}

impl Response {
    /// Bytes of the whole response.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }
}

/// What the bytes received so far amount to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scan {
    /// All of it is there.
    Complete(Response),
    /// Nothing this generator understands: it counts as an error, and the connection is given up.
    Malformed,
    /// Read on. The head, once known, is handed back so that a large body is not searched for it again and again.
    Partial(Option<Response>),
}

/// Scans `received`; `known` is the head an earlier scan of the same response found.
#[must_use]
pub fn scan(received: &[u8], known: Option<Response>) -> Scan {
    let response = match known {
        Some(response) => response,
        None => match head(received) {
            Ok(Some(response)) => response,
            Ok(None) => return Scan::Partial(None),
            Err(()) => return Scan::Malformed,
        },
    };
    if received.len() >= response.bytes() { Scan::Complete(response) } else { Scan::Partial(Some(response)) }
}

/// Head lines are ended by CRLF CRLF; `Err` is for what is no response with a length.
fn head(received: &[u8]) -> Result<Option<Response>, ()> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', a, b, c, ..] = received else { return Err(()) };
    let digits = [a, b, c];
    if !digits.iter().all(|digit| digit.is_ascii_digit()) {
        return Err(());
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'));

    let (mut body_bytes, mut closes) = (None, false);
    let mut rest = &received[..end + 2];
    while let Some(line_end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..line_end];
        rest = &rest[line_end + 1..];
        // Most lines are told apart by their first letter.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value_of(line, b"content-length") {
                    body_bytes = Some(decimal(value).ok_or(())?);
                } else if let Some(value) = value_of(line, b"connection") {
                    closes = value.eq_ignore_ascii_case(b"close");
                }
            }
            Some(b't') if value_of(line, b"transfer-encoding").is_some() => return Err(()),
            _ => {}
        }
    }
    let body_bytes = match (body_bytes, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => return Err(()),
    };
    Ok(Some(Response { status, head_bytes: end + 4, body_bytes, closes }))
}

fn value_of<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let (before, after) = line.split_at_checked(name.len())?;
    let value = after.strip_prefix(b":")?;
    before.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received: &str, expected: Scan) {
        assert_eq!(scan(received.as_bytes(), None), expected, "{received:?}");
    }

    fn response(status: u16, head_bytes: usize, body_bytes: usize, closes: bool) -> Response {
        Response { status, head_bytes, body_bytes, closes }
    }

    #[test]
    fn responses() {
        let ok = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\n";
        check(&format!("{ok}hi"), Scan::Complete(response(200, ok.len(), 2, false)));
        check(&format!("{ok}h"), Scan::Partial(Some(response(200, ok.len(), 2, false))));
        check(&ok[..20], Scan::Partial(None));
        check("", Scan::Partial(None));
        let closing = "HTTP/1.1 503 x\r\nconnection: close\r\ncontent-length:0\r\n\r\n";
        check(closing, Scan::Complete(response(503, closing.len(), 0, true)));
        let empty = "HTTP/1.1 204 No Content\r\n\r\n";
        check(empty, Scan::Complete(response(204, empty.len(), 0, false)));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Scan::Malformed);
        check("HTTP/1.1 200 OK\r\n\r\n", Scan::Malformed);
        check("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", Scan::Malformed);
        check("HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n", Scan::Malformed);
        check("nonsense\r\n\r\n", Scan::Malformed);
    }

    #[test]
    fn a_known_head_is_not_looked_for_again() {
        let known = response(200, 10, 5, false);
        assert_eq!(scan(b"0123456789body", Some(known)), Scan::Partial(Some(known)));
        assert_eq!(scan(b"0123456789body!", Some(known)), Scan::Complete(known));
    }
}
