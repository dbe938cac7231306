//! One connection held to its deadlines, and the table of a core's connections.
//!
//! No connection owns a timer. Each has a [`Phase`] and a deadline in sweep ticks; the core's sweeper looks at all of
//! them every [`SWEEP_MS`] and ends those that are late. That is one timer per core instead
//! of three per request, and it works the same on both runtimes.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::head_guard::Refusal;
use crate::limits::{LINGER_MS, SWEEP_MS};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The rest of a request body.
    Body,
    /// The handler: no deadline here, handlers bound their own waits.
    Handling,
    /// The rest of a request head, or the first byte ever.
    Header,
    /// The next request, or the peer reading our last answer.
    Idle,
    /// The rest of a refused body, to be dropped.
    Linger,
}

/// How long each phase may last, in sweep ticks.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a head (or from accept) to its end.
    pub header_ticks: u64,
    /// From the end of the head to the end of the body.
    pub body_ticks: u64,
    /// From an answer to the first byte of the next request.
    pub idle_ticks: u64,
    /// From the end of our side to the end of the peer's.
    pub linger_ticks: u64,
}

impl Deadlines {
    /// Deadlines from milliseconds, rounded up to whole ticks.
    #[must_use]
    pub fn from_ms(header_ms: u64, body_ms: u64, idle_ms: u64) -> Deadlines {
        let ticks = |ms: u64| ms.div_ceil(SWEEP_MS).max(1) + 1;
        Deadlines {
            header_ticks: ticks(header_ms),
            body_ticks: ticks(body_ms),
            idle_ticks: ticks(idle_ms),
            linger_ticks: ticks(LINGER_MS),
        }
    }
}

/// The shared part of one connection: written by its I/O and its handler, read by the sweeper.
#[derive(Debug)]
pub struct ConnState {
    table: Rc<ConnTable>,
    phase: Cell<Phase>,
    deadline_tick: Cell<u64>,
    close_after_response: Cell<bool>,
    end: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl ConnState {
    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Enters `phase`; its deadline starts now.
    pub fn enter(&self, phase: Phase) {
        let ticks = match phase {
            Phase::Body => self.table.deadlines.body_ticks,
            Phase::Handling => u64::MAX / 2,
            Phase::Header => self.table.deadlines.header_ticks,
            Phase::Idle => self.table.deadlines.idle_ticks,
            Phase::Linger => self.table.deadlines.linger_ticks,
        };
        self.phase.set(phase);
        self.deadline_tick.set(self.table.tick.get() + ticks);
    }

    /// The first bytes of a head arrived. More bytes of the same head do not move its deadline (slowloris).
    pub fn head_begun(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Header);
        }
    }

    /// This connection must end with the answer under way.
    pub fn close_after_response(&self) {
        self.close_after_response.set(true);
    }

    /// The body of this request, if it has one, is not going to be read: the connection must end with the answer,
    /// or its bytes would be taken for the next request.
    pub fn close_after_response_if_unread(&self, headers: &http::HeaderMap) {
        let has_body = headers.contains_key(http::header::TRANSFER_ENCODING)
            || headers.get(http::header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        if has_body {
            self.close_after_response();
        }
    }

    /// Whether this connection ends with bytes of a request that nobody will read.
    #[must_use]
    pub fn closes_unread(&self) -> bool {
        self.close_after_response.get()
    }

    /// Whether the answer must say `Connection: close`.
    #[must_use]
    pub fn closes_after_response(&self) -> bool {
        self.close_after_response.get() || self.table.draining.get()
    }

    /// Counts a refused head for the metrics.
    pub fn count_refusal(&self, refusal: Refusal) {
        (self.table.on_event)(ConnEvent::Refused(refusal));
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// What the connection table tells the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnEvent {
    /// A connection was accepted.
    Accepted,
    /// A connection was over the bound and closed at once.
    OverLimit,
    /// A connection ended.
    Ended,
    /// The sweeper ended a late connection.
    Late(Phase),
    /// The head guard refused a head.
    Refused(Refusal),
}

/// All connections of one core.
pub struct ConnTable {
    connections: RefCell<Vec<Option<Rc<ConnState>>>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
    connections_max: usize,
    tick: Cell<u64>,
    draining: Cell<bool>,
    deadlines: Deadlines,
    on_event: Box<dyn Fn(ConnEvent)>,
}

impl std::fmt::Debug for ConnTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnTable").field("count", &self.count.get()).finish_non_exhaustive()
    }
}

impl ConnTable {
    /// An empty table for at most `connections_max` connections.
    #[must_use]
    pub fn new(connections_max: usize, deadlines: Deadlines, on_event: Box<dyn Fn(ConnEvent)>) -> Rc<ConnTable> {
        Rc::new(ConnTable {
            connections: RefCell::default(),
            free: RefCell::default(),
            count: Cell::new(0),
            connections_max,
            tick: Cell::new(0),
            draining: Cell::new(false),
            deadlines,
            on_event,
        })
    }

    /// Takes a place for a new connection, or `None` when the table is full.
    #[must_use]
    pub fn admit(self: &Rc<Self>) -> Option<ConnPlace> {
        if self.count.get() >= self.connections_max {
            (self.on_event)(ConnEvent::OverLimit);
            return None;
        }
        let state = Rc::new(ConnState {
            table: Rc::clone(self),
            phase: Cell::new(Phase::Header),
            deadline_tick: Cell::new(self.tick.get() + self.deadlines.header_ticks),
            close_after_response: Cell::new(false),
            end: Cell::new(false),
            waker: RefCell::default(),
        });
        let mut connections = self.connections.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        connections[index] = Some(Rc::clone(&state));
        self.count.set(self.count.get() + 1);
        (self.on_event)(ConnEvent::Accepted);
        Some(ConnPlace { state, index })
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// One tick: ends every connection that is late.
    pub fn sweep(&self) {
        let now = self.tick.get() + 1;
        self.tick.set(now);
        for state in self.connections.borrow().iter().flatten() {
            if now >= state.deadline_tick.get() && !state.end.replace(true) {
                (self.on_event)(ConnEvent::Late(state.phase.get()));
                state.wake();
            }
        }
    }

    /// Starts draining: connections end after the answer they owe, idle ones at once.
    pub fn drain(&self) {
        self.draining.set(true);
        for state in self.connections.borrow().iter().flatten() {
            state.wake();
        }
    }

    /// Ends every connection now: the drain bound is over.
    pub fn end_all(&self) {
        for state in self.connections.borrow().iter().flatten() {
            state.end.set(true);
            state.wake();
        }
    }
}

/// A connection's place in the table; dropping it frees the place.
#[derive(Debug)]
pub struct ConnPlace {
    /// The connection's state.
    pub state: Rc<ConnState>,
    index: usize,
}

impl Drop for ConnPlace {
    fn drop(&mut self) {
        let table = &self.state.table;
        table.connections.borrow_mut()[self.index] = None;
        table.free.borrow_mut().push(self.index);
        table.count.set(table.count.get() - 1);
        (table.on_event)(ConnEvent::Ended);
    }
}

/// What the driver of a connection can ask of the HTTP library's connection.
pub trait Graceful: Future + Unpin {
    /// Finish the request under way, accept no other.
    fn finish(&mut self);
}

impl<I, S, B> Graceful for hyper::server::conn::http1::Connection<I, S>
where
    Self: Future + Unpin,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// Runs a connection until it ends by itself, is late, or is drained.
pub struct Driven<C> {
    connection: C,
    place: ConnPlace,
    finishing: bool,
}

impl<C: Graceful> Driven<C> {
    /// Holds `connection` to the deadlines of `place`.
    pub fn new(connection: C, place: ConnPlace) -> Driven<C> {
        Driven { connection, place, finishing: false }
    }
}

impl<C: Graceful> Future for Driven<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = &this.place.state;
        if state.end.get() {
            return Poll::Ready(());
        }
        if state.table.draining.get() && !this.finishing {
            this.finishing = true;
            this.connection.finish();
        }
        {
            let mut waker = state.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        Pin::new(&mut this.connection).poll(cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections_max: usize) -> (Rc<ConnTable>, Rc<RefCell<Vec<ConnEvent>>>) {
        let events = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&events);
        let deadlines = Deadlines { header_ticks: 3, body_ticks: 5, idle_ticks: 10, linger_ticks: 4 };
        (ConnTable::new(connections_max, deadlines, Box::new(move |event| sink.borrow_mut().push(event))), events)
    }

    #[test]
    fn a_full_table_admits_nobody_and_a_freed_place_is_used_again() {
        let (table, events) = table(2);
        let first = table.admit().unwrap();
        let second = table.admit().unwrap();
        assert!(table.admit().is_none());
        drop(first);
        assert_eq!(table.admit().unwrap().index, 0);
        drop(second);
        assert_eq!(table.count(), 0);
        assert!(events.borrow().contains(&ConnEvent::OverLimit));
    }

    #[test]
    fn attack_108_a_trickling_head_does_not_move_its_deadline() {
        let (table, events) = table(1);
        let place = table.admit().unwrap();
        for _ in 0..2 {
            place.state.head_begun();
            table.sweep();
        }
        assert!(!place.state.end.get());
        place.state.head_begun();
        table.sweep();
        assert!(place.state.end.get());
        assert_eq!(events.borrow().last(), Some(&ConnEvent::Late(Phase::Header)));
    }

    #[test]
    fn a_handler_has_no_deadline_here() {
        let (table, _) = table(1);
        let place = table.admit().unwrap();
        place.state.enter(Phase::Handling);
        (0..1000).for_each(|_| table.sweep());
        assert!(!place.state.end.get());
        place.state.enter(Phase::Idle);
        (0..10).for_each(|_| table.sweep());
        assert!(place.state.end.get());
    }
}
