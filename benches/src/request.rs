//! Requests, serialised before the clock starts.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// One HTTP/1.1 request as the bytes that go on the wire.
#[must_use]
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    serialise("POST", address, path, headers, body)
}

/// A request without a body.
#[must_use]
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    serialise("GET", address, path, headers, "")
}

fn serialise(method: &str, address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = String::with_capacity(256 + body.len());
    write!(text, "{method} {path} HTTP/1.1\r\nhost: {address}\r\n").expect("a String takes any text");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a String takes any text");
    }
    if method == "POST" {
        write!(text, "content-length: {}\r\n", body.len()).expect("a String takes any text");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_a_server_expects() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        assert_eq!(
            post(address, "/token", &[("accept", "*/*")], "a=b"),
            b"POST /token HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\ncontent-length: 3\r\n\r\na=b"
        );
        assert_eq!(get(address, "/ready", &[]), b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n");
    }
}
