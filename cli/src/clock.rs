//! The only reader of the clock in the command line: `assay sign` stamps a token with the moment it is made.
#![expect(clippy::disallowed_methods, reason = "this file is the one place of the command line that reads the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. A clock set before 1970 reads as 0.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
