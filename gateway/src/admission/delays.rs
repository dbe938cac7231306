//! Failure delays: after failed sign-ins an account or claimed key is refused for a while, unverified.
//!
//! Two counters, both keyed by what the request *claims*, so an unknown account behaves like a known one:
//!
//! ```text
//! lane     key                          n-th consecutive failure                       cap
//! pair     (account, address group)     1–2 → 0, 3 → 1 s, 4 → 2 s, doubling            900 s
//! account  account                      1–19 → 0, 20 → 1 s, 21 → 2 s, doubling          60 s
//! ```
//!
//! The pair lane stops a guesser. The account lane slows many guessers, and its cap is what an attacker elsewhere can cost
//! the owner. A success clears the pair, not the account: else an attacker's own success would reset the count.
//! Either counter is forgotten 12 hours after its last failure.
//!
//! During a delay every attempt, right or wrong, is answered at once with [`RetryAfter`]: not verified, not counted, the
//! lock not extended, no connection held. Attempts that were already being verified when a lock fell still
//! count, each as one failure; how many can be is bounded by the IP limit in front of this gate.
//!
//! **Memory and disk.** Fixed buckets of 16 rows behind a mutex each, placed by a keyed hash. Only [`Delays::fail`] makes a row,
//! so only a request that passed the IP limit and whose proof was really checked can cause a write. In a full bucket the row
//! owing least makes room: expired, then unlocked, then fewest failures, then oldest. The newcomer starts from that row's count,
//! at most one below the first delay, so the attacker's flood costs a newcomer one second, and forgetting a lock costs the attacker
//! a lock on every row of the bucket, which nobody can aim at. [`FailureUpdate::forgotten`] lets the caller delete
//! the stored row in the same commit, so the store holds no more rows than this does.
//!
//! The module is pure: the caller persists what `fail` and `succeed` return and gives it back to [`Delays::restore`] at start.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::client_ip::AddressGroup;
use super::{UnixMillis, UnixSeconds};

/// Rows each lane keeps apart, by default: some 8 MiB a lane.
pub const ROWS_PER_LANE: usize = 131_072;

/// A counter is forgotten this long after its last failure.
pub const RESET_AFTER_S: u64 = 12 * 3600;

/// When a refused attempt may come back, in whole seconds from now, at least 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryAfter {
    /// Seconds to wait.
    pub seconds: u64,
}

/// Both keys of an attempt, as digests: neither account nor address is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DelayKeys {
    pair: [u8; 32],
    account: [u8; 32],
}

impl DelayKeys {
    /// `claimed` is what the request says it is, in one spelling: the account id, client id, or the 33 bytes of a public key.
    pub fn new(tenant: u32, claimed: &[u8], group: AddressGroup) -> DelayKeys {
        let account = Sha256::new()
            .chain_update(b"assay failure delay v1\0")
            .chain_update(tenant.to_be_bytes())
            .chain_update((claimed.len() as u64).to_be_bytes())
            .chain_update(claimed);
        let pair = account.clone().chain_update(group.to_be_bytes());
        DelayKeys {
            pair: Lane::Pair.mark(pair.finalize().into()),
            account: Lane::Account.mark(account.finalize().into()),
        }
    }
}

/// One counter to persist under `key_digest` until `expires_at`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailureUpdate {
    /// The row's key. Its first bit tells the lane, so a restored row finds its place by itself.
    pub key_digest: [u8; 32],
    /// Consecutive failures.
    pub count: u32,
    /// Time of the last one.
    pub last_at: UnixSeconds,
    /// End of the delay; in the past when there is none.
    pub blocked_until: UnixSeconds,
    /// When the row has no meaning any more.
    pub expires_at: UnixSeconds,
    /// The row that made room for this one: to delete in the same commit.
    pub forgotten: Option<[u8; 32]>,
}

/// A stored counter, for [`Delays::restore`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailureRow {
    /// As in [`FailureUpdate`].
    pub key_digest: [u8; 32],
    /// As in [`FailureUpdate`].
    pub count: u32,
    /// As in [`FailureUpdate`].
    pub last_at: UnixSeconds,
    /// As in [`FailureUpdate`].
    pub blocked_until: UnixSeconds,
}

/// Both lanes' counters. Shared by all cores.
#[derive(Debug)]
pub struct Delays {
    pairs: Counters,
    accounts: Counters,
}

impl Delays {
    /// Room for at least `rows_per_lane` counters in each lane, allocated here.
    pub fn new(rows_per_lane: usize) -> Delays {
        Delays {
            pairs: Counters::new(Lane::Pair, rows_per_lane),
            accounts: Counters::new(Lane::Account, rows_per_lane),
        }
    }

    /// May this attempt be verified? Changes no counter.
    ///
    /// # Errors
    /// The longer of both lanes' remaining delays.
    pub fn check(&self, keys: &DelayKeys, now: UnixMillis) -> Result<(), RetryAfter> {
        let until = self.pairs.blocked_until(&keys.pair, now).max(self.accounts.blocked_until(&keys.account, now));
        match until.saturating_mul(1000).saturating_sub(now).div_ceil(1000) {
            0 => Ok(()),
            seconds => Err(RetryAfter { seconds }),
        }
    }

    /// Counts one failure: after [`Delays::check`] let the attempt through and its proof was found wrong.
    /// The two rows are to be persisted.
    pub fn fail(&self, keys: &DelayKeys, now: UnixMillis) -> Vec<FailureUpdate> {
        vec![self.pairs.fail(&keys.pair, now), self.accounts.fail(&keys.account, now)]
    }

    /// Forgets the pair's failures. `Some` is the stored row to delete.
    pub fn succeed(&self, keys: &DelayKeys) -> Option<[u8; 32]> {
        self.pairs.forget(&keys.pair).then_some(keys.pair)
    }

    /// Takes back stored rows at start; expired ones are skipped, and an overfull store keeps the stricter rows.
    pub fn restore(&self, rows: impl IntoIterator<Item = FailureRow>, now: UnixMillis) {
        for row in rows {
            match Lane::of(&row.key_digest) {
                Lane::Account => self.accounts.restore(row, now),
                Lane::Pair => self.pairs.restore(row, now),
            }
        }
    }

    /// Bytes of both tables; constant.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.pairs.buckets) + size_of_val(&*self.accounts.buckets)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lane {
    Account,
    Pair,
}

impl Lane {
    /// The first failure count that costs time.
    fn first_delayed(self) -> u32 {
        match self {
            Lane::Account => 20,
            Lane::Pair => 3,
        }
    }

    fn delay_s_max(self) -> u64 {
        match self {
            Lane::Account => 60,
            Lane::Pair => 900,
        }
    }

    /// The delay after the `count`-th consecutive failure.
    fn delay_s(self, count: u32) -> u64 {
        match count.checked_sub(self.first_delayed()) {
            None => 0,
            Some(doublings) => 1_u64.checked_shl(doublings).map_or(self.delay_s_max(), |s| s.min(self.delay_s_max())),
        }
    }

    fn mark(self, mut digest: [u8; 32]) -> [u8; 32] {
        digest[0] = digest[0] & 0x7f | if self == Lane::Account { 0x80 } else { 0 };
        digest
    }

    fn of(digest: &[u8; 32]) -> Lane {
        if digest[0] & 0x80 != 0 { Lane::Account } else { Lane::Pair }
    }
}

const BUCKET_ROWS: usize = 16;

/// A counter; `count` 0 is a free place.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    digest: [u8; 32],
    count: u32,
    last_at: UnixSeconds,
    blocked_until: UnixSeconds,
}

impl Row {
    fn expired(&self, now_s: UnixSeconds) -> bool {
        self.count == 0 || now_s.saturating_sub(self.last_at) >= RESET_AFTER_S
    }
}

type Bucket = [Row; BUCKET_ROWS];

#[derive(Debug)]
struct Counters {
    lane: Lane,
    buckets: Box<[Mutex<Bucket>]>,
    hasher: RandomState,
}

impl Counters {
    fn new(lane: Lane, rows: usize) -> Counters {
        let buckets = rows.div_ceil(BUCKET_ROWS).max(1).next_power_of_two();
        let buckets = std::iter::repeat_with(|| Mutex::new(Bucket::default())).take(buckets).collect();
        Counters { lane, buckets, hasher: RandomState::new() }
    }

    fn bucket(&self, digest: &[u8; 32]) -> MutexGuard<'_, Bucket> {
        // Digests can be computed by anyone who knows the account; without the keyed hash so could buckets.
        let index = self.hasher.hash_one(digest) as usize & (self.buckets.len() - 1);
        // A row is valid after every single store, so a poisoned bucket is as good as any.
        self.buckets[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocked_until(&self, digest: &[u8; 32], now: UnixMillis) -> UnixSeconds {
        let now_s = now / 1000;
        let mut bucket = self.bucket(digest);
        let Some(row) = bucket.iter_mut().find(|row| row.digest == *digest && !row.expired(now_s)) else { return 0 };
        // A clock set back must not free a lock, nor let it outlast its cap counted from now.
        row.blocked_until = row.blocked_until.min(ceil_s(now).saturating_add(self.lane.delay_s_max()));
        row.blocked_until
    }

    fn fail(&self, digest: &[u8; 32], now: UnixMillis) -> FailureUpdate {
        let now_s = now / 1000;
        let mut bucket = self.bucket(digest);
        let (row, forgotten) = place(&mut bucket, digest, self.lane, now_s);
        row.count = row.count.saturating_add(1);
        row.last_at = row.last_at.max(now_s);
        // From the end of the current second, so that a delay is never shorter than it says.
        let blocked_until = match self.lane.delay_s(row.count) {
            0 => now_s,
            delay_s => ceil_s(now).saturating_add(delay_s),
        };
        row.blocked_until = row.blocked_until.max(blocked_until);
        FailureUpdate {
            key_digest: *digest,
            count: row.count,
            last_at: row.last_at,
            blocked_until: row.blocked_until,
            expires_at: row.last_at.saturating_add(RESET_AFTER_S),
            forgotten,
        }
    }

    fn forget(&self, digest: &[u8; 32]) -> bool {
        let mut bucket = self.bucket(digest);
        let row = bucket.iter_mut().find(|row| row.digest == *digest && row.count != 0);
        row.map(|row| *row = Row::default()).is_some()
    }

    fn restore(&self, stored: FailureRow, now: UnixMillis) {
        let now_s = now / 1000;
        let FailureRow { key_digest: digest, count, last_at, blocked_until } = stored;
        // A date from a clock that ran ahead would keep the row beyond its 12 hours.
        let row = Row { digest, count, last_at: last_at.min(now_s), blocked_until };
        if row.expired(now_s) {
            return;
        }
        let mut bucket = self.bucket(&digest);
        let least = bucket.iter_mut().min_by_key(|other| owed(other, &digest, now_s)).expect("a bucket has rows");
        if least.digest == digest || owed(least, &digest, now_s) < owed(&row, &[0; 32], now_s) {
            *least = row;
        }
    }
}

/// The row of `digest`, made if need be in the place of the row that owes least, whose digest is returned if it was live.
fn place<'a>(
    bucket: &'a mut Bucket,
    digest: &[u8; 32],
    lane: Lane,
    now_s: UnixSeconds,
) -> (&'a mut Row, Option<[u8; 32]>) {
    let row = bucket.iter_mut().min_by_key(|row| owed(row, digest, now_s)).expect("a bucket has rows");
    if row.expired(now_s) {
        *row = Row { digest: *digest, ..Row::default() };
        return (row, None);
    }
    if row.digest == *digest {
        return (row, None);
    }
    let forgotten = row.digest;
    *row = Row { digest: *digest, count: row.count.min(lane.first_delayed() - 1), ..Row::default() };
    (row, Some(forgotten))
}

/// Orders rows by how little is lost with them: the wanted digest's own row first of all, then free and expired ones, unlocked
/// ones, few failures, old ones.
fn owed(row: &Row, digest: &[u8; 32], now_s: UnixSeconds) -> (bool, bool, bool, u32, UnixSeconds) {
    let own = row.count != 0 && row.digest == *digest;
    (!own, !row.expired(now_s), row.blocked_until > now_s, row.count, row.last_at)
}

fn ceil_s(now: UnixMillis) -> UnixSeconds {
    now.div_ceil(1000)
}
