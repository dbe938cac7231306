//! Which public key speaks for a BAP identity.

use serde::{Deserialize, Serialize};

/// A BAP identity's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BapBinding {
    /// The public key, 33 bytes in hex.
    pub pubkey: String,
    /// The user it belongs to.
    pub user_id: String,
    /// Whether the binding has been proven, not only claimed.
    pub verified: bool,
}
