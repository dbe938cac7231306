//! Something that works once has been used. The key says what; presence is the whole record.

use serde::{Deserialize, Serialize};

/// A used challenge, signature or token. Written with `expect_absent` on its own key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {}
