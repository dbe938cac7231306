//! The only reader of clocks.
//!
//! Everything that decides takes `now` as an argument; this file is where `now` comes from. Tests build a
//! [`Clock::manual`], which only moves when told to; the shipped binary has no way to reach one.
#![expect(
    clippy::disallowed_methods,
    reason = "this file is the one place that reads clocks; everything else takes `now`"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of wall-clock time (Unix, milliseconds) and of elapsed time (monotonic).
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    started: Instant,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Clock {
        Clock { source: Source::System, started: Instant::now() }
    }

    /// A clock that stands at `unix_ms` until the returned handle moves it.
    #[must_use]
    pub fn manual(unix_ms: u64) -> (Clock, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(unix_ms));
        (Clock { source: Source::Manual(Arc::clone(&hand)), started: Instant::now() }, hand)
    }

    /// Milliseconds since the Unix epoch. A clock set before 1970 reads as 0.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        match &self.source {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Source::Manual(hand) => hand.load(Ordering::SeqCst),
        }
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.unix_ms() / 1000
    }

    /// Nanoseconds since this clock was made: for durations, never for dates.
    #[must_use]
    pub fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How long `f` took, for start-up messages and for work off the hot path.
pub fn timed<R>(f: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let (clock, hand) = Clock::manual(1_700_000_000_123);
        assert_eq!(clock.unix_seconds(), 1_700_000_000);
        hand.store(1_700_000_001_000, Ordering::SeqCst);
        assert_eq!(clock.unix_ms(), 1_700_000_001_000);
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(Clock::system().unix_seconds() > 1_577_836_800);
    }
}
