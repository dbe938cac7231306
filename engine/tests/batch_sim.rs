//! The batch policy under a seeded simulation with a fake clock: arrivals, idle moments, groups, a full queue.
//!
//! A failure prints the seed; `ASSAY_TEST_SEED` repeats it.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::batch::{Batch, Flush};
use assay_engine::limits::BATCH_AGE_NS_MAX;
use support::Rng;

struct World {
    batch: Batch<u64>,
    kernel: usize,
    jobs_max: usize,
    arrived: Vec<(u64, u64)>,
    flushed: Vec<u64>,
    refused: usize,
    next: u64,
    now: u64,
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let kernel = 1 + rng.below(32);
        let jobs_max = kernel * (1 + rng.below(8));
        Self {
            batch: Batch::new(kernel, jobs_max),
            kernel,
            jobs_max,
            arrived: Vec::new(),
            flushed: Vec::new(),
            refused: 0,
            next: 0,
            now: rng.next() >> 16,
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        // Mostly forward; now and then the clock goes back a little, which must harm nothing.
        match rng.below(20) {
            0 => self.now = self.now.saturating_sub(rng.next() % 1_000),
            _ => self.now += rng.next() % 200_000,
        }
        match rng.below(3) {
            0 => self.arrive(rng.below(2 * self.kernel)),
            1 => self.arrive_one(),
            _ => {}
        }
        let idle = rng.below(4) == 0;
        self.turn(idle);
    }

    fn arrive_one(&mut self) {
        let number = self.next;
        self.next += 1;
        let before = self.batch.len();
        match self.batch.push(number, self.now) {
            Ok(()) => self.arrived.push((number, self.now)),
            Err(given_back) => {
                assert_eq!(given_back, number);
                assert_eq!(before, self.jobs_max, "refused only when full");
                self.refused += 1;
            }
        }
    }

    fn arrive(&mut self, count: usize) {
        let numbers: Vec<_> = (self.next..).take(count).collect();
        self.next += count as u64;
        let before = self.batch.len();
        match self.batch.push_all(numbers.clone(), self.now) {
            Ok(()) => {
                let now = self.now;
                self.arrived.extend(numbers.into_iter().map(|number| (number, now)));
            }
            Err(given_back) => {
                assert_eq!(given_back, numbers, "all or nothing");
                assert!(before + count > self.jobs_max, "refused only when it does not fit");
                self.refused += count;
            }
        }
    }

    /// One turn of the core's loop.
    fn turn(&mut self, idle: bool) {
        assert!(self.batch.len() <= self.jobs_max, "the bound holds");
        let waiting = self.batch.len();
        let oldest = self.arrived.get(self.flushed.len()).map(|&(_, at)| at);
        let age = oldest.map_or(0, |at| self.now.saturating_sub(at));
        assert_eq!(self.batch.oldest_age_ns(self.now), age, "age is the oldest job's");
        match self.batch.decide(idle, self.now) {
            Flush::Wait => {
                assert!(waiting == 0 || !idle, "no wait on an idle core");
                assert!(waiting < self.kernel, "no wait with a full kernel batch");
                assert!(waiting == 0 || age < BATCH_AGE_NS_MAX, "no wait beyond the age");
            }
            Flush::Here(count) => {
                assert!((1..=self.kernel).contains(&count), "fits one kernel call");
                assert_eq!(count, waiting);
                self.flushed.extend(self.batch.take(count));
            }
            Flush::Split(count) => {
                assert!(count > self.kernel, "only what does not fit is split");
                assert_eq!(count, waiting);
                self.flushed.extend(self.batch.take(count));
            }
        }
    }
}

#[test]
fn simulation() {
    let base = Rng::from_env("batch simulation").0;
    for round in 0..400 {
        let seed = base.wrapping_add(round);
        let outcome = std::panic::catch_unwind(|| {
            let mut rng = Rng(seed);
            let mut world = World::new(&mut rng);
            for _ in 0..500 {
                world.step(&mut rng);
            }
            // The core runs dry: whatever waits is flushed now, at no cost in time.
            world.turn(true);
            assert!(world.batch.is_empty());
            let arrived: Vec<_> = world.arrived.iter().map(|&(number, _)| number).collect();
            assert_eq!(world.flushed, arrived, "nothing lost, nothing twice, order kept");
            assert_eq!(arrived.len() + world.refused, usize::try_from(world.next).expect("small"));
        });
        assert!(outcome.is_ok(), "repeat with ASSAY_TEST_SEED={seed}");
    }
}
