//! What the bytes of a token proved before: signature facts and parsed claims, for one core.
//!
//! * Keyed on the **full token bytes**: the hash only finds the slot, the bytes are compared. A token that shares a
//!   prefix, a signature, a `kid` or even the hash with a cached one is a miss.
//! * Holds no verdict about *now*. Revocation, audience and the like are judged by the caller on every call; the
//!   cache drops an entry when its token expires or its key is revoked ([`TokenCache::drop_key`]).
//! * Only tokens whose signature verified are inserted, so junk costs lookups and never room.
//! * Bounded in bytes, and scan resistant (attack 41).
//!
//! # Admission
//!
//! S3-FIFO (Yang et al., SOSP 2023) in bytes. New tokens enter the *small* queue. One that was hit by the time it
//! reaches the end moves to the *main* queue; one that was not is evicted, leaving a fingerprint in the *ghost*
//! table, and if it comes back it enters main at once. Main gives every entry that was hit another round.
//!
//! Main is kept at or below nine tenths of the bound, so a full cache always has at least a tenth in small, and
//! eviction for a newcomer takes from small while small holds more than its tenth. A flood of good tokens that each
//! come once therefore turns over the small queue and does not touch an entry in main, however long it lasts.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::limits::{CACHE_ENTRIES_MAX, CACHED_TOKEN_BYTES_MAX};

/// Seconds since the Unix epoch.
pub type UnixSeconds = u64;

/// Names the key a token was verified with, so that its tokens can be dropped together. The caller numbers keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyTag(pub u64);

/// Hits remembered per entry. Three tell hot from warm, more would only let the past weigh longer.
const HITS_MAX: u8 = 3;

/// Slots looked at for expired tokens on each insertion.
const SWEEP_SLOTS_COUNT: usize = 2;

/// Bytes of cache per ghost fingerprint: about one for each token the cache can hold.
const GHOST_BYTES_PER_FINGERPRINT: usize = 1024;

/// "No slot" in the links.
const NONE: u32 = u32::MAX;

/// A bounded map from token bytes to `V`. Owned by one core: lookups need `&mut` and no lock.
pub struct TokenCache<V> {
    hasher: RandomState,
    table: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: u32,
    small: Queue,
    main: Queue,
    ghost: Box<[u32]>,
    bytes_max: usize,
    sweep_next: usize,
}

struct Slot<V> {
    /// Towards the newer neighbour; unused while the slot is free.
    newer: u32,
    /// Towards the older neighbour, or the next free slot.
    older: u32,
    entry: Option<Entry<V>>,
}

struct Entry<V> {
    hash: u64,
    token: Box<[u8]>,
    expires_at: UnixSeconds,
    value: V,
    key: KeyTag,
    cost_bytes: usize,
    hits: u8,
    in_main: bool,
}

/// A FIFO linked through the slots.
struct Queue {
    newest: u32,
    oldest: u32,
    bytes: usize,
}

impl<V> TokenCache<V> {
    /// Bytes one entry costs besides its token and what its value owns elsewhere: the slot and its table entry.
    pub const ENTRY_OVERHEAD_BYTES: usize = size_of::<Slot<V>>() + 2 * size_of::<u32>();

    /// A cache of at most `bytes_max` bytes, everything included.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        // Every entry costs its overhead at least, so this also bounds their number.
        let bytes_max = bytes_max.min(CACHE_ENTRIES_MAX * Self::ENTRY_OVERHEAD_BYTES);
        let fingerprints_count = (bytes_max / GHOST_BYTES_PER_FINGERPRINT).next_power_of_two().min(CACHE_ENTRIES_MAX);
        Self {
            hasher: RandomState::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            free: NONE,
            small: Queue::new(),
            main: Queue::new(),
            ghost: vec![0; fingerprints_count].into_boxed_slice(),
            bytes_max: bytes_max.saturating_sub(fingerprints_count * size_of::<u32>()),
            sweep_next: 0,
        }
    }

    /// The facts about exactly these bytes, unless their token has expired.
    #[inline]
    pub fn get(&mut self, token: &[u8], now: UnixSeconds) -> Option<&V> {
        let hash = self.hash(token);
        let slot = self.find(hash, token)?;
        let entry = self.slots[slot as usize].entry.as_mut()?;
        if now >= entry.expires_at {
            self.remove(slot);
            return None;
        }
        entry.hits = (entry.hits + 1).min(HITS_MAX);
        self.slots[slot as usize].entry.as_ref().map(|entry| &entry.value)
    }

    /// Remembers `value` for a token **whose signature verified**, replacing what was known about the same bytes.
    ///
    /// `value_bytes` is what the value owns outside of itself. Tokens that are expired, longer than
    /// [`CACHED_TOKEN_BYTES_MAX`], or too costly for the small queue are not taken; the answer says whether this
    /// one was.
    pub fn insert(
        &mut self,
        token: &[u8],
        value: V,
        expires_at: UnixSeconds,
        key: KeyTag,
        value_bytes: usize,
        now: UnixSeconds,
    ) -> bool {
        self.sweep(now, SWEEP_SLOTS_COUNT);
        let hash = self.hash(token);
        if let Some(known) = self.find(hash, token) {
            self.remove(known);
        }
        let cost_bytes = token.len().saturating_add(Self::ENTRY_OVERHEAD_BYTES).saturating_add(value_bytes);
        if now >= expires_at || token.len() > CACHED_TOKEN_BYTES_MAX || cost_bytes > self.small_bytes_target() {
            return false;
        }
        let in_main = self.ghost_take(hash);
        let slot =
            self.occupy(Entry { hash, token: token.into(), expires_at, value, key, cost_bytes, hits: 0, in_main });
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |&slot| hash_of(&slots[slot as usize]));
        self.link(slot);
        self.evict_to_bounds(slot);
        true
    }

    /// Drops every token verified with this key; returns how many. Visits every slot, so call it on revocation.
    pub fn drop_key(&mut self, key: KeyTag) -> usize {
        self.remove_where(|entry| entry.key == key)
    }

    /// Drops everything, keeping the memory.
    pub fn clear(&mut self) {
        self.remove_where(|_| true);
    }

    /// Looks at the next `slots_count` slots for expired tokens and drops them. Insertions do a little of this;
    /// an idle core may do more.
    pub fn sweep(&mut self, now: UnixSeconds, slots_count: usize) {
        for _ in 0..slots_count.min(self.slots.len()) {
            if self.sweep_next >= self.slots.len() {
                self.sweep_next = 0;
            }
            let expired = self.slots[self.sweep_next].entry.as_ref().is_some_and(|entry| now >= entry.expires_at);
            if expired {
                self.remove(slot_number(self.sweep_next));
            }
            self.sweep_next += 1;
        }
    }

    /// Tokens held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes accounted for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.small.bytes + self.main.bytes
    }

    fn hash(&self, token: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(token);
        hasher.finish()
    }

    fn find(&self, hash: u64, token: &[u8]) -> Option<u32> {
        self.table
            .find(hash, |&slot| {
                self.slots[slot as usize]
                    .entry
                    .as_ref()
                    .is_some_and(|entry| entry.hash == hash && *entry.token == *token)
            })
            .copied()
    }

    fn small_bytes_target(&self) -> usize {
        self.bytes_max / 10
    }

    /// Puts the entry into a free slot and returns its number.
    fn occupy(&mut self, entry: Entry<V>) -> u32 {
        if self.free == NONE {
            self.slots.push(Slot { newer: NONE, older: NONE, entry: Some(entry) });
            return slot_number(self.slots.len() - 1);
        }
        let number = self.free;
        let slot = &mut self.slots[number as usize];
        self.free = slot.older;
        slot.entry = Some(entry);
        number
    }

    /// Appends the slot to the queue its entry names.
    fn link(&mut self, number: u32) {
        let Some(entry) = &self.slots[number as usize].entry else {
            return;
        };
        let cost_bytes = entry.cost_bytes;
        let queue = if entry.in_main { &mut self.main } else { &mut self.small };
        let previous = std::mem::replace(&mut queue.newest, number);
        queue.bytes += cost_bytes;
        if previous == NONE {
            queue.oldest = number;
        } else {
            self.slots[previous as usize].newer = number;
        }
        let slot = &mut self.slots[number as usize];
        slot.older = previous;
        slot.newer = NONE;
    }

    /// Takes the slot out of the queue its entry names.
    fn unlink(&mut self, number: u32) {
        let slot = &self.slots[number as usize];
        let Some(entry) = &slot.entry else {
            return;
        };
        let (newer, older) = (slot.newer, slot.older);
        let queue = if entry.in_main { &mut self.main } else { &mut self.small };
        queue.bytes -= entry.cost_bytes;
        if newer == NONE {
            queue.newest = older;
        } else {
            self.slots[newer as usize].older = older;
        }
        if older == NONE {
            queue.oldest = newer;
        } else {
            self.slots[older as usize].newer = newer;
        }
    }

    /// Frees the slot.
    fn remove(&mut self, number: u32) {
        self.unlink(number);
        let Some(entry) = self.slots[number as usize].entry.take() else {
            return;
        };
        if let Ok(occupied) = self.table.find_entry(entry.hash, |&slot| slot == number) {
            occupied.remove();
        }
        self.slots[number as usize].older = self.free;
        self.free = number;
    }

    fn remove_where(&mut self, unwanted: impl Fn(&Entry<V>) -> bool) -> usize {
        let mut removed = 0;
        for index in 0..self.slots.len() {
            if self.slots[index].entry.as_ref().is_some_and(&unwanted) {
                self.remove(slot_number(index));
                removed += 1;
            }
        }
        removed
    }

    /// Evicts until both bounds hold. `newcomer` was linked just now and stays.
    fn evict_to_bounds(&mut self, newcomer: u32) {
        let main_bytes_max = self.bytes_max - self.small_bytes_target();
        loop {
            if self.main.bytes > main_bytes_max {
                self.evict_from_main(newcomer);
            } else if self.bytes() > self.bytes_max {
                // Main is within nine tenths, so small holds more than a tenth: more than the newcomer alone.
                self.evict_from_small();
            } else {
                return;
            }
        }
    }

    /// The oldest of small leaves: to main if it was hit, else for good.
    fn evict_from_small(&mut self) {
        let oldest = self.small.oldest;
        let Some(entry) = self.entry_mut(oldest) else {
            return;
        };
        if entry.hits > 0 {
            self.unlink(oldest);
            if let Some(entry) = self.entry_mut(oldest) {
                entry.hits = 0;
                entry.in_main = true;
            }
            self.link(oldest);
        } else {
            let hash = entry.hash;
            self.ghost_put(hash);
            self.remove(oldest);
        }
    }

    /// The oldest of main leaves, unless it was hit since its last round. Each round costs a hit, so this ends.
    fn evict_from_main(&mut self, newcomer: u32) {
        loop {
            let oldest = self.main.oldest;
            let Some(entry) = self.entry_mut(oldest) else {
                return;
            };
            // The newcomer is alone at the old end only when everything else has gone round.
            if entry.hits == 0 && oldest != newcomer {
                self.remove(oldest);
                return;
            }
            entry.hits = entry.hits.saturating_sub(1);
            self.unlink(oldest);
            self.link(oldest);
        }
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry<V>> {
        self.slots.get_mut(number as usize)?.entry.as_mut()
    }

    /// Remembers that this token left small unhit, forgetting another one if the places collide.
    fn ghost_put(&mut self, hash: u64) {
        let place = self.ghost_place(hash);
        self.ghost[place] = fingerprint(hash);
    }

    /// True, once, if this token left small unhit not long ago.
    fn ghost_take(&mut self, hash: u64) -> bool {
        let place = self.ghost_place(hash);
        let seen = self.ghost[place] == fingerprint(hash);
        if seen {
            self.ghost[place] = 0;
        }
        seen
    }

    fn ghost_place(&self, hash: u64) -> usize {
        // The length is a power of two of at most 2^24, and the fingerprint uses the other half of the hash.
        (hash >> 32) as usize & (self.ghost.len() - 1)
    }
}

impl Queue {
    fn new() -> Self {
        Self { newest: NONE, oldest: NONE, bytes: 0 }
    }
}

/// Never 0, which marks an empty place.
fn fingerprint(hash: u64) -> u32 {
    (hash as u32) | 1
}

fn hash_of<V>(slot: &Slot<V>) -> u64 {
    slot.entry.as_ref().map_or(0, |entry| entry.hash)
}

fn slot_number(index: usize) -> u32 {
    u32::try_from(index).expect("CACHE_ENTRIES_MAX is below 2^32")
}

/// Counts and sizes only: the keys are tokens.
impl<V> std::fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<V> TokenCache<V> {
        /// Every link, sum and table entry agrees with every other.
        fn check_invariants(&self) {
            let mut linked = 0;
            for (queue, in_main) in [(&self.small, false), (&self.main, true)] {
                let (mut bytes, mut newer, mut at) = (0, NONE, queue.newest);
                while at != NONE {
                    let slot = &self.slots[at as usize];
                    let entry = slot.entry.as_ref().expect("linked slots are occupied");
                    assert_eq!(entry.in_main, in_main);
                    assert_eq!(slot.newer, newer);
                    assert_eq!(self.find(entry.hash, &entry.token), Some(at));
                    bytes += entry.cost_bytes;
                    linked += 1;
                    newer = at;
                    at = slot.older;
                }
                assert_eq!(queue.oldest, newer);
                assert_eq!(queue.bytes, bytes);
            }
            assert_eq!(linked, self.table.len());
            let (mut free, mut at) = (0, self.free);
            while at != NONE {
                assert!(self.slots[at as usize].entry.is_none());
                free += 1;
                at = self.slots[at as usize].older;
            }
            assert_eq!(linked + free, self.slots.len());
            assert!(self.bytes() <= self.bytes_max);
        }
    }

    const FOREVER: UnixSeconds = UnixSeconds::MAX;

    fn token(number: u64) -> Vec<u8> {
        // The number comes last: equal prefixes are the common case for tokens of one issuer.
        let mut token = vec![b'e'; 492];
        token.extend_from_slice(&number.to_be_bytes());
        token
    }

    fn insert(cache: &mut TokenCache<u64>, number: u64) -> bool {
        cache.insert(&token(number), number, FOREVER, KeyTag(number % 7), 0, 0)
    }

    #[test]
    fn expiry_is_exact_and_frees_the_room() {
        let mut cache = TokenCache::new(1 << 20);
        assert!(cache.insert(b"t", 1, 100, KeyTag(0), 0, 50));
        assert_eq!(cache.get(b"t", 99), Some(&1));
        assert_eq!(cache.get(b"t", 100), None);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        assert!(!cache.insert(b"t", 1, 100, KeyTag(0), 0, 100));
        assert!(cache.insert(b"t", 1, 100, KeyTag(0), 0, 50));
        cache.sweep(100, 10);
        assert!(cache.is_empty());
        cache.check_invariants();
    }

    #[test]
    fn revoking_a_key_drops_its_tokens_and_no_others() {
        let mut cache = TokenCache::new(1 << 20);
        for number in 0..70 {
            assert!(insert(&mut cache, number));
        }
        assert_eq!(cache.drop_key(KeyTag(3)), 10);
        cache.check_invariants();
        for number in 0..70 {
            let expected = (number % 7 != 3).then_some(&number);
            assert_eq!(cache.get(&token(number), 0), expected);
        }
        cache.clear();
        cache.check_invariants();
        assert!(cache.is_empty());
    }

    /// Attack 40: bytes that differ anywhere are another token.
    #[test]
    fn attack_40_every_byte_counts() {
        let mut cache = TokenCache::new(1 << 20);
        assert!(insert(&mut cache, 1));
        let good = token(1);
        for position in 0..good.len() {
            let mut changed = good.clone();
            changed[position] ^= 1;
            assert_eq!(cache.get(&changed, 0), None, "{position}");
            assert_eq!(cache.get(&good[..position], 0), None, "{position}");
        }
        assert_eq!(cache.get(&good, 0), Some(&1));
    }

    #[test]
    fn oversized_entries_are_not_taken() {
        let mut cache = TokenCache::new(1 << 20);
        let long = vec![b'a'; CACHED_TOKEN_BYTES_MAX + 1];
        assert!(!cache.insert(&long, 0, FOREVER, KeyTag(0), 0, 0));
        assert!(!cache.insert(b"t", 0, FOREVER, KeyTag(0), 1 << 20, 0));
        assert!(!cache.insert(b"t", 0, FOREVER, KeyTag(0), usize::MAX, 0));
        assert!(!TokenCache::new(0).insert(b"t", 0, FOREVER, KeyTag(0), 0, 0));
        cache.check_invariants();
    }

    /// Attack 41: neither junk nor a flood of good tokens that come once evicts what is in use.
    #[test]
    fn attack_41_one_hit_wonders_evict_nothing_hot() {
        let mut cache = TokenCache::new(1 << 20);
        let hot = 0..500;
        for _ in 0..2 {
            for number in hot.clone() {
                if cache.get(&token(number), 0).is_none() {
                    assert!(insert(&mut cache, number));
                }
            }
        }
        for flood in 0..100_000 {
            let number = 1_000_000 + flood;
            // Junk is looked up and, never verifying, not inserted.
            assert_eq!(cache.get(&token(number + 1_000_000), 0), None);
            insert(&mut cache, number);
        }
        cache.check_invariants();
        let survivors = hot.clone().filter(|&number| cache.get(&token(number), 0).is_some()).count();
        assert_eq!(survivors, hot.count(), "of the hot set");
    }

    #[test]
    fn a_working_set_that_fits_settles_even_during_a_flood() {
        let mut cache = TokenCache::new(1 << 20);
        let (mut flood, mut misses_late) = (1_000_000, 0);
        for round in 0..20 {
            for number in 0..800 {
                if cache.get(&token(number), 0).is_none() {
                    misses_late += u64::from(round > 3);
                    insert(&mut cache, number);
                }
                insert(&mut cache, flood);
                flood += 1;
            }
        }
        cache.check_invariants();
        assert!(misses_late <= 16 * 800 / 100, "{misses_late} late misses");
    }
}
