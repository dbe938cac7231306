//! Failed sign-ins of one origin, for progressive delays that survive a restart.

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// Failed attempts under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How many in a row.
    pub count: u32,
    /// When the last was.
    pub last_at: UnixSeconds,
    /// Until when further attempts are refused unseen.
    pub blocked_until: UnixSeconds,
}
