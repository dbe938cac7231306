//! The in-memory twin: a sorted map behind a lock. The model the other engines are compared with, and what quick
//! tests run on. Durable only in the sense that it lives as long as its last `Arc`.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Batch, Family, Kv, Visit};
use crate::table::droppable;
use crate::{KvError, UnixSeconds};

type Rows = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

/// The in-memory engine. Share it with `Arc` to "reopen" it.
#[derive(Default)]
pub struct Memory {
    rows: RwLock<Rows>,
    clock: AtomicU64,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }

    // A visitor that panics poisons nothing worth protecting: writes replace whole rows under the lock.
    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write_guard(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for Memory {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.read().get(&(family, key.to_vec())).cloned())
    }

    fn scan(&self, family: Family, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), KvError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded((family, after.to_vec())),
            _ => Bound::Included((family, prefix.to_vec())),
        };
        for ((row_family, key), value) in self.read().range((from, Bound::Unbounded)) {
            if *row_family != family || !key.starts_with(prefix) {
                break;
            }
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, _durable: bool) -> Result<(), KvError> {
        let mut rows = self.write_guard();
        for change in &batch.changes {
            let key = (change.family, change.key.clone());
            match &change.value {
                Some(value) => rows.insert(key, value.clone()),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn recover(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn advance_clock(&self, now: UnixSeconds) {
        self.clock.fetch_max(now, Ordering::Relaxed);
    }

    fn compact(&self) -> Result<(), KvError> {
        let clock = self.clock.load(Ordering::Relaxed);
        self.write_guard().retain(|(family, _), value| *family != Family::Expiring || !droppable(value, clock));
        Ok(())
    }

    fn flush(&self) -> Result<(), KvError> {
        Ok(())
    }
}
