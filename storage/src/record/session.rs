//! A signed-in browser, found by the hash of its cookie token or by its sid.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public identifier; useless for signing in.
    pub sid: String,
    /// Whose it is.
    pub user_id: String,
    /// When it began.
    pub created_at: UnixSeconds,
    /// When the user last authenticated in it.
    pub auth_time: UnixSeconds,
    /// Address it began from.
    pub ip: String,
    /// Browser it began in.
    pub user_agent: String,
    /// How the user authenticated.
    pub amr: Vec<String>,
    /// The generation at its beginning.
    pub r#gen: u64,
}

/// From a sid to the session's row.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBySid {
    /// The key of the session's row.
    #[serde(with = "hex::serde")]
    pub token_sha256: [u8; 32],
    /// Whose it is.
    pub user_id: String,
    /// When it ends.
    pub expires_at: UnixSeconds,
}

impl fmt::Debug for SessionBySid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionBySid { token_sha256: _, user_id, expires_at } = self;
        f.debug_struct("SessionBySid").field("user_id", user_id).field("expires_at", expires_at).finish_non_exhaustive()
    }
}
