//! What the hot path reads, in memory, derived by applying commits in order.
//!
//! [`directory`] holds clients, generations and revoked tokens; [`keys`] the signing keys. The store's apply hook feeds both
//! on the writer thread, after a commit is durable and before it is acknowledged, so a revocation is visible on every core
//! before its 200. [`prepared`] are the keys that have their tables beforehand; [`proven`] is what a core has seen a client's
//! secret open before. Cores read without locks; only a batch that must see one snapshot holds a
//! read lock, never across an await.

pub mod client;
pub mod directory;
pub mod keys;
pub mod prepared;
pub mod proven;
pub mod revoke;

pub use directory::{Directory, Snapshot};
