//! Servers that answer as a test wants: one thread per connection, a reply by number or by path.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What is answered.
pub enum Reply {
    /// After so many milliseconds.
    AfterMs(u64),
    /// Nothing, ever; the connection stays open.
    Never,
    /// These bytes; a connection whose reply is not framed by a good length is closed after it.
    Raw(&'static str),
    /// A status and a body.
    Status(u16, &'static str),
}

impl Reply {
    pub fn ok(body: &'static str) -> Reply {
        Reply::Status(200, body)
    }
    pub fn status(status: u16) -> Reply {
        Reply::Status(status, "")
    }
    pub fn after_ms(ms: u64) -> Reply {
        Reply::AfterMs(ms)
    }
}

#[derive(Default)]
struct Count {
    requests: Mutex<u64>,
    changed: Condvar,
}

/// A server on loopback; its threads end with the test's process.
pub struct Server {
    pub origin: String,
    count: Arc<Count>,
}

impl Server {
    /// Replies by the number of the request, from 1.
    pub fn start(reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Server {
        Self::serve(move |number, _| reply(number))
    }

    /// Replies by path, without its query.
    pub fn start_by_path(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
        Self::serve(move |_, path| reply(path))
    }

    fn serve(reply: impl Fn(u64, &str) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let (count, reply) = (Arc::<Count>::default(), Arc::new(reply));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, reply) = (Arc::clone(&counted), Arc::clone(&reply));
                std::thread::spawn(move || connection(stream, &count, &*reply));
            }
        });
        Server { origin, count }
    }

    /// Requests so far.
    pub fn answered(&self) -> u64 {
        *self.count.requests.lock().expect("no thread panics with it")
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, requests: u64) {
        let held = self.count.requests.lock().expect("no thread panics with it");
        let patience = Duration::from_secs(30);
        let (held, _) =
            self.count.changed.wait_timeout_while(held, patience, |seen| *seen < requests).expect("no thread panics");
        assert!(*held >= requests, "{held} requests within {patience:?}");
    }
}

fn connection(stream: TcpStream, count: &Count, reply: &dyn Fn(u64, &str) -> Reply) {
    let _nodelay = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(path) = request(&mut reader) {
        let number = {
            let mut requests = count.requests.lock().expect("no thread panics with it");
            *requests += 1;
            count.changed.notify_all();
            *requests
        };
        let stream = reader.get_mut();
        let write = |stream: &mut TcpStream, status: u16, body: &str| {
            stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        };
        let written = match reply(number, &path) {
            Reply::Status(status, body) => write(stream, status, body),
            Reply::AfterMs(ms) => {
                // An event that never comes, waited for so long.
                let (_never, wait) = std::sync::mpsc::channel::<()>();
                let _timeout = wait.recv_timeout(Duration::from_millis(ms));
                write(stream, 200, "{}")
            }
            Reply::Raw(bytes) => {
                let written = stream.write_all(bytes.as_bytes());
                if !bytes.contains("chunked") && !bytes.contains("content-length: 0") {
                    return;
                }
                written
            }
            Reply::Never => continue,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads a request; its path, or `None` at the end.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        path = path.or_else(|| line.split([' ', '?']).nth(1).map(str::to_owned));
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    path
}

/// An origin where nobody listens.
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// HTTP/2, with prior knowledge or by ALPN; TLS without `h2` speaks HTTP/1.1.
pub mod h2 {
    use std::io;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// A server that answers everything with 200; its origin.
    pub fn start(protocols: Option<&[&str]>) -> String {
        let acceptor = protocols.map(acceptor);
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let origin = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        match acceptor {
                            None => drop(http2(stream).await),
                            Some(acceptor) => {
                                let Ok(stream) = acceptor.accept(stream).await else { return };
                                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                                    drop(http2(stream).await);
                                } else {
                                    drop(http1(stream).await);
                                }
                            }
                        }
                    });
                }
            });
        });
        origin
    }

    fn acceptor(protocols: &[&str]) -> TlsAcceptor {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load");
        let certificate = CertificateDer::from_pem_file(format!("{folder}/server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(format!("{folder}/server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a key for its certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), h2::Error> {
        let mut connection = h2::server::handshake(stream).await?;
        while let Some(request) = connection.accept().await {
            let (_, mut respond) = request?;
            let mut body = respond.send_response(http::Response::new(()), false)?;
            body.send_data("{}".into(), true)?;
        }
        Ok(())
    }

    async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut received = Vec::new();
        while stream.read_buf(&mut received).await? > 0 {
            while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                received.drain(..end + 4);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }
}
