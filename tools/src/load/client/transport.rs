//! One non-blocking connection, plain or under TLS, as the HTTP/1.1 client reads and writes it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConnection, StreamOwned};

use super::tls::Tls;

/// A connection to the server.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Transport {
    /// Begins to connect; readiness tells when it is done.
    pub(crate) fn begin(address: SocketAddr, tls: Option<&Tls>) -> io::Result<Transport> {
        Self::over(TcpStream::connect(address)?, tls)
    }

    /// Connects, waiting for it: before the run its error is the clearest one. The handshake of TLS is part of it.
    pub(crate) fn connect(address: SocketAddr, tls: Option<&Tls>, wait: Duration) -> io::Result<Transport> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, wait)?;
        stream.set_nodelay(true)?;
        let client = match tls {
            Some(tls) => {
                stream.set_read_timeout(Some(wait))?;
                stream.set_write_timeout(Some(wait))?;
                let mut client = tls.client()?;
                while client.is_handshaking() {
                    client.complete_io(&mut stream)?;
                }
                Some(client)
            }
            None => None,
        };
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(match client {
            Some(client) => Transport::Tls(Box::new(StreamOwned::new(client, stream))),
            None => Transport::Plain(stream),
        })
    }

    fn over(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Transport> {
        Ok(match tls {
            Some(tls) => Transport::Tls(Box::new(StreamOwned::new(tls.client()?, stream))),
            None => Transport::Plain(stream),
        })
    }

    fn stream(&mut self) -> &mut TcpStream {
        match self {
            Transport::Plain(stream) => stream,
            Transport::Tls(tls) => &mut tls.sock,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.stream(), token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether a connection begun has been made; the error it failed with otherwise.
    pub(crate) fn is_connected(&mut self) -> io::Result<bool> {
        let stream = self.stream();
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => stream.set_nodelay(true).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Which protocol ALPN agreed on.
    pub(crate) fn agreed(&self) -> Option<Vec<u8>> {
        match self {
            Transport::Plain(_) => None,
            Transport::Tls(tls) => tls.conn.alpn_protocol().map(<[u8]>::to_vec),
        }
    }

    /// Sends what TLS has sealed but the socket did not take yet.
    pub(crate) fn push(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => {
                while tls.conn.wants_write() {
                    match tls.conn.write_tls(&mut tls.sock) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.read(buffer),
            Transport::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.write(bytes),
            Transport::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}
