//! Tables of keys seen often, bounded in bytes.
//!
//! A table costs 256 KiB and about 1 ms, as much as 25 verifications by libsecp256k1 or 13 by AWS-LC, and whoever
//! sends signatures chooses the keys. So a key has to be seen [`SIGHTS_MIN`] times before it gets one, at most one
//! table is built per call, and a full cache gives up only tables that earn less than the newcomer has shown. Tables
//! are trusted: they are built from points that satisfy the curve's equation and never change.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::curve::Curve;
use super::table::Table;

/// Sights that earn a table. By then the key's owner has paid for more work than the table costs.
pub(crate) const SIGHTS_MIN: u64 = 32;

/// Counters of sights. Two keys that share one hold each other back; the hash is seeded per process, so nobody can
/// choose keys that do.
const COUNTERS_COUNT: usize = 1 << 12;

pub(crate) struct Cache<C> {
    tables: RwLock<HashMap<Box<[u8]>, Kept<C>>>,
    hasher: RandomState,
    /// 48 bits of the key's hash, then a count of 16 bits: a sight of the same key raises the count, one of another
    /// key lowers it and takes the counter over at 0. A stream of keys seen once therefore admits none of them.
    sights: Box<[AtomicU64]>,
    bytes_max: usize,
}

struct Kept<C> {
    table: Arc<Table<C>>,
    /// Runs of jobs with this key since the last time somebody asked for its place.
    uses: AtomicU64,
    pinned: bool,
}

/// What a batch found.
pub(crate) struct Found<C> {
    /// Per job, the table of its key.
    pub(crate) tables: Vec<Option<Arc<Table<C>>>>,
    /// A job whose key has earned a table.
    pub(crate) candidate: Option<usize>,
}

impl<C: Curve> Cache<C> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            tables: RwLock::default(),
            hasher: RandomState::new(),
            sights: std::iter::repeat_with(AtomicU64::default).take(COUNTERS_COUNT).collect(),
            bytes_max,
        }
    }

    /// Looks up the key of every job and counts the sights of those without a table.
    pub(crate) fn look_up<K: AsRef<[u8]> + PartialEq>(&self, keys: impl Iterator<Item = K>) -> Found<C> {
        let kept = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let mut tables: Vec<Option<Arc<Table<C>>>> = Vec::with_capacity(keys.size_hint().0);
        let mut candidate = None;
        let mut previous = None;
        for (position, key) in keys.enumerate() {
            // A busy issuer's tokens come in runs.
            if previous.as_ref() == Some(&key)
                && let Some(Some(table)) = tables.last()
            {
                let table = Arc::clone(table);
                tables.push(Some(table));
                continue;
            }
            let found = kept.get(key.as_ref());
            match found {
                Some(kept) => _ = kept.uses.fetch_add(1, Ordering::Relaxed),
                None if self.seen_often(key.as_ref()) => candidate = Some(position),
                None => {}
            }
            tables.push(found.map(|kept| Arc::clone(&kept.table)));
            previous = Some(key);
        }
        Found { tables, candidate }
    }

    /// [`Self::look_up`] for one job, without lists: the table of its key, or whether the key has earned one.
    pub(crate) fn look_up_one(&self, key: &[u8]) -> Result<Arc<Table<C>>, bool> {
        let kept = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.get(key) else {
            return Err(self.seen_often(key));
        };
        kept.uses.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::clone(&kept.table))
    }

    /// Counts one sight. Concurrent sights may lose a count, which only delays a table.
    fn seen_often(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        let (slot, tag) = (hash as usize % COUNTERS_COUNT, hash >> 16);
        let counter = self.sights[slot].load(Ordering::Relaxed);
        let (owner, count) = (counter >> 16, counter & 0xffff);
        let (owner, count) = match count {
            0 => (tag, 1),
            _ if owner == tag => (tag, count + 1),
            _ => (owner, count - 1),
        };
        let often = count >= SIGHTS_MIN;
        // Whoever earned a table starts again: if there is no room, the next try is as far away.
        self.sights[slot].store(owner << 16 | if often { 0 } else { count }, Ordering::Relaxed);
        often
    }

    /// Keeps a table if there is room or if another has earned its place less. Returns whether it is kept.
    ///
    /// A pinned table is never given up; at most half of the room can be pinned.
    pub(crate) fn insert(&self, key: &[u8], table: Table<C>, pinned: bool) -> bool {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = tables.get_mut(key) {
            kept.pinned |= pinned;
            return true;
        }
        let bytes = |tables: &HashMap<_, Kept<C>>, only_pinned: bool| {
            tables.values().filter(|kept| kept.pinned || !only_pinned).map(|kept| kept.table.bytes()).sum::<usize>()
        };
        if pinned && bytes(&tables, true) + table.bytes() > self.bytes_max / 2 {
            return false;
        }
        while bytes(&tables, false) + table.bytes() > self.bytes_max {
            let used_least = tables
                .iter()
                .filter(|(_, kept)| !kept.pinned)
                .map(|(key, kept)| (kept.uses.load(Ordering::Relaxed), key))
                .min()
                .map(|(uses, key)| (uses, key.clone()));
            // Asking for a place ages everybody, so yesterday's busy key gives way at last.
            for kept in tables.values() {
                kept.uses.store(kept.uses.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
            match used_least {
                Some((uses, key)) if pinned || uses < SIGHTS_MIN => drop(tables.remove(&key)),
                _ => return false,
            }
        }
        tables.insert(key.into(), Kept { table: Arc::new(table), uses: AtomicU64::new(0), pinned });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::Secp256k1;
    use super::*;

    /// The smallest table there is: 128 windows of 2 entries.
    fn table() -> Table<Secp256k1> {
        let (x, y) = Secp256k1::GENERATOR;
        Table::new(crate::cpu::Width::One, &Secp256k1::point(x, y).expect("on the curve"), 2).expect("no exception")
    }

    fn cache(tables_count: usize) -> Cache<Secp256k1> {
        Cache::new(tables_count * table().bytes())
    }

    fn sights(cache: &Cache<Secp256k1>, key: u32) -> Found<Secp256k1> {
        cache.look_up(std::iter::once(key.to_be_bytes()))
    }

    #[test]
    fn a_key_earns_a_table_by_being_seen_often() {
        let cache = cache(2);
        for _ in 1..SIGHTS_MIN {
            assert_eq!(sights(&cache, 1).candidate, None);
        }
        assert_eq!(sights(&cache, 1).candidate, Some(0));
        assert_eq!(sights(&cache, 1).candidate, None, "the count starts again");
        assert!(cache.insert(&1_u32.to_be_bytes(), table(), false));
        assert!(sights(&cache, 1).tables[0].is_some());
        assert!(sights(&cache, 2).tables[0].is_none());
    }

    #[test]
    fn keys_seen_once_earn_nothing_however_many() {
        let cache = cache(2);
        for key in 0..200_000 {
            assert_eq!(sights(&cache, key).candidate, None, "{key}");
        }
    }

    #[test]
    fn a_full_cache_gives_up_only_what_earns_less() {
        let cache = cache(2);
        let insert = |key: u32, pinned| cache.insert(&key.to_be_bytes(), table(), pinned);
        assert!(insert(1, false) && insert(2, false));
        for _ in 0..SIGHTS_MIN {
            sights(&cache, 1);
        }
        // 2 was never used, so 3 takes its place; then 4 takes that of 3, and 1 stays.
        assert!(insert(3, false));
        assert!(sights(&cache, 2).tables[0].is_none());
        for _ in 0..2 * SIGHTS_MIN {
            sights(&cache, 1);
            sights(&cache, 3);
        }
        assert!(!insert(4, false), "both are busy");
        assert!(sights(&cache, 4).tables[0].is_none());
        // Two more tries halve their uses below the bound.
        insert(4, false);
        assert!(insert(4, false) && sights(&cache, 4).tables[0].is_some(), "idle ones give way at last");
    }

    #[test]
    fn the_bound_in_bytes_holds_and_pins_stay() {
        let cache = cache(4);
        let insert = |key: u32, pinned| cache.insert(&key.to_be_bytes(), table(), pinned);
        assert!(insert(1, true) && insert(2, true));
        assert!(!insert(3, true), "half of the room");
        for key in 10..40 {
            insert(key, false);
            let kept = cache.tables.read().expect("not poisoned");
            assert!(kept.len() <= 4 && kept.values().map(|kept| kept.table.bytes()).sum::<usize>() <= cache.bytes_max);
        }
        assert!(sights(&cache, 1).tables[0].is_some() && sights(&cache, 2).tables[0].is_some());
    }

    #[test]
    fn one_job_counts_like_a_batch() {
        let cache = cache(2);
        let name = 7_u32.to_be_bytes();
        for sight in 1..SIGHTS_MIN {
            let candidate = match sight % 2 {
                0 => sights(&cache, 7).candidate.is_some(),
                _ => cache.look_up_one(&name).err() != Some(false),
            };
            assert!(!candidate, "{sight}");
        }
        assert_eq!(cache.look_up_one(&name).err(), Some(true));
        assert_eq!(cache.look_up_one(&name).err(), Some(false), "the count starts again");
        assert!(cache.insert(&name, table(), false));
        assert!(cache.look_up_one(&name).is_ok() && sights(&cache, 7).tables[0].is_some());
        let kept = cache.tables.read().expect("not poisoned");
        assert_eq!(kept.get(name.as_slice()).expect("kept").uses.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_run_of_one_key_is_looked_up_once() {
        let cache = cache(2);
        cache.insert(b"key", table(), false);
        let found = cache.look_up(std::iter::repeat_n(b"key", 5));
        assert!(found.tables.iter().all(Option::is_some));
        let kept = cache.tables.read().expect("not poisoned");
        assert_eq!(kept.get(b"key".as_slice()).expect("kept").uses.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn neighbours_with_other_keys_get_their_own_tables() {
        let cache = cache(2);
        for key in [1_u32, 2] {
            cache.insert(&key.to_be_bytes(), table(), false);
        }
        let found = cache.look_up([1_u32, 1, 2, 3, 2, 1].map(u32::to_be_bytes).into_iter()).tables;
        let same = |i: usize, j: usize| match (&found[i], &found[j]) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            _ => false,
        };
        assert!(same(0, 1) && same(0, 5) && same(2, 4), "one table per key");
        assert!(!same(0, 2) && found[3].is_none(), "and no other key's");
    }
}
