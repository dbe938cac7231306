//! What a user has allowed a client.

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A remembered consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Scope values allowed.
    pub scopes: Vec<String>,
    /// When.
    pub granted_at: UnixSeconds,
}
