//! The only reader of clocks in the command line and its tools: signed tokens are stamped with it, measurements taken
//! with it.
#![expect(clippy::disallowed_methods, reason = "this file is the one place of the command line that reads clocks")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. A clock set before 1970 reads as 0.
#[must_use]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A monotonic moment, for measuring.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
