//! Tables of keys seen often, bounded in bytes.
//!
//! A table costs 256 KiB and, in one lane, as much time as 18 verifications by libsecp256k1 or 12 by AWS-LC, and whoever
//! sends signatures chooses the keys. So a key has to be seen [`SIGHTS_MIN`] times before it gets one, at most one
//! table is built per call, and a full cache gives up only tables that earn less than the newcomer has shown. Tables
//! are trusted: they are built from points that satisfy the curve's equation and never change.
//!
//! A busy key has a second, wider table: [`WIDE_WINDOW_BITS`](super::table::WIDE_WINDOW_BITS). Nobody waits for it: whoever
//! has a thread to spare asks [`Cache::busiest`] now and then and builds it. Wide tables have room of their own, so they never
//! cost another key its narrow one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::curve::Curve;
use super::table::Table;
use crate::field::Entry;

/// Sights that earn a table. By then the key's owner has paid for more work than the table costs.
pub(crate) const SIGHTS_MIN: u64 = 32;

/// Uses that earn a wide table, those between the last two calls of [`Cache::busiest`] and half as much of the time before,
/// again and again: half as many per call earn it in the long run. Four to eight thousand uses pay for its building.
pub(crate) const BUSY_USES_MIN: u64 = 4096;

/// There is no room for a table.
pub(crate) struct Full;

/// Counters of sights. Two keys that share one hold each other back; the hash is seeded per process, so nobody can
/// choose keys that do.
const COUNTERS_COUNT: usize = 1 << 12;

pub(crate) struct Cache<C> {
    tables: RwLock<HashMap<Box<[u8]>, Kept<C>>>,
    hasher: RandomState,
    /// 48 bits of the key's hash, then a count of 16 bits: a sight of the same key raises the count, one of another
    /// key lowers it and takes the counter over at 0. A stream of keys seen once therefore admits none of them.
    sights: Box<[AtomicU64]>,
    narrow_bytes_max: usize,
    wide_bytes_max: usize,
}

/// The tables of one key.
pub(crate) struct KeyTables<C> {
    pub(crate) narrow: Arc<Table<C>>,
    pub(crate) wide: Option<Arc<Table<C>>>,
}

struct Kept<C> {
    tables: Arc<KeyTables<C>>,
    /// Jobs with this key since the last time somebody asked for its place.
    uses: AtomicU64,
    /// Jobs with this key since the last call of [`Cache::busiest`].
    recent_uses: AtomicU64,
    /// Half of what it was before such a call, and `recent_uses`.
    busyness: AtomicU64,
    pinned: bool,
}

impl<C> Kept<C> {
    fn used(&self, jobs_count: u64) {
        self.uses.fetch_add(jobs_count, Ordering::Relaxed);
        self.recent_uses.fetch_add(jobs_count, Ordering::Relaxed);
    }
}

/// What a batch found.
pub(crate) struct Found<C> {
    /// Per job, the tables of its key.
    pub(crate) tables: Vec<Option<Arc<KeyTables<C>>>>,
    /// A job whose key has earned a table.
    pub(crate) candidate: Option<usize>,
}

impl<C: Curve> Cache<C> {
    pub(crate) fn new(narrow_bytes_max: usize, wide_bytes_max: usize) -> Self {
        Self {
            tables: RwLock::default(),
            hasher: RandomState::new(),
            sights: std::iter::repeat_with(AtomicU64::default).take(COUNTERS_COUNT).collect(),
            narrow_bytes_max,
            wide_bytes_max,
        }
    }

    /// Looks up the key of every job and counts the sights of those without a table.
    pub(crate) fn look_up<K: AsRef<[u8]> + PartialEq>(&self, keys: impl Iterator<Item = K>) -> Found<C> {
        let kept = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let mut tables = Vec::with_capacity(keys.size_hint().0);
        let mut candidate = None;
        // A busy issuer's tokens come in runs: one look and one count for all of them.
        let mut run: Option<(K, &Kept<C>, u64)> = None;
        for (position, key) in keys.enumerate() {
            if let Some((of, kept, jobs_count)) = &mut run
                && *of == key
            {
                *jobs_count += 1;
                tables.push(Some(Arc::clone(&kept.tables)));
                continue;
            }
            if let Some((_, kept, jobs_count)) = run.take() {
                kept.used(jobs_count);
            }
            let Some(kept) = kept.get(key.as_ref()) else {
                if self.seen_often(key.as_ref()) {
                    candidate = Some(position);
                }
                tables.push(None);
                continue;
            };
            tables.push(Some(Arc::clone(&kept.tables)));
            run = Some((key, kept, 1));
        }
        if let Some((_, kept, jobs_count)) = run {
            kept.used(jobs_count);
        }
        Found { tables, candidate }
    }

    /// [`Self::look_up`] for one job, without lists: the tables of its key, or whether the key has earned one.
    pub(crate) fn look_up_one(&self, key: &[u8]) -> Result<Arc<KeyTables<C>>, bool> {
        let kept = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.get(key) else {
            return Err(self.seen_often(key));
        };
        kept.used(1);
        Ok(Arc::clone(&kept.tables))
    }

    /// The key that has earned a wide table most, and its point; `None` if none has, or if there is no room that another
    /// would have to give up. Every call closes a time of counting, so it is for one caller, at regular times.
    pub(crate) fn busiest(&self, wide_bytes: usize) -> Option<(Box<[u8]>, Entry)> {
        let kept = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        for kept in kept.values() {
            let recent_uses = kept.recent_uses.swap(0, Ordering::Relaxed);
            kept.busyness.store(kept.busyness.load(Ordering::Relaxed) / 2 + recent_uses, Ordering::Relaxed);
        }
        let busyness = |kept: &Kept<C>| kept.busyness.load(Ordering::Relaxed);
        let (name, busiest) =
            kept.iter().filter(|(_, kept)| kept.tables.wide.is_none()).max_by_key(|(_, kept)| busyness(kept))?;
        let is_busy =
            busyness(busiest) >= BUSY_USES_MIN && self.wide_victim(&kept, busyness(busiest), wide_bytes).is_ok();
        is_busy.then(|| (name.clone(), *busiest.tables.narrow.entry(0, 0)))
    }

    /// Whose wide table gives way to that of a key this busy: nobody's while there is room, else that of the least busy one,
    /// unless it is more than half as busy. Two that are equally busy would take turns otherwise.
    fn wide_victim(
        &self,
        kept: &HashMap<Box<[u8]>, Kept<C>>,
        busyness: u64,
        bytes: usize,
    ) -> Result<Option<Box<[u8]>>, Full> {
        let wide = || kept.iter().filter_map(|(name, kept)| Some((name, kept, kept.tables.wide.as_ref()?)));
        if wide().map(|(_, _, table)| table.bytes()).sum::<usize>() + bytes <= self.wide_bytes_max {
            return Ok(None);
        }
        let least = wide().map(|(name, kept, _)| (kept.busyness.load(Ordering::Relaxed), name)).min().ok_or(Full)?;
        if least.0 < busyness / 2 { Ok(Some(least.1.clone())) } else { Err(Full) }
    }

    /// Keeps a wide table of a key that still has its narrow one. Returns whether it is kept.
    pub(crate) fn insert_wide(&self, key: &[u8], table: Table<C>) -> bool {
        // Megabytes are given back when nobody waits for the lock: this outlives the guard.
        let mut displaced = Vec::new();
        let mut kept = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let Some(busyness) = kept.get(key).map(|kept| kept.busyness.load(Ordering::Relaxed)) else {
            return false;
        };
        let Ok(victim) = self.wide_victim(&kept, busyness, table.bytes()) else {
            return false;
        };
        let mut put = |key: &[u8], wide| {
            if let Some(kept) = kept.get_mut(key) {
                let tables = Arc::new(KeyTables { narrow: Arc::clone(&kept.tables.narrow), wide });
                displaced.push(std::mem::replace(&mut kept.tables, tables));
            }
        };
        if let Some(victim) = victim {
            put(&victim, None);
        }
        put(key, Some(Arc::new(table)));
        true
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

    /// Pins the table of a key, of so many bytes: it is not given up before [`Self::unpin`]. At most half of the room can be
    /// pinned. Returns whether there is a table of this key to pin, which has to be built and inserted otherwise.
    pub(crate) fn pin(&self, key: &[u8], bytes: usize) -> Result<bool, Full> {
        self.pin_kept(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner), key, bytes)
    }

    fn pin_kept(&self, kept: &mut HashMap<Box<[u8]>, Kept<C>>, key: &[u8], bytes: usize) -> Result<bool, Full> {
        let pinned_bytes: usize = kept.values().filter(|kept| kept.pinned).map(|kept| kept.tables.narrow.bytes()).sum();
        match kept.get_mut(key) {
            Some(kept) if kept.pinned => Ok(true),
            _ if pinned_bytes + bytes > self.narrow_bytes_max / 2 => Err(Full),
            Some(kept) => {
                kept.pinned = true;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// From now on the key keeps its table as long as it earns it, as any other.
    pub(crate) fn unpin(&self, key: &[u8]) {
        if let Some(kept) = self.tables.write().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            kept.pinned = false;
        }
    }

    /// Keeps a table if there is room or if another has earned its place less. Returns whether it is kept.
    pub(crate) fn insert(&self, key: &[u8], table: Table<C>, pinned: bool) -> bool {
        // As in `insert_wide`.
        let mut displaced = Vec::new();
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been quicker.
        match pinned.then(|| self.pin_kept(&mut tables, key, table.bytes())) {
            Some(Err(Full)) => return false,
            Some(Ok(true)) => return true,
            None if tables.contains_key(key) => return true,
            Some(Ok(false)) | None => {}
        }
        let bytes =
            |tables: &HashMap<_, Kept<C>>| tables.values().map(|kept| kept.tables.narrow.bytes()).sum::<usize>();
        while bytes(&tables) + table.bytes() > self.narrow_bytes_max {
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
                Some((uses, key)) if pinned || uses < SIGHTS_MIN => displaced.extend(tables.remove(&key)),
                _ => return false,
            }
        }
        let tables_of_key = Arc::new(KeyTables { narrow: Arc::new(table), wide: None });
        let zero = AtomicU64::default;
        let kept = Kept { tables: tables_of_key, uses: zero(), recent_uses: zero(), busyness: zero(), pinned };
        tables.insert(key.into(), kept);
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
        Cache::new(tables_count * table().bytes(), 0)
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
        assert!(insert(3, false) && !insert(3, true), "nor one that is kept already");
        for key in 10..40 {
            insert(key, false);
            let kept = cache.tables.read().expect("not poisoned");
            assert!(
                kept.len() <= 4
                    && kept.values().map(|kept| kept.tables.narrow.bytes()).sum::<usize>() <= cache.narrow_bytes_max
            );
        }
        assert!(sights(&cache, 1).tables[0].is_some() && sights(&cache, 2).tables[0].is_some());
    }

    #[test]
    fn pins_are_taken_and_given_back() {
        let cache = cache(4);
        let bytes = table().bytes();
        let name = |key: u32| key.to_be_bytes();
        let pin = |key| cache.pin(&name(key), bytes).ok();
        assert_eq!(pin(1), Some(false), "there is nothing to pin yet");
        assert!(cache.insert(&name(1), table(), false));
        assert_eq!(pin(1), Some(true));
        assert!(cache.insert(&name(2), table(), true));
        assert_eq!((pin(3), pin(2)), (None, Some(true)), "half of the room is taken, by these two");
        cache.unpin(&name(1));
        cache.unpin(&name(9));
        assert!(sights(&cache, 1).tables[0].is_some(), "the table itself stays");
        assert!(cache.insert(&name(3), table(), true), "there is room for a pin again");
        assert_eq!(pin(1), None);
        for key in 10..20 {
            cache.insert(&name(key), table(), false);
        }
        let is_kept = |key| cache.look_up_one(&name(key)).is_ok();
        assert_eq!([1, 2, 3].map(is_kept), [false, true, true], "what is not pinned gives way");
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
    fn every_job_counts_in_runs_and_between_them() {
        let cache = cache(2);
        cache.insert(b"key", table(), false);
        cache.insert(b"yek", table(), false);
        let keys = [b"key", b"key", b"yek", b"key", b"abc", b"key", b"key"];
        let found = cache.look_up(keys.iter());
        assert!(found.tables.iter().zip(keys).all(|(tables, key)| tables.is_some() == (key != b"abc")));
        let kept = cache.tables.read().expect("not poisoned");
        let uses = |key: &[u8]| kept.get(key).expect("kept").uses.load(Ordering::Relaxed);
        assert_eq!((uses(b"key"), uses(b"yek")), (5, 1));
    }

    /// A wide table for tests: 64 windows of 8 entries, twice the bytes of [`table`].
    fn wide_table() -> Table<Secp256k1> {
        let (x, y) = Secp256k1::GENERATOR;
        Table::new(crate::cpu::Width::One, &Secp256k1::point(x, y).expect("on the curve"), 4).expect("no exception")
    }

    fn use_often(cache: &Cache<Secp256k1>, key: u32, count: u64) {
        cache.look_up((0..count).map(|_| key.to_be_bytes()));
    }

    #[test]
    fn busy_keys_earn_wide_tables() {
        let bytes = wide_table().bytes();
        let cache = Cache::new(4 * table().bytes(), bytes);
        let name = |key: u32| key.to_be_bytes();
        let has_wide = |key| cache.look_up_one(&name(key)).is_ok_and(|tables| tables.wide.is_some());
        let busiest = || cache.busiest(bytes).map(|(key, point)| (key, point == *table().entry(0, 0)));
        for key in [1, 2, 3] {
            assert!(cache.insert(&name(key), table(), key == 3));
        }
        assert_eq!(busiest(), None, "nobody is busy");
        use_often(&cache, 1, BUSY_USES_MIN - 1);
        use_often(&cache, 2, BUSY_USES_MIN - 2);
        assert_eq!(busiest(), None, "not enough");
        use_often(&cache, 1, BUSY_USES_MIN - 1);
        assert_eq!(busiest(), Some((name(1).into(), true)), "half of what was before counts");
        assert!(cache.insert_wide(&name(1), wide_table()) && has_wide(1));
        assert!(!cache.insert_wide(&name(9), wide_table()), "a key without tables");
        // A key as busy waits for room, one much busier takes it.
        use_often(&cache, 1, BUSY_USES_MIN);
        use_often(&cache, 3, BUSY_USES_MIN);
        assert_eq!(busiest(), None, "no turns");
        assert!(!cache.insert_wide(&name(3), wide_table()) && !has_wide(3));
        use_often(&cache, 1, BUSY_USES_MIN);
        use_often(&cache, 3, 3 * BUSY_USES_MIN / 2);
        assert_eq!(busiest(), None, "busier, but not twice as busy");
        use_often(&cache, 3, 6 * BUSY_USES_MIN);
        assert_eq!(busiest(), Some((name(3).into(), true)));
        assert!(cache.insert_wide(&name(3), wide_table()) && has_wide(3) && !has_wide(1));
        let tables = cache.look_up_one(&name(1)).expect("the narrow table stays");
        assert!(*tables.narrow == table());
    }

    /// Whatever comes: wide tables cost no narrow one its place, and both keep their bounds.
    #[test]
    fn wide_and_narrow_tables_have_rooms_of_their_own() {
        let (narrow_bytes, wide_bytes) = (table().bytes(), wide_table().bytes());
        let cache = Cache::new(12 * narrow_bytes, 2 * wide_bytes);
        let narrow_count = || cache.tables.read().expect("not poisoned").len();
        let mut widened_count = 0;
        for round in 0_u32..60 {
            let key = round * 7 % 20;
            cache.insert(&key.to_be_bytes(), table(), false);
            use_often(&cache, key, BUSY_USES_MIN << (round % 5));
            if let Some((key, _)) = cache.busiest(wide_bytes) {
                let before = narrow_count();
                assert!(cache.insert_wide(&key, wide_table()));
                assert_eq!(narrow_count(), before);
                widened_count += 1;
            }
            let kept = cache.tables.read().expect("not poisoned");
            let wide_count = kept.values().filter(|kept| kept.tables.wide.is_some()).count();
            assert!(kept.len() <= 12 && wide_count <= 2, "{} and {wide_count}", kept.len());
        }
        assert!(widened_count > 4, "{widened_count}: some gave way to others");
    }

    #[test]
    fn keys_without_tables_are_never_busy() {
        let cache = cache(2);
        use_often(&cache, 1, 10 * BUSY_USES_MIN);
        assert_eq!(cache.busiest(0), None);
    }

    #[test]
    fn neighbours_with_other_keys_get_their_own_tables() {
        let cache = cache(2);
        for key in [1_u32, 2] {
            cache.insert(&key.to_be_bytes(), table(), false);
        }
        let found = cache.look_up([1_u32, 1, 2, 3, 2, 1].map(u32::to_be_bytes).into_iter()).tables;
        let same = |i: usize, j: usize| match (&found[i], &found[j]) {
            (Some(left), Some(right)) => Arc::ptr_eq(&left.narrow, &right.narrow),
            _ => false,
        };
        assert!(same(0, 1) && same(0, 5) && same(2, 4), "one table per key");
        assert!(!same(0, 2) && found[3].is_none(), "and no other key's");
    }
}
