//! The limiter: how many units a key may use in a window, exact over all cores, in a fixed amount of memory.
//!
//! **What is counted.** Time is cut into slots; a key has a ring of the last `slots` of them with the units admitted in
//! each, and a charge is admitted iff the whole ring stays within the quota. The slots before the current one cover at
//! least one window, so *no window of its length, aligned or not, ever sees more than the quota*. The price: units come
//! back a slot late at most. Refused charges are not counted, so a refusal never prolongs itself.
//!
//! ```text
//! quota     1–15   16–31   32–127   128–511   512 … 2^28−1
//! slots        7       5        4         3   1
//! late by    w/6     w/4      w/3       w/2   0, but counted per aligned window only: a burst on each side of its edge
//!                                             may together reach twice the quota
//! ```
//! (As many counters as fit into 28 bits, seven at most.)
//!
//! **Where.** A table of 64-byte buckets, one cache line each, allocated at start: seven keys and one floor.
//! A key is one `AtomicU64`: fingerprint 20 | epoch 16 | counts 28, and admitting is one compare-and-swap of it. The bucket
//! comes from further bits of a hash keyed with a process secret, so nobody can aim at a bucket. Two keys share a
//! counter when bucket and fingerprint agree (2^-37 for a given pair at the default size): then they share the quota.
//!
//! **When a bucket is full** of live keys, the one with the fewest live units makes room, and its counts are not forgotten:
//! they are merged (slot by slot, the maximum) into the bucket's floor, and whoever enters the bucket starts from the floor.
//! A key that comes back therefore starts with at least what it had used. So *no key is admitted beyond its quota
//! by any flood of other keys, without bound*; the price of overflow falls on newcomers to that bucket, who find part or
//! all of their quota used until the floor expires, one ring later. At the default size that takes some 10^6 addresses
//! in one minute, and closing every bucket takes quota × 7 × buckets admitted requests in one minute.
//!
//! **Locks.** A known key takes none. Entering a bucket sets a bit in its floor word, because two cores entering the same key
//! at once must not give it two counters; it is held for some twenty loads and stores, without a call or an allocation.
//!
//! **Time** may stand still, jump or differ between cores. A clock behind a counter counts in the counter's slot, so small steps
//! back free nothing. More than [`AHEAD_SLOTS_MAX`] slots back, counters start anew (failure delays do not): an epoch wraps after
//! 2^16 slots (7.6 days of 10 s slots), and a counter far ahead is more likely one of last week than one of tomorrow.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::UnixMillis;

/// A quota: `units` per `window_s` seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Units per window, 1 to [`QUOTA_UNITS_MAX`].
    pub units: u32,
    /// Length of the window in seconds, 1 to [`QUOTA_WINDOW_S_MAX`].
    pub window_s: u32,
}

/// Why a quota cannot be counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QuotaError {
    /// Not between 1 and [`QUOTA_UNITS_MAX`].
    Units,
    /// Not between 1 and [`QUOTA_WINDOW_S_MAX`].
    Window,
}

impl std::fmt::Display for QuotaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QuotaError::Units => write!(f, "units must be 1 to {QUOTA_UNITS_MAX}; leave the quota out for no limit"),
            QuotaError::Window => write!(f, "the window must be 1 to {QUOTA_WINDOW_S_MAX} seconds"),
        }
    }
}

impl std::error::Error for QuotaError {}

/// The answer to one charge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Charge {
    /// Whether the units were taken.
    pub admitted: bool,
    /// Units left afterwards.
    pub remaining: u32,
    /// When more is available: after a refusal, when the refused units fit (never, for more than a quota: then when all is
    /// back); otherwise when the oldest used units come back.
    pub available_at: UnixMillis,
}

/// The largest quota one counter can hold.
pub const QUOTA_UNITS_MAX: u32 = (1 << COUNTS_BITS) - 1;

/// The longest window: a day.
pub const QUOTA_WINDOW_S_MAX: u32 = 86_400;

/// How far behind a counter a clock may be and still find it: ten minutes of 10 s slots.
pub const AHEAD_SLOTS_MAX: u16 = 64;

const FINGERPRINT_BITS: u32 = 20;
const EPOCH_BITS: u32 = 16;
const COUNTS_BITS: u32 = 28;
const _: () = assert!(FINGERPRINT_BITS + EPOCH_BITS + COUNTS_BITS == u64::BITS, "a key is one word");
const _: () = assert!(EPOCH_BITS == u16::BITS, "epochs are compared as u16");

const COUNTS: u64 = (1 << COUNTS_BITS) - 1;
const FINGERPRINT_SHIFT: u32 = EPOCH_BITS + COUNTS_BITS;

/// Set in a floor word, where a key has its fingerprint, while somebody enters the bucket.
const ENTERING: u64 = 1 << 63;

const SLOTS_MAX: u32 = 7;
const WAYS: usize = 7;

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    floor: AtomicU64,
    ways: [AtomicU64; WAYS],
}
const _: () = assert!(size_of::<Bucket>() == 64, "a decision touches one cache line");

/// A quota's counters. Shared by reference between all cores.
pub struct Limiter<S = RandomState> {
    shape: Shape,
    quota: Quota,
    buckets: Box<[Bucket]>,
    hasher: S,
}

impl<S> std::fmt::Debug for Limiter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter")
            .field("quota", &self.quota)
            .field("buckets", &self.buckets.len())
            .finish_non_exhaustive()
    }
}

impl Limiter {
    /// Tracks at least `keys_count` keys. The hash is keyed from the operating system's randomness.
    pub fn new(quota: Quota, keys_count: usize) -> Result<Limiter, QuotaError> {
        Limiter::with_hasher(quota, keys_count, RandomState::new())
    }
}

impl<S: BuildHasher> Limiter<S> {
    /// As [`Limiter::new`] with a hasher of the caller's; a known one lets an attacker aim at a bucket.
    pub fn with_hasher(quota: Quota, keys_count: usize, hasher: S) -> Result<Limiter<S>, QuotaError> {
        let shape = Shape::new(quota)?;
        let buckets = keys_count.div_ceil(WAYS).max(1).next_power_of_two();
        let buckets = std::iter::repeat_with(Bucket::default).take(buckets).collect();
        Ok(Limiter { shape, quota, buckets, hasher })
    }

    /// The quota this counts.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Bytes of the table; constant.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Takes `units` (zero counts as one) from the key's quota, or refuses and takes nothing.
    pub fn charge<K: Hash + ?Sized>(&self, key: &K, units: u32, now: UnixMillis) -> Charge {
        let hash = self.hasher.hash_one(key);
        let bucket = &self.buckets[hash as usize & (self.buckets.len() - 1)];
        // Zero is left to words nobody has used yet.
        let fingerprint = (hash >> FINGERPRINT_SHIFT).max(1);
        let units = u64::from(units.max(1));
        let now_slot = now / self.shape.slot_ms;
        loop {
            let Some((way, word)) = bucket.find(fingerprint) else {
                if let Some(charge) = self.enter(bucket, fingerprint, units, now, now_slot) {
                    return charge;
                }
                continue;
            };
            let ring = self.shape.live(word, now_slot);
            let Some(taken) = self.shape.take(ring, units) else {
                return self.shape.refused(ring, units, now);
            };
            // Relaxed: the word is the whole state, and nothing else is published by it.
            let swapped =
                way.compare_exchange_weak(word, taken.word(fingerprint), Ordering::Relaxed, Ordering::Relaxed);
            if swapped.is_ok() {
                return self.shape.admitted(taken, now);
            }
        }
    }

    /// Gives a key its place in the bucket. `None`: somebody else entered it meanwhile, look again.
    fn enter(&self, bucket: &Bucket, fingerprint: u64, units: u64, now: UnixMillis, now_slot: u64) -> Option<Charge> {
        let lock = bucket.lock_floor();
        let mut floor = lock.floor;
        loop {
            if bucket.find(fingerprint).is_some() {
                lock.release(floor);
                return None;
            }
            let ring = self.shape.live(floor, now_slot);
            let Some(taken) = self.shape.take(ring, units) else {
                lock.release(floor);
                return Some(self.shape.refused(ring, units, now));
            };
            let (way, word, leaving) = self.least_used(bucket, now_slot);
            if leaving.counts != 0 {
                // Whoever misses the leaving key waits for this lock, and then starts from this floor.
                // Raised in vain, because the swap below fails, it is only stricter.
                floor = self.shape.merge(ring, leaving).word(0);
            }
            let swapped = way.compare_exchange(word, taken.word(fingerprint), Ordering::Relaxed, Ordering::Relaxed);
            if swapped.is_ok() {
                lock.release(floor);
                return Some(self.shape.admitted(taken, now));
            }
        }
    }
}

impl<S> Limiter<S> {
    /// The way whose key has the fewest live units: a free or expired one if there is any.
    fn least_used<'a>(&self, bucket: &'a Bucket, now_slot: u64) -> (&'a AtomicU64, u64, Ring) {
        let at = |way: &'a AtomicU64| {
            let word = way.load(Ordering::Relaxed);
            (way, word, self.shape.live(word, now_slot))
        };
        let [first, others @ ..] = &bucket.ways;
        let (mut least, mut least_units) = (at(first), u64::MAX);
        for candidate in std::iter::once(least).chain(others.iter().map(at)) {
            let units = self.shape.used(candidate.2);
            if units < least_units {
                (least, least_units) = (candidate, units);
            }
            if units == 0 {
                break;
            }
        }
        least
    }
}

impl Bucket {
    fn find(&self, fingerprint: u64) -> Option<(&AtomicU64, u64)> {
        self.ways
            .iter()
            .map(|way| (way, way.load(Ordering::Relaxed)))
            .find(|(_, word)| word >> FINGERPRINT_SHIFT == fingerprint)
    }

    /// Waits for whoever is entering: nanoseconds, or its next time slice if it was preempted just then.
    fn lock_floor(&self) -> FloorLock<'_> {
        let mut tries = 0_u32;
        loop {
            let floor = self.floor.load(Ordering::Relaxed) & !ENTERING;
            // Acquire pairs with the release below: every key entered before is visible to the search that follows.
            let swapped =
                self.floor.compare_exchange_weak(floor, floor | ENTERING, Ordering::Acquire, Ordering::Relaxed);
            if swapped.is_ok() {
                return FloorLock { bucket: self, floor };
            }
            tries += 1;
            if tries.is_multiple_of(64) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// The right to enter keys into a bucket and to change its floor.
#[must_use]
struct FloorLock<'a> {
    bucket: &'a Bucket,
    floor: u64,
}

impl FloorLock<'_> {
    fn release(self, floor: u64) {
        self.bucket.floor.store(floor, Ordering::Release);
    }
}

/// How a quota's units are laid out in 28 bits.
#[derive(Clone, Copy, Debug)]
struct Shape {
    units: u64,
    slots: u32,
    count_bits: u32,
    count_mask: u64,
    ring_mask: u64,
    slot_ms: u64,
}

/// A counter as it is at some slot: the newest count lowest.
#[derive(Clone, Copy)]
struct Ring {
    slot: u64,
    counts: u64,
}

impl Ring {
    fn word(self, fingerprint: u64) -> u64 {
        fingerprint << FINGERPRINT_SHIFT | (self.slot & 0xffff) << COUNTS_BITS | self.counts
    }
}

impl Shape {
    fn new(quota: Quota) -> Result<Shape, QuotaError> {
        let Quota { units, window_s } = quota;
        if !(1..=QUOTA_UNITS_MAX).contains(&units) {
            return Err(QuotaError::Units);
        }
        if !(1..=QUOTA_WINDOW_S_MAX).contains(&window_s) {
            return Err(QuotaError::Window);
        }
        let count_bits = u32::BITS - units.leading_zeros();
        let window_ms = u64::from(window_s) * 1000;
        let (slots, slot_ms) = match (COUNTS_BITS / count_bits).min(SLOTS_MAX) {
            // Two slots would return units up to a whole window late; then rather one, aligned.
            0..=2 => (1, window_ms),
            // A window that starts inside a slot reaches into `slots` of them, never more.
            slots => (slots, window_ms.div_ceil(u64::from(slots - 1))),
        };
        let ones = |bits: u32| (1 << bits) - 1;
        let (count_mask, ring_mask) = (ones(count_bits), ones(slots * count_bits));
        Ok(Shape { units: units.into(), slots, count_bits, count_mask, ring_mask, slot_ms })
    }

    /// The counter at `now_slot`, or at its own slot when that is ahead.
    fn live(&self, word: u64, now_slot: u64) -> Ring {
        let epoch = (word >> COUNTS_BITS) as u16;
        let counts = word & COUNTS;
        let behind = (now_slot as u16).wrapping_sub(epoch);
        let ahead = epoch.wrapping_sub(now_slot as u16);
        if u32::from(behind) < self.slots {
            Ring { slot: now_slot, counts: counts << (u32::from(behind) * self.count_bits) & self.ring_mask }
        } else if ahead <= AHEAD_SLOTS_MAX && counts != 0 {
            Ring { slot: now_slot.saturating_add(ahead.into()), counts }
        } else {
            Ring { slot: now_slot, counts: 0 }
        }
    }

    /// The ring after taking `units`, if they fit. A count never exceeds the quota, so it never spills into its neighbour.
    fn take(&self, ring: Ring, units: u64) -> Option<Ring> {
        (self.used(ring) + units <= self.units).then_some(Ring { counts: ring.counts + units, ..ring })
    }

    fn count(&self, ring: Ring, age: u32) -> u64 {
        ring.counts >> (age * self.count_bits) & self.count_mask
    }

    fn used(&self, ring: Ring) -> u64 {
        let (mut used, mut counts) = (0, ring.counts);
        while counts != 0 {
            used += counts & self.count_mask;
            counts >>= self.count_bits;
        }
        used
    }

    /// Slot by slot the larger count, at the later of both slots.
    fn merge(&self, a: Ring, b: Ring) -> Ring {
        let slot = a.slot.max(b.slot);
        let (a, b) = (self.live(a.word(0), slot), self.live(b.word(0), slot));
        let counts = (0..self.slots)
            .map(|age| self.count(a, age).max(self.count(b, age)) << (age * self.count_bits))
            .fold(0, |counts, count| counts | count);
        Ring { slot, counts }
    }

    fn admitted(&self, ring: Ring, now: UnixMillis) -> Charge {
        let used = self.used(ring);
        self.charge(true, ring, used, used.saturating_sub(1), now)
    }

    fn refused(&self, ring: Ring, units: u64, now: UnixMillis) -> Charge {
        self.charge(false, ring, self.used(ring), self.units.saturating_sub(units), now)
    }

    /// Says when the oldest slots have left the ring so that at most `wanted` units remain used.
    fn charge(&self, admitted: bool, ring: Ring, used: u64, wanted: u64, now: UnixMillis) -> Charge {
        let mut left = used;
        let mut age = self.slots;
        while left > wanted && age > 0 {
            age -= 1;
            left -= self.count(ring, age);
        }
        let slot = ring.slot.saturating_add((self.slots - age).into());
        // With nothing used, more than the quota was asked for; a window is as good an answer as any.
        let available_at =
            if age == self.slots { now.saturating_add(self.slot_ms) } else { slot.saturating_mul(self.slot_ms) };
        Charge { admitted, remaining: self.units.saturating_sub(used) as u32, available_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_700_000_040_000;
    const TEN: Quota = Quota { units: 10, window_s: 60 };

    fn limiter(quota: Quota) -> Limiter {
        Limiter::new(quota, 1000).unwrap()
    }

    #[test]
    fn shapes_fill_the_word_and_cover_the_window() {
        for (units, slots) in [
            (1, 7),
            (5, 7),
            (10, 7),
            (15, 7),
            (16, 5),
            (31, 5),
            (100, 4),
            (127, 4),
            (511, 3),
            (512, 1),
            (QUOTA_UNITS_MAX, 1),
        ] {
            let shape = Shape::new(Quota { units, window_s: 60 }).unwrap();
            assert_eq!(shape.slots, slots, "{units}");
            assert!(shape.slots * shape.count_bits <= COUNTS_BITS);
            assert!(shape.slot_ms * u64::from(shape.slots - 1).max(1) >= 60_000);
        }
        for (units, window_s) in [(0, 60), (QUOTA_UNITS_MAX + 1, 60), (1, 0), (1, QUOTA_WINDOW_S_MAX + 1)] {
            assert!(Shape::new(Quota { units, window_s }).is_err());
        }
    }

    #[test]
    fn every_quota_admits_exactly_itself_and_keeps_its_word() {
        for units in [1, 2, 5, 10, 15, 16, 100, 511, 512, 5000] {
            let limiter = limiter(Quota { units, window_s: 60 });
            let mut now = NOW;
            for round in 0..5 {
                let admitted = (0..units + 3).filter(|_| limiter.charge("a", 1, now).admitted).count();
                assert_eq!(admitted, units as usize, "{units} in round {round}");
                let refused = limiter.charge("a", 1, now);
                assert_eq!(refused.remaining, 0);
                assert!(refused.available_at > now && refused.available_at <= now + 90_000);
                assert!(!limiter.charge("a", 1, refused.available_at - 1).admitted);
                now = refused.available_at;
            }
        }
    }

    #[test]
    fn units_come_back_in_the_order_they_were_used() {
        let limiter = limiter(TEN);
        assert_eq!(limiter.charge("a", 4, NOW).remaining, 6);
        assert_eq!(limiter.charge("a", 6, NOW + 30_000).remaining, 0);
        let one = limiter.charge("a", 1, NOW + 31_000);
        let five = limiter.charge("a", 5, NOW + 31_000);
        assert_eq!((one.admitted, one.available_at), (false, NOW + 70_000));
        assert_eq!((five.admitted, five.available_at), (false, NOW + 100_000));
        let eleven = limiter.charge("a", 11, NOW + 31_000);
        assert_eq!((eleven.admitted, eleven.available_at), (false, NOW + 100_000));
        assert!(limiter.charge("a", 4, NOW + 70_000).admitted);
        assert!(!limiter.charge("b", 11, NOW).admitted);
        assert!(limiter.charge("b", 10, NOW).admitted);
    }

    #[test]
    fn time_going_backwards_frees_nothing_and_never_panics() {
        for units in [10, 100, 5000] {
            let limiter = limiter(Quota { units, window_s: 60 });
            assert!(limiter.charge("a", units, NOW).admitted);
            for back in [1, 1000, 60_000, 600_000] {
                assert!(!limiter.charge("a", 1, NOW - back).admitted, "{units}, {back} ms back");
            }
        }
        let limiter = limiter(TEN);
        for now in [0, 1, u64::MAX, NOW, u64::MAX - 1, 0, u64::MAX / 2] {
            limiter.charge("a", 1, now);
            limiter.charge("a", u32::MAX, now);
        }
    }

    #[test]
    fn a_counter_of_last_week_is_no_counter_of_the_future() {
        let limiter = limiter(TEN);
        for days in 1..30 {
            let now = NOW + days * 86_400_000;
            assert_eq!(limiter.charge("a", 10, now).remaining, 0);
            assert!(limiter.charge("a", 10, now + 4 * 86_400_000).admitted);
        }
    }
}
