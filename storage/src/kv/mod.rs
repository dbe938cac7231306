//! The door to a key-value engine: a few verbs, no transactions, no knowledge of tables. [`ALL`] lists the engines;
//! the conformance suite runs over each.
//!
//! To add an engine: a file beside `memory.rs`, a row in [`ALL`], and the suite must pass unchanged. One writer calls
//! [`Kv::write`] at a time (the store's writer thread); reads come from any thread.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::{KvError, OpenError, UnixSeconds};

mod memory;
#[cfg(feature = "rocks")]
mod rocks;

pub use memory::Memory;
#[cfg(feature = "rocks")]
pub use rocks::Rocks;

/// A part of the keyspace with its own upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Rows that live until deleted.
    Durable,
    /// Rows whose header says when they end; the engine drops them some time after.
    Expiring,
    /// The store's own few rows: format, sequence, probe.
    Meta,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 3] = [Family::Durable, Family::Expiring, Family::Meta];

    /// The family's name in the engine.
    pub fn name(self) -> &'static str {
        match self {
            Family::Durable => "durable",
            Family::Expiring => "expiring",
            Family::Meta => "meta",
        }
    }
}

/// One row put or deleted.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub family: Family,
    /// The whole key.
    pub key: Vec<u8>,
    /// The whole value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// Changes that happen together or not at all; later ones win over earlier ones with the same key.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The changes in order.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Adds a row.
    pub fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push(Change { family, key, value: Some(value) });
    }
    /// Adds a deletion.
    pub fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.changes.push(Change { family, key, value: None });
    }
}

/// What a visitor is called with: key and value. `Break` ends the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A key-value engine.
pub trait Kv: Send + Sync + 'static {
    /// The value of a key. May or may not still hold rows that have expired.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Visits the rows whose keys start with `prefix` and are greater than `after`, in key order, until the visitor
    /// breaks. The last key visited is the cursor for the next call. The visitor must not call the engine.
    fn scan(&self, family: Family, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), KvError>;

    /// Writes all of a batch or nothing of it. With `durable`, returning `Ok` means it survives power loss.
    /// After an error nobody knows whether the batch will appear, whole or not at all, until [`Kv::recover`] succeeds.
    fn write(&self, batch: &Batch, durable: bool) -> Result<(), KvError>;

    /// Called after a failed write, before the next one. `Ok` means that the engine can write as far as it can tell,
    /// and that the failed batch has either appeared, durably, or never will.
    fn recover(&self) -> Result<(), KvError>;

    /// Tells the engine the latest time anyone has seen; rows expired for longer than the grace may be dropped.
    fn advance_clock(&self, now: UnixSeconds);

    /// Drops now what the engine may drop. Engines also do it by themselves.
    fn compact(&self) -> Result<(), KvError>;

    /// Brings memory to disk so that the next opening is quick. Durability does not depend on it.
    fn flush(&self) -> Result<(), KvError>;
}

macro_rules! forward {
    ($($wrapper:ident),*) => {$(
        impl<K: Kv + ?Sized> Kv for $wrapper<K> {
            fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
                (**self).get(family, key)
            }
            fn scan(&self, family: Family, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), KvError> {
                (**self).scan(family, prefix, after, visit)
            }
            fn write(&self, batch: &Batch, durable: bool) -> Result<(), KvError> {
                (**self).write(batch, durable)
            }
            fn recover(&self) -> Result<(), KvError> {
                (**self).recover()
            }
            fn advance_clock(&self, now: UnixSeconds) {
                (**self).advance_clock(now);
            }
            fn compact(&self) -> Result<(), KvError> {
                (**self).compact()
            }
            fn flush(&self) -> Result<(), KvError> {
                (**self).flush()
            }
        }
    )*};
}
forward!(Arc, Box);

/// Opens the same data again and again.
pub type Opener = Box<dyn Fn() -> Result<Box<dyn Kv>, OpenError> + Send + Sync>;

/// An engine as data.
pub struct KvInfo {
    /// The engine's name.
    pub name: &'static str,
    /// An opener for data at a directory; engines that keep nothing on disk ignore it.
    pub opener: fn(&Path) -> Opener,
}

/// Every engine of this build.
pub const ALL: &[KvInfo] = &[
    KvInfo {
        name: "memory",
        opener: |_| {
            let data = Arc::new(Memory::new());
            Box::new(move || Ok(Box::new(Arc::clone(&data))))
        },
    },
    #[cfg(feature = "rocks")]
    KvInfo {
        name: "rocks",
        opener: |path| {
            let path = path.to_owned();
            Box::new(move || Ok(Box::new(rocks(&path)?)))
        },
    },
];

/// Opens RocksDB in a data directory, creating it (mode 0700) when absent. Only one process can have it open.
///
/// # Errors
/// [`OpenError::Foreign`] when the directory holds anything else, [`OpenError::Locked`] while another process has it.
#[cfg(feature = "rocks")]
pub fn rocks(path: impl AsRef<Path>) -> Result<Rocks, OpenError> {
    Rocks::open(path.as_ref())
}
