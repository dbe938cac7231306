//! HTTP/1.1 over a blocking socket: requests as bytes, responses parsed just enough, connections that tests hold,
//! break and reuse on purpose. Never retries and never follows a redirect.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Longest wait for bytes of an answer. A server that needs longer has failed the test.
pub const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// One request, as it will be written.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers in order, besides `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body; empty is none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Request {
        Request { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// `GET`.
    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// `POST`.
    pub fn post(target: &str) -> Request {
        Request::new("POST", target)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// With a form.
    #[must_use]
    pub fn form(self, pairs: &[(&str, &str)]) -> Request {
        self.header("content-type", "application/x-www-form-urlencoded").body(form(pairs))
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, value: &Value) -> Request {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// With HTTP Basic credentials, both halves form-encoded (RFC 6749 §2.3.1).
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Request {
        let mut pair = String::new();
        push_encoded(&mut pair, id);
        pair.push(':');
        push_encoded(&mut pair, secret);
        self.header("authorization", &format!("Basic {}", base64_turbo::STANDARD.encode(pair)))
    }

    /// With a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Request {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a bitcoin-auth token.
    #[must_use]
    pub fn auth_token(self, token: &str) -> Request {
        self.header("x-auth-token", token)
    }

    /// With a cookie as `Set-Cookie` named it.
    #[must_use]
    pub fn cookie(self, cookie: &str) -> Request {
        self.header("cookie", cookie)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: assay.test\r\n");
        }
        for (name, value) in &self.headers {
            let _never = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            let _never = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// One response, its body complete.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers as received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn headers<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The member `error` of a JSON body; empty without one.
    #[must_use]
    pub fn error(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body.get("error").and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_default()
    }

    /// Whether the connection ends with this response.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Itself, if the status is `status`.
    ///
    /// # Panics
    /// If it is another.
    pub fn expect_status(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// Status, headers and body for a failure message.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} {:?}\n{}", self.status, self.headers, self.text())
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The socket's.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        Connection::over(TcpStream::connect(address)?)
    }

    /// Connects from a local address of choice: every `127.x.y.z` is one, so tests can come from many places.
    ///
    /// # Errors
    /// The socket's.
    pub fn open_from(source: IpAddr, address: SocketAddr) -> io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Ports of connections that just ended may be taken again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&address.into())?;
        Connection::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        Ok(Connection { stream, unread: Vec::new() })
    }

    /// Changes the longest wait for bytes.
    ///
    /// # Errors
    /// The socket's.
    pub fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The socket's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that no more will be written.
    ///
    /// # Errors
    /// The socket's.
    pub fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` when the server closed instead of answering.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.write(&request.bytes())?;
        self.read(request.method == "HEAD")
    }

    /// Sends a request up to its last byte and waits until the server has asked for the body: the request is then in
    /// flight. Returns the byte that completes it.
    ///
    /// # Errors
    /// The socket's.
    pub fn begin(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        let bytes = request.clone().header("expect", "100-continue").bytes();
        let (first, last) = bytes.split_at(bytes.len() - 1);
        self.write(first)?;
        let asked = self.read(true)?;
        if asked.status == 100 { Ok(last.to_vec()) } else { Err(io::Error::other(asked.shown())) }
    }

    /// Sends a request that the server may refuse, and close on, before it has read all of it.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_refusable(&mut self, request: &Request) -> io::Result<Response> {
        match self.write(&request.bytes()) {
            Ok(()) => {}
            Err(error) if is_closed(&error) => {}
            Err(error) => return Err(error),
        }
        self.read(false)
    }

    /// Reads one response; `bodiless` for the answer to a `HEAD`.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` when the server closed before the response was complete.
    pub fn read(&mut self, bodiless: bool) -> io::Result<Response> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            self.fill()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..head_end]).into_owned();
        self.unread.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.clone()))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        let length = response.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let has_body = !bodiless && !matches!(status, 100..=199 | 204 | 304);
        match length {
            _ if !has_body => {}
            Some(length) => {
                while self.unread.len() < length {
                    self.fill()?;
                }
                response.body = self.unread.drain(..length).collect();
            }
            None if response.header("transfer-encoding").is_some() => response.body = self.read_chunks()?,
            None => response.body = self.read_to_end()?,
        }
        Ok(response)
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                self.fill()?;
            };
            let size =
                std::str::from_utf8(&self.unread[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
            let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "chunk size"))?;
            while self.unread.len() < end + 2 + size + 2 {
                self.fill()?;
            }
            body.extend_from_slice(&self.unread[end + 2..end + 2 + size]);
            self.unread.drain(..end + 2 + size + 2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Everything until the server closes.
    ///
    /// # Errors
    /// The socket's, a wait that was too long among them; a reset counts as closed.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if is_closed(&error) => return Ok(std::mem::take(&mut self.unread)),
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

/// Whether an error means that the other side ended the connection.
#[must_use]
pub fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Pairs as `URLSearchParams` writes them: what Sigma's clients send and sign.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push_encoded(&mut out, name);
        out.push('=');
        push_encoded(&mut out, value);
    }
    out
}

fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _never = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// The value of one parameter of a URL's query, decoded.
#[must_use]
pub fn query_value(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = &rest[2..];
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}
