//! A revocation: every token issued before this row's commit is dead at this level.

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// A revocation. Its generation is the sequence number of its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What kind of thing the id names.
    pub level: Level,
    /// The tenant, client, user, session, key or token identifier.
    pub id: String,
    /// Why, for the administrator.
    pub reason: Option<String>,
    /// When.
    pub at: UnixSeconds,
}

/// What a revocation covers, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every token of the tenant.
    Tenant,
    /// Every token of a client.
    Client,
    /// Every token of a user.
    User,
    /// Every token of a session.
    Session,
    /// Every token signed by a key.
    Key,
    /// One token.
    Jti,
}

impl Level {
    /// Every level, widest first.
    pub const ALL: [Level; 6] = [Level::Tenant, Level::Client, Level::User, Level::Session, Level::Key, Level::Jti];

    /// The level's byte in keys.
    pub(crate) fn code(self) -> u8 {
        match self {
            Level::Tenant => 1,
            Level::Client => 2,
            Level::User => 3,
            Level::Session => 4,
            Level::Key => 5,
            Level::Jti => 6,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.code() == code)
    }
}
