//! A secret of the server itself, such as the key that authenticates cookies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Random bytes under a name; the name is the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSecret {
    /// The secret.
    #[serde(with = "hex::serde")]
    pub bytes: [u8; 32],
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSecret").finish_non_exhaustive()
    }
}
