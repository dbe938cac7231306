//! Signature verification in safe Rust: jobs in, one verdict per job out, in job order.
//!
//! On the path of a request this crate stands between the gateway's per-core lane and the arithmetic:
//!
//! ```text
//! lane ─► batch (when to flush) ─► verify_now │ Pool ─► scheme (parse strictly) ─► assay-kernels
//! ```
//!
//! * [`key`]: public keys parsed and validated once, cheap to clone.
//! * [`job`]: what can be asked. [`scheme`]: the table of signature schemes and their policies.
//! * [`batch`]: the flush policy as pure code, `now` is an argument.
//! * [`pool`]: batches larger than one kernel call, on all cores, bounded.
//! * [`recover`]: keys from signatures, where nobody claims one.
//! * [`token_cache`]: what the bytes of a token proved before. It never says "active".
//!
//! A verdict depends on its own job alone. Nothing here panics on any input, and should our own code ever do so,
//! the job that caused it gets [`Verdict::Internal`] and its neighbours their verdicts.
#![forbid(unsafe_code)]

pub mod batch;
pub mod error;
pub mod job;
pub mod key;
pub mod limits;
pub mod pool;
pub mod recover;
pub mod scheme;
pub mod token_cache;
pub mod verify;

pub use assay_kernels::Backend;
pub use error::{KeyError, Reject, Unavailable, Verdict};
pub use job::{EcdsaSignature, HighS, Job, JwsAlgorithm};
pub use key::{JwkParts, KeyKind, VerifyKey};
pub use pool::Pool;
pub use recover::{Recoverable, recover_now};
pub use scheme::SchemeId;
pub use token_cache::TokenCache;
pub use verify::{verify_now, verify_now_with};

/// Builds what all verification shares, tens of milliseconds of work, so that no request has to wait for it: for the start
/// of a server, away from its cores. Calling it again costs nothing.
pub fn prepare() {
    assay_kernels::prepare_base_points(Backend::detect());
}

/// Gives keys that are busy now faster tables, some ten milliseconds of work each, at most one per curve and call: for the
/// upkeep of a server, once a second, away from its cores. Returns how many were built.
pub fn tend_busy_keys() -> usize {
    assay_kernels::widen_busiest_keys(Backend::detect())
}
