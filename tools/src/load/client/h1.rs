//! HTTP/1.1: one thread, one epoll, keep-alive connections with one request in flight each, requests serialised
//! beforehand, one write and one read per answer. Sleeps when nothing is due, unless told that its core is its own.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::alarm::{Alarm, LATE};
use super::response::{Parser, Progress};
use super::transport::Transport;
use super::{GONE_AFTER, Overseer, RETRY_AFTER, SWEEP, Wire, kind_of};
use crate::clock;
use crate::limits::LOAD_ANSWER_BYTES_MAX;
use crate::load::journey::{Answer, Head};
use crate::load::shift::{Active, Shift, UNANSWERED};

/// Room each connection has for a response before it must grow, in bytes.
const RECEIVE_BYTES: usize = 16 * 1024;
/// Readiness events taken from the kernel at once.
const EVENTS_COUNT: usize = 1024;
/// Longest wait for a connection before the run.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The alarm's token; connections count from zero.
const ALARM: Token = Token(usize::MAX);

/// Works a shift; `began` is the run's zero.
///
/// # Errors
/// If the system gives no sockets or no epoll. What the server does wrong is counted, not returned.
pub(crate) fn work(shift: &mut Shift, mut crowd: Crowd, began: Instant, by: &Overseer<'_>) -> io::Result<()> {
    let mut events = Events::with_capacity(EVENTS_COUNT);
    let mut swept = Duration::ZERO;
    let drained_by = shift.tally.window.end() + crowd.wire.timeout;
    let mut now = clock::now().duration_since(began);
    loop {
        shift.arrive(now);
        while let Some(index) = crowd.free.pop() {
            crowd.slots[index].is_free = false;
            if !crowd.slots[index].is_idle() {
                continue;
            }
            let Some(active) = shift.begin(now) else {
                crowd.release(index);
                break;
            };
            crowd.send(index, active, shift, now);
        }
        if shift.is_finished(now) || now >= drained_by {
            break;
        }
        crowd.wait(&mut events, shift, now)?;
        now = clock::now().duration_since(began);
        for event in &events {
            if event.token() != ALARM {
                crowd.advance(event, shift, now);
                // Later answers of this round must not seem as early as the first one.
                now = clock::now().duration_since(began);
            }
        }
        if now >= swept + SWEEP {
            swept = now;
            crowd.sweep(shift, now);
            by.live.publish(&shift.tally, now);
            if by.interrupt.is_set() {
                shift.stop(now, Some("interrupted".to_owned()));
                break;
            }
        }
    }
    crowd.abandon(shift, now);
    by.live.publish(&shift.tally, now);
    Ok(())
}

/// All connections of a worker.
pub(crate) struct Crowd {
    wire: Wire,
    poll: Poll,
    alarm: Alarm,
    slots: Vec<Slot>,
    /// Connections without work, the one used last on top.
    free: Vec<usize>,
    /// Since when no connection could be made.
    failing_since: Option<Duration>,
}

impl Crowd {
    /// Connects everybody, before the clock runs.
    ///
    /// # Errors
    /// If the first connection cannot be made.
    pub(crate) fn connect(wire: &Wire) -> io::Result<Crowd> {
        let poll = Poll::new()?;
        let alarm = Alarm::new()?;
        poll.registry().register(&mut SourceFd(&alarm.as_raw_fd()), ALARM, Interest::READABLE)?;
        let mut slots = Vec::with_capacity(wire.connections);
        for index in 0..wire.connections {
            let mut transport = Transport::connect(wire.address, wire.tls.as_ref(), CONNECT_WAIT)?;
            transport.register(poll.registry(), Token(index))?;
            slots.push(Slot::new(transport));
        }
        let free = (0..wire.connections).rev().collect();
        Ok(Crowd { wire: wire.clone(), poll, alarm, slots, free, failing_since: None })
    }

    /// A connection without work; it stands among the free ones once.
    fn release(&mut self, index: usize) {
        if !std::mem::replace(&mut self.slots[index].is_free, true) {
            self.free.push(index);
        }
    }

    /// Waits for the network, the next arrival, or the next sweep.
    fn wait(&mut self, events: &mut Events, shift: &Shift, now: Duration) -> io::Result<()> {
        let mut wait = if self.wire.spins { Duration::ZERO } else { SWEEP };
        if let Some(at) = shift.next_arrival() {
            let left = at.saturating_sub(now).saturating_sub(LATE);
            if left < wait {
                wait = left;
                if !left.is_zero() {
                    self.alarm.set(left)?;
                    // The alarm ends the wait; epoll counts milliseconds.
                    wait = SWEEP;
                }
            }
        }
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn send(&mut self, index: usize, active: Active, shift: &mut Shift, now: Duration) {
        self.slots[index].take_on(active);
        if let Err(error) = self.slots[index].write() {
            self.broke(index, Cow::Borrowed(kind_of(&error)), shift, now);
        }
    }

    /// Carries a connection as far as it goes without blocking.
    fn advance(&mut self, event: &Event, shift: &mut Shift, now: Duration) {
        let index = event.token().0;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(transport) = &mut slot.transport else { return };
        if slot.is_connecting {
            match transport.is_connected() {
                Ok(false) => return,
                Ok(true) => {
                    slot.is_connecting = false;
                    self.failing_since = None;
                    if slot.active.is_none() {
                        self.release(index);
                    }
                }
                Err(error) => return self.not_connected(index, &error, shift, now),
            }
        }
        let slot = &mut self.slots[index];
        if let Err(error) = slot.write() {
            return self.broke(index, Cow::Borrowed(kind_of(&error)), shift, now);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(index, shift, now);
        }
    }

    fn read(&mut self, index: usize, shift: &mut Shift, now: Duration) {
        let slot = &mut self.slots[index];
        let Some(transport) = &mut slot.transport else { return };
        loop {
            if slot.filled == slot.received.len() {
                if slot.received.len() >= LOAD_ANSWER_BYTES_MAX {
                    return self.broke(index, Cow::Borrowed("answer too long"), shift, now);
                }
                slot.received.resize(2 * slot.received.len(), 0);
            }
            let (bytes, is_closed) = match transport.read(&mut slot.received[slot.filled..]) {
                Ok(bytes) => (bytes, bytes == 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => (0, true),
                Err(error) => return self.broke(index, Cow::Borrowed(kind_of(&error)), shift, now),
            };
            slot.filled += bytes;
            if slot.active.is_none() {
                // An idle connection has nothing to say but its end.
                return self.broke(index, Cow::Borrowed("bytes without a request"), shift, now);
            }
            match slot.parser.advance(&slot.received[..slot.filled], is_closed) {
                Progress::Partial => {}
                Progress::Malformed("closed early") => {
                    return self.broke(index, Cow::Borrowed("connection closed before the answer"), shift, now);
                }
                Progress::Malformed(why) => {
                    return self.broke(index, Cow::Owned(format!("bad HTTP: {why}")), shift, now);
                }
                Progress::Complete => return self.answered(index, shift, now),
            }
        }
    }

    fn answered(&mut self, index: usize, shift: &mut Shift, now: Duration) {
        let slot = &mut self.slots[index];
        let closes = slot.parser.closes() || !slot.is_written();
        let Some(active) = slot.active.take() else { return };
        let received = &slot.received[..slot.filled];
        let answer = Answer {
            status: slot.parser.status(),
            head: Head::Raw(slot.parser.head(received)),
            body: slot.parser.body(received),
        };
        let next = shift.answered(active, &answer, now);
        slot.filled = 0;
        if closes {
            // The server ends the connection after this answer; a journey goes on over the next one.
            if let Some(active) = next {
                slot.take_on(active);
            }
            self.reopen(index, shift, now);
        } else if let Some(active) = next.or_else(|| shift.begin(now)) {
            self.send(index, active, shift, now);
        } else {
            self.release(index);
        }
    }

    /// The connection is of no use any more; its journey failed, if it had one.
    fn broke(&mut self, index: usize, kind: Cow<'static, str>, shift: &mut Shift, now: Duration) {
        if let Some(active) = self.slots[index].active.take() {
            shift.broke(&active, kind, now);
        }
        self.reopen(index, shift, now);
    }

    /// Drops the connection and begins another, if there is use for one. Its index may still stand among the free ones;
    /// whoever takes it from there looks whether it is idle.
    fn reopen(&mut self, index: usize, shift: &mut Shift, now: Duration) {
        let slot = &mut self.slots[index];
        slot.transport = None;
        slot.is_connecting = false;
        if shift.is_over(now) && slot.active.is_none() {
            return;
        }
        shift.tally.reconnects += 1;
        self.begin_connecting(index, shift, now);
    }

    fn begin_connecting(&mut self, index: usize, shift: &mut Shift, now: Duration) {
        let transport = Transport::begin(self.wire.address, self.wire.tls.as_ref()).and_then(|mut transport| {
            transport.register(self.poll.registry(), Token(index))?;
            Ok(transport)
        });
        match transport {
            Ok(transport) => {
                let slot = &mut self.slots[index];
                slot.transport = Some(transport);
                slot.is_connecting = true;
                slot.begun_at = now;
            }
            Err(error) => self.not_connected(index, &error, shift, now),
        }
    }

    fn not_connected(&mut self, index: usize, error: &io::Error, shift: &mut Shift, now: Duration) {
        let slot = &mut self.slots[index];
        slot.transport = None;
        slot.is_connecting = false;
        slot.retry_at = now + RETRY_AFTER;
        let kind = kind_of(error);
        match slot.active.take() {
            Some(active) => shift.broke(&active, Cow::Borrowed(kind), now),
            None => shift.not_connected(Cow::Borrowed(kind), now),
        }
        let since = *self.failing_since.get_or_insert(now);
        let silent_since = shift.last_answer().map_or(since, |at| at.max(since));
        if now >= silent_since + GONE_AFTER {
            shift.stop(now, Some(format!("the server stopped answering ({kind})")));
        }
    }

    /// Tries failed connections again and ends requests that nobody answers.
    fn sweep(&mut self, shift: &mut Shift, now: Duration) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.transport.is_none() && now >= slot.retry_at && (!shift.is_over(now) || slot.active.is_some()) {
                self.begin_connecting(index, shift, now);
            } else if slot.is_connecting && now >= slot.begun_at + CONNECT_WAIT {
                self.not_connected(index, &io::ErrorKind::TimedOut.into(), shift, now);
            } else if slot.active.as_ref().is_some_and(|active| now >= active.sent() + self.wire.timeout) {
                self.broke(index, Cow::Borrowed("timeout"), shift, now);
            }
        }
    }

    /// The run is over for whoever is still waiting.
    fn abandon(&mut self, shift: &mut Shift, now: Duration) {
        let is_interrupted = shift.tally.stopped.is_some();
        for slot in &mut self.slots {
            if let Some(active) = slot.active.take() {
                // Whoever stops a run does not call what it cuts off an error.
                if is_interrupted {
                    shift.cut_off();
                } else {
                    shift.broke(&active, Cow::Borrowed(UNANSWERED), now);
                }
            }
        }
    }
}

struct Slot {
    transport: Option<Transport>,
    is_connecting: bool,
    is_free: bool,
    begun_at: Duration,
    retry_at: Duration,
    received: Vec<u8>,
    filled: usize,
    parser: Parser,
    active: Option<Active>,
    /// Bytes of the request that the connection took.
    written: usize,
}

impl Slot {
    fn new(transport: Transport) -> Slot {
        Slot {
            transport: Some(transport),
            is_connecting: false,
            is_free: true,
            begun_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            received: vec![0; RECEIVE_BYTES],
            filled: 0,
            parser: Parser::default(),
            active: None,
            written: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.transport.is_some() && !self.is_connecting && self.active.is_none()
    }

    fn take_on(&mut self, active: Active) {
        self.parser.reset(active.request.method == "HEAD");
        self.filled = 0;
        self.written = 0;
        self.active = Some(active);
    }

    fn is_written(&self) -> bool {
        self.active.as_ref().is_none_or(|active| self.written >= active.request.wire.len())
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        if let Some(active) = &self.active {
            let wire = &active.request.wire;
            while self.written < wire.len() {
                match transport.write(&wire[self.written..]) {
                    Ok(bytes) => self.written += bytes,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        transport.push()
    }
}
