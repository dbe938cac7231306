//! How requests reach the server: HTTP/1.1 by hand (the fast one) or HTTP/2, plain or under TLS. Both drive the same
//! [`Shift`](super::shift::Shift).

pub(crate) mod alarm;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod response;
pub(crate) mod tls;
pub(crate) mod transport;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::live::Live;
use crate::interrupt::Interrupt;

/// How a worker speaks to the server.
#[derive(Clone)]
pub(crate) struct Wire {
    pub address: SocketAddr,
    /// What `Host` and `:authority` say.
    pub authority: String,
    pub tls: Option<tls::Tls>,
    pub is_http2: bool,
    pub connections: usize,
    /// Requests in flight on one HTTP/2 connection.
    pub streams: usize,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Never sleep: for a generator with a core of its own.
    pub spins: bool,
}

/// Who may look at a run and end it.
pub(crate) struct Overseer<'a> {
    pub interrupt: &'a Interrupt,
    pub live: &'a Live,
}

/// A server that has answered nothing for this long while connections fail is gone.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(3);
/// How often a worker looks for timeouts, Ctrl-C and the live view.
pub(crate) const SWEEP: Duration = Duration::from_millis(50);
/// Before a failed connection is tried again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The kind that an error of the network is counted as.
pub(crate) fn kind_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => "connection closed before the answer",
        io::ErrorKind::BrokenPipe => "connection closed while writing",
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::InvalidData => "bad TLS",
        _ => "network error",
    }
}
