//! A person, known by a public key.

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The subject of their tokens.
    pub user_id: String,
    /// Their public key, 33 bytes in hex.
    pub pubkey: String,
    /// What people see.
    pub name: String,
    /// Whether they may sign in.
    pub status: UserStatus,
    /// Their BAP identity.
    pub bap_id: Option<String>,
    /// When they first signed in.
    pub created_at: UnixSeconds,
    /// When the record was last changed.
    pub updated_at: UnixSeconds,
}

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// May sign in.
    Active,
    /// May not, and their tokens are dead.
    Suspended,
}

/// From a public key to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserByPubkey {
    /// Whose key it is.
    pub user_id: String,
}
