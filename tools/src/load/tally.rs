//! What a worker counts, and how workers' counts become one.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::journey::Kind;
use crate::limits::{ERROR_KINDS_MAX, SERIES_POINTS_MAX};

/// Latencies are kept in nanoseconds up to ten minutes.
const HIGHEST_NS: u64 = 600_000_000_000;
/// The series keeps microseconds; its points are many and small.
const HIGHEST_US: u64 = HIGHEST_NS / 1000;

/// The part of a run that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub warm_up: Duration,
    pub duration: Duration,
}

impl Window {
    pub(crate) fn end(self) -> Duration {
        self.warm_up + self.duration
    }

    /// Whether a moment lies within.
    pub(crate) fn holds(self, at: Duration) -> bool {
        at >= self.warm_up && at < self.end()
    }
}

/// A latency histogram in nanoseconds.
pub(crate) fn latency() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, 3).expect("the bounds are constants in order")
}

/// One point of the time series.
pub(crate) struct Point {
    pub completed: u64,
    pub errors: u64,
    pub latency_us: Histogram<u32>,
}

impl Default for Point {
    fn default() -> Point {
        let latency_us = Histogram::new_with_bounds(1, HIGHEST_US, 2).expect("the bounds are constants in order");
        Point { completed: 0, errors: 0, latency_us }
    }
}

/// Latency of one step of a journey.
pub(crate) struct Step {
    pub answers: u64,
    pub latency: Histogram<u64>,
}

/// Everything one worker counted within the window.
pub(crate) struct Tally {
    pub window: Window,
    /// Journeys that began in the window.
    pub intended: u64,
    /// Journeys that ended well within the window, whenever they began: the throughput.
    pub completed: u64,
    /// Answers within the window.
    pub requests: u64,
    /// Journeys that began in the window, from their intended start to their end.
    pub latency: Histogram<u64>,
    /// From the intended start until the first byte was written: how late the generator or its connections were.
    pub lateness: Histogram<u64>,
    /// From the intended start until the generator noticed: how late it was itself.
    pub pickup: Histogram<u64>,
    /// The busiest worker's share of its core.
    pub busy: f64,
    pub steps: Vec<Step>,
    pub statuses: BTreeMap<u16, u64>,
    pub errors: BTreeMap<Kind, u64>,
    pub body_bytes: u64,
    pub reconnects: u64,
    /// Arrivals that waited because every connection was busy.
    pub waited: u64,
    pub series: Vec<Point>,
    /// How long was measured; shorter than the window after Ctrl-C.
    pub measured: Duration,
    /// Why the run ended early, if it did.
    pub stopped: Option<String>,
}

impl Tally {
    pub(crate) fn new(window: Window, steps: usize) -> Tally {
        Tally {
            window,
            intended: 0,
            completed: 0,
            requests: 0,
            latency: latency(),
            lateness: latency(),
            pickup: latency(),
            busy: 0.0,
            steps: (0..steps).map(|_| Step { answers: 0, latency: latency() }).collect(),
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            body_bytes: 0,
            reconnects: 0,
            waited: 0,
            series: Vec::new(),
            measured: window.duration,
            stopped: None,
        }
    }

    /// Seconds of one point of the series.
    pub(crate) fn point_seconds(&self) -> u64 {
        self.window.duration.as_secs().div_ceil(SERIES_POINTS_MAX).max(1)
    }

    /// The point that a moment falls into, if it lies in the window.
    pub(crate) fn point(&mut self, at: Duration) -> Option<&mut Point> {
        let index = at.checked_sub(self.window.warm_up).filter(|_| at < self.window.end())?.as_secs();
        let index = usize::try_from(index / self.point_seconds()).ok()?;
        while self.series.len() <= index {
            self.series.push(Point::default());
        }
        self.series.get_mut(index)
    }

    /// Counts an error; kinds beyond the bound are counted together.
    pub(crate) fn error(&mut self, kind: Kind, count: u64) {
        let is_full = self.errors.len() >= ERROR_KINDS_MAX && !self.errors.contains_key(&kind);
        let kind = if is_full { Kind::Borrowed("other errors") } else { kind };
        *self.errors.entry(kind).or_default() += count;
    }

    pub(crate) fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Takes over another worker's counts.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.intended += other.intended;
        self.completed += other.completed;
        self.requests += other.requests;
        self.body_bytes += other.body_bytes;
        self.reconnects += other.reconnects;
        self.waited += other.waited;
        self.measured = self.measured.max(other.measured);
        self.stopped = self.stopped.take().or(other.stopped);
        // All histograms of a kind have the same bounds.
        let _never = self.latency.add(&other.latency);
        let _never = self.lateness.add(&other.lateness);
        let _never = self.pickup.add(&other.pickup);
        self.busy = self.busy.max(other.busy);
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.answers += theirs.answers;
            let _never = mine.latency.add(&theirs.latency);
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (kind, count) in other.errors {
            self.error(kind, count);
        }
        for (index, theirs) in other.series.into_iter().enumerate() {
            match self.series.get_mut(index) {
                Some(mine) => {
                    mine.completed += theirs.completed;
                    mine.errors += theirs.errors;
                    let _never = mine.latency_us.add(&theirs.latency_us);
                }
                None => self.series.push(theirs),
            }
        }
    }
}

/// A duration as histograms take it.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { warm_up: Duration::from_secs(1), duration: Duration::from_secs(2) };

    #[test]
    fn workers_add_up() {
        let (mut one, mut two) = (Tally::new(WINDOW, 1), Tally::new(WINDOW, 1));
        one.error("a".into(), 1);
        two.error("a".into(), 2);
        two.error("b".into(), 1);
        one.point(Duration::from_millis(1500)).unwrap().completed = 3;
        two.point(Duration::from_millis(2500)).unwrap().completed = 4;
        two.steps[0].answers = 5;
        one.merge(two);
        assert_eq!(one.errors_total(), 4);
        assert_eq!(one.series.iter().map(|point| point.completed).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(one.steps[0].answers, 5);
    }

    #[test]
    fn the_series_is_bounded_and_knows_the_window() {
        let window = Window { warm_up: Duration::from_secs(1), duration: Duration::from_secs(86_400) };
        let mut tally = Tally::new(window, 0);
        assert!(tally.point(Duration::ZERO).is_none() && tally.point(window.end()).is_none());
        assert!(tally.point(window.end() - Duration::from_millis(1)).is_some());
        assert_eq!(tally.series.len(), 600);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut tally = Tally::new(WINDOW, 0);
        for number in 0..1000 {
            tally.error(format!("kind {number}").into(), 1);
        }
        assert_eq!(tally.errors.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(tally.errors_total(), 1000);
    }
}
