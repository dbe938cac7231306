//! One worker's part of a run, without its sockets: which journeys begin when, what becomes of them, what is counted.
//!
//! Open loop: arrivals come when the pace says, wait in a bounded backlog while every connection is busy, and their latency
//! counts from when they were due, so that a stall of server or generator cannot hide. Closed loop: a free connection
//! begins the next journey at once. Pure: the present is an argument.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::journey::{Answer, Journey, Kind, Moment, Next, Request, Scenario};
use super::pace::Pace;
use super::tally::{Tally, Window, nanoseconds};
use crate::limits::BACKLOG_MAX;

/// Arrivals that found the backlog full.
pub(crate) const BACKLOG_FULL: &str = "never sent: backlog full";
/// Arrivals that no connection took before the run ended.
pub(crate) const NEVER_SENT: &str = "never sent: no free connection until the end";
/// Requests without an answer when the run ended.
pub(crate) const UNANSWERED: &str = "unanswered at the end";

/// A worker's state.
pub(crate) struct Shift {
    scenario: Box<dyn Scenario>,
    pace: Option<Pace>,
    backlog: VecDeque<Duration>,
    started_unix_ms: u64,
    is_exhausted: bool,
    is_stopped: bool,
    in_flight: usize,
    last_answer: Option<Duration>,
    pub tally: Tally,
}

/// A journey with a request in flight.
pub(crate) struct Active {
    journey: Box<dyn Journey>,
    intended: Duration,
    sent: Duration,
    pub request: Arc<Request>,
}

impl Active {
    /// When the present request was given to its connection.
    pub(crate) fn sent(&self) -> Duration {
        self.sent
    }
}

impl Shift {
    /// `steps` is how many steps the scenario has; without a pace the loop is closed.
    pub(crate) fn new(
        scenario: Box<dyn Scenario>,
        pace: Option<Pace>,
        window: Window,
        steps: usize,
        unix_ms: u64,
    ) -> Shift {
        Shift {
            scenario,
            pace,
            backlog: VecDeque::new(),
            started_unix_ms: unix_ms,
            is_exhausted: false,
            is_stopped: false,
            in_flight: 0,
            last_answer: None,
            tally: Tally::new(window, steps),
        }
    }

    fn moment(&self, now: Duration) -> Moment {
        let elapsed_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Moment { unix_ms: self.started_unix_ms.saturating_add(elapsed_ms) }
    }

    /// Takes in what is due. To be called whenever time may have passed.
    pub(crate) fn arrive(&mut self, now: Duration) {
        let end = self.tally.window.end();
        while let Some(at) = self.pace.as_mut().and_then(|pace| pace.take(now)) {
            if at >= end || self.is_stopped {
                self.is_exhausted = true;
                break;
            }
            if self.tally.window.holds(at) {
                self.tally.intended += 1;
                self.tally.pickup.saturating_record(nanoseconds(now.saturating_sub(at)));
            }
            if self.backlog.len() < BACKLOG_MAX {
                self.backlog.push_back(at);
            } else {
                self.lost(at, BACKLOG_FULL);
            }
        }
    }

    fn lost(&mut self, at: Duration, kind: &'static str) {
        if self.tally.window.holds(at) {
            self.tally.error(Cow::Borrowed(kind), 1);
            if let Some(point) = self.tally.point(at) {
                point.errors += 1;
            }
        }
    }

    /// A journey for a free connection, if one is due.
    pub(crate) fn begin(&mut self, now: Duration) -> Option<Active> {
        loop {
            if self.is_exhausted && self.backlog.is_empty() {
                return None;
            }
            let intended = match &self.pace {
                None if now >= self.tally.window.end() || self.is_stopped => {
                    self.is_exhausted = true;
                    return None;
                }
                None => now,
                Some(_) => self.backlog.pop_front()?,
            };
            let at = self.moment(now);
            let Some(mut journey) = self.scenario.begin(at) else {
                self.is_exhausted = true;
                self.backlog.clear();
                return None;
            };
            let holds = self.tally.window.holds(intended);
            if holds {
                self.tally.intended += u64::from(self.pace.is_none());
                let late = now.saturating_sub(intended);
                self.tally.waited += u64::from(late > Duration::from_millis(1));
                self.tally.lateness.saturating_record(nanoseconds(late));
            }
            match journey.start(at) {
                Next::Send(request) => {
                    self.in_flight += 1;
                    return Some(Active { journey, intended, sent: now, request });
                }
                Next::Done => {}
                Next::Failed(kind) => self.failed(intended, kind, now, false),
            }
        }
    }

    /// Gives an answer to its journey; returns it when another request follows.
    pub(crate) fn answered(&mut self, mut active: Active, answer: &Answer<'_>, now: Duration) -> Option<Active> {
        self.last_answer = Some(now);
        if self.tally.window.holds(now) {
            self.tally.requests += 1;
            self.tally.body_bytes += answer.body.len() as u64;
            *self.tally.statuses.entry(answer.status).or_default() += 1;
            if let Some(step) = self.tally.steps.get_mut(active.request.step) {
                step.answers += 1;
                step.latency.saturating_record(nanoseconds(now.saturating_sub(active.sent)));
            }
        }
        let at = self.moment(now);
        match active.journey.answer(answer, at) {
            Next::Send(request) => {
                active.request = request;
                active.sent = now;
                return Some(active);
            }
            Next::Done => self.done(active.intended, now),
            Next::Failed(kind) => self.failed(active.intended, kind, now, false),
        }
        self.in_flight -= 1;
        None
    }

    /// A journey's connection broke, or its answer did not come.
    pub(crate) fn broke(&mut self, active: &Active, kind: Kind, now: Duration) {
        self.in_flight -= 1;
        self.failed(active.intended, kind, now, true);
    }

    /// Whoever stops a run does not call what it cuts off an error.
    pub(crate) fn cut_off(&mut self) {
        self.in_flight -= 1;
    }

    fn done(&mut self, intended: Duration, now: Duration) {
        let latency = now.saturating_sub(intended);
        if self.tally.window.holds(intended) {
            self.tally.latency.saturating_record(nanoseconds(latency));
        }
        if let Some(point) = self.tally.point(now) {
            point.completed += 1;
            point.latency_us.saturating_record(nanoseconds(latency) / 1000);
            self.tally.completed += 1;
        }
    }

    /// An answer that is wrong but came is no latency; one that never came took at least until now.
    fn failed(&mut self, intended: Duration, kind: Kind, now: Duration, is_missing: bool) {
        if !self.tally.window.holds(intended) {
            return;
        }
        self.tally.error(kind, 1);
        if is_missing {
            self.tally.latency.saturating_record(nanoseconds(now.saturating_sub(intended)));
        }
        // What ends in the drain after the window belongs to its last point.
        let at = now.min(self.tally.window.end() - Duration::from_nanos(1));
        if let Some(point) = self.tally.point(at) {
            point.errors += 1;
        }
    }

    /// An error that is no journey's: a connection that could not be made.
    pub(crate) fn not_connected(&mut self, kind: Kind, now: Duration) {
        if self.tally.window.holds(now) || self.last_answer.is_none() {
            self.tally.error(kind, 1);
        }
    }

    /// No journey begins any more: Ctrl-C, or the server is gone.
    pub(crate) fn stop(&mut self, now: Duration, why: Option<String>) {
        if self.is_stopped {
            return;
        }
        self.is_stopped = true;
        self.is_exhausted = true;
        self.backlog.clear();
        self.tally.stopped = why;
        // A window that ended by itself was measured in full.
        let measured = now.saturating_sub(self.tally.window.warm_up);
        self.tally.measured = measured.min(self.tally.window.duration);
    }

    /// Whether nothing more will begin.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.is_stopped || (self.is_exhausted && self.backlog.is_empty()) || now >= self.tally.window.end()
    }

    /// Whether nothing waits and nothing is in flight after the end.
    pub(crate) fn is_finished(&self, now: Duration) -> bool {
        self.is_over(now) && self.in_flight == 0 && self.backlog.is_empty()
    }

    /// When the next arrival is due; `None` in a closed loop or when all have come.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.pace.as_ref().filter(|_| !self.is_exhausted).and_then(Pace::next_at)
    }

    pub(crate) fn is_open_loop(&self) -> bool {
        self.pace.is_some()
    }

    /// When the latest answer came.
    pub(crate) fn last_answer(&self) -> Option<Duration> {
        self.last_answer
    }

    /// Arrivals that no connection has taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Whoever is still in flight is counted as this kind, or not at all after an interruption. For clients that cannot say
    /// whose answers are missing: these took at least as long as the run's end.
    pub(crate) fn abandon_all(&mut self, kind: Option<&'static str>, now: Duration) {
        let end = self.tally.window.end() - Duration::from_nanos(1);
        for _ in 0..std::mem::take(&mut self.in_flight) {
            if let Some(kind) = kind {
                self.failed(end, Cow::Borrowed(kind), now, true);
            }
        }
    }

    /// Counts what still waits; the last word of a run.
    pub(crate) fn close(mut self, now: Duration) -> Tally {
        self.arrive(now);
        while let Some(at) = self.backlog.pop_front() {
            self.lost(at, NEVER_SENT);
        }
        // A scenario that ran out of journeys ended the run itself.
        if !self.is_stopped && self.is_exhausted && now < self.tally.window.end() {
            self.tally.measured = now.saturating_sub(self.tally.window.warm_up);
        }
        self.tally
    }
}

#[cfg(test)]
#[path = "shift/tests.rs"]
mod tests;
