//! assay-storage: typed tables over a small key-value trait.
//!
//! What this owns: the keyspace ([`schema`]), the stored records ([`record`]), and the one way to change them —
//! a [`Commit`], an atomic batch with preconditions, durable before it is acknowledged, many callers sharing one
//! fsync. What it refuses: it knows no protocol and sees no request, reads no clock (`now` is always an argument),
//! and never blocks the calling thread — a full queue answers [`Unavailable::QueueFull`] at once.
//!
//! The path of a commit, which is also the reading order of the files:
//!
//! ```text
//! Commit ─► Store::commit ─► bounded queue ─► writer: preconditions ─► Kv::write (one fsync) ─► apply ─► Seq
//! ```
//!
//! State that the hot path reads lives in the caller's memory and is derived by the `apply` hook from commits in
//! order. [`Store::open`] replays the tables marked `resident` through the same hook, so a restart ends in the
//! same state.
#![forbid(unsafe_code)]

// Blank lines keep the reading order against the formatter's alphabet.
mod store;

mod commit;

mod queue;

mod writer;

mod replay;

mod reader;

mod table;

pub mod schema;

pub mod record;

pub mod key;

mod migrate;

pub mod kv;

pub mod limits;

mod error;

pub use commit::{Applied, Commit};
pub use error::{CommitError, KvError, OpenError, Unavailable};
pub use kv::{Change, Family, Kv};
pub use reader::Reader;
pub use store::{ApplyHook, Store, StoreObserver, StoreOptions};
pub use table::{KeyedRow, Lifetime, Row, Seq, Table, TableId, TenantId, UnixSeconds};
