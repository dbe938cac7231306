//! The limiter and the delays against plain models, under seeded schedules with a fake clock and under real threads.
//!
//! Every failure prints its seed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use foldhash::quality::FixedState;

use super::client_ip::AddressGroup;
use super::delays::{DelayKeys, Delays, FailureRow, FailureUpdate, RESET_AFTER_S, RetryAfter};
use super::limiter::{Limiter, Quota};
use super::{Admission, Class, LimitsConfig, UnixMillis};

const NOW: UnixMillis = 1_700_000_040_000;
const TEN: Quota = Quota { units: 10, window_s: 60 };

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn group(index: u32) -> AddressGroup {
    AddressGroup::of(IpAddr::V4(Ipv4Addr::from_bits(index)))
}

/// The limiter's rule in its plainest form: every admitted charge by key.
#[derive(Default)]
struct Log(HashMap<u64, Vec<(UnixMillis, u32)>>);

impl Log {
    /// The largest number of units `key` was given in any window that ends with its newest charge.
    fn newest_window(&self, key: u64, window_ms: u64) -> u32 {
        let charges = &self.0[&key];
        let newest = charges.last().expect("a charge was just logged").0;
        charges.iter().filter(|(at, _)| newest - at < window_ms).map(|(_, units)| units).sum()
    }

    /// Units of the ring the head of `limiter.rs` describes: the current slot and the `slots - 1` before it.
    fn ring(&self, key: u64, now: UnixMillis, slot_ms: u64, slots: u64) -> u32 {
        let charges = self.0.get(&key).map_or(&[][..], Vec::as_slice);
        charges.iter().filter(|(at, _)| now / slot_ms - at / slot_ms < slots).map(|(_, units)| units).sum()
    }
}

#[test]
fn attack_116_no_window_exceeds_the_quota_however_full_the_table() {
    for seed in 0..300 {
        let mut random = Random(seed);
        // From one bucket for all keys to a roomy table.
        let (keys, room) = (1 + random.below(60), 1 << random.below(8));
        let quota = Quota { units: 1 + random.below(12) as u32, window_s: 1 + random.below(90) as u32 };
        let limiter = Limiter::with_hasher(quota, room, FixedState::with_seed(seed)).unwrap();
        let window_ms = u64::from(quota.window_s) * 1000;
        let mut log = Log::default();
        let mut now = NOW;
        for _ in 0..2000 {
            now += random.below(window_ms / 8) * random.below(2);
            let (key, units) = (random.below(keys), 1 + random.below(2) as u32);
            if limiter.charge(&key, units, now).admitted {
                log.0.entry(key).or_default().push((now, units));
                assert!(log.newest_window(key, window_ms) <= quota.units, "seed {seed}");
            }
        }
    }
}

#[test]
fn without_overflow_the_limiter_equals_the_plain_model() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let limiter = Limiter::with_hasher(TEN, 1 << 14, FixedState::with_seed(seed)).unwrap();
        let mut log = Log::default();
        let mut now = NOW + random.below(60_000);
        for step in 0..3000 {
            now += random.below(2500);
            let (key, units) = (random.below(20), 1 + random.below(3) as u32);
            let used = log.ring(key, now, 10_000, 7);
            let charge = limiter.charge(&key, units, now);
            assert_eq!(charge.admitted, used + units <= 10, "seed {seed} step {step}");
            assert_eq!(
                charge.remaining,
                10 - used - if charge.admitted { units } else { 0 },
                "seed {seed} step {step}"
            );
            if charge.admitted {
                log.0.entry(key).or_default().push((now, units));
            } else {
                let fits = |at| log.ring(key, at, 10_000, 7) + units <= 10;
                assert!(fits(charge.available_at) && !fits(charge.available_at - 1), "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn attack_116_an_exhausted_key_is_not_readmitted_by_a_flood() {
    for seed in 0..20 {
        // One bucket of seven keys: every address of the flood lands on the victim's.
        let limiter = Limiter::with_hasher(TEN, 7, FixedState::with_seed(seed)).unwrap();
        let used = 1 + (seed % 10) as u32;
        assert!(limiter.charge(&group(0), used, NOW).admitted);
        for address in 1..100_000 {
            limiter.charge(&group(address), 1, NOW + u64::from(address) / 5);
            if address % 1000 == 0 {
                let left = limiter.charge(&group(0), 11 - used, NOW + u64::from(address) / 5);
                assert!(!left.admitted, "seed {seed} after {address}");
            }
        }
        // One ring later the flood has left no trace.
        assert_eq!(limiter.charge(&group(0), 1, NOW + 20_000 + 70_000).remaining, 9, "seed {seed}");
    }
}

#[test]
fn attack_116_exactly_ten_of_eight_threads_are_admitted() {
    const ROUNDS: u32 = 300;
    let admission = Admission::new(LimitsConfig::default()).unwrap();
    // The second limiter has one bucket, and a third of the threads' charges flood it with other keys meanwhile.
    let crowded = Limiter::new(TEN, 7).unwrap();
    let barrier = Barrier::new(8);
    let tallies: Vec<[AtomicU32; 2]> = (0..ROUNDS).map(|_| Default::default()).collect();
    thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (admission, crowded, barrier, tallies) = (&admission, &crowded, &barrier, &tallies);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // A new minute each round, so that the crowded bucket is fresh and the clocks of the threads differ.
                    let now = NOW + u64::from(round) * 120_000 + u64::from(thread);
                    barrier.wait();
                    for attempt in 0..10 {
                        let decision = admission.charge_address(Class::OAuth, group(round), now);
                        tallies[round as usize][0].fetch_add(u32::from(decision.admitted), Ordering::Relaxed);
                        let charge = crowded.charge(&group(round), 1, now);
                        tallies[round as usize][1].fetch_add(u32::from(charge.admitted), Ordering::Relaxed);
                        crowded.charge(&group(1 << 31 | thread << 8 | attempt), 1, now);
                    }
                }
            });
        }
    });
    for (round, [alone, crowded]) in tallies.iter().enumerate() {
        assert_eq!(alone.load(Ordering::Relaxed), 10, "round {round}");
        assert!(crowded.load(Ordering::Relaxed) <= 10, "round {round}");
    }
}

/// Long enough that threads are caught in the middle of a charge: a lost update admits too many.
#[test]
fn attack_116_no_charge_of_eight_threads_is_lost() {
    const UNITS: u32 = 4_000_000;
    let limiter = Limiter::new(Quota { units: UNITS, window_s: 60 }, 7).unwrap();
    let barrier = Barrier::new(8);
    let admitted: u32 = thread::scope(|scope| {
        let charge_all = || {
            barrier.wait();
            (0..UNITS / 2).filter(|_| limiter.charge("one", 1, NOW).admitted).count() as u32
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(charge_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, UNITS);
}

#[test]
fn ten_million_addresses_cost_no_memory() {
    // Unoptimised a tenth says the same in tolerable time.
    let addresses: u32 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
    let admission = Admission::new(LimitsConfig::default()).unwrap();
    let before = resident_bytes();
    assert!((0..12).filter(|_| admission.charge_address(Class::OAuth, group(0), NOW).admitted).count() == 10);
    let admitted = (1..addresses)
        .filter(|&n| {
            admission
                .charge_address(Class::OAuth, group(n), NOW + u64::from(n) * 59_000 / u64::from(addresses))
                .admitted
        })
        .count();
    let grown = resident_bytes().saturating_sub(before);
    // A map of them would need 240 MB and more. Other tests of this process may allocate meanwhile, hence the slack.
    assert!(grown < 128 << 20, "{grown} bytes for {addresses} addresses");
    assert!(admission.memory_bytes() < 40 << 20, "{} bytes of tables", admission.memory_bytes());
    // The exhausted one stays exhausted, and the strangers were served as long as there was room to count them.
    assert!(!admission.charge_address(Class::OAuth, group(0), NOW + 59_999).admitted);
    assert!(admitted >= addresses as usize / 2, "{admitted} of {addresses}");
}

/// Resident memory of this process as Linux tells it.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn keys(account: &str, address: u32) -> DelayKeys {
    DelayKeys::new(1, account.as_bytes(), group(address))
}

fn rows(updates: impl IntoIterator<Item = FailureUpdate>) -> Vec<FailureRow> {
    let row = |u: FailureUpdate| FailureRow {
        key_digest: u.key_digest,
        count: u.count,
        last_at: u.last_at,
        blocked_until: u.blocked_until,
    };
    updates.into_iter().map(row).collect()
}

/// Fails as soon as it is allowed to, `count` times; returns the delay after each.
fn fail_times(delays: &Delays, keys: &DelayKeys, count: usize, now: &mut UnixMillis) -> Vec<u64> {
    let mut all = Vec::new();
    for _ in 0..count {
        assert_eq!(delays.check(keys, *now), Ok(()));
        delays.fail(keys, *now);
        let delay = delays.check(keys, *now).map_or_else(|refused| refused.seconds, |()| 0);
        all.push(delay);
        *now += delay * 1000;
    }
    all
}

#[test]
fn attack_117_the_right_password_during_a_delay_is_refused_unverified() {
    let delays = Delays::new(1000);
    let owner = keys("alice", 1);
    let mut now = NOW;
    let curve = fail_times(&delays, &owner, 15, &mut now);
    assert_eq!(curve, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);

    // Asking during the delay, a thousand times, neither passes nor extends it.
    now += 1;
    delays.fail(&owner, now);
    for asked in 0..1000 {
        let wait = delays.check(&owner, now + asked * 900).unwrap_err();
        assert!(wait.seconds >= 1 && wait.seconds <= 901);
    }
    assert_eq!(delays.check(&owner, now + 901_000), Ok(()));
    // Not a millisecond early, although the clock is whole seconds.
    assert!(delays.check(&owner, now + 900_000).is_err());
    // An account nobody has behaves the same.
    let mut now = NOW;
    assert_eq!(fail_times(&delays, &keys("nobody", 7), 15, &mut now), curve);
}

#[test]
fn attack_117_success_clears_the_pair_only_and_half_a_day_clears_both() {
    let delays = Delays::new(1000);
    let owner = keys("alice", 1);
    for n in 0..19 {
        delays.fail(&keys("alice", 100 + n), NOW);
    }
    delays.fail(&owner, NOW);
    assert_eq!(delays.check(&owner, NOW), Err(RetryAfter { seconds: 1 }), "the account lane's twentieth");
    assert!(delays.succeed(&owner).is_some());
    assert!(delays.succeed(&owner).is_none());
    let updates = delays.fail(&owner, NOW + 1000);
    assert_eq!(updates.iter().map(|u| u.count).collect::<Vec<_>>(), [1, 21]);
    assert_eq!(delays.check(&owner, NOW + 1000), Err(RetryAfter { seconds: 2 }));

    let later = NOW + 1000 + RESET_AFTER_S * 1000;
    assert_eq!(updates[0].expires_at, later / 1000);
    assert_eq!(delays.check(&owner, later), Ok(()));
    assert_eq!(delays.fail(&owner, later).iter().map(|u| u.count).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn attack_118_failures_elsewhere_delay_the_owner_by_a_minute_at_most() {
    let delays = Delays::new(1000);
    let owner = keys("alice", 1);
    // From one address: after thirteen failures it is the attacker who waits.
    let mut now = NOW;
    fail_times(&delays, &keys("alice", 2), 13, &mut now);
    assert_eq!(delays.check(&owner, now), Ok(()));
    // From very many, all at once.
    for address in 3..10_000 {
        delays.fail(&keys("alice", address), now);
        let wait = delays.check(&owner, now).map_or_else(|refused| refused.seconds, |()| 0);
        assert!(wait <= 60);
    }
    assert_eq!(delays.check(&owner, now), Err(RetryAfter { seconds: 60 }));
    assert_eq!(delays.check(&owner, now + 60_000), Ok(()));
    // Other accounts, and the same name in another tenant, never notice.
    assert_eq!(delays.check(&keys("bob", 2), now), Ok(()));
    assert_eq!(delays.check(&DelayKeys::new(2, b"alice", group(1)), now), Ok(()));
}

#[test]
fn attack_117_delays_survive_a_restart() {
    let delays = Delays::new(1000);
    let owner = keys("alice", 1);
    let mut stored = HashMap::new();
    for _ in 0..25 {
        for update in delays.fail(&owner, NOW) {
            stored.insert(update.key_digest, update);
        }
    }
    assert_eq!(stored.len(), 2);
    let restarted = Delays::new(1000);
    restarted.restore(rows(stored.into_values()), NOW + 10_000);
    assert_eq!(restarted.check(&owner, NOW + 10_000), Err(RetryAfter { seconds: 890 }));
    assert_eq!(restarted.check(&keys("alice", 2), NOW + 10_000), Err(RetryAfter { seconds: 22 }));
    assert_eq!(restarted.fail(&owner, NOW + 900_000).iter().map(|u| u.count).collect::<Vec<_>>(), [26, 26]);
    // A row too old to mean anything is not taken back.
    let restarted = Delays::new(1000);
    restarted.restore(rows(delays.fail(&owner, NOW)), NOW + RESET_AFTER_S * 1000);
    assert!(restarted.succeed(&owner).is_none());
}

#[test]
fn attack_117_time_going_backwards_frees_no_lock_and_keeps_none_beyond_its_cap() {
    let delays = Delays::new(1000);
    let owner = keys("alice", 1);
    for _ in 0..20 {
        delays.fail(&owner, NOW);
    }
    for back in [1, 1000, 3_600_000, NOW] {
        let wait = delays.check(&owner, NOW - back).unwrap_err();
        assert!(wait.seconds <= 901, "{back}");
        delays.fail(&owner, NOW - back);
    }
    assert_eq!(delays.check(&owner, 901_000), Ok(()));
    for now in [0, u64::MAX, 1, u64::MAX / 2] {
        delays.fail(&owner, now);
        let _: Result<(), RetryAfter> = delays.check(&owner, now);
        delays
            .restore([FailureRow { key_digest: [7; 32], count: 99, last_at: u64::MAX, blocked_until: u64::MAX }], now);
    }
}

#[test]
fn attack_117_a_flood_of_failures_neither_frees_a_lock_nor_grows_the_table() {
    // One bucket of sixteen rows a lane.
    let delays = Delays::new(16);
    let (owner, memory) = (keys("alice", 1), delays.memory_bytes());
    for _ in 0..13 {
        delays.fail(&owner, NOW);
    }
    let mut live = std::collections::HashSet::new();
    for n in 0..10_000 {
        let newcomer = keys(&format!("account {n}"), 1000 + n);
        for update in delays.fail(&newcomer, NOW + 1) {
            live.insert(update.key_digest);
            if let Some(forgotten) = update.forgotten {
                live.remove(&forgotten);
            }
        }
        // Whoever finds the table full pays one second for a first failure, rounded up as every delay is.
        assert!(delays.check(&newcomer, NOW + 1).map_or_else(|refused| refused.seconds, |()| 0) <= 2);
        assert!(delays.check(&owner, NOW + 1).is_err(), "freed after {n}");
    }
    assert_eq!(delays.memory_bytes(), memory);
    assert!(live.len() <= 32, "{} rows in the store", live.len());
}

#[test]
fn attack_117_delays_equal_the_plain_model() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let delays = Delays::new(1 << 14);
        let mut model: HashMap<(u64, Option<u64>), (u32, u64, u64)> = HashMap::new();
        let mut now_s = NOW / 1000;
        for step in 0..2000 {
            now_s += random.below(40) * random.below(40) * random.below(2);
            if random.below(500) == 0 {
                now_s += RESET_AFTER_S;
            }
            let (account, address) = (random.below(3), random.below(4));
            let keys = keys(&account.to_string(), address as u32);
            let lanes = [((account, Some(address)), 3, 900), ((account, None), 20, 60)];
            model.retain(|_, (_, last_at, _)| now_s - *last_at < RESET_AFTER_S);
            let until = lanes.iter().filter_map(|(key, ..)| model.get(key)).map(|row| row.2).max().unwrap_or(0);
            let checked = delays.check(&keys, now_s * 1000);
            let expected = if until > now_s { Err(RetryAfter { seconds: until - now_s }) } else { Ok(()) };
            assert_eq!(checked, expected, "seed {seed} step {step}");
            if checked.is_err() {
                continue;
            }
            if random.below(20) == 0 {
                // The model forgets expired rows at once, the table when their place is wanted.
                let known = model.remove(&lanes[0].0).is_some();
                assert!(delays.succeed(&keys).is_some() || !known, "seed {seed} step {step}");
                continue;
            }
            delays.fail(&keys, now_s * 1000);
            for (key, first, cap) in lanes {
                let row = model.entry(key).or_insert((0, 0, 0));
                row.0 += 1;
                let delay = if row.0 < first { 0 } else { 2_u64.pow((row.0 - first).min(20)).min(cap) };
                *row = (row.0, now_s, now_s + delay);
            }
        }
    }
}
