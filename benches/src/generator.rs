//! A closed-loop HTTP/1.1 load generator that is not the bottleneck: one thread, one epoll, keep-alive connections with
//! one request each in flight, requests serialised beforehand, one read and one write per answer.
//!
//! Closed loop: a slow server slows the generator, so latency says how long an answer took with this many connections
//! waiting, not what an open crowd of users would see.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::figures::{Figures, Tally};
use crate::response::{Response, Scan, scan};

/// Room each connection has for a response before it must grow, in bytes.
const RECEIVE_BYTES: usize = 16 * 1024;
/// Readiness events taken from the kernel at once.
const EVENTS_COUNT: usize = 1024;
/// Connections that may break before a run is given up: a dead server must not turn into a busy loop.
const BROKEN_CONNECTIONS: u64 = 1_000;

/// How long, how wide, and what each answer must hold.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Keep-alive connections, one request in flight on each.
    pub connections: usize,
    /// How much is sent.
    pub extent: Extent,
    /// Text every body must contain, such as `"active":true`.
    pub expect: Option<String>,
}

/// Which requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Each request once, in order; the run ends with the last answer.
    Once,
    /// The list round and round; answers within `warm_up` are not counted.
    Rotate {
        /// Before counting.
        warm_up: Duration,
        /// While counting.
        duration: Duration,
    },
}

/// Runs `requests` against a server.
///
/// # Errors
/// If the server cannot be reached, or so many connections break that the figures would mean nothing.
pub fn run(load: &Load, requests: &[Vec<u8>]) -> io::Result<Figures> {
    run_with(load, requests, |_, _, _| {})
}

/// Sends each request once and hands back status and body, in request order.
///
/// # Errors
/// As [`run`]; also if a request was left unanswered because its connection broke.
pub fn fetch(address: SocketAddr, connections: usize, requests: &[Vec<u8>]) -> io::Result<Vec<(u16, Vec<u8>)>> {
    let load = Load { address, connections, extent: Extent::Once, expect: None };
    let mut answers = vec![None; requests.len()];
    run_with(&load, requests, |index, response, body| answers[index] = Some((response.status, body.to_vec())))?;
    answers.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| io::Error::other("a request was left unanswered"))
}

/// [`run`], with a look at each answer: request index, response, body.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    load: &Load,
    requests: &[Vec<u8>],
    mut on_response: impl FnMut(usize, &Response, &[u8]),
) -> io::Result<Figures> {
    if requests.is_empty() || load.connections == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to send: no request or no connection"));
    }
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS_COUNT);
    let expect = load.expect.as_ref().map(|text| Finder::new(text.as_bytes()));
    let mut run = Run { requests, extent: load.extent, next: 0, tally: Tally::default() };

    let started = Instant::now();
    let (mut counted_from, ends_at) = match load.extent {
        Extent::Once => (started, None),
        Extent::Rotate { warm_up, duration } => (started + warm_up, Some(started + warm_up + duration)),
    };
    let mut warming = counted_from > started;

    let connections = match load.extent {
        Extent::Once => load.connections.min(requests.len()),
        Extent::Rotate { .. } => load.connections,
    };
    let mut crowd = Vec::with_capacity(connections);
    for index in 0..connections {
        crowd.push(Connection::open(load.address, &poll, Token(index))?);
    }
    let mut busy = connections;
    let mut last_answer = started;

    while busy > 0 {
        // Never asleep: waking a sleeping generator is work of the server's core, and a faster server, which keeps the
        // generator busy, would pay less of it than a slower one.
        match poll.poll(&mut events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut now = Instant::now();
        for event in &events {
            let connection = &mut crowd[event.token().0];
            match connection.advance(&mut run, now, expect.as_ref(), &mut on_response) {
                Ok(Step::Answered) => {
                    now = Instant::now();
                    last_answer = now;
                }
                Ok(Step::Waiting) => {}
                Ok(Step::Finished) => {
                    last_answer = now;
                    busy -= 1;
                }
                Err(error) => {
                    run.tally.broken += 1;
                    if run.tally.broken > BROKEN_CONNECTIONS {
                        return Err(error);
                    }
                    *connection = Connection::open(load.address, &poll, event.token())?;
                }
            }
        }
        if warming && now >= counted_from {
            warming = false;
            counted_from = now;
            run.tally = Tally::default();
        }
        if ends_at.is_some_and(|end| now >= end) {
            break;
        }
    }
    if run.tally.responses == 0 {
        return Err(io::Error::other(format!("no answer; {} connections broke", run.tally.broken)));
    }
    let until = if ends_at.is_some() { Instant::now() } else { last_answer };
    Ok(Figures::new(&run.tally, until.duration_since(counted_from).as_secs_f64()))
}

/// What all connections of a run share.
struct Run<'run> {
    requests: &'run [Vec<u8>],
    extent: Extent,
    next: usize,
    tally: Tally,
}

impl Run<'_> {
    /// The next request's index, or `None` when each was sent once and that is enough.
    fn take(&mut self) -> Option<usize> {
        if self.next == self.requests.len() {
            match self.extent {
                Extent::Once => return None,
                Extent::Rotate { .. } => self.next = 0,
            }
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

enum Step {
    Answered,
    Finished,
    Waiting,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    received_bytes: usize,
    head: Option<Response>,
    /// The request in flight and how much of it is written; `None` before the first.
    request: Option<(usize, usize)>,
    sent_at: Instant,
    /// Each request was sent once, and this connection's last answer has come.
    finished: bool,
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, token: Token) -> io::Result<Connection> {
        // A blocking connect: set-up is not measured, and its error is the clearest one.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection {
            stream,
            received: vec![0; RECEIVE_BYTES],
            received_bytes: 0,
            head: None,
            request: None,
            sent_at: Instant::now(),
            finished: false,
        })
    }

    /// Carries this connection as far as it goes without blocking: writes, reads, counts an answer, writes the next.
    fn advance(
        &mut self,
        run: &mut Run<'_>,
        now: Instant,
        expect: Option<&Finder<'_>>,
        on_response: &mut impl FnMut(usize, &Response, &[u8]),
    ) -> io::Result<Step> {
        if self.finished {
            return Ok(Step::Waiting);
        }
        let Some((index, _)) = self.request else { return self.send_next(run, now) };
        self.write(&run.requests[index])?;
        loop {
            if self.received_bytes == self.received.len() {
                let room = self.head.map_or(0, |head| head.bytes()).max(2 * self.received.len());
                self.received.resize(room, 0);
            }
            match self.stream.read(&mut self.received[self.received_bytes..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => self.received_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Waiting),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            match scan(&self.received[..self.received_bytes], self.head) {
                Scan::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP/1.1 response")),
                Scan::Partial(head) => self.head = head,
                Scan::Complete(response) => {
                    let body = &self.received[response.head_bytes..response.bytes()];
                    let tally = &mut run.tally;
                    tally.responses += 1;
                    tally.body_bytes += body.len() as u64;
                    tally.statuses[usize::from(response.status)] += 1;
                    tally.unexpected += u64::from(expect.is_some_and(|text| text.find(body).is_none()));
                    tally.latency_ns.saturating_record(now.duration_since(self.sent_at).as_nanos() as u64);
                    on_response(index, &response, body);
                    self.head = None;
                    self.received_bytes = 0;
                    if response.closes {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    return self.send_next(run, now);
                }
            }
        }
    }

    fn send_next(&mut self, run: &mut Run<'_>, now: Instant) -> io::Result<Step> {
        self.request = run.take().map(|index| (index, 0));
        let Some((index, _)) = self.request else {
            self.finished = true;
            return Ok(Step::Finished);
        };
        self.sent_at = now;
        self.write(&run.requests[index])?;
        Ok(Step::Answered)
    }

    fn write(&mut self, request: &[u8]) -> io::Result<()> {
        let Some((_, written)) = &mut self.request else { return Ok(()) };
        while *written < request.len() {
            match self.stream.write(&request[*written..]) {
                Ok(bytes) => *written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "generator/tests.rs"]
mod tests;
